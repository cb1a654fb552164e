package bridge

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"sync"

	"github.com/mcpctl/mcpctl/internal/era"
	"github.com/mcpctl/mcpctl/internal/recovery"
	"github.com/mcpctl/mcpctl/internal/redact"
	"github.com/mcpctl/mcpctl/internal/wire"
)

// remote is the connection to the MCP server: Streamable HTTP, or HTTP+SSE once
// that turned out to be what the server speaks. It implements wire.Remote.
type remote struct {
	transport string
	pinned    func() string // may be nil
	options   wire.ClientOptions

	mu   sync.Mutex
	live wire.Remote // nil until the first message of an SSE remote
}

// connect returns the connection to the server and what to call when the
// machine wakes from sleep. Nothing is sent yet.
func connect(opts Options) (conn *wire.ClientConn, woke func(), err error) {
	var r *recovery.Remote
	conn, err = wire.NewClientConn(wire.ClientConnOptions{
		MaxInFlight: opts.MaxInFlight,
		CancelGrace: opts.CancelGrace,
		EndTimeout:  opts.EndTimeout,
		Explain:     explainer{url: redact.URL(opts.URL), tokens: opts.Tokens, own: len(opts.Header) > 0}.answer,
		Logger:      opts.Logger,
	}, func(deliver wire.Deliver) (wire.Remote, error) {
		dial := func(deliver wire.Deliver) (wire.Remote, error) {
			var translator *era.Translator
			annotate := func(f wire.Frame, h http.Header) { translator.Annotate(f, h) }
			translator, err = era.New(era.Options{
				Deliver: deliver, Mode: opts.Protocol, Origin: opts.URL, Verdicts: opts.Verdicts, Logger: opts.Logger,
			}, func(deliver wire.Deliver) (wire.Remote, error) {
				r, err = recovery.New(recovery.Options{
					Deliver: deliver, Patience: opts.Patience, Final: isSignIn, Deaf: asksForPerson, Logger: opts.Logger,
				}, func(deliver wire.Deliver) (wire.Remote, error) {
					return newRemote(opts, annotate, deliver)
				})
				return r, err
			})
			return translator, err
		}
		if opts.Client == nil {
			return dial(deliver) // a client inside this program has its own ways to sign in
		}
		s, err := newSignIn(opts, deliver, dial)
		if err == nil && opts.guarded != nil {
			opts.guarded(s)
		}
		return s, err
	})
	if err != nil {
		return nil, nil, err
	}
	return conn, func() {
		opts.Logger.Info("the machine seems to have slept; connections are made anew")
		if t, ok := opts.HTTP.(interface{ CloseIdleConnections() }); ok {
			t.CloseIdleConnections()
		}
		r.Woke()
	}, nil
}

func newRemote(opts Options, annotate func(wire.Frame, http.Header), deliver wire.Deliver) (*remote, error) {
	u, err := url.Parse(opts.URL)
	if err != nil {
		return nil, fmt.Errorf("reading the server's address: %w", err)
	}
	rt := opts.HTTP
	if opts.Tokens != nil {
		rt = &authTransport{base: rt, tokens: opts.Tokens, origin: origin(u)}
	}
	// Cookies keep a session at its server behind a load balancer.
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	r := &remote{transport: opts.Transport, pinned: opts.Pinned, options: wire.ClientOptions{
		URL:        opts.URL,
		HTTP:       &http.Client{Transport: rt, CheckRedirect: wire.NoRedirect, Jar: jar},
		Header:     opts.Header,
		Annotate:   annotate,
		Deliver:    deliver,
		MaxMessage: opts.MaxMessage,
		Logger:     opts.Logger,
	}}
	if opts.Transport != TransportSSE {
		if r.live, err = wire.NewStreamableClient(r.options); err != nil {
			return nil, err
		}
	}
	if opts.dialed != nil {
		opts.dialed(r)
	}
	return r, nil
}

func (r *remote) current() wire.Remote {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.live
}

