package wire

import "bytes"

// detach ends what rd does for st. unsure are the events that may not have
// reached the client; it takes them over.
func (s *Session) detach(st *outStream, rd *reader, unsure []taken) {
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
		if s.cause == nil {
			st.unpop(unsure)
			unsure = nil
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
	for _, t := range unsure {
		t.frame.Release()
	}
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
	if st.pending == 0 && st.waiting() == 0 {
		s.retire(st)
		return false
	}
	if st.resumable {
		rd := newReader()
		rd.withIDs = true
		st.reader = rd
		// Serve runs while the session lives, so nobody waits for running yet.
		s.front.running.Go(func() { s.standBy(st, rd) })
		return false
	}
	// The client can never ask for this stream again. Its response is of no
	// use to anybody, but the rest may be: a request of the server's waits for
	// an answer.
	st.lost = true
	for _, e := range st.clear() {
		if e.frame.Kind != Response {
			s.append(s.general, outEvent{frame: e.frame})
		}
		e.frame.Release()
	}
	s.retire(st)
	return st.opening
}

// standBy takes the place of a client that is away: it stores what comes on the
// stream, until the client is back or the stream ends.
func (s *Session) standBy(st *outStream, rd *reader) {
	for {
		step, t := s.take(st, rd, false)
		switch step {
		case stepWait:
			<-rd.wake // the end of the session wakes all readers
		case stepSend:
			s.noteAnswer(st, t)
			s.keep(st, rd, t)
			t.frame.Release()
		default:
			s.stoodBy(st, rd)
			return
		}
	}
}

func (s *Session) stoodBy(st *outStream, rd *reader) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if rd.replaced || s.cause != nil {
		return
	}
	st.reader = nil
	s.retire(st)
	if len(s.finished) == maxFinished {
		s.finished = s.finished[1:]
	}
	s.finished = append(s.finished, finishedStream{st.num, st.answers})
}

// awayAnswer is a response that came while the client was away, at its place on
// the stream. The store may have let go of it, or not have taken it: a client that
// resumes must not wait for ever.
type awayAnswer struct {
	place uint64
	id    ID
}

func (s *Session) noteAnswer(st *outStream, t taken) {
	if t.frame.Kind != Response {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	st.answers = append(st.answers, awayAnswer{t.place, ID(bytes.Clone(t.frame.ID))})
}

// finishedStream is a stream that ended while its client was away.
type finishedStream struct {
	num     uint64
	answers []awayAnswer
}

// maxFinished bounds the streams of a session that are remembered so.
const maxFinished = 64

// missing are the requests whose responses came between two places of a stream
// while the client was away, as far as that is known.
func (s *Session) missing(num, after, before uint64) []ID {
	s.mu.Lock()
	defer s.mu.Unlock()
	var answers []awayAnswer
	if st := s.streams[num]; st != nil {
		answers = st.answers
	}
	for _, f := range s.finished {
		if f.num == num {
			answers = f.answers
		}
	}
	var ids []ID
	for _, a := range answers {
		if a.place > after && a.place < before {
			ids = append(ids, a.id)
		}
	}
	return ids
}
