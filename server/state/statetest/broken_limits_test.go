package statetest_test

import (
	"context"
	"sync"
	"time"

	"github.com/mcpctl/mcpctl/server/state"
)

type dry struct{ state.Store }

func (s dry) Take(ctx context.Context, key string, _ float64, burst int) (bool, time.Duration, error) {
	ok, _, err := s.Store.Take(ctx, key, 0, burst)
	if ok {
		return ok, 0, err
	}
	return ok, time.Millisecond, err
}

type oneBucket struct{ state.Store }

func (s oneBucket) Take(ctx context.Context, _ string, rate float64, burst int) (bool, time.Duration, error) {
	return s.Store.Take(ctx, "all", rate, burst)
}

type looksFirst struct {
	state.Store
	mu   sync.Mutex
	left map[string]int
}

func (s *looksFirst) Take(_ context.Context, key string, _ float64, burst int) (bool, time.Duration, error) {
	s.mu.Lock()
	left, known := s.left[key]
	s.mu.Unlock()
	if !known {
		left = burst
	}
	if left <= 0 {
		return false, time.Second, nil
	}
	time.Sleep(100 * time.Microsecond)
	s.mu.Lock()
	s.left[key] = left - 1
	s.mu.Unlock()
	return true, 0, nil
}

type leavesTwice struct {
	state.Store
	mu    sync.Mutex
	count int
}

func (s *leavesTwice) Enter(_ context.Context, _ string, most int, _ time.Duration) (func(), bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.count >= most {
		return nil, false, nil
	}
	s.count++
	return func() {
		s.mu.Lock()
		s.count--
		s.mu.Unlock()
	}, true, nil
}

type holdsPlaces struct{ state.Store }

func (s holdsPlaces) Enter(ctx context.Context, key string, most int, ttl time.Duration) (func(), bool, error) {
	return s.Store.Enter(ctx, key, most, 1000*ttl)
}
