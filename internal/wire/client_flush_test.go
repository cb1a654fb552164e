package wire

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// slowRemote takes its time over every message.
type slowRemote struct{ sent chan string }

func (r *slowRemote) Exchange(ctx context.Context, f Frame) error {
	select {
	case <-time.After(time.Second):
		r.sent <- f.Method
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
func (r *slowRemote) Listen(context.Context) error { return ErrNoListen }
func (r *slowRemote) End(context.Context) error    { return nil }

func TestFlushWaitsForNotifications(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		remote := &slowRemote{sent: make(chan string, 2)}
		c, err := NewClientConn(ClientConnOptions{}, func(Deliver) (Remote, error) { return remote, nil })
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := c.Flush(t.Context()); err != nil {
			t.Errorf("Flush with nothing written: %v", err)
		}
		for _, method := range []string{"notifications/one", "notifications/two"} {
			if err := c.Write(t.Context(), MustParse(`{"jsonrpc":"2.0","method":"`+method+`"}`)); err != nil {
				t.Fatal(err)
			}
		}
		hasty, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if err := c.Flush(hasty); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Flush within 100 ms: %v, want the deadline", err)
		}
		if err := c.Flush(t.Context()); err != nil {
			t.Errorf("Flush: %v", err)
		}
		if len(remote.sent) != 2 {
			t.Errorf("%d notifications had been sent when Flush returned, want 2", len(remote.sent))
		}
	})
}
