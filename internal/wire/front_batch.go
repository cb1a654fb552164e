package wire

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
)

// incoming joins a message with the values of its HTTP request.
func incoming(r *http.Request, f Frame) Incoming {
	return Incoming{Frame: f, Request: context.WithoutCancel(r.Context())}
}

// refuseBegin answers a request that its session did not take.
func refuseBegin(w http.ResponseWriter, id ID, err error) {
	if errors.Is(err, io.EOF) { // it ended while the request was on its way
		refuseUnknownSession(w)
		return
	}
	refuseErr(w, id, err)
}

// accept takes messages that ask for no answer, in their order. It owns them.
func (s *Session) accept(r *http.Request, frames []Frame) error {
	for i, f := range frames {
		cancel := f.Kind == Notification && f.Method == "notifications/cancelled"
		if cancel {
			f.Retain()
		}
		err := s.push(r.Context(), incoming(r, f))
		if cancel {
			if err == nil {
				s.cancelled(f)
			}
			f.Release()
		}
		if err != nil {
			releaseAll(frames[i:])
			return err
		}
	}
	return nil
}

func releaseAll(frames []Frame) {
	for _, f := range frames {
		f.Release()
	}
}

func (sf *StreamableFront) accept(w http.ResponseWriter, r *http.Request, s *Session, frames []Frame) {
	if err := s.accept(r, frames); err != nil {
		refuseBegin(w, nil, err)
		return
	}
	w.WriteHeader(http.StatusAccepted)
}

// batch takes an array of messages, which only MCP 2025-03-26 has. Its answers
// share one event stream. A batch with one member that is no message is
// refused whole.
func (sf *StreamableFront) batch(w http.ResponseWriter, r *http.Request, s *Session, f Frame) {
	defer f.Release()
	if s == nil || s.Protocol() != revision20250326 {
		refuseText(w, http.StatusBadRequest, CodeInvalidRequest, nil, "Invalid request: batches belong to MCP "+revision20250326+" and never hold initialize")
		return
	}
	members, errs := f.Split()
	if len(members) == 0 {
		refuseText(w, http.StatusBadRequest, CodeInvalidRequest, nil, "Invalid request: the batch is empty")
		return
	}
	var requests []Frame
	for i, m := range members {
		if errs[i] != nil {
			refuseErr(w, nil, errs[i])
			return
		}
		if m.Kind != Request {
			continue
		}
		if m.Method == "initialize" {
			refuseText(w, http.StatusBadRequest, CodeInvalidRequest, m.ID, "Invalid request: initialize inside a batch")
			return
		}
		requests = append(requests, m)
	}
	// The members share the bytes of the batch, each as an owner of its own.
	own := func() []Frame {
		for i := range members {
			members[i].buf = f.buf
			members[i].Retain()
		}
		return members
	}
	if len(requests) == 0 {
		sf.accept(w, r, s, own())
		return
	}
	if sf.front.draining.Load() {
		refuseErr(w, nil, errShuttingDown)
		return
	}
	st, rd, err := s.begin(requests)
	if err != nil {
		refuseBegin(w, nil, err)
		return
	}
	if err := s.acceptBatch(r, own()); err != nil {
		s.detach(st, rd, nil)
		refuseBegin(w, nil, err)
		return
	}
	sf.carry(w, r, carry{s: s, st: st, rd: rd})
}

// acceptBatch is accept for messages of which some are registered requests:
// those that are not taken are taken back.
func (s *Session) acceptBatch(r *http.Request, frames []Frame) error {
	for i, f := range frames {
		if err := s.accept(r, []Frame{f}); err != nil {
			var rest []Frame
			for _, left := range frames[i:] {
				if left.Kind == Request {
					rest = append(rest, Frame{ID: bytes.Clone(left.ID)})
				}
			}
			releaseAll(frames[i+1:])
			s.withdraw(rest)
			return err
		}
	}
	return nil
}
