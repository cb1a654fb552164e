package state

import (
	"bytes"
	"context"
	"time"
)

// memoryLog holds the events of all streams of one session, oldest first.
type memoryLog struct {
	events  []memoryEvent
	count   int // of events kept: those not dropped
	last    map[string]uint64
	expires time.Time // of the whole log
}

type memoryEvent struct {
	stream  string
	id      uint64
	data    []byte
	expires time.Time
}

// expire drops what is too old. Events expire in their order, nearly: those
// that don't are dropped later.
func (l *memoryLog) expire(now time.Time) {
	n := 0
	for n < len(l.events) && now.After(l.events[n].expires) {
		n++
	}
	l.drop(n)
}

func (l *memoryLog) drop(n int) {
	clear(l.events[:n])
	l.events = l.events[n:]
	l.count = len(l.events)
}

// AppendEvent implements Events.
func (m *Memory) AppendEvent(ctx context.Context, session, stream string, data []byte, keep int, ttl time.Duration) (uint64, error) {
	if len(data) > MaxValue {
		return 0, ErrTooLarge
	}
	if err := m.enter(ctx, session, stream); err != nil {
		return 0, err
	}
	defer m.mu.Unlock()
	log := m.logs[session]
	if log == nil {
		log = &memoryLog{last: map[string]uint64{}}
		m.logs[session] = log
	}
	now := m.opts.Now()
	log.expire(now)
	log.last[stream]++
	id := log.last[stream]
	log.expires = now.Add(ttl)
	log.events = append(log.events, memoryEvent{stream, id, bytes.Clone(data), now.Add(ttl)})
	log.count = len(log.events)
	if over := log.count - max(keep, 0); over > 0 {
		log.drop(over)
	}
	return id, nil
}

// EventsAfter implements Events.
func (m *Memory) EventsAfter(ctx context.Context, session, stream string, after uint64, limit int) ([]Event, error) {
	if err := m.enter(ctx, session, stream); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	log := m.logs[session]
	if log == nil {
		if after > 0 {
			return nil, ErrGap
		}
		return nil, nil
	}
	log.expire(m.opts.Now())
	var out []Event
	for _, e := range log.events {
		if e.stream == stream && e.id > after && len(out) < limit {
			out = append(out, Event{e.id, bytes.Clone(e.data)})
		}
	}
	last := log.last[stream]
	switch {
	case after > last:
		return nil, ErrGap
	case len(out) > 0 && out[0].ID != after+1, len(out) == 0 && limit > 0 && last > after:
		return out, ErrGap
	}
	return out, nil
}
