package wire

import "context"

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
