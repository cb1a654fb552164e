package recovery

import (
	"fmt"
	"sync"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// errUndelivered: the server answered that the session was over before the
// message came to anybody. On transports that take messages before they are
// looked at, HTTP+SSE among them, there is no other way to say it.
var errUndelivered = fmt.Errorf("%w, and the message was not delivered", wire.ErrSessionLost)

// heldAnswers are errors that say of themselves that their requests were not
// delivered ([wire.Undelivered]): they are kept from the client until it is
// known whether asking again helps.
type heldAnswers struct {
	mu      sync.Mutex
	answers map[string]*wire.Frame // by id key of the requests under way; nil: nothing yet
}

// expect says that a request is under way. Errors to any other are not held:
// nobody would take them.
func (h *heldAnswers) expect(id wire.ID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.answers == nil {
		h.answers = map[string]*wire.Frame{}
	}
	h.answers[id.Key()] = nil
}

// hold takes f if it is such an error.
func (h *heldAnswers) hold(f wire.Frame) bool {
	if !f.Failed || !wire.Undelivered(f) {
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	key := f.ID.Key()
	if _, ok := h.answers[key]; !ok {
		return false
	}
	c := f.Clone()
	h.answers[key] = &c
	return true
}

// take ends what expect has begun and returns what was held of the request's
// answer, nil for nothing.
func (h *heldAnswers) take(id wire.ID) *wire.Frame {
	h.mu.Lock()
	defer h.mu.Unlock()
	key := id.Key()
	f := h.answers[key]
	delete(h.answers, key)
	return f
}
