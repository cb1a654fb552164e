package wire

import (
	"context"
	"io"
)

// messageContext lives as long as the connection that a message is sent on and
// has the values of the context that the message was written with.
type messageContext struct {
	context.Context // the connection's; it has no values of a user's
	message         context.Context
}

// Value asks the connection first: the context package looks there for the
// context it cancels together with the connection.
func (c *messageContext) Value(key any) any {
	if v := c.Context.Value(key); v != nil {
		return v
	}
	return c.message.Value(key)
}

// during returns the context for the exchange of a message that was written
// with ctx.
func (c *ClientConn) during(ctx context.Context) context.Context {
	return &messageContext{Context: c.work, message: ctx}
}

// Read implements [Conn]. It returns io.EOF once [ClientConn.Drain] is through.
func (c *ClientConn) Read(ctx context.Context) (Frame, error) {
	in, err := c.read(ctx)
	return in.Frame, err
}

// ReadWith is Read with the values of the context that the message came on.
// That of a response is the one its request was written with. That of anything
// else is the one of the request on whose stream it came, where the transport
// has such streams; on the stream for the server's own messages it is the one
// of notifications/initialized. Over HTTP+SSE all but responses come with the
// context the stream was opened with.
func (c *ClientConn) ReadWith(ctx context.Context) (Incoming, error) {
	in, err := c.read(ctx)
	if err == nil {
		in.Request = context.WithoutCancel(in.Request)
	}
	return in, err
}

func (c *ClientConn) read(ctx context.Context) (Incoming, error) {
	select {
	case in := <-c.in:
		return in, nil
	default:
	}
	select {
	case in := <-c.in:
		return in, nil
	case <-c.drained:
		select {
		case in := <-c.in:
			return in, nil
		default:
			return Incoming{}, io.EOF
		}
	case <-c.closed:
		return Incoming{}, ErrClosed
	case <-ctx.Done():
		return Incoming{}, ctx.Err()
	}
}

// push hands f to the reader, with the values of on, the context it came on.
// It waits for room until ctx ends.
func (c *ClientConn) push(ctx, on context.Context, f Frame) error {
	f.Retain()
	select {
	case c.in <- Incoming{Frame: f, Request: on}:
		return nil
	case <-c.closed:
		f.Release()
		return ErrClosed
	case <-ctx.Done():
		f.Release()
		return ctx.Err()
	}
}
