package state

import (
	"bytes"
	"context"
	"time"
)

type memorySession struct {
	Session
	expires time.Time
}

// PutSession implements Sessions.
func (m *Memory) PutSession(ctx context.Context, s Session, ttl time.Duration, maxOwned int) error {
	if len(s.Data) > MaxValue {
		return ErrTooLarge
	}
	if err := m.enter(ctx, s.ID, s.Owner, s.Replica); err != nil {
		return err
	}
	defer m.mu.Unlock()
	now := m.opts.Now()
	old, replaces := m.live(s.ID, now)
	if replaces && old.Owner != s.Owner {
		return ErrNotFound
	}
	if !replaces {
		for id := range m.owners[s.Owner] {
			m.live(id, now) // lets go of what has expired
		}
		if maxOwned > 0 && len(m.owners[s.Owner]) >= maxOwned || len(m.sessions) >= m.opts.MaxSessions {
			return ErrFull
		}
	}
	s.Data = bytes.Clone(s.Data)
	m.sessions[s.ID] = &memorySession{s, now.Add(ttl)}
	if m.owners[s.Owner] == nil {
		m.owners[s.Owner] = map[string]struct{}{}
	}
	m.owners[s.Owner][s.ID] = struct{}{}
	return nil
}

// live returns the session unless it has expired; then it is removed.
func (m *Memory) live(id string, now time.Time) (*memorySession, bool) {
	s := m.sessions[id]
	if s == nil {
		return nil, false
	}
	if now.After(s.expires) {
		m.removeSession(id)
		return nil, false
	}
	return s, true
}

func (m *Memory) removeSession(id string) {
	s := m.sessions[id]
	delete(m.sessions, id)
	delete(m.logs, id)
	delete(m.owners[s.Owner], id)
	if len(m.owners[s.Owner]) == 0 {
		delete(m.owners, s.Owner)
	}
}

// Session implements Sessions.
func (m *Memory) Session(ctx context.Context, id, owner string, ttl time.Duration) (Session, error) {
	if err := m.enter(ctx, id, owner); err != nil {
		return Session{}, err
	}
	defer m.mu.Unlock()
	now := m.opts.Now()
	s, ok := m.live(id, now)
	if !ok || s.Owner != owner {
		return Session{}, ErrNotFound
	}
	s.expires = now.Add(ttl)
	out := s.Session
	out.Data = bytes.Clone(out.Data)
	return out, nil
}

// DeleteSession implements Sessions.
func (m *Memory) DeleteSession(ctx context.Context, id, owner string) error {
	if err := m.enter(ctx, id, owner); err != nil {
		return err
	}
	defer m.mu.Unlock()
	s, ok := m.live(id, m.opts.Now())
	if !ok || s.Owner != owner {
		return ErrNotFound
	}
	m.removeSession(id)
	return nil
}

// CountSessions implements Sessions.
func (m *Memory) CountSessions(ctx context.Context, owner string) (int, error) {
	if err := m.enter(ctx, owner); err != nil {
		return 0, err
	}
	defer m.mu.Unlock()
	now := m.opts.Now()
	for id := range m.owners[owner] {
		m.live(id, now)
	}
	return len(m.owners[owner]), nil
}
