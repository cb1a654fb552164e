package gateway

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// Process says how many processes a command upstream gets.
type Process string

// The ways to share a process.
const (
	// ProcessPerUser: one for each principal, shared by those of its sessions
	// that open with the same revision and capabilities.
	ProcessPerUser Process = "per-user"
	// ProcessPerSession: one for each session.
	ProcessPerSession Process = "per-session"
	// ProcessShared: one for all. The upstream can ask clients nothing.
	ProcessShared Process = "shared"
)

// ProcessOptions configure Processes.
type ProcessOptions struct {
	// Start starts the upstream. Required.
	Start func() (wire.Conn, error)
	// Process is how they are shared; per-user when empty.
	Process Process
	// Owner names the principal that ctx is from. Required for per-user.
	Owner func(ctx context.Context) string
	// IdleStop ends a process that nobody has used for so long. Default 10 min.
	IdleStop time.Duration
	// MaxProcesses bounds them. Default 100.
	MaxProcesses int
	Logger       *slog.Logger
}

// Processes is an Upstream of processes on demand. Close ends them all.
type Processes struct {
	opts ProcessOptions

	mu      sync.Mutex
	running map[string]*process
	fails   map[string]failures
	closed  bool
	last    int // of the keys of per-session processes
}

// process is a running upstream and those who use it.
type process struct {
	key   string
	mux   *mux
	users int
	idle  *time.Timer
	begun time.Time
}

// failures delay the next start of an upstream that keeps ending at once.
type failures struct {
	count int
	next  time.Time
}

const (
	quickEnd     = 10 * time.Second // a process that lived shorter has failed
	firstDelay   = time.Second
	longestDelay = 30 * time.Second
)

// ErrTooManyProcesses: the bound on upstream processes is reached.
var ErrTooManyProcesses = errors.New("too many upstream processes")

// NewProcesses returns an upstream that starts processes as sessions need them.
func NewProcesses(opts ProcessOptions) (*Processes, error) {
	if opts.Start == nil {
		return nil, errors.New("gateway: ProcessOptions.Start is missing")
	}
	switch opts.Process {
	case "":
		opts.Process = ProcessPerUser
	case ProcessPerUser, ProcessPerSession, ProcessShared:
	default:
		return nil, fmt.Errorf("unknown process sharing %q: use per-user, per-session or shared", opts.Process)
	}
	if opts.Process == ProcessPerUser && opts.Owner == nil {
		return nil, errors.New("gateway: ProcessOptions.Owner is missing")
	}
	if opts.IdleStop <= 0 {
		opts.IdleStop = 10 * time.Minute
	}
	if opts.MaxProcesses <= 0 {
		opts.MaxProcesses = 100
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	return &Processes{opts: opts, running: map[string]*process{}, fails: map[string]failures{}}, nil
}

// Open implements Upstream. The process is chosen, and started where need be,
// by the client's first message.
func (p *Processes) Open(ctx context.Context) (wire.Conn, error) {
	c := &processConn{processes: p, ready: make(chan struct{}), gone: make(chan struct{})}
	if p.opts.Process == ProcessPerUser {
		c.owner = p.opts.Owner(ctx)
		if c.owner == "" {
			return nil, errors.New("opening an upstream for nobody")
		}
	}
	return c, nil
}

// key says which process serves a client that opens with f.
func (p *Processes) key(owner string, f wire.Frame) string {
	switch p.opts.Process {
	case ProcessShared:
		return "shared"
	case ProcessPerSession:
		p.last++
		return fmt.Sprintf("session-%d", p.last)
	}
	hash := sha256.New()
	for _, part := range [][]byte{[]byte(owner), wire.Lookup(f.Raw, "params", "protocolVersion"), wire.Lookup(f.Raw, "params", "capabilities")} {
		_, _ = fmt.Fprintf(hash, "%d:%s", len(part), part)
	}
	return hex.EncodeToString(hash.Sum(nil))
}

// acquire returns a client of the process that f asks for.
func (p *Processes) acquire(owner string, f wire.Frame) (*process, *muxClient, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, nil, wire.ErrClosed
	}
	key := p.key(owner, f)
	if proc := p.running[key]; proc != nil {
		if client, err := proc.mux.attach(); err == nil {
			proc.users++
			proc.idle.Stop()
			return proc, client, nil
		}
		p.drop(proc)
	}
	if fail := p.fails[key]; time.Now().Before(fail.next) {
		return nil, nil, fmt.Errorf("the upstream has ended %d times right after its start; it is tried again in %s", fail.count, time.Until(fail.next).Round(time.Second))
	}
	if len(p.running) >= p.opts.MaxProcesses {
		return nil, nil, fmt.Errorf("%w: %d are running", ErrTooManyProcesses, len(p.running))
	}
	conn, err := p.opts.Start()
	if err != nil {
		p.failed(key)
		return nil, nil, err
	}
	proc := &process{key: key, mux: newMux(conn, p.opts.Process == ProcessShared, p.opts.Logger), users: 1, begun: time.Now()}
	proc.idle = time.AfterFunc(p.opts.IdleStop, func() { p.expire(proc) })
	proc.idle.Stop()
	p.running[key] = proc
	client, err := proc.mux.attach()
	if err != nil {
		p.drop(proc)
		return nil, nil, err
	}
	return proc, client, nil
}

// failed notes a start that came to nothing; p.mu is held.
func (p *Processes) failed(key string) {
	fail := p.fails[key]
	fail.count++
	delay := min(firstDelay<<min(fail.count-1, 10), longestDelay)
	fail.next = time.Now().Add(delay)
	if len(p.fails) > 10000 {
		clear(p.fails)
	}
	p.fails[key] = fail
}

// drop forgets a process that has ended; p.mu is held.
func (p *Processes) drop(proc *process) {
	if p.running[proc.key] != proc {
		return
	}
	delete(p.running, proc.key)
	proc.idle.Stop()
	if time.Since(proc.begun) < quickEnd {
		p.failed(proc.key)
	} else {
		delete(p.fails, proc.key)
	}
	go func() { _ = proc.mux.close() }() // it has ended: this only waits for it
}

// release ends one use of a process.
func (p *Processes) release(proc *process, client *muxClient) {
	if err := client.Close(); err != nil {
		p.opts.Logger.Debug("leaving an upstream", "reason", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	proc.users--
	if proc.users > 0 || p.running[proc.key] != proc {
		return
	}
	select {
	case <-proc.mux.ended():
		p.drop(proc)
		return
	default:
	}
	if p.opts.Process == ProcessPerSession {
		delete(p.running, proc.key)
		go func() { _ = proc.mux.close() }()
		return
	}
	proc.idle.Reset(p.opts.IdleStop)
}

// expire ends a process that nobody uses.
func (p *Processes) expire(proc *process) {
	p.mu.Lock()
	unused := proc.users == 0 && p.running[proc.key] == proc
	if unused {
		delete(p.running, proc.key)
	}
	p.mu.Unlock()
	if unused {
		p.opts.Logger.Info("an idle upstream was stopped")
		_ = proc.mux.close()
	}
}

// Close ends all processes and waits for them.
func (p *Processes) Close() error {
	p.mu.Lock()
	p.closed = true
	all := make([]*process, 0, len(p.running))
	for _, proc := range p.running {
		proc.idle.Stop()
		all = append(all, proc)
	}
	clear(p.running)
	p.mu.Unlock()
	var waiting sync.WaitGroup
	for _, proc := range all {
		waiting.Go(func() { _ = proc.mux.close() })
	}
	waiting.Wait()
	return nil
}
