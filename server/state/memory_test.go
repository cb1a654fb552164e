package state_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/mcpctl/mcpctl/server/state"
	"github.com/mcpctl/mcpctl/server/state/statetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// clock is a clock that tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func TestMemoryKeepsTheContract(t *testing.T) {
	c := &clock{now: time.Unix(1_000_000, 0)}
	statetest.Run(t, statetest.Harness{
		Open:    func(*testing.T) state.Store { return state.NewMemory(state.MemoryOptions{Now: c.Now}) },
		Advance: c.Advance,
	})
}

func TestMemoryBoundsItsCache(t *testing.T) {
	m := state.NewMemory(state.MemoryOptions{MaxCacheBytes: 10 << 10})
	defer m.Close()
	value := make([]byte, 1<<10)
	for i := range 100 {
		if err := m.PutCached(t.Context(), fmt.Sprint(i), value, time.Minute); err != nil {
			t.Fatal(err)
		}
		if _, err := m.Cached(t.Context(), "0"); err != nil { // stays, being used
			t.Fatalf("after %d entries: %v", i, err)
		}
	}
	kept := 0
	for i := range 100 {
		if _, err := m.Cached(t.Context(), fmt.Sprint(i)); err == nil {
			kept++
		}
	}
	if kept > 10 || kept < 5 {
		t.Errorf("%d entries of 1 KiB are kept in 10 KiB", kept)
	}
	if err := m.PutCached(t.Context(), "huge", make([]byte, 20<<10), time.Minute); err != nil {
		t.Error(err)
	}
	if _, err := m.Cached(t.Context(), "huge"); !errors.Is(err, state.ErrNotFound) {
		t.Errorf("a value above the bound: %v", err)
	}
}
