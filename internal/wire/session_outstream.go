package wire

import "container/list"

// outEvent is one message that waits to be sent.
type outEvent struct {
	frame  Frame    // retained
	last   bool     // the response that ends the stream
	refuse *Refusal // where the response is one
}

// outStream is an ordered stream of messages to the client: of one POST, or
// the standalone one. It outlives the connections that carry it. The session's
// lock guards it.
type outStream struct {
	num     uint64     // 0 is the standalone stream
	events  []outEvent // from head on those that wait to be sent
	head    int
	cursor  uint64 // place of the next event to send, from 1
	stored  uint64 // place of the last event that was stored for resumption
	storing bool   // a reader has taken an event and stores it
	unsent  int    // bytes waiting to be sent
	pending int    // requests on it without an answer: it ends with the last
	opening bool   // it carries the answer to initialize

	reader    *reader       // the connection that carries it now, or who stores in its stead
	place     *list.Element // among the session's connected POST streams
	resumable bool          // the client has an event id to come back with
	lost      bool          // the client went away and can't come back to it
	answers   []awayAnswer
	room      chan struct{} // closed when a writer should look again
}

func newOutStream(num uint64) *outStream { return &outStream{num: num, cursor: 1} }

// windowBytes bounds the bytes that wait to be sent on a stream, beside the
// number of messages; one message may always wait.
const windowBytes = 1 << 20

func (st *outStream) standalone() bool { return st.num == 0 }

func (st *outStream) waiting() int { return len(st.events) - st.head }

func (st *outStream) hasRoom(queue int) bool {
	return st.waiting() < queue && (st.unsent < windowBytes || st.waiting() == 0)
}

// idleEvents is how many entries an empty queue may keep room for.
const idleEvents = 8

// push adds an event behind all others. It takes over the frame.
func (st *outStream) push(e outEvent) {
	st.events = append(st.events, e)
	st.unsent += len(e.frame.Raw)
}

// pop removes the next event to send; its frame is the caller's.
func (st *outStream) pop() outEvent {
	e := st.events[st.head]
	st.events[st.head] = outEvent{}
	st.head++
	switch {
	case st.head < len(st.events):
	case cap(st.events) > idleEvents:
		st.events, st.head = nil, 0
	default:
		st.events, st.head = st.events[:0], 0
	}
	st.cursor++
	st.unsent -= len(e.frame.Raw)
	return e
}

// unpop makes events that were taken the next to send again.
func (st *outStream) unpop(taken []taken) {
	if len(taken) == 0 {
		return
	}
	waiting := st.clear()
	for _, t := range taken {
		st.push(t.outEvent)
	}
	for _, e := range waiting {
		st.push(e)
	}
	st.cursor -= uint64(len(taken))
}

// clear removes and returns what waits.
func (st *outStream) clear() []outEvent {
	waiting := st.events[st.head:]
	st.events, st.head, st.unsent = nil, 0, 0
	return waiting
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

// reader is one HTTP answer that carries a stream, or who stores what comes on
// it while there is none.
type reader struct {
	wake     chan struct{} // capacity 1
	withIDs  bool          // its events get ids, for resumption
	replaced bool          // another connection carries the stream now

	resumes bool   // it has to begin with stored events,
	after   uint64 // those behind this place
}

func newReader() *reader { return &reader{wake: make(chan struct{}, 1)} }

func (r *reader) signal() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}
