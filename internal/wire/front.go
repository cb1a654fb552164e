package wire

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// FrontOptions configure the server end of an HTTP transport.
//
// A front is an http.Handler that knows sessions and nothing of who may have
// one: whoever mounts it authenticates requests before they get here and says
// in Owner whose they are. Fields left zero take the default in their comment.
type FrontOptions struct {
	// Owner names the party behind a request, as an opaque key. A session
	// belongs to the owner of the request that opened it; to any other owner it
	// does not exist, on every verb. nil: all requests have one owner.
	Owner func(*http.Request) string
	// Serve runs one session, in a goroutine of its own. Required. ctx carries
	// the values of the request that opened the session and ends with the
	// session; the session is over when Serve returns.
	Serve func(ctx context.Context, s *Session)
	// Stateless works on one message of MCP 2026-07-28, in a goroutine of its
	// own; nil: such messages are refused, and clients that also speak an older
	// revision are told to. ctx carries the values of the HTTP request. It ends,
	// with ErrDisconnected as its cause, when the client goes away: that cancels
	// the request. It ends too when the answer was sent, and when the front or
	// the owner's access ends. A request that Stateless returns without having
	// answered is answered with an error.
	Stateless func(ctx context.Context, c *Call)
	// CheckParams compares the Mcp-Param-* fields of a request for Stateless with
	// its arguments, for which it has to know the tool's schema (MCP 2026-07-28,
	// basic/transports/streamable-http, Custom Headers from Tool Parameters). Its
	// error is the text of a -32020, or a *Refusal. nil: they are not looked at.
	CheckParams func(ctx context.Context, f Frame, h http.Header) error

	// MaxMessage is the size cap of one message, in bytes. DefaultMaxMessage.
	MaxMessage int
	// MaxSessions bounds all sessions (10,000), MaxSessionsPerOwner those of one
	// owner (100; unbounded where Owner is nil). An owner at a bound loses the
	// session that was idle longest; with none idle, opening is refused.
	MaxSessions, MaxSessionsPerOwner int
	// MaxPending bounds the unanswered requests of one session (8,192); above
	// it requests are refused with 429.
	MaxPending int
	// MaxCalls bounds the messages without a session that are worked on, those of
	// subscriptions/listen included (20,000); MaxCallsPerOwner those of one owner
	// without (1,000), MaxListensPerOwner its subscriptions (100). Where Owner is
	// nil only MaxCalls counts. Above a bound a message is refused with 429.
	MaxCalls, MaxCallsPerOwner, MaxListensPerOwner int
	// IdleTTL ends a session that no client was connected to for so long (30 min).
	IdleTTL time.Duration
	// Bounds, where set, returns what MaxSessions, MaxSessionsPerOwner and IdleTTL
	// are now, in place of these fields; zero is their default. It may be called at
	// any time, must not block, and what it returns may change: a lower bound ends
	// no session that is open, but for one that has been idle for too long.
	Bounds func() SessionBounds
	// KeepAlive is the pause after which a comment is sent on a silent event
	// stream (15 s). A POST without a message for so long becomes such a stream.
	KeepAlive time.Duration
	// WriteTimeout cuts a client that takes nothing for so long (30 s).
	WriteTimeout time.Duration
	// ReadTimeout cuts a client that sends nothing of its body for so long (30 s).
	ReadTimeout time.Duration
	// Queue is how many messages wait on one stream to the client before the
	// writer has to wait (256). Inward no more than 16 wait for a session.
	Queue int

	// Events keeps what was sent on streams, and what could not be sent because
	// the client is away, for clients that resume. nil: streams can't be resumed.
	Events EventStore
	// Registry knows the sessions of other processes too. nil: there are none.
	Registry SessionRegistry

	// AllowedOrigins lists the values of Origin that are let in ("*": any). A
	// request with an Origin that is not listed is refused; one without is not
	// from a browser. CheckOrigin, where set, decides instead.
	AllowedOrigins []string
	CheckOrigin    func(r *http.Request, origin string) bool
	// LoopbackHost refuses requests whose Host is not a loopback name or
	// address: for listeners on loopback, against DNS rebinding.
	LoopbackHost bool

	Logger *slog.Logger     // nil: discard
	Now    func() time.Time // nil: time.Now
}

func orDefault[T int | time.Duration](v, def T) T {
	if v <= 0 {
		return def
	}
	return v
}

