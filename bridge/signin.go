package bridge

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mcpctl/mcpctl/internal/era"
	"github.com/mcpctl/mcpctl/internal/redact"
	"github.com/mcpctl/mcpctl/internal/wire"
)

// signIn stands between the client and everything else. While there is a usable
// token it passes messages on. While there is none it is a small MCP server of
// its own, with one tool that signs a person in; once that has happened, here or
// elsewhere, it connects the remote and puts it in its own place. It implements
// wire.Remote.
//
// Starting and probing never start a sign-in: only a call that needs the remote,
// or a call of the tool, does.
type signIn struct {
	inner   wire.Remote
	toPeer  wire.Deliver // to the client
	tokens  TokenSource
	signer  SignIner // nil where nobody can sign in from here
	url     string
	log     *slog.Logger
	open    atomic.Bool // the same as phase == phaseOpen, for the fast path
	offered atomic.Bool // the client knows our tool
	private ownCalls
	legacy  func() bool // the remote is known to speak no MCP 2026-07-28

	ctx   context.Context // under which background work runs
	stop  context.CancelFunc
	tasks sync.WaitGroup
	turn  chan struct{} // one check of the token at a time
	gone  chan struct{} // closed when the client has closed its end

	mu       sync.Mutex
	ended    bool
	phase    phase
	reason   error         // why there is no connection; set while out
	changed  chan struct{} // closed and replaced when the phase changes
	watching bool
	stamp    string // as of the last check
	client   client
	flow     *flow
	starts   brake
	lookBy   time.Time // until when the client's messages wait for the first answer
	// spareUntil is until when nobody is asked again who has declined.
	spareUntil time.Time
}

// phase is what signIn waits for.
type phase int

const (
	phaseNew        phase = iota // nothing has been asked of the token source yet
	phaseLooking                 // the token source has not answered yet
	phaseOut                     // no connection, see reason
	phaseConnecting              // there is a token; the remote is being connected
	phaseOpen                    // messages pass
)

// Bounds of what happens without a person.
const (
	// lookPatience is how long the client's first message waits for a token:
	// longer than a sealed file takes, shorter than a keyring that hangs.
	lookPatience = time.Second
	// lookLimit bounds one question to the token source.
	lookLimit = 25 * time.Second
	// connectLimit bounds connecting the remote for a client that has been
	// answered from here.
	connectLimit = time.Minute
)

