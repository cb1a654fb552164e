package state

import (
	"context"
	"sync"
	"time"
)

type memorySessions struct {
	limit int

	mu     sync.Mutex
	all    map[string]*memorySession
	owners map[string]map[string]struct{} // session ids
}

type memorySession struct {
	Session
	expires time.Time
}

func (ms *memorySessions) init(limit int) {
	ms.limit, ms.all, ms.owners = limit, map[string]*memorySession{}, map[string]map[string]struct{}{}
}

// live returns the session unless it has expired; then it is removed. The lock
// is held.
func (ms *memorySessions) live(id string, now time.Time) (*memorySession, bool) {
	s := ms.all[id]
	if s == nil {
		return nil, false
	}
	if now.After(s.expires) {
		ms.remove(s)
		return nil, false
	}
	return s, true
}

func (ms *memorySessions) remove(s *memorySession) {
	delete(ms.all, s.ID)
	delete(ms.owners[s.Owner], s.ID)
	if len(ms.owners[s.Owner]) == 0 {
		delete(ms.owners, s.Owner)
	}
}

// expire removes what has expired and returns its ids.
func (ms *memorySessions) expire(now time.Time) []string {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	var gone []string
	for id := range ms.all {
		if _, ok := ms.live(id, now); !ok {
			gone = append(gone, id)
		}
	}
	return gone
}

// PutSession implements Sessions.
func (m *Memory) PutSession(ctx context.Context, s Session, ttl time.Duration, maxOwned int) error {
	if err := m.check(ctx, s.ID, s.Owner, s.Replica); err != nil {
		return err
	}
	ms, now := &m.sessions, m.now()
	ms.mu.Lock()
	defer ms.mu.Unlock()
	old, replaces := ms.live(s.ID, now)
	if replaces && old.Owner != s.Owner {
		return ErrConflict
	}
	if !replaces && maxOwned > 0 && len(ms.owners[s.Owner]) >= maxOwned {
		for id := range ms.owners[s.Owner] {
			ms.live(id, now) // lets go of what has expired
		}
		if len(ms.owners[s.Owner]) >= maxOwned {
			return ErrFull
		}
	}
	if !replaces && len(ms.all) >= ms.limit {
		return ErrFull
	}
	ms.all[s.ID] = &memorySession{s, now.Add(ttl)}
	if ms.owners[s.Owner] == nil {
		ms.owners[s.Owner] = map[string]struct{}{}
	}
	ms.owners[s.Owner][s.ID] = struct{}{}
	return nil
}

// Session implements Sessions.
func (m *Memory) Session(ctx context.Context, id, owner string, ttl time.Duration) (Session, error) {
	if err := m.check(ctx, id, owner); err != nil {
		return Session{}, err
	}
	ms, now := &m.sessions, m.now()
	ms.mu.Lock()
	defer ms.mu.Unlock()
	s, ok := ms.live(id, now)
	if !ok || s.Owner != owner {
		return Session{}, ErrNotFound
	}
	s.expires = now.Add(ttl)
	return s.Session, nil
}

// DeleteSession implements Sessions.
func (m *Memory) DeleteSession(ctx context.Context, id, owner string) error {
	if err := m.check(ctx, id, owner); err != nil {
		return err
	}
	ms := &m.sessions
	ms.mu.Lock()
	defer ms.mu.Unlock()
	s, ok := ms.live(id, m.now())
	if !ok || s.Owner != owner {
		return ErrNotFound
	}
	ms.remove(s)
	m.events.forget(id)
	return nil
}
