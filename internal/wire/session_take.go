package wire

// step is what a reader does next.
type step uint8

const (
	stepWait   step = iota
	stepSend        // the event
	stepPlain       // the event, as the whole answer
	stepReplay      // the stored events between the reader's place and the event's
	stepEnd         // the stream or the session is over
	stepLeave       // another reader took over
)

// taken is an event for the client, with a frame that its taker releases.
type taken struct {
	outEvent
	place uint64
	store bool // keep has to store it
}

// take returns the next event for the client. whole says that the event may be
// the answer all by itself.
func (s *Session) take(st *outStream, rd *reader, whole bool) (step, taken) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if rd.replaced {
		return stepLeave, taken{}
	}
	if st.storing {
		return stepWait, taken{} // by a reader that was replaced
	}
	if rd.resumes {
		rd.resumes = false
		return stepReplay, taken{place: st.cursor}
	}
	if st == s.general && s.standIn != nil && s.standIn.pending == 0 && s.cause == nil {
		return stepWait, taken{} // what was written before goes out first
	}
	if st.waiting() == 0 {
		if s.cause != nil || !st.standalone() && st.pending == 0 {
			return stepEnd, taken{}
		}
		return stepWait, taken{}
	}
	t := taken{place: st.cursor}
	t.outEvent = st.pop()
	s.wakeWriters(st)
	if whole && t.last && t.place == 1 {
		return stepPlain, t
	}
	if rd.withIDs {
		st.resumable = true
		t.store = t.place > st.stored
		st.storing = t.store
	}
	return stepSend, t
}

// keep stores an event that was taken from a resumable stream, before it is
// sent: a client that has seen its id can come back to it anywhere. It reports
// whether the event has a place in the store. One that has none can still be
// sent, but not to a client that resumes.
func (s *Session) keep(st *outStream, rd *reader, t taken) bool {
	if !rd.withIDs {
		return false
	}
	if !t.store {
		return true // it was, when it was sent before, perhaps in vain
	}
	err := s.front.opts.Events.AppendEvent(s.unended, s.id, st.num, t.place, compact(t.frame.Raw))
	if err != nil {
		s.front.opts.Logger.Warn("an event could not be stored: its stream can't be resumed from there", "reason", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	st.storing = false
	if err == nil {
		st.stored = t.place
	}
	if rd.replaced {
		st.wakeReader() // it has waited for this
	}
	return err == nil
}

// wakeWriters lets those look again who wait for room on st.
func (s *Session) wakeWriters(st *outStream) {
	st.wakeWriters()
	if s.general.reader == nil {
		// st may have room now for what waits for the standalone stream.
		s.general.wakeWriters()
	}
}

// primed notes that the client has an event id of st to come back with, and
// returns the one that stands for "all before the next event".
func (s *Session) primed(st *outStream, rd *reader) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	st.resumable = true
	if rd.resumes {
		return rd.after
	}
	return st.cursor - 1
}
