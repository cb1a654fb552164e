package builtin

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/mark3labs/mcp-go/mcp"

	"github.com/mcpctl/mcpctl/internal/wire"
)

const (
	// queueDepth is how many messages wait for a reader before tools wait too.
	queueDepth = 64
	// maxCalls is how many requests of a session run at a time; Write waits
	// beyond that.
	maxCalls = 256
)

// conn is one session. Each request runs in a goroutine of its own; what it
// has to say goes through one queue, so that an answer can't overtake the
// notifications that its request sent.
type conn struct {
	server  *Server
	session *session
	ctx     context.Context // ends with Close
	cancel  context.CancelFunc
	out     chan wire.Frame
	slots   chan struct{}
	lastID  atomic.Int64

	mu     sync.Mutex
	closed bool
	calls  map[string]*call // unanswered, by the key of the peer's id
	wg     sync.WaitGroup
}

var _ wire.Conn = (*conn)(nil)

func newConn(ctx context.Context, s *Server) *conn {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	c := &conn{
		server: s,
		ctx:    ctx,
		cancel: cancel,
		out:    make(chan wire.Frame, queueDepth),
		slots:  make(chan struct{}, maxCalls),
		calls:  make(map[string]*call),
	}
	c.session = newSession(newFeed(ctx, s.market, c.send))
	return c
}

func (c *conn) Read(ctx context.Context) (wire.Frame, error) {
	if c.ctx.Err() != nil {
		return wire.Frame{}, wire.ErrClosed
	}
	select {
	case f := <-c.out:
		return f, nil
	case <-c.ctx.Done():
		return wire.Frame{}, wire.ErrClosed
	case <-ctx.Done():
		return wire.Frame{}, ctx.Err()
	}
}

func (c *conn) Write(ctx context.Context, f wire.Frame) error {
	if c.ctx.Err() != nil {
		return wire.ErrClosed
	}
	switch f.Kind {
	case wire.Request:
		return c.request(ctx, f)
	case wire.Notification:
		if f.Method == string(mcp.MethodNotificationCancelled) {
			c.cancelCall(f)
		}
		return nil
	case wire.Response:
		return nil // The server asks its clients nothing.
	case wire.Batch:
		return c.batch(ctx, f)
	default:
		return errors.New("writing to built-in tools: not a JSON-RPC message")
	}
}

// batch handles the members of a batch as if they had come one by one. Their
// answers may come one by one too (MCP 2025-03-26, "Sending Messages to the
// Server": a server may answer a batch with several messages).
func (c *conn) batch(ctx context.Context, f wire.Frame) error {
	members, faults := f.Split()
	if len(members) == 0 {
		return c.send(ctx, wire.NewError(nil, wire.CodeInvalidRequest, "Invalid request: an empty batch", nil))
	}
	for i, member := range members {
		var bad *wire.FrameError
		switch {
		case faults[i] == nil:
			if err := c.Write(ctx, member); err != nil {
				return err
			}
		case errors.As(faults[i], &bad) && bad.Request:
			if err := c.send(ctx, bad.Answer()); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *conn) request(ctx context.Context, f wire.Frame) error {
	select {
	case c.slots <- struct{}{}:
	case <-c.ctx.Done():
		return wire.ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	call, err := c.begin(ctx, f)
	if err != nil {
		<-c.slots
		return err
	}
	if !changesSession(f.Method) {
		go func() { c.finish(call, call.run(call.ctx)) }()
		return nil
	}
	answer := call.run(call.ctx) //nolint:contextcheck // has the values of ctx, but does not end with Write
	go c.finish(call, answer)
	return nil
}

// changesSession reports whether a request must take effect in the order of
// Write, before whatever is written next. These requests never wait.
func changesSession(method string) bool {
	switch mcp.MCPMethod(method) {
	case mcp.MethodInitialize, mcp.MethodSetLogLevel, mcp.MethodResourcesSubscribe, mcp.MethodResourcesUnsubscribe:
		return true
	}
	return false
}

// begin enters a request into the session. The caller holds a slot, and calls
// finish if there is no error.
func (c *conn) begin(ctx context.Context, f wire.Frame) (*call, error) {
	call := newCall(ctx, c, f, c.lastID.Add(1))

	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		call.cancel()
		return nil, wire.ErrClosed
	}
	if _, taken := c.calls[call.key]; taken {
		call.duplicate = true
		call.refusal = wire.NewError(call.id, wire.CodeInvalidRequest,
			"Invalid request: a request with this id is still running", nil)
	} else {
		c.calls[call.key] = call
	}
	c.wg.Add(1)
	return call, nil
}

// finish queues the answer of a call. A cancelled call gets none: "receivers
// SHOULD NOT send a response for the cancelled request" (MCP 2025-11-25,
// Cancellation).
func (c *conn) finish(call *call, answer wire.Frame) {
	defer c.wg.Done()
	defer func() { <-c.slots }()
	defer call.cancel()

	// The id is free again before the peer can have seen the answer.
	c.mu.Lock()
	if !call.duplicate {
		delete(c.calls, call.key)
	}
	cancelled := call.ctx.Err() != nil
	c.mu.Unlock()
	if cancelled {
		return
	}
	_ = c.send(c.ctx, answer) // fails only when the session is over
}

func (c *conn) cancelCall(f wire.Frame) {
	id := wire.ID(wire.Lookup(f.Raw, "params", "requestId"))
	if id == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if call := c.calls[id.Key()]; call != nil {
		call.cancel()
	}
}

// send queues a message and waits while the queue is full.
func (c *conn) send(ctx context.Context, f wire.Frame) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case c.out <- f:
		return nil
	case <-c.ctx.Done():
		return wire.ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close cancels what runs and waits for it.
func (c *conn) Close() error {
	c.mu.Lock()
	c.closed = true
	for _, call := range c.calls {
		call.cancel()
	}
	c.mu.Unlock()
	c.cancel()
	c.wg.Wait()
	c.session.feed.close()
	return nil
}
