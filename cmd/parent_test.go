package cmd

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
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
