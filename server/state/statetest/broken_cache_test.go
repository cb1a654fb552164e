package statetest_test

import (
	"context"
	"sync"
	"time"

	"github.com/mcpctl/mcpctl/server/state"
)

type borrows struct {
	state.Store
	mu   sync.Mutex
	kept map[string][]byte
}

func (s *borrows) PutCached(ctx context.Context, key string, value []byte, ttl time.Duration, tags ...string) error {
	s.mu.Lock()
	s.kept[key] = value
	s.mu.Unlock()
	return s.Store.PutCached(ctx, key, value, ttl, tags...)
}

func (s *borrows) Cached(ctx context.Context, key string) ([]byte, error) {
	if _, err := s.Store.Cached(ctx, key); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.kept[key], nil
}

type untagged struct{ state.Store }

func (s untagged) PutCached(ctx context.Context, key string, value []byte, ttl time.Duration, _ ...string) error {
	return s.Store.PutCached(ctx, key, value, ttl)
}

type oldTags struct {
	state.Store
	mu   sync.Mutex
	tags map[string][]string
}

func (s *oldTags) PutCached(ctx context.Context, key string, value []byte, ttl time.Duration, tags ...string) error {
	s.mu.Lock()
	s.tags[key] = append(s.tags[key], tags...)
	all := s.tags[key]
	s.mu.Unlock()
	return s.Store.PutCached(ctx, key, value, ttl, all...)
}

type stale struct{ state.Store }

func (s stale) PutCached(ctx context.Context, key string, value []byte, ttl time.Duration, tags ...string) error {
	return s.Store.PutCached(ctx, key, value, 1000*ttl, tags...)
}
