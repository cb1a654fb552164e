package statetest

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mcpctl/mcpctl/server/state"
)

var limitParts = []part{
	{"BucketsRefill", buckets},
	{"BucketsWithoutRateStayEmpty", bucketWithoutRate},
	{"BucketsUsedAtOnce", bucketsAtOnce},
	{"PlacesAreBounded", places},
	{"PlacesTakenAtOnce", placesAtOnce},
}

func buckets(t *testing.T, h Harness, s state.Store) {
	take := func(key string) (bool, time.Duration) {
		t.Helper()
		ok, wait, err := s.Take(t.Context(), key, 2, 3)
		must(t, err)
		return ok, wait
	}
	for i := range 3 {
		if ok, wait := take("a"); !ok || wait != 0 {
			t.Fatalf("use %d of 3: %v, wait %v", i+1, ok, wait)
		}
	}
	var wait time.Duration
	for range 5 { // being refused costs nothing
		var ok bool
		if ok, wait = take("a"); ok || wait <= 0 || wait > 500*time.Millisecond {
			t.Fatalf("above the bound: %v, wait %v", ok, wait)
		}
	}
	if ok, _ := take("b"); !ok {
		t.Error("another key is limited too")
	}
	h.Advance(wait + 10*time.Millisecond)
	if ok, _ := take("a"); !ok {
		t.Error("after the wait there is still none")
	}
	if ok, _ := take("a"); ok {
		t.Error("half a second gave two uses of two a second")
	}
	h.Advance(time.Hour)
	for range 3 {
		if ok, _ := take("a"); !ok {
			t.Error("it does not fill up")
		}
	}
	if ok, _ := take("a"); ok {
		t.Error("it fills above its burst")
	}
}

func bucketWithoutRate(t *testing.T, h Harness, s state.Store) {
	ok, _, err := s.Take(t.Context(), "a", 0, 1)
	must(t, err)
	if !ok {
		t.Error("the first use was refused")
	}
	h.Advance(24 * time.Hour)
	ok, wait, err := s.Take(t.Context(), "a", 0, 1)
	must(t, err)
	if ok || wait <= 0 {
		t.Errorf("the second: %v, wait %v", ok, wait)
	}
}

func bucketsAtOnce(t *testing.T, _ Harness, s state.Store) {
	const uses = 100
	var taken atomic.Int64
	var working sync.WaitGroup
	for range 20 {
		working.Go(func() {
			for range 2 * uses / 20 {
				if ok, _, err := s.Take(t.Context(), "a", 0, uses); err == nil && ok {
					taken.Add(1)
				}
			}
		})
	}
	working.Wait()
	if n := taken.Load(); n != uses {
		t.Errorf("%d uses were taken from a bucket of %d", n, uses)
	}
}

func places(t *testing.T, h Harness, s state.Store) {
	enter := func(key string) (func(), bool) {
		t.Helper()
		leave, ok, err := s.Enter(t.Context(), key, 2, time.Minute)
		must(t, err)
		if ok != (leave != nil) {
			t.Fatalf("got in: %v, with leave: %v", ok, leave != nil)
		}
		return leave, ok
	}
	first, _ := enter("a")
	if _, ok := enter("a"); !ok {
		t.Fatal("the second was refused")
	}
	if _, ok := enter("a"); ok {
		t.Error("the third got a place")
	}
	if _, ok := enter("b"); !ok {
		t.Error("another key is limited too")
	}
	first()
	first() // leaving twice frees one place
	if _, ok := enter("a"); !ok {
		t.Error("a place that was left is not free")
	}
	if _, ok := enter("a"); ok {
		t.Error("leaving twice freed two places")
	}
	h.Advance(2 * time.Minute)
	late, ok := enter("a")
	if !ok {
		t.Fatal("an abandoned place is never free again")
	}
	first() // still frees nothing
	if _, ok := enter("a"); !ok {
		t.Error("only one abandoned place is free again")
	}
	if _, ok := enter("a"); ok {
		t.Error("leaving an expired place freed another's")
	}
	late()
	if _, ok := enter("a"); !ok {
		t.Error("a place that was left is not free")
	}
}

func placesAtOnce(t *testing.T, _ Harness, s state.Store) {
	const bound = 5
	var inside, most atomic.Int64
	var working sync.WaitGroup
	for range 20 {
		working.Go(func() {
			for range 50 {
				leave, ok, err := s.Enter(t.Context(), "a", bound, time.Minute)
				if err != nil {
					t.Error(err)
				}
				if !ok {
					continue
				}
				n := inside.Add(1)
				for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
				}
				time.Sleep(100 * time.Microsecond)
				inside.Add(-1)
				leave()
			}
		})
	}
	working.Wait()
	if n := most.Load(); n > bound {
		t.Errorf("%d were inside at once, of at most %d", n, bound)
	}
	for i := range bound {
		if _, ok, err := s.Enter(t.Context(), "a", bound, time.Minute); err != nil || !ok {
			t.Errorf("when all have left, place %d of %d is taken: %v", i+1, bound, err)
		}
	}
}
