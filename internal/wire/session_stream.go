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
	// errFinished: nothing can come on the stream any more; its events may be stored.
	errFinished = errors.New("the stream that Last-Event-ID names has ended")
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
	var place uint64
	if lastEventID != "" {
		num, seen, ok := parseEventID(lastEventID)
		if !ok || s.front.opts.Events == nil || num > s.lastNum {
			return nil, nil, errNoStream
		}
		if st, place = s.streams[num], seen; st == nil {
			return nil, nil, errFinished
		}
		if place >= st.cursor+uint64(st.waiting()) {
			return nil, nil, errNoStream
		}
		for place >= st.cursor { // it was to be sent again, but has arrived
			e := st.pop()
			e.frame.Release()
		}
		s.wakeWriters(st)
	}
	if st.standalone() {
		s.listened = true
	}
	rd := s.attach(st)
	if lastEventID != "" && place+1 < st.cursor {
		rd.resumes, rd.after = true, place
	}
	return st, rd, nil
}

// attach makes a new reader the one that carries st, in place of any other: a
// client that comes back knows better than we do that its connection broke.
func (s *Session) attach(st *outStream) *reader {
	if st.reader != nil {
		st.reader.replaced = true
		st.reader.signal()
	}
	rd := newReader()
	rd.withIDs = s.front.opts.Events != nil && !s.front.single
	st.reader = rd
	s.connected++
	s.used = s.front.opts.Now()
	if st.standalone() {
		return rd
	}
	if st.place == nil {
		st.place = s.posts.PushBack(st)
	}
	s.divertWaiting()
	return rd
}
