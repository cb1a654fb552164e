package era

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http/httptrace"
	"sync"
	"time"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// ErrGone means that the other end of a connection has ended it. What was in
// flight gets no answer any more.
var ErrGone = errors.New("the server has ended")

// cancelPatience is how long a peer that reads nothing is waited for when a
// request that nobody waits for any more is cancelled.
const cancelPatience = 5 * time.Second

// FromConn returns a connection such as a child process's streams as a
// [wire.Remote]. Messages are delivered one at a time, in their order; the
// connection is read until it ends or End closes it. Ending the context of an
// Exchange cancels the request (MCP basic/transports/stdio, Cancellation).
// deliver must not wait for an Exchange: what that waits for comes after.
func FromConn(conn wire.Conn, deliver wire.Deliver) wire.Remote {
	r := &connRemote{conn: conn, deliver: deliver, open: map[string]*connCall{}, gone: make(chan struct{})}
	r.life, r.stop = context.WithCancel(context.Background())
	r.reader.Go(r.read)
	return r
}

type connRemote struct {
	conn    wire.Conn
	deliver wire.Deliver
	life    context.Context
	stop    context.CancelFunc
	reader  sync.WaitGroup

	mu    sync.Mutex
	open  map[string]*connCall // by id key
	gone  chan struct{}        // closed when nothing more comes in
	cause error                // once gone
}

// connCall is a request in flight.
type connCall struct {
	ctx       context.Context // of its Exchange
	done      chan struct{}   // closed once its response was delivered
	err       error           // once done
	cancelled bool            // the peer has been told
}

// read delivers what comes in until the end.
func (r *connRemote) read() {
	cause := r.readAll()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cause = fmt.Errorf("%w: %w", ErrGone, cause)
	close(r.gone)
}

func (r *connRemote) readAll() error {
	for {
		f, err := r.conn.Read(r.life)
		var bad *wire.FrameError
		switch {
		case errors.As(err, &bad):
			r.refuse(bad)
			continue
		case err != nil:
			return err
		}
		err = r.incoming(f)
		f.Release()
		if err != nil {
			return err
		}
	}
}

func (r *connRemote) incoming(f wire.Frame) error {
	if f.Kind == wire.Batch {
		members, errs := f.Split()
		for i, m := range members {
			var bad *wire.FrameError
			if errors.As(errs[i], &bad) {
				r.refuse(bad)
			} else if err := r.incoming(m); err != nil {
				return err
			}
		}
		return nil
	}
	if f.Kind != wire.Response {
		return r.deliver(r.life, f)
	}
	r.mu.Lock()
	c := r.open[f.ID.Key()]
	delete(r.open, f.ID.Key())
	r.mu.Unlock()
	if c == nil {
		return nil // late, or an answer to nobody
	}
	c.err = r.deliver(c.ctx, f)
	close(c.done)
	return nil
}

// refuse answers a message that can't be read: the peer where it asked for an
// answer, or our own request where the message was its response.
func (r *connRemote) refuse(bad *wire.FrameError) {
	if bad.Request {
		ctx, cancel := context.WithTimeout(r.life, cancelPatience)
		defer cancel()
		_ = r.conn.Write(ctx, bad.Answer())
		return
	}
	if bad.ID != nil {
		_ = r.incoming(wire.NewError(bad.ID, wire.CodeInternal, "The server's answer can't be passed on: "+bad.Reason, nil))
	}
}

// Exchange implements wire.Remote.
func (r *connRemote) Exchange(ctx context.Context, f wire.Frame) error {
	if f.Kind != wire.Request {
		if f.Method == "notifications/cancelled" {
			r.markCancelled(wire.ID(wire.Lookup(f.Raw, "params", "requestId")))
		}
		return r.write(ctx, f)
	}
	c := &connCall{ctx: ctx, done: make(chan struct{})}
	key := f.ID.Key()
	r.mu.Lock()
	if r.open[key] != nil {
		r.mu.Unlock()
		return wire.ErrDuplicateID
	}
	r.open[key] = c
	r.mu.Unlock()
	err := r.write(ctx, f)
	if err == nil {
		wroteRequest(ctx)
		select {
		case <-c.done:
			return c.err
		default:
		}
		select {
		case <-c.done:
			return c.err
		case <-r.gone:
			select {
			case <-c.done:
				return c.err
			default:
			}
			err = r.cause
		case <-ctx.Done():
			err = ctx.Err()
			if f.Method != "initialize" {
				r.giveUp(ctx, f.ID, c)
			}
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.open[key] == c {
		delete(r.open, key)
	}
	return err
}

// wroteRequest tells whoever traces ctx that the request is on its way, as
// net/http does: a cancellation may follow it now.
func wroteRequest(ctx context.Context) {
	if trace := httptrace.ContextClientTrace(ctx); trace != nil && trace.WroteRequest != nil {
		trace.WroteRequest(httptrace.WroteRequestInfo{})
	}
}

func (r *connRemote) write(ctx context.Context, f wire.Frame) error {
	err := r.conn.Write(ctx, f)
	var refusal *wire.Refusal
	if err == nil || ctx.Err() != nil || errors.As(err, &refusal) {
		return err // a refusal says nothing of the server
	}
	return fmt.Errorf("%w: %w", ErrGone, err) // a process says how it exited
}

func (r *connRemote) markCancelled(id wire.ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c := r.open[id.Key()]; c != nil {
		c.cancelled = true
	}
}

// giveUp tells the peer that a request's answer is not wanted any more.
func (r *connRemote) giveUp(ctx context.Context, id wire.ID, c *connCall) {
	r.mu.Lock()
	told := c.cancelled
	c.cancelled = true
	r.mu.Unlock()
	if told {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cancelPatience)
	defer cancel()
	_ = r.conn.Write(ctx, cancelFrame(bytes.Clone(id), "the answer is not wanted any more"))
}

// Listen implements wire.Remote. What belongs to no request comes on the one
// stream there is.
func (r *connRemote) Listen(ctx context.Context) error {
	select {
	case <-r.gone:
		return r.cause
	case <-ctx.Done():
		return ctx.Err()
	}
}

// End implements wire.Remote: it closes the connection.
func (r *connRemote) End(context.Context) error {
	err := r.conn.Close()
	r.stop()
	r.reader.Wait()
	return err
}
