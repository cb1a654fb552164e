package entra

import (
	"context"
	"errors"
	"fmt"
)

// lock takes this client's turn and then the lock among processes.
func (c *Client) lock(ctx context.Context) (unlock func(), err error) {
	select {
	case c.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	release, err := c.cache.Lock(ctx)
	if err != nil {
		<-c.turn
		return nil, err
	}
	return func() { release(); <-c.turn }, nil
}

func (c *Client) tryLock() (unlock func(), ok bool) {
	select {
	case c.turn <- struct{}{}:
	default:
		return nil, false
	}
	release, ok, err := c.cache.TryLock()
	if err != nil {
		c.log.Debug("token store cannot be locked", "err", err)
	}
	if err != nil || !ok {
		<-c.turn
		return nil, false
	}
	return func() { release(); <-c.turn }, true
}

// explainLock describes a lock that was not obtained.
func (c *Client) explainLock(ctx context.Context, op string, err error) error {
	switch {
	case ctx.Err() != nil:
		return &Error{Op: op, Kind: KindCanceled, cause: ctx.Err()}
	case errors.Is(err, context.DeadlineExceeded):
		return &Error{Op: op, Kind: KindBusy, Hint: kindHints[KindBusy],
			Description: fmt.Sprintf("the token store was locked for %s", silentLimit)}
	}
	return &Error{Op: op, Kind: KindStore, cause: err}
}
