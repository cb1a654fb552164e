package memo_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/mcpctl/mcpctl/internal/memo"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestOneLoadForAllWhoAsk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := memo.New[string, int](memo.Options{Max: 2, Timeout: time.Minute})
		defer m.Close()
		loads := 0
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				got, err := m.Get(t.Context(), "k", func(context.Context) (int, time.Time, error) {
					loads++
					time.Sleep(time.Second)
					return 7, time.Now().Add(time.Hour), nil
				})
				if got != 7 || err != nil {
					t.Errorf("got %d, %v", got, err)
				}
			})
		}
		all.Wait()
		if loads != 1 {
			t.Errorf("%d loads", loads)
		}
	})
}

func TestResultsAndErrorsAreKeptAsLongAsTheySay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := memo.New[string, int](memo.Options{Max: 2, Timeout: time.Minute})
		defer m.Close()
		loads := 0
		failing := errors.New("down")
		get := func(keep time.Duration, err error) (int, error) {
			return m.Get(t.Context(), "k", func(context.Context) (int, time.Time, error) {
				loads++
				return loads, time.Now().Add(keep), err
			})
		}
		for range 3 {
			if _, err := get(time.Second, failing); !errors.Is(err, failing) {
				t.Errorf("got %v", err)
			}
		}
		if loads != 1 {
			t.Errorf("%d loads while the error was kept", loads)
		}
		time.Sleep(time.Second)
		if got, err := get(time.Minute, nil); got != 2 || err != nil {
			t.Errorf("got %d, %v after the error had run out", got, err)
		}
		m.Forget("k", func(v int) bool { return v == 99 })
		if got, _ := get(0, nil); got != 2 {
			t.Errorf("a good value was forgotten")
		}
		m.Forget("k", func(v int) bool { return v == 2 })
		if got, _ := get(0, nil); got != 3 || m.Len() != 0 {
			t.Errorf("got %d, %d kept; want a new value that is not kept", got, m.Len())
		}
	})
}

func TestTheNumberOfResultsIsBounded(t *testing.T) {
	m := memo.New[int, int](memo.Options{Max: 3, Timeout: time.Minute})
	defer m.Close()
	for i := range 100 {
		_, _ = m.Get(t.Context(), i, func(context.Context) (int, time.Time, error) { return i, time.Now().Add(time.Hour), nil })
	}
	if m.Len() != 3 {
		t.Errorf("%d results are kept", m.Len())
	}
}

func TestWhoeverGivesUpLeavesTheLoadToOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := memo.New[string, int](memo.Options{Max: 2, Timeout: time.Minute})
		defer m.Close()
		load := func(ctx context.Context) (int, time.Time, error) {
			time.Sleep(10 * time.Second)
			return 7, time.Time{}, ctx.Err()
		}
		var patient sync.WaitGroup
		hasty, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		patient.Go(func() {
			time.Sleep(500 * time.Millisecond)
			if got, err := m.Get(t.Context(), "k", load); got != 7 || err != nil {
				t.Errorf("got %d, %v", got, err)
			}
		})
		if _, err := m.Get(hasty, "k", load); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		patient.Wait()
	})
}

func TestLoadsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := memo.New[string, int](memo.Options{Max: 2, Timeout: time.Minute})
		stuck := func(ctx context.Context) (int, time.Time, error) {
			<-ctx.Done()
			return 0, time.Time{}, ctx.Err()
		}
		if _, err := m.Get(t.Context(), "k", stuck); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v at the time limit", err)
		}
		done := make(chan error)
		go func() {
			_, err := m.Get(t.Context(), "k", stuck)
			done <- err
		}()
		synctest.Wait()
		m.Close()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v from Close", err)
		}
		if _, err := m.Get(t.Context(), "k", stuck); !errors.Is(err, memo.ErrClosed) {
			t.Errorf("got %v after Close", err)
		}
	})
}
