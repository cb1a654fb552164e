package cmd

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestBridgeEndsWithItsParent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var alive atomic.Bool
		alive.Store(true)
		ctx, release := withParent(t.Context(), alive.Load)
		defer release()
		synctest.Wait()
		if ctx.Err() != nil {
			t.Fatal("it ends though its parent lives")
		}
		alive.Store(false)
		<-ctx.Done() // the bubble's clock moves on to the next look
		if !errors.Is(ctx.Err(), context.Canceled) || !errors.Is(context.Cause(ctx), errOrphaned) {
			t.Errorf("got %v, %v", ctx.Err(), context.Cause(ctx))
		}
	})
}

func TestLookingForTheParentStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		outer, cancel := context.WithCancel(t.Context())
		ctx, release := withParent(outer, func() bool { return true })
		cancel()
		<-ctx.Done()
		if errors.Is(context.Cause(ctx), errOrphaned) {
			t.Error("a signal counts as the parent's end")
		}
		release() // the bubble fails if a goroutine is left
	})
}

// opened is a parent as Windows shows it.
type opened struct {
	start  time.Time
	fault  error
	gone   bool
	closed int
}

func (o *opened) started() (time.Time, error) { return o.start, o.fault }
func (o *opened) ended() bool                 { return o.gone }
func (o *opened) close()                      { o.closed++ }

// The number of a parent that has ended may belong to a stranger, whose end must
// not end the bridge.
func TestWhichParentIsWatched(t *testing.T) {
	self := time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		name    string
		parent  opened
		watched bool
	}{
		{"an older process", opened{start: self.Add(-time.Hour)}, true},
		{"one of the same tick", opened{start: self}, true},
		{"a younger process has its number", opened{start: self.Add(time.Millisecond)}, false},
		{"the system does not tell", opened{fault: errors.New("access denied")}, false},
	} {
		parent := test.parent
		alive, done := watchOpened(&parent, self)
		if !alive() {
			t.Errorf("%s: gone while it runs", test.name)
		}
		parent.gone = true
		if alive() == test.watched {
			t.Errorf("%s: after its end alive is %v", test.name, alive())
		}
		done()
		if parent.closed != 1 {
			t.Errorf("%s: closed %d times", test.name, parent.closed)
		}
	}
}
