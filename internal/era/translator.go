package era

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mark3labs/mcp-go/mcp"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// ModeAuto lets the Translator find out what the remote speaks.
const ModeAuto = "auto"

// Implementation names a piece of software, as MCP's clientInfo does.
type Implementation struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

// Options configure a [Translator].
type Options struct {
	// Deliver takes messages for the client. Required. A message that belongs to
	// a request is delivered with a context that descends from the one its
	// Exchange was called with.
	Deliver wire.Deliver
	// Mode is what the remote is spoken to with: "auto" (or ""), a revision of
	// the legacy era such as "2025-11-25", or "2026-07-28".
	Mode string
	// Origin is the remote's key in Verdicts.
	Origin string
	// Verdicts remembers what remotes speak. Default: memory of this Translator.
	Verdicts VerdictStore
	// ClientInfo is told to the remote in requests of the Translator's own, where
	// the client has not said who it is.
	ClientInfo Implementation
	// Process says that the remote is a child process: silence on
	// server/discover, or death of it, then means the legacy era (MCP 2026-07-28
	// basic/transports/stdio, Backward Compatibility). After death dial is called
	// once more.
	Process bool
	// AnswerDiscover answers server/discover for a legacy remote by translation.
	// Otherwise it is answered with -32601, and a client of both eras falls back
	// to initialize by itself.
	AnswerDiscover bool
	Limits         Limits
	Logger         *slog.Logger
	// Now is the clock for verdicts. Default time.Now.
	Now func() time.Time
}

// Limits bound what a [Translator] holds and waits for. Zero means the default.
type Limits struct {
	Rounds        int           // input_required rounds of one request: 10
	Asks          int           // requests to the client that wait for its answer: 100
	AskTTL        time.Duration // how long one of them waits: 1 h
	Parked        int           // calls of a modern client that wait for its retry: 100
	ParkTTL       time.Duration // how long one of them waits: 15 min
	Subscriptions int           // resources subscribed to at a time: 10,000
	Tools         int           // tools whose parameter headers are remembered: 10,000
	Probe         time.Duration // a server/discover of our own: 10 s; 5 s for a process
	Settle        time.Duration // a subscription's acknowledgement, or the end of a session's start: 15 s
	VerdictTTL    time.Duration // after which a legacy verdict is tried again: 24 h
}

func (l Limits) withDefaults(process bool) Limits {
	orInt := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	orTime := func(v *time.Duration, d time.Duration) {
		if *v <= 0 {
			*v = d
		}
	}
	orInt(&l.Rounds, 10)
	orInt(&l.Asks, 100)
	orTime(&l.AskTTL, time.Hour)
	orInt(&l.Parked, 100)
	orTime(&l.ParkTTL, 15*time.Minute)
	orInt(&l.Subscriptions, 10_000)
	orInt(&l.Tools, 10_000)
	if process {
		orTime(&l.Probe, 5*time.Second)
	}
	orTime(&l.Probe, 10*time.Second)
	orTime(&l.Settle, 15*time.Second)
	orTime(&l.VerdictTTL, 24*time.Hour)
	return l
}

func (o Options) withDefaults() (Options, error) {
	if o.Deliver == nil {
		return o, errors.New("era: Options.Deliver is missing")
	}
	switch {
	case o.Mode == "":
		o.Mode = ModeAuto
	case o.Mode == ModeAuto:
	case !mcp.IsValidProtocolVersion(o.Mode):
		return o, fmt.Errorf("unknown protocol %q: use auto, %s or %s", o.Mode, legacyVersion, modernVersion)
	}
	if o.Verdicts == nil {
		o.Verdicts = &memory{}
	}
	if o.ClientInfo.Name == "" {
		o.ClientInfo = Implementation{Name: "mcpctl", Version: "0"}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	o.Limits = o.Limits.withDefaults(o.Process)
	return o, nil
}

// Translator is a [wire.Remote] that lets a client and a remote of different
// eras talk. It serves one client. Its methods may be called concurrently.
type Translator struct {
	opts    Options
	dial    func(wire.Deliver) (wire.Remote, error)
	waiting answers
	asks    asks
	tools   toolMemory
	probing chan struct{} // holds a token while nobody probes
	// settling holds a token while nobody finds out a process's era.
	settling chan struct{}
	prefix   string // of ids of our own
	lastID   atomic.Uint64

	mu       sync.Mutex
	remote   wire.Remote
	redialed bool
	hello    *wire.Frame   // the client's initialize
	legacy   *legacyClient // set while a legacy client is translated
	modern   *modernClient // set while a modern client is translated
	turned   chan struct{} // closed when legacy was set or unset
}

// New returns a Translator before the remote that dial makes, which must hand
// what comes in to the function it gets. Nothing is sent yet.
func New(opts Options, dial func(wire.Deliver) (wire.Remote, error)) (*Translator, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	var random [8]byte
	_, _ = rand.Read(random[:]) // never fails
	t := &Translator{
		opts: opts, dial: dial,
		asks:    asks{limit: opts.Limits.Asks},
		tools:   toolMemory{limit: opts.Limits.Tools, lenient: opts.Process},
		probing: make(chan struct{}, 1), settling: make(chan struct{}, 1),
		prefix: "era-" + hex.EncodeToString(random[:]) + "-",
		turned: make(chan struct{}),
	}
	t.probing <- struct{}{}
	t.settling <- struct{}{}
	if t.remote, err = dial(t.fromRemote); err != nil {
		return nil, err
	}
	return t, nil
}

// newID returns an id for a request of our own, towards either side. It starts
// with 64 random bits: no peer meets it by chance.
func (t *Translator) newID() wire.ID {
	return fmt.Appendf(nil, `"%s%d"`, t.prefix, t.lastID.Add(1))
}

// ours reports an id that newID has made.
func (t *Translator) ours(id wire.ID) bool {
	return len(id) > len(t.prefix) && string(id[1:1+len(t.prefix)]) == t.prefix
}

func (t *Translator) down() wire.Remote {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.remote
}

// translating returns the translation in force, nil where there is none.
func (t *Translator) translating() (*legacyClient, *modernClient) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.legacy, t.modern
}

