package wire

import "context"

// Flush waits until every notification written so far has been sent or has
// failed, or ctx ends. Close gives up what is still under way: who writes
// notifications/cancelled as the last thing calls Flush before.
func (c *ClientConn) Flush(ctx context.Context) error {
	c.order.Lock()
	last := c.order.note
	c.order.Unlock()
	return wait(ctx, last)
}
