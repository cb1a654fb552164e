package wire

import (
	"context"
	"errors"
	"io"
)

// errWait says that a message has to wait for room.
var errWait = errors.New("no room")

// outgoing is a message on its way to the client.
type outgoing struct {
	frame   Frame
	to      ID       // the request it is related to, if any
	refusal *Refusal // where it is one
}

func (s *Session) send(ctx context.Context, m outgoing) error {
	for {
		s.mu.Lock()
		room, err := s.place(m)
		refused := s.refused
		s.mu.Unlock()
		if !errors.Is(err, errWait) {
			if err == nil && m.frame.Kind == Response {
				s.front.answered(1)
			}
			if refused {
				s.end(errRefused, "initialize was refused")
			}
			return err
		}
		select {
		case <-room:
		case <-s.done:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// place puts m on the stream it belongs to. Where there is no room it returns
// errWait and a channel that is closed when there may be.
func (s *Session) place(m outgoing) (<-chan struct{}, error) {
	if s.cause != nil {
		if errors.Is(s.cause, ErrClosed) {
			return nil, ErrClosed
		}
		return nil, io.ErrClosedPipe
	}
	if m.frame.Kind == Response {
		return s.placeResponse(m)
	}
	if m.to != nil && !s.front.single {
		if p := s.pending[m.to.Key()]; p != nil && !p.stream.lost {
			return s.placeOn(p.stream, m.frame)
		}
	}
	return s.placeGeneral(m.frame)
}

func (s *Session) placeResponse(m outgoing) (<-chan struct{}, error) {
	key := m.frame.ID.Key()
	p := s.pending[key]
	if p == nil {
		return nil, ErrNoRequest
	}
	// A stream of its own holds one response: it needs not wait, it may only be
	// the one that makes the window a message longer.
	if s.front.single && !p.stream.hasRoom(s.front.opts.Queue) {
		return p.stream.roomChan(), errWait
	}
	delete(s.pending, key)
	if p.opening {
		s.protocol = LookupString(m.frame.Raw, "result", "protocolVersion")
		s.refused = m.frame.Failed && !s.front.single
	}
	s.finish(p, m)
	return nil, nil
}

// finish puts the answer to p, which is no longer pending, on its stream.
func (s *Session) finish(p *pendingRequest, m outgoing) {
	st := p.stream
	st.pending--
	if st.lost {
		s.front.opts.Logger.Debug("dropping a response: its client went away and can't resume")
		s.retire(st)
		return
	}
	e := s.append(st, m.frame, st.pending == 0 && !st.standalone())
	e.refuse = m.refusal
}

func (s *Session) placeOn(st *outStream, f Frame) (<-chan struct{}, error) {
	// Without a client events go to the log, whose bounds hold.
	if st.reader != nil && !st.hasRoom(s.front.opts.Queue) {
		return st.roomChan(), errWait
	}
	s.append(st, f, false)
	return nil, nil
}

// placeGeneral puts f, which belongs to no open request, on the standalone
// stream or, as Session says, on a POST stream in its stead.
func (s *Session) placeGeneral(f Frame) (<-chan struct{}, error) {
	if s.standIn != nil && s.standIn.pending > 0 {
		return s.placeOn(s.standIn, f)
	}
	st := s.general
	if post, busy := s.substitute(); post != nil {
		s.divert(post)
		s.append(post, f, false)
		return nil, nil
	} else if busy || !st.hasRoom(s.front.opts.Queue) {
		return st.roomChan(), errWait
	}
	s.append(st, f, false)
	return nil, nil
}

// substitute returns the POST stream that stands in for the standalone one,
// nil where none has to or can. busy says that one would, had it room.
func (s *Session) substitute() (post *outStream, busy bool) {
	if s.front.single || s.general.reader != nil {
		return nil, false
	}
	if s.listened && s.general.hasRoom(s.front.opts.Queue) {
		return nil, false
	}
	if s.standIn != nil {
		return nil, true // its last messages are still on their way
	}
	for e := s.posts.Front(); e != nil; e = e.Next() {
		st, _ := e.Value.(*outStream)
		if st.pending == 0 {
			continue
		}
		if st.hasRoom(s.front.opts.Queue) {
			return st, false
		}
		busy = true
	}
	return nil, busy
}

// divert makes a POST stream the one that stands in for the standalone stream
// until it ends, and moves what waits there to it. Changing streams any sooner
// would cost the order of the messages.
func (s *Session) divert(post *outStream) {
	s.standIn = post
	for _, e := range s.takeUnsent(s.general) {
		s.append(post, e.frame, false)
		e.frame.Release()
	}
	s.general.wakeWriters()
}

// divertWaiting diverts where a POST stream has come up for what waits.
func (s *Session) divertWaiting() {
	if s.general.waiting() == 0 {
		return
	}
	if post, _ := s.substitute(); post != nil {
		s.divert(post)
	}
}

// takeUnsent removes the events that wait on st and returns them with their
// frames.
func (s *Session) takeUnsent(st *outStream) []*logEvent {
	n := st.waiting()
	if n == 0 {
		return nil
	}
	split := len(st.events) - n
	unsent := append([]*logEvent(nil), st.events[split:]...)
	for i, e := range unsent {
		s.log.remove(e)
		st.events[split+i] = nil
	}
	st.events = st.events[:split]
	st.next = st.cursor
	st.unsent = 0
	return unsent
}

// append adds f to st and retains it.
func (s *Session) append(st *outStream, f Frame, last bool) *logEvent {
	e := &logEvent{stream: st, seq: st.next, frame: f.Retain(), last: last}
	st.next++
	st.events = append(st.events, e)
	st.unsent += len(f.Raw)
	if st.reader == nil && !st.standalone() {
		s.log.add(e, s.front.opts.Now())
		s.trim()
	}
	st.wakeReader()
	return e
}

// trim brings the log back within its bounds.
func (s *Session) trim() {
	for e := s.log.excess(); e != nil; e = s.log.excess() {
		s.evict(e)
	}
}

// evict drops e and what is kept of its stream before it. Where e is a
// response that was never sent, a short error takes its place: a client that
// resumes must not wait for ever.
func (s *Session) evict(e *logEvent) {
	st := e.stream
	if e.last && e.seq >= st.cursor && !e.stub {
		s.log.remove(e)
		st.unsent -= len(e.frame.Raw)
		stub := NewError(e.frame.ID, CodeInternal, "the response was kept for resumption but had to make room for newer messages", nil)
		e.frame.Release()
		e.frame, e.stub = stub, true
		st.unsent += len(stub.Raw)
		s.log.add(e, s.front.opts.Now())
		return
	}
	for len(st.events) > 0 && st.events[0].seq <= e.seq {
		s.dropFirst(st)
	}
	if len(st.events) == 0 {
		s.retire(st)
	}
}

func (s *Session) dropFirst(st *outStream) {
	e := st.events[0]
	st.events[0] = nil
	st.events = st.events[1:]
	s.log.remove(e)
	if e.seq >= st.cursor {
		st.cursor = e.seq + 1
		st.unsent -= len(e.frame.Raw)
	}
	e.frame.Release()
}

// retire forgets a POST stream that nothing can come on any more.
func (s *Session) retire(st *outStream) {
	if !st.standalone() && st.pending == 0 && st.reader == nil && (len(st.events) == 0 || st.lost) {
		delete(s.streams, st.num)
	}
}
