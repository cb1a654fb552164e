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
// alive reports whether the parent is still there. It is not called after that.
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

// openedProcess is another process. While it is open, no other one gets its
// number.
type openedProcess interface {
	started() (time.Time, error)
	ended() bool
	close()
}

// watchOpened returns what tells whether the parent of a process that started at
// self is still there, and what closes it, for systems where a process keeps the
// number of its parent when that has ended. Such a number may by then be that of
// a younger process. A parent that is already gone, or hidden, is not watched:
// launchers end once they have started a program, and the end of input is what
// counts.
func watchOpened(parent openedProcess, self time.Time) (alive func() bool, done func()) {
	started, err := parent.started()
	if err != nil || started.After(self) {
		parent.close()
		return unwatched()
	}
	return func() bool { return !parent.ended() }, parent.close
}

// unwatched is a parent of which nothing is known.
func unwatched() (alive func() bool, done func()) {
	return func() bool { return true }, func() {}
}
