package cmd

import (
	"context"
	"errors"
	"time"
)

// errOrphaned is why a bridge ends whose MCP client is gone.
var errOrphaned = errors.New("the program that started the bridge has ended")

// parentPoll is how often the parent is looked at. There is no portable way to
// be told, and a look costs less than a microsecond.
const parentPoll = 2 * time.Second

// withParent returns a context that also ends, with errOrphaned as its cause,
// when the process that started this one is gone, and what stops looking. A
// client that was killed may leave the other end of standard input open in some
// other child of its, and then no end of input comes.
//
// alive reports whether the parent is still there.
func withParent(ctx context.Context, alive func() bool) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(parentPoll)
		defer tick.Stop()
		for alive() {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
		cancel(errOrphaned)
	}()
	return ctx, func() {
		cancel(nil)
		<-done
	}
}
