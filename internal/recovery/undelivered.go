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
	answers map[string]wire.Frame // by id key
}

// maxHeld bounds them; beyond it the client gets the error.
const maxHeld = 10_000

// hold takes f if it is such an error.
func (h *heldAnswers) hold(f wire.Frame) bool {
	if !f.Failed || !wire.Undelivered(f) {
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.answers) >= maxHeld {
		return false
	}
	if h.answers == nil {
		h.answers = map[string]wire.Frame{}
	}
	h.answers[f.ID.Key()] = f.Clone()
	return true
}

// take returns what was held of the request's answer, nil for nothing.
func (h *heldAnswers) take(id wire.ID) *wire.Frame {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.answers) == 0 || id == nil {
		return nil
	}
	key := id.Key()
	f, ok := h.answers[key]
	if !ok {
		return nil
	}
	delete(h.answers, key)
	return &f
}
