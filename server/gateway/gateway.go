// Package gateway connects the sessions of MCP clients with the MCP server that
// stands behind: an upstream.
//
// Each session gets an upstream connection of its own. What passes between
// them passes as the bytes it came in; the gateway reads along to route
// notifications to the request they belong to and to leave evidence.
package gateway

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"time"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// CodeUpstream is the error code of the gateway's own answers for an upstream
// that can't give any. It lies outside the ranges that JSON-RPC 2.0 §5.1 and MCP reserve.
const CodeUpstream = -31010

// codeCancelled is the code that the Language Server Protocol has for requests
// that were cancelled; neither JSON-RPC nor MCP has one.
const codeCancelled = -32800

// Upstream is an MCP server behind the gateway.
type Upstream interface {
	// Open returns a connection for one session. ctx bounds the opening only.
	// Values of the ctx that a message is written with may matter to the upstream.
	Open(ctx context.Context) (wire.Conn, error)
}

// Outcome says how a request ended.
type Outcome string

// The outcomes of a request.
const (
	OK         Outcome = "ok"
	Failed     Outcome = "error"      // the answer is an error
	ToolError  Outcome = "tool_error" // the tool ran and reports an error (isError)
	Cancelled  Outcome = "cancelled"  // the client took it back before its answer
	Unanswered Outcome = "unanswered" // the session ended before its answer
	Denied     Outcome = "denied"     // a policy or a limit said no
)

// Record is what happened to one request of a client. Of a request that was
// cancelled or is unanswered, the work may have been done nevertheless.
type Record struct {
	Session   string // the session's id; not a credential by itself, but shortened in evidence
	Method    string // of the request
	Target    string // the tool, prompt or resource that it names
	Arguments []byte // raw arguments, valid during the call only
	Outcome   Outcome
	Duration  time.Duration // from the request's arrival to its answer or end
	BytesIn   int           // size of the request
	BytesOut  int           // size of the answer
	Evidence  *Evidence     // what was decided about it on its way
}

// Options configure a Gateway.
type Options struct {
	// Upstream is the one upstream; or Dial connects to several as one. ctx has
	// the values of the request that opens the connection; gone, which may be
	// nil, is told when the upstream has ended.
	Upstream Upstream
	Dial     func(ctx context.Context, deliver wire.Deliver, gone func(error)) (wire.Remote, error)
	// Steps are what requests pass on their way.
	Steps Steps
	// Record is told of every request once, before the client gets its answer, and
	// of what a policy takes out of one that goes on; ctx has the values of the
	// request. An error withholds the answer. It may be called concurrently. nil
	// records nothing.
	Record func(ctx context.Context, r Record) error
	Logger *slog.Logger
}

// Gateway serves sessions. It is safe for concurrent use.
type Gateway struct {
	opts Options
	hubs hubs
}

// New returns a gateway before opts.Upstream.
func New(opts Options) (*Gateway, error) {
	if opts.Upstream == nil && opts.Dial == nil {
		return nil, errors.New("gateway: Options.Upstream is missing")
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.Dial == nil {
		verdicts := &Verdicts{}
		opts.Dial = func(ctx context.Context, deliver wire.Deliver, gone func(error)) (wire.Remote, error) {
			return DialUpstream(ctx, DialOptions{
				Name: "upstream", Upstream: opts.Upstream, Verdicts: verdicts, Logger: opts.Logger, Gone: gone,
			}, deliver)
		}
	}
	return &Gateway{opts: opts}, nil
}

// dialer connects to the upstream through the steps, for the client behind ctx.
func (g *Gateway) dialer(ctx context.Context, gone func(error)) Dialer {
	return g.opts.Steps.chain(func(deliver wire.Deliver) (wire.Remote, error) {
		return g.opts.Dial(ctx, deliver, gone)
	}, g.record, g.opts.Logger)
}

// maxInFlight bounds the unanswered requests of one session: as many as the
// front lets in.
const maxInFlight = 8192

// cancelGrace is how long a cancelled request still counts towards the limits of
// what runs at a time, where the upstream does not say that it has ended: most
// never do.
const cancelGrace = 2 * time.Second

// Serve relays one session until it ends; it is wire.FrontOptions.Serve.
func (g *Gateway) Serve(ctx context.Context, client *wire.Session) {
	log := g.opts.Logger.With("session", shorten(client.ID()))
	r := &relay{gateway: g, client: client, log: log, open: map[string]*request{}, progress: map[string]*request{}, refusals: map[string]*wire.Refusal{}, over: make(chan struct{}), stirred: make(chan struct{})}
	defer r.abandon()
	upstream, err := wire.NewClientConn(wire.ClientConnOptions{
		Explain: r.explain, MaxInFlight: maxInFlight, CancelGrace: cancelGrace, Logger: log,
	}, g.dialer(context.WithoutCancel(ctx), r.upstreamGone))
	if err != nil {
		log.Error("the upstream could not be opened", "reason", err)
		r.refuse(ctx, "The MCP server behind this gateway could not be started. Its operator finds the reason in the gateway's log.")
		return
	}
	log.Debug("session opened")
	r.upstream = upstream
	r.run(ctx)
	if err := upstream.Close(); err != nil {
		log.Debug("closing the upstream", "reason", err)
	}
	log.Debug("session closed")
}

// shorten keeps whole session ids out of logs: whoever has one and a token of
// the same person could use it.
func shorten(id string) string { return id[:min(8, len(id))] }

// ended reports errors that are a connection's ordinary end.
func ended(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, wire.ErrClosed) || errors.Is(err, context.Canceled)
}
