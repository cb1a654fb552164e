package bridge

import (
	"context"
	"time"
)

const (
	wakeInterval = 5 * time.Second
	wakeJump     = 15 * time.Second
)

// watchForWake calls woke whenever the machine seems to have slept, until ctx
// ends. Connections from before a sleep are rarely alive, and nothing says so.
//
// The monotonic clock stands still during sleep on Linux and goes on elsewhere,
// so both signs count: wall time that ran ahead of it, and a tick that came
// much too late.
func watchForWake(ctx context.Context, woke func()) {
	tick := time.NewTicker(wakeInterval)
	defer tick.Stop()
	last := time.Now()
	for {
		select {
		case <-tick.C:
			now := time.Now()
			if slept(last, now) {
				woke()
			}
			last = now
		case <-ctx.Done():
			return
		}
	}
}

// slept compares two looks at the clock, one interval apart.
func slept(last, now time.Time) bool {
	monotonic := now.Sub(last)
	wall := now.Round(0).Sub(last.Round(0))
	return wall-monotonic > wakeJump || monotonic > wakeInterval+wakeJump
}