func (o FrontOptions) withDefaults() FrontOptions {
	if o.Serve == nil {
		panic("wire: FrontOptions.Serve is missing")
	}
	if o.Owner == nil {
		o.Owner = func(*http.Request) string { return "" }
		o.MaxSessionsPerOwner = orDefault(o.MaxSessions, 10_000)
		o.MaxCallsPerOwner = orDefault(o.MaxCalls, 20_000)
		o.MaxListensPerOwner = o.MaxCallsPerOwner
	}
	o.MaxMessage = orDefault(o.MaxMessage, DefaultMaxMessage)
	o.MaxSessions = orDefault(o.MaxSessions, 10_000)
	o.MaxSessionsPerOwner = orDefault(o.MaxSessionsPerOwner, 100)
	o.MaxPending = orDefault(o.MaxPending, 8192)
	o.MaxCalls = orDefault(o.MaxCalls, 20_000)
	o.MaxCallsPerOwner = orDefault(o.MaxCallsPerOwner, 1000)
	o.MaxListensPerOwner = orDefault(o.MaxListensPerOwner, 100)
	o.IdleTTL = orDefault(o.IdleTTL, 30*time.Minute)
	o.KeepAlive = orDefault(o.KeepAlive, 15*time.Second)
	o.WriteTimeout = orDefault(o.WriteTimeout, 30*time.Second)
	o.ReadTimeout = orDefault(o.ReadTimeout, 30*time.Second)
	o.Queue = orDefault(o.Queue, 256)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// front is what both HTTP transports share: the sessions and their bounds.
type front struct {
	opts FrontOptions
	// single: every message goes on the one stream that is the session
	// (HTTP+SSE); otherwise each request has a stream of its own.
	single bool

	mu       sync.Mutex
	sessions map[string]*Session
	owners   map[string]map[*Session]struct{}
	calls    openCalls
	opened   uint64      // sessions
	refused  uint64      // sessions and calls, at a bound
	draining atomic.Bool // set under mu

	running sync.WaitGroup // Serve calls, calls without a session, the sweeper
	stop    chan struct{}  // ends the sweeper
	closing sync.Once
	pending atomic.Int64  // requests without an answer, of all sessions
	drained chan struct{} // capacity 1: pending fell to zero
}

func newFront(o FrontOptions, single bool) *front {
	f := &front{
		opts:     o.withDefaults(),
		single:   single,
		sessions: map[string]*Session{},
		owners:   map[string]map[*Session]struct{}{},
		calls:    openCalls{map[*Call]struct{}{}, map[string]*ownerCalls{}},
		stop:     make(chan struct{}),
		drained:  make(chan struct{}, 1),
	}
	f.running.Go(f.sweep)
	return f
}

var errShuttingDown = errors.New("the server is shutting down")

// open starts a session for the owner of r.
func (f *front) open(r *http.Request) (*Session, error) {
	owner := f.opts.Owner(r)
	f.mu.Lock()
	if f.draining.Load() {
		f.mu.Unlock()
		return nil, errShuttingDown
	}
	var evicted *Session
	if mine, b := f.owners[owner], f.bounds(); len(mine) >= b.PerOwner || len(f.sessions) >= b.All {
		// One owner's flood must not cost another owner's session.
		if evicted = longestIdle(mine); evicted == nil {
			f.refused++
			f.mu.Unlock()
			return nil, ErrTooManySessions
		}
		f.forgetLocked(evicted)
	}
	s := newSession(f, r, rand.Text(), owner)
	f.sessions[s.id] = s
	if f.owners[owner] == nil {
		f.owners[owner] = map[*Session]struct{}{}
	}
	f.owners[owner][s] = struct{}{}
	f.running.Add(1) // for serve
	f.mu.Unlock()
	f.endEvicted(evicted)
	err := f.register(r.Context(), s)
	if errors.Is(err, ErrTooManySessions) && f.evictFor(s) { // elsewhere the owner has more
		err = f.register(r.Context(), s)
	}
	f.count(err)
	if err != nil {
		s.end(errElsewhere, "the session could not be opened")
		f.running.Done()
		return nil, err
	}
	go f.serve(s)
	return s, nil
}

// count counts an attempt to open a session.
func (f *front) count(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case err == nil:
		f.opened++
	case errors.Is(err, ErrTooManySessions):
		f.refused++
	}
}

