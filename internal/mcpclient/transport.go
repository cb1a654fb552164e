// Package mcpclient is an MCP client over a [wire.Conn]: mcp-go's client
// negotiates the revision and answers the server's requests, the connection
// carries the messages, and results come back as the bytes the server sent.
//
// mcp-go's own types drop what they do not know and refuse kinds of content
// that they were not told of; its transports are not used (see [Transport]).
package mcpclient

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/mark3labs/mcp-go/client/transport"
	"github.com/mark3labs/mcp-go/mcp"

	"github.com/mcpctl/mcpctl/internal/wire"
)

const (
	notificationQueue = 256         // notifications that may wait for their handler
	maxServerRequests = 8           // requests of the server that are worked on at a time
	cancelTimeout     = time.Second // for telling the server that a request is given up
)

// Notify is called with every notification of the server, in the server's
// order, by one goroutine. While it runs further notifications wait, and once
// 256 do, so does everything else that the server sends.
type Notify func(method string, params json.RawMessage)

// TransportOptions configure a [Transport]. All are optional.
type TransportOptions struct {
	// Notify sees notifications as they came, before mcp-go's handlers.
	Notify Notify
	// Refuse may answer a request of the server before mcp-go's handlers see
	// it; nil lets it pass.
	Refuse func(method string) *Error
	// Final reports error codes after which a failed server/discover is not
	// worth an initialize: the answer would be the same.
	Final  func(code int) bool
	Logger *slog.Logger
}

// Transport is mcp-go's transport over any [wire.Conn]. Its methods may be
// called concurrently. It counts as an HTTP connection to mcp-go whatever it
// runs over, and cancels requests itself: mcp-go would leave a goroutine behind
// on stdio, and tell a server over HTTP nothing.
type Transport struct {
	conn wire.Conn
	opts TransportOptions

	work  context.Context // of everything that runs
	stop  context.CancelFunc
	tasks sync.WaitGroup
	notes chan note
	slots chan struct{}
	ended chan struct{} // closed when nothing more comes in

	mu      sync.Mutex
	started bool
	closing bool
	waiting map[string]chan wire.Frame    // by id key
	serving map[string]context.CancelFunc // the server's requests, by id key
	notify  func(mcp.JSONRPCNotification)
	request transport.RequestHandler
	version string
	final   *Error // of server/discover
	endErr  error  // set before ended is closed

	closeOnce sync.Once
	closeErr  error
}

var (
	_ transport.BidirectionalInterface = (*Transport)(nil)
	_ transport.HTTPConnection         = (*Transport)(nil)
)

// NewTransport returns a transport that owns conn. Close it.
func NewTransport(conn wire.Conn, opts TransportOptions) *Transport {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	t := &Transport{
		conn: conn, opts: opts,
		notes: make(chan note, notificationQueue), slots: make(chan struct{}, maxServerRequests), ended: make(chan struct{}),
		waiting: map[string]chan wire.Frame{}, serving: map[string]context.CancelFunc{},
	}
	t.work, t.stop = context.WithCancel(context.Background())
	return t
}

// Start begins to read. It may be called more than once; the transport outlives
// the context.
func (t *Transport) Start(context.Context) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closing {
		return wire.ErrClosed
	}
	if !t.started {
		t.started = true
		t.tasks.Go(t.read)
		t.tasks.Go(t.handOn)
	}
	return nil
}

// Close ends the connection and everything that runs, and waits for it.
// Handlers see their context end.
func (t *Transport) Close() error {
	t.closeOnce.Do(func() {
		t.mu.Lock()
		t.closing = true
		t.mu.Unlock()
		t.stop()
		t.closeErr = t.conn.Close()
		t.tasks.Wait()
	})
	return t.closeErr
}

// GetSessionId returns "": the connection keeps the session to itself.
func (t *Transport) GetSessionId() string { return "" } //nolint:revive // mcp-go's name

// SetProtocolVersion notes the negotiated revision. The connection reads it off
// the messages by itself.
func (t *Transport) SetProtocolVersion(version string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.version = version
}

// ProtocolVersion returns the revision in effect, "" before it is negotiated.
func (t *Transport) ProtocolVersion() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.version
}

// SetNotificationHandler sets mcp-go's handler; see [Notify] for when it runs.
func (t *Transport) SetNotificationHandler(handler func(mcp.JSONRPCNotification)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.notify = handler
}

// SetRequestHandler sets who answers the server's requests. Each runs in a
// goroutine of its own, eight at a time at most; the context ends when the
// server takes its request back or the transport is closed.
func (t *Transport) SetRequestHandler(handler transport.RequestHandler) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.request = handler
}