// Exchange implements wire.Remote.
func (r *remote) Exchange(ctx context.Context, f wire.Frame) error {
	if f.Method == "initialize" {
		return r.open(ctx, f)
	}
	live := r.current()
	if live == nil {
		return fmt.Errorf("the client sent %q before initialize", f.Method)
	}
	return live.Exchange(ctx, f)
}

// open begins a session, over the transport that is pinned now.
func (r *remote) open(ctx context.Context, f wire.Frame) error {
	transport := r.transport
	if transport == TransportAuto && r.pinned != nil {
		if pinned := r.pinned(); pinned != "" {
			transport = pinned
		}
	}
	live := r.current()
	_, sse := live.(*wire.SSEClient)
	if transport == TransportHTTP && sse {
		var err error
		if live, err = r.useStreamable(ctx); err != nil {
			return err
		}
		sse = false
	}
	if live == nil || sse || transport == TransportSSE {
		return r.exchangeSSE(ctx, f, transport) // each session has a stream of its own
	}
	err := live.Exchange(ctx, f)
	if transport == TransportAuto && refusesStreamable(err) {
		// MCP basic/transports, Backwards Compatibility: a POST refused with
		// 400, 404 or 405 may mean a server of the HTTP+SSE era.
		// Once the stream stands, its outcome is the answer.
		if sseErr := r.exchangeSSE(ctx, f, transport); r.current() != live || tellsMore(sseErr) {
			return sseErr
		}
	}
	return err
}

// tellsMore reports a failure to open the stream of HTTP+SSE that is what keeps
// the person from the server, rather than the refused POST before it.
func tellsMore(err error) bool {
	var status *wire.StatusError
	if errors.As(err, &status) && (status.Status == http.StatusUnauthorized || status.Status == http.StatusForbidden) {
		return true
	}
	return isSignIn(err) || errors.Is(err, wire.ErrForeignEndpoint)
}

// useStreamable makes Streamable HTTP the transport.
func (r *remote) useStreamable(ctx context.Context) (wire.Remote, error) {
	live, err := wire.NewStreamableClient(r.options)
	if err != nil {
		return nil, err
	}
	r.replace(ctx, live)
	return live, nil
}

// replace puts another client in the place of the one in use.
func (r *remote) replace(ctx context.Context, live wire.Remote) {
	r.mu.Lock()
	old := r.live
	r.live = live
	r.mu.Unlock()
	if old != nil {
		_ = old.End(ctx) // has no session any more, or one that nobody needs
	}
}

// refusesStreamable reports an answer that says nothing but «not this way». A
// 400 or 404 with a JSON-RPC error comes from a server that understood; a 405
// comes from one that takes no POST here, whatever it says about it.
func refusesStreamable(err error) bool {
	var status *wire.StatusError
	if !errors.As(err, &status) {
		return false
	}
	switch status.Status {
	case http.StatusMethodNotAllowed:
		return true
	case http.StatusBadRequest, http.StatusNotFound:
		return status.Answer.Kind != wire.Response
	}
	return false
}

// hasNoStream reports an answer that was not the stream of HTTP+SSE, from a
// server that would have sent one if it had it.
func hasNoStream(err error) bool {
	var status *wire.StatusError
	if !errors.As(err, &status) {
		return errors.As(err, new(*wire.ContentError))
	}
	switch status.Status {
	case http.StatusBadRequest, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusNotAcceptable:
		return true
	}
	return false
}

func (r *remote) exchangeSSE(ctx context.Context, f wire.Frame, transport string) error {
	sse, err := wire.ConnectSSE(ctx, r.options)
	if err != nil {
		if transport == TransportSSE && hasNoStream(err) {
			return &noStreamError{err}
		}
		return err
	}
	r.replace(ctx, sse)
	return sse.Exchange(ctx, f)
}

// Listen implements wire.Remote.
func (r *remote) Listen(ctx context.Context) error {
	if live := r.current(); live != nil {
		return live.Listen(ctx)
	}
	return wire.ErrNoListen
}

// End implements wire.Remote.
func (r *remote) End(ctx context.Context) error {
	if live := r.current(); live != nil {
		return live.End(ctx)
	}
	return nil
}
