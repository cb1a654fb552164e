package wire

import (
	"fmt"
	"net/http"
)

// Refusal is an answer that says no in terms of HTTP where that is still
// possible: as the status and header fields of the answer to the request's own
// POST. Where something was sent on that already, and over HTTP+SSE, only the
// JSON-RPC error in it arrives.
//
// A *Refusal is an error, so that whoever decides need not know the transport.
type Refusal struct {
	// Status is an HTTP status from 400 on; 0 stands for 200, which is what
	// ordinary JSON-RPC errors have.
	Status int
	// Header is added to the answer: WWW-Authenticate, Retry-After. Fields that
	// describe the body are not taken from it.
	Header http.Header
	// Answer is the JSON-RPC error. Its id is replaced by that of the request.
	// The zero Frame stands for an internal error with the status's text.
	Answer Frame
}

func (r *Refusal) Error() string {
	text := LookupString(r.Answer.Raw, "error", "message")
	switch {
	case r.Status == 0:
		return "refused: " + text
	case text == "":
		return fmt.Sprintf("refused with HTTP %d %s", r.Status, http.StatusText(r.Status))
	default:
		return fmt.Sprintf("refused with HTTP %d: %s", r.Status, text)
	}
}

// answer is the JSON-RPC error for the request with the id.
func (r *Refusal) answer(id ID) Frame {
	if id == nil {
		id = ID("null")
	}
	if r.Answer.Kind != Response || !r.Answer.Failed {
		text := http.StatusText(r.Status)
		if text == "" {
			text = "Refused"
		}
		return NewError(id, CodeInternal, text, nil)
	}
	if string(r.Answer.ID) == string(id) {
		return r.Answer
	}
	return r.Answer.WithID(id)
}

// For returns the JSON-RPC error of the refusal for the request with the id.
func (r *Refusal) For(id ID) Frame { return r.answer(id) }

// status is the HTTP status of the answer, and 200 for nil.
func (r *Refusal) status() int {
	if r == nil || r.Status < http.StatusBadRequest || r.Status > 599 {
		return http.StatusOK
	}
	return r.Status
}

// setHeader adds the refusal's header to an answer; nil adds nothing.
func (r *Refusal) setHeader(h http.Header) {
	if r == nil {
		return
	}
	for name, values := range r.Header {
		switch name = http.CanonicalHeaderKey(name); name {
		case "Content-Type", "Content-Length", "Content-Encoding", "Transfer-Encoding":
		default:
			h[name] = append(h[name], values...)
		}
	}
}