// SendRequest sends a request and waits for its response. When ctx ends first
// the server is told with notifications/cancelled, except of the handshake,
// which can't be cancelled (MCP basic/utilities/cancellation).
func (t *Transport) SendRequest(ctx context.Context, r transport.JSONRPCRequest) (*transport.JSONRPCResponse, error) {
	rec := recordOf(ctx)
	rec.reset()
	if err := t.hopeless(r.Method); err != nil {
		rec.failed(err)
		return failure(r.ID, err), nil
	}
	f, err := frameOf(message{JSONRPC: mcp.JSONRPC_VERSION, ID: &r.ID, Method: r.Method, Params: r.Params})
	if err != nil {
		return nil, fmt.Errorf("encoding %s: %w", r.Method, err)
	}
	key := f.ID.Key()
	answer, err := t.expect(key)
	if err != nil {
		return nil, err
	}
	defer t.forget(key)
	if err := t.conn.Write(ctx, f); err != nil {
		return nil, fmt.Errorf("sending %s: %w", r.Method, err)
	}
	select {
	case <-ctx.Done():
		t.cancel(ctx, r.Method, f.ID)
		return nil, ctx.Err()
	case a := <-answer:
		return t.take(rec, r, a)
	case <-t.ended:
		select {
		case a := <-answer: // came just before the end
			return t.take(rec, r, a)
		default:
			return nil, t.endErr
		}
	}
}

// SendNotification sends a notification; nil means that it was queued.
func (t *Transport) SendNotification(ctx context.Context, n mcp.JSONRPCNotification) error {
	m := message{JSONRPC: mcp.JSONRPC_VERSION, Method: n.Method}
	if n.Params.Meta != nil || len(n.Params.AdditionalFields) > 0 {
		m.Params = n.Params
	}
	f, err := frameOf(m)
	if err != nil {
		return fmt.Errorf("encoding %s: %w", n.Method, err)
	}
	return t.conn.Write(ctx, f)
}

// expect registers a request whose response is to be waited for.
func (t *Transport) expect(key string) (<-chan wire.Frame, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.closing:
		return nil, wire.ErrClosed
	case !t.started:
		return nil, errors.New("mcpclient: the transport has not been started")
	case t.waiting[key] != nil:
		return nil, wire.ErrDuplicateID
	}
	answer := make(chan wire.Frame, 1)
	t.waiting[key] = answer
	return answer, nil
}

func (t *Transport) forget(key string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.waiting, key)
}

// take reads a response.
func (t *Transport) take(rec *record, r transport.JSONRPCRequest, f wire.Frame) (*transport.JSONRPCResponse, error) {
	defer f.Release()
	if !f.Failed {
		result := json.RawMessage(bytes.Clone(wire.Lookup(f.Raw, "result")))
		rec.succeeded(result)
		return &transport.JSONRPCResponse{JSONRPC: mcp.JSONRPC_VERSION, ID: r.ID, Result: result}, nil
	}
	err := errorOf(r.Method, wire.Lookup(f.Raw, "error"))
	rec.failed(err)
	if r.Method == string(mcp.MethodServerDiscover) && t.opts.Final != nil && t.opts.Final(err.Code) {
		t.mu.Lock()
		t.final = err
		t.mu.Unlock()
	}
	return failure(r.ID, err), nil
}

// hopeless returns what the server would answer to initialize, where that is
// known from server/discover.
func (t *Transport) hopeless(method string) *Error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if method != string(mcp.MethodInitialize) {
		return nil
	}
	return t.final
}

// cancel tells the server that a request is given up, and waits for that to be
// on its way: the caller may close the connection next.
func (t *Transport) cancel(ctx context.Context, method string, id wire.ID) {
	if method == string(mcp.MethodInitialize) || method == string(mcp.MethodServerDiscover) {
		return
	}
	reason := "the client gave up"
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		reason = "the client's time limit has passed"
	}
	f, err := frameOf(message{JSONRPC: mcp.JSONRPC_VERSION, Method: string(mcp.MethodNotificationCancelled), Params: map[string]any{
		"requestId": json.RawMessage(id), "reason": reason,
	}})
	if err != nil {
		return
	}
	ctx, done := context.WithTimeout(context.WithoutCancel(ctx), cancelTimeout)
	defer done()
	err = t.conn.Write(ctx, f)
	if flusher, ok := t.conn.(interface{ Flush(context.Context) error }); ok && err == nil {
		err = flusher.Flush(ctx)
	}
	if err != nil {
		t.opts.Logger.Debug("the server was not told that a request is given up", "method", method, "reason", err)
	}
}

// message is a JSON-RPC message of this side.
type message struct {
	JSONRPC string         `json:"jsonrpc"`
	ID      *mcp.RequestId `json:"id,omitempty"`
	Method  string         `json:"method"`
	Params  any            `json:"params,omitempty"`
}

func frameOf(m message) (wire.Frame, error) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(m); err != nil {
		return wire.Frame{}, err
	}
	return wire.Parse(bytes.TrimRight(out.Bytes(), "\n"))
}