// greeted returns the client's initialize, nil before there was one.
func (t *Translator) greeted() *wire.Frame {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.hello
}

// useLegacy puts a translation for a legacy client in force, or ends it.
func (t *Translator) useLegacy(l *legacyClient) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.legacy = l
	close(t.turned)
	t.turned = make(chan struct{})
}

// Exchange implements [wire.Remote].
func (t *Translator) Exchange(ctx context.Context, f wire.Frame) error {
	legacy, modern := t.translating()
	switch {
	case f.Kind == wire.Batch:
		return errors.New("era: a batch is exchanged message by message")
	case f.Kind == wire.Response:
		if t.asks.answer(f) {
			return nil
		}
		if legacy != nil || modern != nil {
			t.opts.Logger.Debug("an answer to a question that nobody asks any more was dropped")
			return nil
		}
		return t.down().Exchange(ctx, f)
	case wire.OpensSession(f):
		return t.initialize(ctx, f)
	case f.Kind == wire.Request && f.Method == "initialize":
		return t.opts.Deliver(ctx, noSuchMethod(f))
	case t.greeted() != nil:
		if legacy != nil {
			return legacy.exchange(ctx, f)
		}
		return t.mirrorLegacy(ctx, f)
	case mcp.IsModernProtocol(wire.LookupString(f.Raw, "params", "_meta", metaVersion)):
		return t.exchangeModern(ctx, f)
	case modern != nil && f.Kind == wire.Notification:
		return nil // a modern client has nothing to notify a legacy server of
	}
	return t.down().Exchange(ctx, f)
}

// fromRemote takes what the remote sends.
func (t *Translator) fromRemote(ctx context.Context, f wire.Frame) error {
	if f.Kind == wire.Response && t.waiting.take(f) {
		return nil
	}
	legacy, modern := t.translating()
	switch {
	case legacy != nil:
		return legacy.fromRemote(ctx, f)
	case modern != nil:
		return modern.fromRemote(ctx, f)
	}
	return t.opts.Deliver(ctx, f)
}

// Listen implements [wire.Remote].
func (t *Translator) Listen(ctx context.Context) error {
	for {
		t.mu.Lock()
		turned, legacy, modern, remote := t.turned, t.legacy, t.modern, t.remote
		t.mu.Unlock()
		if modern != nil {
			return wire.ErrNoListen // it listens for itself
		}
		inner, cancel := context.WithCancel(ctx)
		done := make(chan struct{})
		go func() {
			defer close(done)
			select {
			case <-turned:
				cancel()
			case <-inner.Done():
			}
		}()
		var err error
		if legacy != nil {
			err = legacy.listen(inner)
		} else {
			err = remote.Listen(inner)
		}
		cancel()
		<-done
		select {
		case <-turned:
			if ctx.Err() == nil {
				continue // the remote is spoken to in another era now
			}
		default:
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return err
	}
}

// End implements [wire.Remote].
func (t *Translator) End(ctx context.Context) error {
	if _, modern := t.translating(); modern != nil {
		modern.end(ctx)
	}
	return t.down().End(ctx)
}

var _ wire.Remote = (*Translator)(nil)
