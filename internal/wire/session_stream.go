package wire

import (
	"bytes"
	"errors"
	"io"
)

// Why a request is not accepted.
var (
	errDuplicateID    = errors.New("a request with this id is already open")
	errTooManyPending = errors.New("too many requests of this session are unanswered")
	errNoStream       = errors.New("the stream that Last-Event-ID names is not kept any more")
)

// begin registers requests of the client. Over Streamable HTTP they get a
// stream of their own, carried by the returned reader.
func (s *Session) begin(requests []Frame) (*outStream, *reader, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cause != nil {
		return nil, nil, io.EOF
	}
	if len(s.pending)+len(requests) > s.front.opts.MaxPending {
		return nil, nil, errTooManyPending
	}
	st := s.general
	if !s.front.single {
		s.lastNum++
		st = newOutStream(s.lastNum)
	}
	for i, f := range requests {
		key := f.ID.Key()
		if s.pending[key] != nil {
			s.unregister(requests[:i])
			return nil, nil, errDuplicateID
		}
		opening := f.Method == "initialize"
		s.pending[key] = &pendingRequest{id: ID(bytes.Clone(f.ID)), stream: st, opening: opening}
		st.pending++
		st.opening = st.opening || opening
	}
	s.front.pending.Add(int64(len(requests)))
	if s.front.single {
		return st, nil, nil
	}
	s.streams[st.num] = st
	return st, s.attach(st), nil
}

// withdraw takes back requests that begin registered and nobody has seen.
func (s *Session) withdraw(requests []Frame) {
	s.mu.Lock()
	n := s.unregister(requests)
	s.mu.Unlock()
	s.front.answered(n)
}

func (s *Session) unregister(requests []Frame) int {
	n := 0
	for _, f := range requests {
		key := f.ID.Key()
		if p := s.pending[key]; p != nil {
			delete(s.pending, key)
			p.stream.pending--
			n++
		}
	}
	return n
}

// cancelled notes that the client takes no answer to the request any more.
func (s *Session) cancelled(f Frame) {
	id := ID(Lookup(f.Raw, "params", "requestId"))
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.pending[id.Key()]; p != nil && p.cancelled.IsZero() && !p.opening {
		p.cancelled = s.front.opts.Now()
	}
}

// listen attaches to the standalone stream, or to the one that lastEventID
// names, right behind that event.
func (s *Session) listen(lastEventID string) (*outStream, *reader, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cause != nil {
		return nil, nil, io.EOF
	}
	st := s.general
	if lastEventID != "" {
		num, seq, ok := parseEventID(lastEventID)
		if !ok || s.streams[num] == nil || seq >= s.streams[num].next {
			return nil, nil, errNoStream
		}
		st = s.streams[num]
		s.rewind(st, seq+1)
	}
	if st.standalone() {
		s.listened = true
	}
	return st, s.attach(st), nil
}

// attach makes a new reader the one that carries st, in place of any other: a
// client that comes back knows better than we do that its connection broke.
func (s *Session) attach(st *outStream) *reader {
	if st.reader != nil {
		st.reader.replaced = true
		st.reader.signal()
	}
	rd := newReader()
	rd.withIDs = !s.front.single && s.log.maxEvents > 0
	st.reader = rd
	s.connected++
	s.used = s.front.opts.Now()
	if st.standalone() {
		return rd
	}
	// Now there is a client to push back: nothing unsent may be evicted.
	for seq := st.cursor; seq < st.next; seq++ {
		s.log.remove(st.at(seq))
	}
	if st.place == nil {
		st.place = s.posts.PushBack(st)
	}
	s.divertWaiting()
	return rd
}

// rewind makes seq the next event to send, or the oldest that is kept.
func (s *Session) rewind(st *outStream, seq uint64) {
	if len(st.events) > 0 {
		seq = max(seq, st.events[0].seq)
	} else {
		seq = st.next
	}
	for ; st.cursor > seq; st.cursor-- {
		e := st.at(st.cursor - 1)
		s.log.remove(e)
		st.unsent += len(e.frame.Raw)
	}
	for ; st.cursor < seq; st.cursor++ {
		e := st.at(st.cursor)
		s.log.remove(e)
		s.log.add(e, s.front.opts.Now())
		st.unsent -= len(e.frame.Raw)
	}
}

