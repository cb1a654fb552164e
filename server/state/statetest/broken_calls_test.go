package statetest_test

import (
	"context"
	"sync"
	"time"

	"github.com/mcpctl/mcpctl/server/state"
)

type deaf struct{ state.Store }

func (s deaf) PutCached(ctx context.Context, key string, value []byte, ttl time.Duration, tags ...string) error {
	if err := s.Store.PutCached(context.WithoutCancel(ctx), key, value, ttl, tags...); err != nil {
		return err
	}
	return ctx.Err()
}

type openDoor struct {
	state.Store
	mu     sync.Mutex
	closed bool
}

func (s *openDoor) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	return s.Store.Close()
}

func (s *openDoor) Cached(ctx context.Context, key string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return []byte("v"), nil
	}
	return s.Store.Cached(ctx, key)
}

type cutsKeys struct{ state.Store }

func (s cutsKeys) Cached(ctx context.Context, key string) ([]byte, error) {
	return s.Store.Cached(ctx, key[:min(len(key), state.MaxKey)])
}
