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
	s.append(st, outEvent{frame: m.frame, last: st.pending == 0 && !st.standalone(), refuse: m.refusal})
}

func (s *Session) placeOn(st *outStream, f Frame) (<-chan struct{}, error) {
	if !st.hasRoom(s.front.opts.Queue) {
		return st.roomChan(), errWait
	}
	s.append(st, outEvent{frame: f})
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
		s.append(post, outEvent{frame: f})
		return nil, nil
	} else if busy || !st.hasRoom(s.front.opts.Queue) {
		return st.roomChan(), errWait
	}
	s.append(st, outEvent{frame: f})
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
	for _, e := range s.general.clear() {
		s.append(post, e)
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

// append adds e to st and retains its frame.
func (s *Session) append(st *outStream, e outEvent) {
	e.frame.Retain()
	st.push(e)
	st.wakeReader()
}

// retire forgets a POST stream that nothing can come on any more.
func (s *Session) retire(st *outStream) {
	if !st.standalone() && st.pending == 0 && st.reader == nil && (st.waiting() == 0 || st.lost) {
		delete(s.streams, st.num)
	}
}
