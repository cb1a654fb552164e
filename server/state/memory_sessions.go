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
	renewed, expires time.Time
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

// room makes room for one more session of an owner, and reports whether it could.
func (ms *memorySessions) room(owner string, q Quota, now time.Time) (gone []string, ok bool) {
	if q.Max <= 0 || len(ms.owners[owner]) < q.Max {
		return nil, true
	}
	var oldest *memorySession
	for id := range ms.owners[owner] {
		s, live := ms.live(id, now)
		switch {
		case !live:
			gone = append(gone, id)
		case oldest == nil || s.renewed.Before(oldest.renewed):
			oldest = s
		}
	}
	if len(ms.owners[owner]) < q.Max {
		return gone, true
	}
	if q.Idle <= 0 || oldest == nil || now.Sub(oldest.renewed) < q.Idle {
		return gone, false
	}
	ms.remove(oldest)
	return append(gone, oldest.ID), true
}

// PutSession implements Sessions.
func (m *Memory) PutSession(ctx context.Context, s Session, ttl time.Duration, q Quota) error {
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
	if !replaces {
		gone, ok := ms.room(s.Owner, q, now)
		for _, id := range gone {
			m.events.forget(id)
		}
		if !ok || len(ms.all) >= ms.limit {
			return ErrFull
		}
	}
	ms.all[s.ID] = &memorySession{s, now, now.Add(ttl)}
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
	s.renewed, s.expires = now, now.Add(ttl)
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
