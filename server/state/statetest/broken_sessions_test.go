package statetest_test

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/mcpctl/mcpctl/server/state"
)

type openSessions struct {
	state.Store
	owners sync.Map
}

func (s *openSessions) PutSession(ctx context.Context, in state.Session, ttl time.Duration, q state.Quota) error {
	s.owners.Store(in.ID, in.Owner)
	return s.Store.PutSession(ctx, in, ttl, q)
}

func (s *openSessions) Session(ctx context.Context, id, _ string, ttl time.Duration) (state.Session, error) {
	owner, _ := s.owners.Load(id)
	name, _ := owner.(string)
	return s.Store.Session(ctx, id, name, ttl)
}

type anybodyDeletes struct {
	state.Store
	owners sync.Map
}

func (s *anybodyDeletes) PutSession(ctx context.Context, in state.Session, ttl time.Duration, q state.Quota) error {
	s.owners.Store(in.ID, in.Owner)
	return s.Store.PutSession(ctx, in, ttl, q)
}

func (s *anybodyDeletes) DeleteSession(ctx context.Context, id, _ string) error {
	owner, _ := s.owners.Load(id)
	name, _ := owner.(string)
	return s.Store.DeleteSession(ctx, id, name)
}

type anybodyReplaces struct{ state.Store }

func (s anybodyReplaces) PutSession(ctx context.Context, in state.Session, ttl time.Duration, q state.Quota) error {
	if err := s.Store.PutSession(ctx, in, ttl, q); !errors.Is(err, state.ErrConflict) {
		return err
	}
	return nil
}

type everlasting struct{ state.Store }

func (s everlasting) PutSession(ctx context.Context, in state.Session, ttl time.Duration, q state.Quota) error {
	return s.Store.PutSession(ctx, in, 1000*ttl, q)
}

func (s everlasting) Session(ctx context.Context, id, owner string, ttl time.Duration) (state.Session, error) {
	return s.Store.Session(ctx, id, owner, 1000*ttl)
}

type unprolonged struct{ state.Store }

func (s unprolonged) Session(ctx context.Context, id, owner string, _ time.Duration) (state.Session, error) {
	return s.Store.Session(ctx, id, owner, 10*time.Second)
}

type unbounded struct{ state.Store }

func (s unbounded) PutSession(ctx context.Context, in state.Session, ttl time.Duration, _ state.Quota) error {
	return s.Store.PutSession(ctx, in, ttl, state.Quota{})
}

type harsh struct{ state.Store }

func (s harsh) PutSession(ctx context.Context, in state.Session, ttl time.Duration, q state.Quota) error {
	q.Idle = 1
	return s.Store.PutSession(ctx, in, ttl, q)
}

type lenient struct{ state.Store }

func (s lenient) PutSession(ctx context.Context, in state.Session, ttl time.Duration, q state.Quota) error {
	q.Idle = 0
	return s.Store.PutSession(ctx, in, ttl, q)
}

type countsFirst struct {
	state.Store
	mu    sync.Mutex
	count int
}

func (s *countsFirst) PutSession(ctx context.Context, in state.Session, ttl time.Duration, q state.Quota) error {
	s.mu.Lock()
	n := s.count
	s.mu.Unlock()
	if q.Max > 0 && n >= q.Max {
		return state.ErrFull
	}
	time.Sleep(time.Millisecond)
	s.mu.Lock()
	s.count++
	s.mu.Unlock()
	return s.Store.PutSession(ctx, in, ttl, state.Quota{})
}
