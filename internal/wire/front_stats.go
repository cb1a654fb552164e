package wire

import (
	"context"
	"errors"
	"time"
)

// Stats says what a front holds at one moment, and what it has held, for metrics.
type Stats struct {
	Sessions int    // open sessions
	Opened   uint64 // sessions opened so far
	Refused  uint64 // sessions and calls refused so far because of a bound
	Streams  int    // HTTP answers of sessions that carry a stream now
	Calls    int    // messages without a session that are worked on, listens not counted
	Listens  int    // open subscriptions/listen
	Pending  int    // requests without an answer, of sessions and without, listens not counted
	Bytes    int64  // of messages waiting to be sent
}

func (f *front) stats() Stats {
	f.mu.Lock()
	st := Stats{Sessions: len(f.sessions), Opened: f.opened, Refused: f.refused, Pending: int(f.pending.Load())}
	calls := make([]*Call, 0, len(f.calls.all))
	for c := range f.calls.all {
		calls = append(calls, c)
		if c.listen {
			st.Listens++
		} else {
			st.Calls++
		}
	}
	f.mu.Unlock()
	for _, c := range calls {
		c.mu.Lock()
		st.Bytes += int64(c.unsent)
		c.mu.Unlock()
	}
	for _, s := range f.all() {
		streams, held := s.load()
		st.Streams += streams
		st.Bytes += held
	}
	return st
}

// load returns how many connections carry streams of the session, and how many
// bytes wait to be sent.
func (s *Session) load() (streams int, held int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, st := range s.streams {
		held += int64(st.unsent)
	}
	return s.connected, held
}

func (f *front) sessionsOf(owner string) []*Session {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := make([]*Session, 0, len(f.owners[owner]))
	for s := range f.owners[owner] {
		list = append(list, s)
	}
	return list
}

var errEnded = errors.New("the session was ended by the server")

// endOwner is StreamableFront.EndOwner.
func (f *front) endOwner(owner string) int {
	sessions := f.sessionsOf(owner)
	for _, s := range sessions {
		s.end(errEnded, errEnded.Error())
	}
	calls := f.callsOf(func(c *Call) bool { return c.owner == owner })
	for _, c := range calls {
		c.end(errEnded, "the request was ended by the server")
	}
	return len(sessions) + len(calls)
}

// Stats counts what the front holds. It looks at every session.
func (sf *StreamableFront) Stats() Stats { return sf.front.stats() }

// Sessions returns the open sessions of an owner, in no order.
func (sf *StreamableFront) Sessions(owner string) []*Session { return sf.front.sessionsOf(owner) }

// AllSessions returns the open sessions of all owners, in no order.
func (sf *StreamableFront) AllSessions() []*Session { return sf.front.all() }

// EndOwner ends all sessions and calls that the owner has open now, and returns
// how many. Their unanswered requests are answered with an error. It does not
// keep the owner from opening new ones.
func (sf *StreamableFront) EndOwner(owner string) int { return sf.front.endOwner(owner) }

// Stats counts what the front holds. It looks at every session.
func (sf *SSEFront) Stats() Stats { return sf.front.stats() }

// Sessions returns the open sessions of an owner, in no order.
func (sf *SSEFront) Sessions(owner string) []*Session { return sf.front.sessionsOf(owner) }

// AllSessions returns the open sessions of all owners, in no order.
func (sf *SSEFront) AllSessions() []*Session { return sf.front.all() }

// EndOwner ends all sessions of the owner: see [StreamableFront.EndOwner].
func (sf *SSEFront) EndOwner(owner string) int { return sf.front.endOwner(owner) }

// Context has the values of the request that opened the session and ends with
// the session.
func (s *Session) Context() context.Context { return s.ctx }

// Opened is when the session was opened.
func (s *Session) Opened() time.Time { return s.opened }

// Used is when the client was last heard of.
func (s *Session) Used() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.used
}
