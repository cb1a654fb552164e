package state

import (
	"bytes"
	"context"
	"sync"
	"time"
)

type memoryEvents struct {
	mu   sync.Mutex
	logs map[string]*memoryLog // by session
}

// memoryLog holds the events of all streams of one session, oldest first.
type memoryLog struct {
	mu      sync.Mutex
	events  []memoryEvent
	bytes   int
	streams map[uint64]*memoryStream // those that have events
	gone    bool                     // the log is not in the map any more
}

type memoryEvent struct {
	stream uint64
	Event
	expires time.Time
}

// memoryStream is what is known of a stream of which events are kept.
type memoryStream struct {
	last uint64
	kept int
}

// log returns the locked log of a session, nil where there is none.
func (me *memoryEvents) log(session string, create bool) *memoryLog {
	for {
		me.mu.Lock()
		l := me.logs[session]
		if l == nil && create {
			l = &memoryLog{streams: map[uint64]*memoryStream{}}
			me.logs[session] = l
		}
		me.mu.Unlock()
		if l == nil {
			return nil
		}
		l.mu.Lock()
		if !l.gone {
			return l
		}
		l.mu.Unlock()
	}
}

func (me *memoryEvents) forget(session string) {
	me.mu.Lock()
	l := me.logs[session]
	delete(me.logs, session)
	me.mu.Unlock()
	if l != nil {
		l.mu.Lock()
		l.gone = true
		l.mu.Unlock()
	}
}

// expire removes what is too old, and logs that are empty.
func (me *memoryEvents) expire(now time.Time) {
	me.mu.Lock()
	defer me.mu.Unlock()
	for session, l := range me.logs {
		l.mu.Lock()
		if l.expire(now); len(l.events) == 0 {
			l.gone = true
			delete(me.logs, session)
		}
		l.mu.Unlock()
	}
}

// expire drops what is too old. Events of one session have the same age limit,
// so they expire in their order.
func (l *memoryLog) expire(now time.Time) {
	n := 0
	for n < len(l.events) && now.After(l.events[n].expires) {
		n++
	}
	l.drop(n)
}

// drop lets go of the n oldest events.
func (l *memoryLog) drop(n int) {
	for i := range l.events[:n] {
		e := &l.events[i]
		l.bytes -= len(e.Data)
		if st := l.streams[e.stream]; st.kept == 1 {
			delete(l.streams, e.stream)
		} else {
			st.kept--
		}
		*e = memoryEvent{}
	}
	if l.events = l.events[n:]; len(l.events) == 0 {
		l.events = nil
	}
}

// trim brings the log within the bounds.
func (l *memoryLog) trim(keep Keep) {
	n, size := 0, l.bytes
	for left := len(l.events); left > 1 && (left > keep.Events || size > keep.Bytes); left-- {
		size -= len(l.events[n].Data)
		n++
	}
	l.drop(n)
}

// AppendEvent implements Events.
func (m *Memory) AppendEvent(ctx context.Context, session string, stream uint64, e Event, keep Keep) error {
	if err := m.check(ctx, session); err != nil {
		return err
	}
	if len(e.Data) > MaxValue {
		return ErrTooLarge
	}
	now := m.now()
	l := m.events.log(session, true)
	defer l.mu.Unlock()
	l.expire(now)
	st := l.streams[stream]
	if st == nil {
		st = &memoryStream{}
	}
	if e.Seq <= st.last {
		return ErrConflict
	}
	l.streams[stream] = st
	e.Data = bytes.Clone(e.Data)
	st.last = e.Seq
	st.kept++
	l.events = append(l.events, memoryEvent{stream, e, now.Add(keep.Age)})
	l.bytes += len(e.Data)
	l.trim(keep)
	return nil
}

// EventsAfter implements Events.
func (m *Memory) EventsAfter(ctx context.Context, session string, stream, after uint64, limit int) ([]Event, error) {
	if err := m.check(ctx, session); err != nil {
		return nil, err
	}
	var st *memoryStream
	l := m.events.log(session, false)
	if l != nil {
		defer l.mu.Unlock()
		l.expire(m.now())
		st = l.streams[stream]
	}
	switch {
	case st == nil && after == 0, st != nil && after == st.last:
		return nil, nil
	case st == nil || after > st.last:
		return nil, ErrGap
	}
	var out []Event
	for _, e := range l.events {
		if e.stream == stream && e.Seq > after {
			if len(out) == limit {
				break
			}
			out = append(out, Event{e.Seq, bytes.Clone(e.Data)})
		}
	}
	if len(out) > 0 && out[0].Seq != after+1 {
		return out, ErrGap
	}
	return out, nil
}