// step is what a reader does next.
type step uint8

const (
	stepWait  step = iota
	stepSend       // the event
	stepPlain      // the event, as the whole answer
	stepEnd        // the stream or the session is over
	stepLeave      // another reader took over
)

// taken is an event for the client, with a frame that its taker releases.
type taken struct {
	frame   Frame
	seq     uint64
	refusal *Refusal
}

// take returns the next event for the client. whole says that the event may be
// the answer all by itself.
func (s *Session) take(st *outStream, rd *reader, whole bool) (step, taken) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if rd.replaced {
		return stepLeave, taken{}
	}
	if st == s.general && s.standIn != nil && s.standIn.pending == 0 && s.cause == nil {
		return stepWait, taken{} // what was written before goes out first
	}
	if st.cursor == st.next {
		if s.cause != nil || !st.standalone() && st.pending == 0 {
			return stepEnd, taken{}
		}
		return stepWait, taken{}
	}
	e := st.at(st.cursor)
	t := taken{e.frame.Retain(), e.seq, e.refuse}
	st.cursor++
	st.unsent -= len(t.frame.Raw)
	s.wakeWriters(st)
	plain := whole && e.last && e.seq == 1
	if plain || s.front.single || s.log.maxEvents < 0 {
		s.dropFirst(st)
	} else {
		s.log.add(e, s.front.opts.Now())
		s.trim()
	}
	if plain {
		return stepPlain, t
	}
	st.resumable = st.resumable || rd.withIDs
	return stepSend, t
}

// wakeWriters lets those look again who wait for room on st.
func (s *Session) wakeWriters(st *outStream) {
	st.wakeWriters()
	if s.general.reader == nil {
		// st may have room now for what waits for the standalone stream.
		s.general.wakeWriters()
	}
}

// detach ends what rd does for st. unsure is the first event that may not have
// reached the client, 0 for none.
func (s *Session) detach(st *outStream, rd *reader, unsure uint64) {
	s.mu.Lock()
	s.connected--
	s.used = s.front.opts.Now()
	unopened := false
	if !rd.replaced {
		st.reader = nil
		if st.place != nil {
			s.posts.Remove(st.place)
			st.place = nil
		}
		if unsure != 0 && s.cause == nil {
			s.rewind(st, unsure)
		}
		unopened = s.disconnected(st)
		if s.standIn == st {
			s.standIn = nil
			s.general.wakeReader()
			s.divertWaiting()
		}
		s.wakeWriters(st)
	}
	if s.cause != nil && s.connected == 0 {
		s.letGo()
	}
	s.mu.Unlock()
	if unopened {
		s.end(errNeverOpened, "the client went away before the session was open")
	}
}

// disconnected settles what becomes of st without a client. It reports that the
// session has to end: its id never reached anybody.
func (s *Session) disconnected(st *outStream) bool {
	if s.cause != nil || st.standalone() {
		return false
	}
	if st.pending == 0 && st.cursor == st.next {
		s.retire(st)
		return false
	}
	if st.resumable {
		now := s.front.opts.Now()
		for seq := st.cursor; seq < st.next; seq++ {
			s.log.add(st.at(seq), now)
		}
		s.trim()
		return false
	}
	// The client can never ask for this stream again. Its response is of no
	// use to anybody, but the rest may be: a request of the server's waits for
	// an answer.
	st.lost = true
	unsent := s.takeUnsent(st)
	for _, e := range unsent {
		if e.frame.Kind != Response {
			s.append(s.general, e.frame, false)
		}
		e.frame.Release()
	}
	for len(st.events) > 0 {
		s.dropFirst(st)
	}
	s.retire(st)
	return st.opening
}

// primed notes that the client has an event id of st to come back with, and
// returns the one that stands for "all before the next event".
func (s *Session) primed(st *outStream) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	st.resumable = true
	return st.cursor - 1
}