// newSignIn returns the sign-in step in front of what dial returns.
func newSignIn(opts Options, deliver wire.Deliver, dial func(wire.Deliver) (wire.Remote, error)) (*signIn, error) {
	s := &signIn{
		toPeer: deliver, tokens: opts.Tokens, url: redact.URL(opts.URL), log: opts.Logger,
		turn: make(chan struct{}, 1), gone: make(chan struct{}), changed: make(chan struct{}),
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.signer, _ = opts.Tokens.(SignIner)
	s.ctx, s.stop = context.WithCancel(context.Background())
	if opts.Tokens == nil {
		s.phase = phaseOpen
		s.open.Store(true)
	}
	s.legacy = func() bool {
		if opts.Protocol != "" && opts.Protocol != era.ModeAuto {
			return opts.Protocol != modernRevision
		}
		if opts.Verdicts == nil {
			return false
		}
		v, ok := opts.Verdicts.Get(opts.URL)
		return ok && v.Era == era.Legacy
	}
	var err error
	if s.inner, err = dial(s.fromRemote); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

// Exchange implements wire.Remote.
func (s *signIn) Exchange(ctx context.Context, f wire.Frame) error {
	r, f, err := s.returned(f)
	switch {
	case err != nil:
		return s.toPeer(ctx, wire.NewError(f.ID, wire.CodeInvalidParams, "Invalid params: "+err.Error(), nil))
	case r.Flow != "":
		if err := s.decide(r); err != nil {
			return s.failed(ctx, f, err)
		}
		ctx = context.WithValue(ctx, roundKey{}, r)
		if s.open.Load() && !isToolCall(f) && s.pendingFlow(r.Flow) != nil { // it waits for more permissions
			return s.awaitMore(ctx, f, ErrConsentNeeded)
		}
	}
	if s.open.Load() {
		return s.pass(ctx, f)
	}
	return s.hold(ctx, f)
}

// pass sends a message on to the remote, and takes back over where that shows
// that the sign-in has ended.
func (s *signIn) pass(ctx context.Context, f wire.Frame) error {
	switch {
	case wire.OpensSession(f):
		s.remember(f)
	case f.Method == "subscriptions/listen":
		defer s.listening(f)()
	case f.Kind == wire.Response && s.private.ours(f.ID):
		s.replied(f)
		return nil
	case s.offered.Load() && isToolCall(f):
		return s.callTool(ctx, f)
	}
	err := s.inner.Exchange(ctx, f)
	switch {
	case err == nil:
		s.accepted(f)
		return nil
	case s.tokens == nil || ctx.Err() != nil:
		return err
	case errors.Is(err, ErrConsentNeeded) && f.Kind == wire.Request:
		return s.stepUp(ctx, f, err)
	case errors.Is(err, ErrSignInNeeded):
		s.lose(err)
		return s.hold(ctx, f)
	}
	return err
}

// hold takes a message while the remote is not connected.
func (s *signIn) hold(ctx context.Context, f wire.Frame) error {
	markSent(ctx)
	if wire.OpensSession(f) {
		s.remember(f)
	}
	s.begin()
	if f.Kind == wire.Response {
		s.replied(f)
		return nil
	}
	if f.Method == "ping" {
		answer, _ := s.local(f) // whatever else is waited for: the bridge lives
		return s.toPeer(ctx, answer)
	}
	if err := s.settle(ctx, f.Kind != wire.Request || isLocal(f.Method)); err != nil {
		return err
	}
	switch {
	case s.open.Load():
		return s.pass(ctx, f)
	case f.Kind == wire.Notification:
		s.noted(f)
		return nil
	case f.Kind != wire.Request:
		return nil
	case f.Method == "subscriptions/listen":
		return s.awaitListen(ctx, f)
	case isToolCall(f):
		return s.callTool(ctx, f)
	}
	if answer, ok := s.local(f); ok {
		return s.toPeer(ctx, answer)
	}
	return s.needRemote(ctx, f)
}

// begin asks for a token when the client's first message has come.
func (s *signIn) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase == phaseNew {
		s.enter(phaseLooking, nil)
		s.lookBy = time.Now().Add(lookPatience)
		s.startLocked(s.check)
	}
}

// settle waits while it is being found out whether there is a connection. What
// can be answered from here waits for the token source a moment only.
func (s *signIn) settle(ctx context.Context, local bool) error {
	s.mu.Lock()
	patience := time.NewTimer(time.Until(s.lookBy))
	s.mu.Unlock()
	defer patience.Stop()
	for {
		s.mu.Lock()
		now, changed := s.phase, s.changed
		s.mu.Unlock()
		var late <-chan time.Time
		switch {
		case now == phaseOut || now == phaseOpen:
			return nil
		case now == phaseLooking && local:
			late = patience.C
		}
		select {
		case <-changed:
		case <-late:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// enter changes the phase. The caller holds the lock.
func (s *signIn) enter(p phase, reason error) {
	s.phase, s.reason = p, reason
	s.open.Store(p == phaseOpen)
	close(s.changed)
	s.changed = make(chan struct{})
}

// start runs do in the background, unless the bridge is ending.
func (s *signIn) start(do func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.startLocked(do)
}

func (s *signIn) startLocked(do func()) bool {
	if s.ended {
		return false
	}
	s.tasks.Go(do)
	return true
}

// Listen implements wire.Remote: it waits for the connection, and for the next
// one when a sign-in ends.
func (s *signIn) Listen(ctx context.Context) error {
	for {
		if err := s.awaitOpen(ctx); err != nil {
			return err
		}
		err := s.inner.Listen(ctx)
		if ctx.Err() != nil || s.tokens == nil || !errors.Is(err, ErrSignInNeeded) {
			return err
		}
		s.lose(err)
	}
}

func (s *signIn) awaitOpen(ctx context.Context) error {
	for {
		s.mu.Lock()
		now, changed := s.phase, s.changed
		s.mu.Unlock()
		if now == phaseOpen {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// End implements wire.Remote.
func (s *signIn) End(ctx context.Context) error {
	s.mu.Lock()
	s.ended = true
	s.mu.Unlock()
	s.stop()
	done := make(chan struct{})
	go func() { defer close(done); s.tasks.Wait() }()
	select {
	case <-done:
	case <-ctx.Done():
		s.log.Warn("a sign-in does not come to its end")
	}
	return s.inner.End(ctx)
}
