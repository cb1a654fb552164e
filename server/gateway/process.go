package gateway

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
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
	// Start starts the upstream. Required. It is not called concurrently.
	Start func() (wire.Conn, error)
	// Process is how they are shared; per-user when empty.
	Process Process
	// Owner names the principal that ctx is from, "" for nobody. Required for
	// per-user; for per-session it bounds what one principal may start.
	Owner func(ctx context.Context) string
	// IdleStop ends a process that nobody has used for so long. Default 10 min.
	IdleStop time.Duration
	// Bounds is asked at each start, so that bounds can change; nil for the
	// defaults.
	Bounds func() ProcessBounds
	Logger *slog.Logger
}

// ProcessBounds bound the processes of one upstream: all of them, and those of
// one principal. Zero stands for the defaults, 100 and 10. At a bound the process
// that was idle longest makes room: first of those that no session uses, then of
// those whose sessions wait for no answer.
type ProcessBounds struct{ All, PerOwner int }

func (o ProcessOptions) withDefaults() (ProcessOptions, error) {
	if o.Start == nil {
		return o, errors.New("gateway: ProcessOptions.Start is missing")
	}
	switch o.Process {
	case "":
		o.Process = ProcessPerUser
	case ProcessPerUser, ProcessPerSession, ProcessShared:
	default:
		return o, fmt.Errorf("unknown process sharing %q: use %s, %s or %s", o.Process, ProcessPerUser, ProcessPerSession, ProcessShared)
	}
	if o.Process == ProcessPerUser && o.Owner == nil {
		return o, errors.New("gateway: ProcessOptions.Owner is missing")
	}
	if o.IdleStop <= 0 {
		o.IdleStop = 10 * time.Minute
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o, nil
}

// Processes is an Upstream of processes on demand. It is safe for concurrent
// use. Close ends them all.
type Processes struct {
	opts ProcessOptions

	mu      sync.Mutex
	running map[string]*process
	ending  sync.WaitGroup // processes that are being ended; added to while in running
	delays  startDelays
	closed  bool
	last    int // of the keys of per-session processes
}

// process is a running upstream and those who use it. All but mux is guarded by
// Processes.mu.
type process struct {
	mux    *mux
	key    string // in Processes.running
	owner  string
	blame  string // whose next start waits if this one ends at once
	users  int
	idle   *time.Timer // runs while users is 0
	unused time.Time   // since when users is 0
	begun  time.Time
}

// NewProcesses returns an upstream that starts processes as sessions need them.
func NewProcesses(opts ProcessOptions) (*Processes, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Processes{opts: opts, running: map[string]*process{}, delays: startDelays{}}, nil
}

// Open implements [Upstream]. The process is chosen, and started where need be,
// by the client's first message, and again by initialize.
func (p *Processes) Open(ctx context.Context) (wire.Conn, error) {
	c := &processConn{processes: p, turn: make(chan struct{})}
	if p.opts.Owner != nil {
		c.owner = p.opts.Owner(ctx)
	}
	if p.opts.Process == ProcessPerUser && c.owner == "" {
		return nil, errors.New("opening an upstream for nobody")
	}
	return c, nil
}

// key says which process serves a client that opens with f; p.mu is held.
func (p *Processes) key(owner string, f wire.Frame) string {
	switch p.opts.Process {
	case ProcessShared:
		return "shared"
	case ProcessPerSession:
		p.last++
		return "session-" + strconv.Itoa(p.last)
	}
	hash := sha256.New()
	parts := [][]byte{[]byte(owner), nil, nil}
	if f.Method == "initialize" {
		parts[1], parts[2] = wire.Lookup(f.Raw, "params", "protocolVersion"), wire.Lookup(f.Raw, "params", "capabilities")
	}
	for _, part := range parts {
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
	return p.acquireKey(p.key(owner, f), owner)
}

func (p *Processes) acquireKey(key, owner string) (*process, *muxClient, error) {
	if proc := p.running[key]; proc != nil {
		if client, err := proc.mux.attach(owner); err == nil {
			proc.users++
			proc.idle.Stop()
			return proc, client, nil
		}
		p.drop(proc)
	}
	proc, err := p.start(key, owner)
	if err != nil {
		return nil, nil, err
	}
	client, err := proc.mux.attach(owner)
	if err != nil {
		p.drop(proc)
		return nil, nil, err
	}
	return proc, client, nil
}

// start starts a process for one user; p.mu is held.
func (p *Processes) start(key, owner string) (*process, error) {
	blame := key
	if p.opts.Process == ProcessPerSession {
		blame = "owner " + owner
	}
	if err := p.delays.check(blame); err != nil {
		return nil, err
	}
	if err := p.makeRoom(owner); err != nil {
		return nil, err
	}
	conn, err := p.opts.Start()
	if err != nil {
		p.delays.failed(blame)
		return nil, err
	}
	proc := &process{key: key, owner: owner, blame: blame, users: 1, begun: time.Now()}
	proc.idle = time.AfterFunc(p.opts.IdleStop, func() { p.expire(proc) })
	proc.idle.Stop()
	proc.mux = newMux(conn, p.opts.Process == ProcessShared, p.opts.Logger, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.drop(proc)
	})
	p.running[key] = proc
	return proc, nil
}

// move serves a client that opened with another message and now sends
// initialize: by its own process, where that has greeted nobody and has no
// other user, or else by the one that initialize asks for.
func (p *Processes) move(proc *process, f wire.Frame) (*process, *muxClient, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, nil, wire.ErrClosed
	}
	key := p.key(proc.owner, f)
	if key == proc.key {
		return proc, nil, nil
	}
	if p.running[key] == nil && p.running[proc.key] == proc && proc.users == 1 && proc.mux.fresh() {
		delete(p.running, proc.key)
		proc.key, proc.blame = key, key
		p.running[key] = proc
		return proc, nil, nil
	}
	return p.acquireKey(key, proc.owner)
}

// drop forgets a process that has ended by itself; p.mu is held.
func (p *Processes) drop(proc *process) {
	if p.running[proc.key] != proc {
		return
	}
	if time.Since(proc.begun) < quickEnd {
		p.delays.failed(proc.blame)
	} else {
		p.delays.forget(proc.blame)
	}
	p.end(proc)
}

// end forgets a process and ends it; p.mu is held.
func (p *Processes) end(proc *process) {
	delete(p.running, proc.key)
	proc.idle.Stop()
	p.ending.Go(func() {
		if err := proc.mux.close(); err != nil {
			p.opts.Logger.Debug("ending an upstream", "reason", err)
		}
	})
}

// release ends one use of a process.
func (p *Processes) release(proc *process, client *muxClient) {
	if err := client.Close(); err != nil {
		p.opts.Logger.Debug("leaving an upstream", "reason", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	proc.users--
	switch {
	case proc.users > 0 || p.running[proc.key] != proc:
	case p.opts.Process == ProcessPerSession:
		p.end(proc)
	default:
		proc.unused = time.Now()
		proc.idle.Reset(p.opts.IdleStop)
	}
}

// expire ends a process that nobody uses.
func (p *Processes) expire(proc *process) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if proc.users > 0 || p.running[proc.key] != proc || time.Since(proc.unused) < p.opts.IdleStop {
		return
	}
	p.opts.Logger.Debug("an idle upstream is stopped")
	p.end(proc)
}

// Close ends all processes and waits for them.
func (p *Processes) Close() error {
	p.mu.Lock()
	p.closed = true
	for _, proc := range p.running {
		p.end(proc)
	}
	p.mu.Unlock()
	p.ending.Wait()
	return nil
}