// evictFor ends the session that was idle longest of those that the owner of a
// new one has, and reports whether there was one.
func (f *front) evictFor(s *Session) bool {
	f.mu.Lock()
	others := maps.Clone(f.owners[s.owner])
	delete(others, s)
	evicted := longestIdle(others)
	if evicted != nil {
		f.forgetLocked(evicted)
	}
	f.mu.Unlock()
	f.endEvicted(evicted)
	return evicted != nil
}

func (f *front) endEvicted(s *Session) {
	if s == nil {
		return
	}
	f.opts.Logger.Info("ending the longest idle session of an owner at the session limit")
	s.end(errEvicted, "the session was ended: too many sessions are open")
}

func (f *front) serve(s *Session) {
	defer f.running.Done()
	defer s.end(ErrClosed, "the session ended before the request was answered")
	f.opts.Serve(s.ctx, s)
}

// longestIdle returns the session without a connected client and without an
// unanswered request that was used least recently.
func longestIdle(sessions map[*Session]struct{}) *Session {
	var oldest *Session
	var since time.Time
	for s := range sessions {
		if last, idle := s.idleSince(); idle && (oldest == nil || last.Before(since)) {
			oldest, since = s, last
		}
	}
	return oldest
}

// lookup returns the session if it exists and belongs to the owner of r.
func (f *front) lookup(r *http.Request, id string) *Session {
	f.mu.Lock()
	s := f.sessions[id]
	f.mu.Unlock()
	if s == nil || s.owner != f.opts.Owner(r) {
		return nil
	}
	s.touch()
	return s
}

func (f *front) forget(s *Session) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.forgetLocked(s)
}

func (f *front) forgetLocked(s *Session) {
	if f.sessions[s.id] != s {
		return
	}
	delete(f.sessions, s.id)
	mine := f.owners[s.owner]
	delete(mine, s)
	if len(mine) == 0 {
		delete(f.owners, s.owner)
	}
}

func (f *front) all() []*Session {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := make([]*Session, 0, len(f.sessions))
	for _, s := range f.sessions {
		list = append(list, s)
	}
	return list
}

// sweep ends idle sessions, and keeps the others registered, until the front
// closes.
func (f *front) sweep() {
	idle := f.bounds().IdleTTL
	pause := func() time.Duration { return max(min(idle, cancelGrace)/2, 10*time.Millisecond) }
	tick := time.NewTicker(pause())
	defer tick.Stop()
	for {
		select {
		case <-f.stop:
			return
		case <-tick.C:
		}
		if now := f.bounds().IdleTTL; now != idle {
			idle = now
			tick.Reset(pause())
		}
		now, sessions := f.opts.Now(), f.all()
		for _, s := range sessions {
			s.sweep(now)
			if last, alone := s.aloneSince(); alone && now.Sub(last) >= idle {
				// Side by side: each may have to wait for the registry.
				f.running.Go(func() { s.end(errIdle, "the session ended because no client was connected") })
			}
		}
		f.renew(sessions)
	}
}

// answered counts requests that got their answer or never will.
func (f *front) answered(n int) {
	if f.pending.Add(int64(-n)) == 0 {
		select {
		case f.drained <- struct{}{}:
		default:
		}
	}
}

// settle is how long Close waits for goroutines once the sessions have ended.
const settle = 10 * time.Second

// close ends all sessions: see StreamableFront.Close.
func (f *front) close(ctx context.Context) error {
	f.mu.Lock()
	f.draining.Store(true)
	f.mu.Unlock()
	f.endListens()
	for f.pending.Load() > 0 && ctx.Err() == nil {
		select {
		case <-f.drained:
		case <-ctx.Done():
		}
	}
	sessions := f.all()
	for _, s := range sessions {
		s.end(errShuttingDown, "the server is shutting down; the request was not finished")
	}
	for _, c := range f.callsOf(func(*Call) bool { return true }) {
		c.end(errShuttingDown, "the server is shutting down; the request was not finished")
	}
	f.closing.Do(func() { close(f.stop) })

	gone := make(chan struct{})
	go func() {
		f.running.Wait()
		for _, s := range sessions {
			<-s.quiet
		}
		close(gone)
	}()
	limit := time.NewTimer(settle)
	defer limit.Stop()
	select {
	case <-gone:
		return nil
	case <-limit.C:
		return fmt.Errorf("closing sessions: some of %d did not end within %s", len(sessions), settle)
	}
}
