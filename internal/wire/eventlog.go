package wire

import (
	"container/list"
	"time"
)

// logEvent is one message on its way to the client, or kept for a client that
// resumes.
type logEvent struct {
	stream *outStream
	seq    uint64   // place in its stream, from 1
	frame  Frame    // retained
	last   bool     // the response that ends the stream
	stub   bool     // an error in place of a response that was not kept
	refuse *Refusal // where the response is one

	entry *list.Element // in the log, nil while the event waits to be sent
	since time.Time     // when it entered the log
}

// cost is what keeping the event really holds: a small message in a pooled
// buffer holds the whole buffer.
func (e *logEvent) cost() int {
	if e.frame.buf != nil {
		return cap(e.frame.buf.b)
	}
	return len(e.frame.Raw)
}

// eventLog is what one session keeps for resumption (MCP 2025-11-25,
// basic/transports, "Resumability and Redelivery"), oldest first: events that
// were sent, and events of streams whose client is away. Events that wait for a
// connected client are not in it: those push back and are never dropped. The
// session's lock guards it.
type eventLog struct {
	maxEvents, maxBytes int
	events              list.List
	bytes               int
}

func (l *eventLog) add(e *logEvent, now time.Time) {
	e.since = now
	e.entry = l.events.PushBack(e)
	l.bytes += e.cost()
}

func (l *eventLog) remove(e *logEvent) {
	if e.entry != nil {
		l.events.Remove(e.entry)
		e.entry = nil
		l.bytes -= e.cost()
	}
}

// excess returns the oldest event if the log exceeds its bounds, else nil.
func (l *eventLog) excess() *logEvent {
	n := l.events.Len()
	if n == 0 || n <= max(l.maxEvents, 0) && (n == 1 || l.bytes <= l.maxBytes) {
		return nil
	}
	return l.oldest()
}

func (l *eventLog) oldest() *logEvent {
	if front := l.events.Front(); front != nil {
		e, _ := front.Value.(*logEvent)
		return e
	}
	return nil
}

// outStream is an ordered stream of messages to the client: of one POST, or
// the standalone one. Its events outlive the connections that carry them. The
// session's lock guards it.
type outStream struct {
	num     uint64      // 0 is the standalone stream
	events  []*logEvent // kept, without gaps; those from cursor on wait to be sent
	next    uint64      // seq of the next event to come
	cursor  uint64      // seq of the next event to send
	unsent  int         // bytes waiting to be sent
	pending int         // requests on it without an answer: it ends with the last
	opening bool        // it carries the answer to initialize

	reader    *reader       // the connection that carries it now
	place     *list.Element // among the session's connected POST streams
	resumable bool          // the client has an event id to come back with
	lost      bool          // the client went away and can't come back to it
	room      chan struct{} // closed when a writer should look again
}

func newOutStream(num uint64) *outStream { return &outStream{num: num, next: 1, cursor: 1} }

// windowBytes bounds the bytes that wait to be sent on a stream, beside the
// number of messages; one message may always wait.
const windowBytes = 1 << 20

func (st *outStream) standalone() bool { return st.num == 0 }

func (st *outStream) waiting() int { return int(st.next - st.cursor) }

func (st *outStream) hasRoom(queue int) bool {
	return st.waiting() < queue && (st.unsent < windowBytes || st.waiting() == 0)
}

// at returns the kept event with the given seq, nil if it is not kept.
func (st *outStream) at(seq uint64) *logEvent {
	if len(st.events) == 0 || seq < st.events[0].seq || seq >= st.next {
		return nil
	}
	return st.events[seq-st.events[0].seq]
}

func (st *outStream) wakeWriters() {
	if st.room != nil {
		close(st.room)
		st.room = nil
	}
}

// roomChan is closed when the stream may have room again.
func (st *outStream) roomChan() <-chan struct{} {
	if st.room == nil {
		st.room = make(chan struct{})
	}
	return st.room
}

func (st *outStream) wakeReader() {
	if st.reader != nil {
		st.reader.signal()
	}
}

// reader is one HTTP answer that carries a stream.
type reader struct {
	wake     chan struct{} // capacity 1
	withIDs  bool          // its events get ids, for resumption
	replaced bool          // another connection carries the stream now
}

func newReader() *reader { return &reader{wake: make(chan struct{}, 1)} }

func (r *reader) signal() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}
