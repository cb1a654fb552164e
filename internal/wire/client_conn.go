package wire

import (
	"context"
	"errors"
	"log/slog"
	"net/http/httptrace"
	"sync"
	"time"
)

// ClientConnOptions configure a [ClientConn].
type ClientConnOptions struct {
	// MaxInFlight is how many requests may wait for the server; further ones
	// are answered with an error. Not reading on would be wrong: the answers
	// that requests in flight wait for come in the same way. Default 1,000.
	MaxInFlight int
	// CancelGrace is how long the stream of a cancelled request is kept for a
	// server that still has to end it. Default 30 s.
	CancelGrace time.Duration
	// EndTimeout bounds ending the remote session. Default 1.5 s.
	EndTimeout time.Duration
	// Explain builds the answer to a request whose exchange failed. Default:
	// an internal error with the error's text.
	Explain func(id ID, err error) Frame
	Logger  *slog.Logger
}

func (o ClientConnOptions) withDefaults() ClientConnOptions {
	if o.MaxInFlight <= 0 {
		o.MaxInFlight = 1000
	}
	if o.CancelGrace <= 0 {
		o.CancelGrace = 30 * time.Second
	}
	if o.EndTimeout <= 0 {
		o.EndTimeout = 1500 * time.Millisecond
	}
	if o.Explain == nil {
		o.Explain = func(id ID, err error) Frame { return NewError(id, CodeInternal, err.Error(), nil) }
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// ClientConn is a [Conn] to a server behind a [Remote]. Requests run side by
// side, each in its own exchange; initialize and notifications keep their
// order, and every request gets exactly one answer unless the peer cancelled
// it. Nothing is sent before the first Write.
//
// The exchange of a message has the values of the context it was written with,
// but not its end; so has what comes back on it: see [ClientConn.ReadWith].
type ClientConn struct {
	opts   ClientConnOptions
	remote Remote
	calls  calls
	in     chan Incoming
	tasks  sync.WaitGroup
	idle   chan task       // taken from by goroutines that have nothing to do
	work   context.Context // under which everything runs
	stop   context.CancelFunc

	// What has to wait for its turn waits on the message before.
	order struct {
		sync.Mutex
		gate    <-chan struct{} // closed once the handshake message before has been taken
		note    <-chan struct{} // closed once the notification before has been sent
		closing bool
	}
	listener  sync.Once
	drainOnce sync.Once
	closeOnce sync.Once
	drained   chan struct{} // closed when nothing more comes in
	closed    chan struct{}
}

// NewClientConn returns a connection over the remote that dial makes; dial must
// pass deliver on to it.
func NewClientConn(opts ClientConnOptions, dial func(deliver Deliver) (Remote, error)) (*ClientConn, error) {
	c := &ClientConn{opts: opts.withDefaults(), in: make(chan Incoming, 16), idle: make(chan task), drained: make(chan struct{}), closed: make(chan struct{})}
	c.calls.limit = c.opts.MaxInFlight
	c.order.gate, c.order.note = closedGate, closedGate
	c.work, c.stop = context.WithCancel(context.Background())
	var err error
	if c.remote, err = dial(c.deliver); err != nil {
		c.stop()
		return nil, err
	}
	return c, nil
}

// Write implements [Conn]: it starts what the message asks for and returns at
// once. Failures come back through Read as answers.
func (c *ClientConn) Write(ctx context.Context, f Frame) error {
	select {
	case <-c.closed:
		return ErrClosed
	default:
	}
	switch f.Kind {
	case Request:
		return c.request(ctx, f)
	case Notification:
		if f.Method == "notifications/cancelled" {
			c.cancelled(ctx, f)
		} else {
			c.notify(ctx, f, nil)
		}
	case Response:
		on := c.during(ctx)
		c.start(f, func() {
			if err := c.remote.Exchange(on, f); err != nil {
				c.opts.Logger.Warn("an answer to the server could not be sent", "reason", err)
			}
		})
	case Batch:
		return c.batch(ctx, f)
	case Invalid:
		return errors.New("wire: an invalid frame can't be written")
	}
	return nil
}

// start runs do with f held until it returns. After Close began nothing starts.
func (c *ClientConn) start(f Frame, do func()) {
	c.order.Lock()
	defer c.order.Unlock()
	c.startLocked(f, do)
}

func (c *ClientConn) startLocked(f Frame, do func()) bool {
	if c.order.closing {
		return false
	}
	f.Retain()
	t := task{f, do}
	select {
	case c.idle <- t:
	default:
		c.tasks.Go(func() { c.labour(t) })
	}
	return true
}

// task is what a goroutine of the connection has to do, with f held.
type task struct {
	f  Frame
	do func()
}

// restTime is how long a goroutine that has nothing to do waits for more. The
// chain below a message is deep: growing a stack for each anew would cost more
// than much else that is done for it.
const restTime = time.Second

// labour does one task after another, until for a while there is none.
func (c *ClientConn) labour(t task) {
	rest := time.NewTimer(time.Hour)
	defer rest.Stop()
	for {
		t.do()
		t.f.Release()
		rest.Reset(restTime)
		select {
		case t = <-c.idle:
		case <-rest.C:
			return
		case <-c.work.Done():
			return
		}
	}
}

// batch takes a batch apart. MCP 2025-03-26 alone has batches (basic/index);
// initialize may not be in one.
func (c *ClientConn) batch(ctx context.Context, f Frame) error {
	members, errs := f.Split()
	if !c.calls.batchesAllowed() || len(members) == 0 {
		return c.push(ctx, ctx, NewError(nil, CodeInvalidRequest, "Invalid request: batches belong to MCP 2025-03-26 only and must not be empty", nil))
	}
	for i, m := range members {
		err := errs[i]
		var bad *FrameError
		switch {
		case errors.As(err, &bad):
			err = c.push(ctx, ctx, bad.Answer())
		case m.Method == "initialize":
			err = c.push(ctx, ctx, NewError(m.ID, CodeInvalidRequest, "Invalid request: initialize must not be part of a batch", nil))
		default:
			err = c.Write(ctx, m.Clone())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *ClientConn) request(ctx context.Context, f Frame) error {
	open, err := c.calls.add(c.during(ctx), f)
	if errors.Is(err, ErrDuplicateID) {
		return c.push(ctx, ctx, NewError(f.ID, CodeInvalidRequest, "Invalid request: "+err.Error(), nil))
	}
	if err != nil {
		return c.push(ctx, ctx, c.opts.Explain(f.ID, err))
	}
	c.order.Lock()
	defer c.order.Unlock()
	turn := c.order.gate
	if open.initialize {
		c.order.gate = open.done // nothing else may be sent before it is answered
	}
	if !c.startLocked(f, func() { c.call(open, turn, f) }) {
		open.cancel()
	}
	return nil
}

// call runs one request to its answer.
func (c *ClientConn) call(open *call, turn <-chan struct{}, f Frame) {
	defer open.cancel()
	err := wait(open.ctx, turn)
	if err == nil {
		sent := httptrace.WithClientTrace(open.ctx, &httptrace.ClientTrace{
			WroteRequest: func(httptrace.WroteRequestInfo) { open.markSent() },
		})
		err = c.remote.Exchange(sent, f)
	}
	open.markSent()
	if !c.calls.take(open) {
		return // answered, or cancelled by the client
	}
	if err == nil {
		err = ErrNoAnswer
	}
	c.opts.Logger.Warn("a request failed", "method", f.Method, "reason", err)
	c.answer(open, err)
}

// answer gives a call that was taken out its one answer.
func (c *ClientConn) answer(open *call, err error) {
	defer open.finish()
	if err := c.push(context.Background(), open.ctx, c.opts.Explain(open.id, err)); err != nil {
		c.opts.Logger.Warn("an answer was lost", "reason", err)
	}
}

// notify sends notifications one after another, in the client's order, each
// after what it depends on.
func (c *ClientConn) notify(ctx context.Context, f Frame, after <-chan struct{}) {
	on := c.during(ctx)
	c.order.Lock()
	defer c.order.Unlock()
	turns := [...]<-chan struct{}{c.order.gate, c.order.note, after}
	sent := make(chan struct{})
	initialized := f.Method == "notifications/initialized"
	started := c.startLocked(f, func() {
		defer close(sent)
		for _, turn := range turns {
			if turn != nil && wait(c.work, turn) != nil {
				return
			}
		}
		if err := c.remote.Exchange(on, f); err != nil {
			c.opts.Logger.Warn("a notification could not be sent", "method", f.Method, "reason", err)
			return
		}
		if initialized {
			c.listen(on)
		}
	})
	if started {
		c.order.note = sent
		if initialized {
			c.order.gate = sent
		}
	}
}

// cancelled handles notifications/cancelled. Up to MCP 2025-11-25 it is
// forwarded, after its request has been sent, and the request gets no answer
// any more; from 2026-07-28 on closing the request's stream says it
// (basic/utilities/cancellation).
func (c *ClientConn) cancelled(ctx context.Context, f Frame) {
	open := c.calls.abandon(ID(Lookup(f.Raw, "params", "requestId")))
	if open == nil {
		c.notify(ctx, f, nil) // unknown here; the server may know better
		return
	}
	if open.modern {
		open.cancel()
		return
	}
	grace := time.AfterFunc(c.opts.CancelGrace, open.cancel)
	context.AfterFunc(open.ctx, func() { grace.Stop() })
	c.notify(ctx, f, open.sent)
}

// listen opens the stream for messages that belong to no request.
func (c *ClientConn) listen(ctx context.Context) {
	c.listener.Do(func() {
		c.start(Frame{}, func() {
			err := c.remote.Listen(ctx)
			switch {
			case c.work.Err() != nil:
			case errors.Is(err, ErrNoListen):
				c.opts.Logger.Debug("the server has no stream for its own messages")
			default:
				c.opts.Logger.Warn("the server's stream ended", "reason", err)
			}
		})
	})
}

// deliver takes messages from the remote. A response is passed on once, and
// not at all where its request was cancelled.
func (c *ClientConn) deliver(ctx context.Context, f Frame) error {
	if f.Kind != Response {
		return c.push(ctx, ctx, f)
	}
	open := c.calls.answered(f)
	if open == nil {
		c.opts.Logger.Debug("a late response was dropped")
		return nil
	}
	defer open.finish()
	return c.push(context.Background(), open.ctx, f)
}

// Drain waits until no request is in flight, subscriptions aside, which don't end
// by themselves, or ctx ends. It answers what is left with ErrStopping, and lets
// Read come to its end. Read must go on meanwhile.
func (c *ClientConn) Drain(ctx context.Context) {
	c.drainOnce.Do(func() {
		_ = wait(ctx, c.calls.idle())
		for _, open := range c.calls.takeAll() {
			c.answer(open, ErrStopping)
			open.cancel()
		}
		c.halt()
		close(c.drained)
	})
}

// halt ends everything that runs and waits for it.
func (c *ClientConn) halt() {
	c.order.Lock()
	c.order.closing = true
	c.order.Unlock()
	c.stop()
	c.tasks.Wait()
}

// Close implements [Conn]: what is in flight is given up and the session ended,
// within EndTimeout.
func (c *ClientConn) Close() error {
	var err error
	c.closeOnce.Do(func() {
		close(c.closed)
		c.halt()
		ctx, cancel := context.WithTimeout(context.Background(), c.opts.EndTimeout)
		defer cancel()
		err = c.remote.End(ctx)
		for {
			select {
			case in := <-c.in:
				in.Release()
				continue
			default:
			}
			break
		}
	})
	return err
}

func wait(ctx context.Context, turn <-chan struct{}) error {
	select {
	case <-turn:
		return nil
	default:
	}
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

var _ Conn = (*ClientConn)(nil)
