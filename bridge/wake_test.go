package bridge

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestSlept(t *testing.T) {
	last := time.Now()
	for _, tc := range []struct {
		name string
		now  time.Time
		want bool
	}{
		{"a tick later", last.Add(wakeInterval), false},
		{"a busy machine", last.Add(wakeInterval + 10*time.Second), false},
		{"slept, monotonic went on", last.Add(time.Hour), true},
		// Round strips the monotonic reading: both differences are of wall time.
		{"wall clock only", last.Add(time.Hour).Round(0), true},
	} {
		if got := slept(last, tc.now); got != tc.want {
			t.Errorf("%s: %v", tc.name, got)
		}
	}
}

func TestWatchForWakeIsQuietWhileAwake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		woke := 0
		go func() { defer close(done); watchForWake(ctx, func() { woke++ }) }()
		time.Sleep(time.Hour)
		cancel()
		<-done
		if woke != 0 {
			t.Errorf("woke %d times in an hour without sleep", woke)
		}
	})
}
