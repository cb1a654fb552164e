package bridge

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// attempts bounds how long one message is tried.
type attempts struct {
	patience     time.Duration
	began, until time.Time
	progress     progress
	pause        time.Duration
	doubts       int // failures whose outcome is unknown
}

// maxDoubts is how often a message is repeated that the server may have seen.
const maxDoubts = 3

var errPatience = errors.New("patience is at its end")

func newAttempts(patience time.Duration) *attempts {
	now := time.Now()
	return &attempts{patience: patience, began: now, until: now.Add(patience), pause: 100 * time.Millisecond}
}

// hurry makes patience end sooner: a client that starts before an address where
// nothing listens is to learn that while somebody is still looking. A server that
// is just being restarted is back by then.
func (a *attempts) hurry(patience time.Duration) {
	if until := a.began.Add(patience); until.Before(a.until) {
		a.until = until
	}
}

// refused reports that there is a machine at the address and nothing listens.
func refused(err error) bool {
	const windows = syscall.Errno(10061) // WSAECONNREFUSED; no other system has such a number
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, windows)
}

// judge says whether a message that failed may be sent again, and how long the
// server asked to wait.
func (a *attempts) judge(f wire.Frame, err error, repeatable func(wire.Frame) bool) (bool, time.Duration) {
	var status *wire.StatusError
	switch {
	case isLasting(err):
		return false, 0
	case errors.Is(err, wire.ErrNotSent):
		return true, 0
	case errors.As(err, &status) && !errors.Is(err, wire.ErrNoAnswer):
		return judgeStatus(f, status, repeatable)
	case isSignIn(err), errors.As(err, new(*wire.ContentError)):
		return false, 0
	}
	// The connection broke: the work may have been done. It may have been under
	// way for hours, which is no reason to be impatient.
	a.doubts++
	if a.doubts == 1 {
		a.until = time.Now().Add(a.patience)
	}
	return a.doubts <= maxDoubts && repeatable(f), 0
}

// lastingError is a failure that may say of itself that it won't pass by itself,
// such as a certificate that nobody trusts, and what to do about it.
type lastingError interface {
	error
	Lasting() bool
}

func isLasting(err error) bool {
	var failure lastingError
	return errors.As(err, &failure) && failure.Lasting()
}

func judgeStatus(f wire.Frame, status *wire.StatusError, repeatable func(wire.Frame) bool) (bool, time.Duration) {
	after, asked := retryAfter(status.Header)
	switch status.Status {
	case http.StatusTooManyRequests:
		return true, after
	case http.StatusServiceUnavailable:
		// With Retry-After the server itself turned the message away.
		return asked || repeatable(f), after
	case http.StatusBadGateway, http.StatusGatewayTimeout:
		return repeatable(f), after
	}
	return false, 0
}

func isSignIn(err error) bool {
	var signIn *signInError
	return errors.As(err, &signIn)
}

// retryAfter reads Retry-After (RFC 9110 §10.2.3): seconds or a date.
func retryAfter(h http.Header) (time.Duration, bool) {
	v := h.Get("Retry-After")
	if seconds, err := strconv.ParseUint(v, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second, true
	}
	if at, err := http.ParseTime(v); err == nil {
		return max(time.Until(at), 0), true
	}
	return 0, false
}

// next waits before another attempt; an error means that there is none. The last
// one is made when patience ends.
func (a *attempts) next(ctx context.Context, after time.Duration) error {
	left := time.Until(a.until)
	if left <= 0 || after > left {
		return errPatience
	}
	pause := max(after, a.pause/2+rand.N(a.pause)) //nolint:gosec // jitter, no secret
	a.pause = min(2*a.pause, 3*time.Second)
	a.progress.repeats()
	return pauseFor(ctx, min(pause, left), nil)
}

// sessionLost recognises a server that does not know the session any more: the
// 404 of the specification, and the 400 that many servers send instead. That is
// an answer to the message itself, which was rejected: the same answer to an
// attempt to resume its stream leaves open whether it was worked on.
func sessionLost(err error) bool {
	if errors.Is(err, wire.ErrNoAnswer) {
		return false
	}
	if errors.Is(err, wire.ErrSessionLost) {
		return true
	}
	var status *wire.StatusError
	if !errors.As(err, &status) || status.Status != http.StatusBadRequest {
		return false
	}
	body := bytes.ToLower(status.Body)
	return bytes.Contains(body, []byte("session")) || bytes.Contains(body, []byte("not initialized"))
}

// toolMemory knows from tools/list which tools may be called twice.
type toolMemory struct {
	mu      sync.Mutex
	pending map[string]bool // ids of tools/list requests
	safe    map[string]bool // by tool name
}

func (t *toolMemory) expect(id wire.ID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.pending == nil || len(t.pending) > 100 {
		t.pending = map[string]bool{}
	}
	t.pending[id.Key()] = true
}

func (t *toolMemory) learn(f wire.Frame) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.pending) == 0 || !t.pending[f.ID.Key()] {
		return
	}
	delete(t.pending, f.ID.Key())
	var list struct {
		Tools []struct {
			Name        string
			Annotations struct{ ReadOnlyHint, IdempotentHint bool }
		}
	}
	if f.Failed || json.Unmarshal(wire.Lookup(f.Raw, "result"), &list) != nil {
		return
	}
	if t.safe == nil {
		t.safe = map[string]bool{}
	}
	for _, tool := range list.Tools {
		t.safe[tool.Name] = tool.Annotations.ReadOnlyHint || tool.Annotations.IdempotentHint
	}
}

// repeatable reports messages that may be sent twice: reads, and calls of tools
// that their server declares read-only or idempotent.
func (t *toolMemory) repeatable(f wire.Frame) bool {
	if f.Kind != wire.Request {
		return f.Kind == wire.Notification
	}
	if f.Method != "tools/call" {
		return wire.Repeatable(f.Method) || f.Method == "resources/subscribe" || f.Method == "resources/unsubscribe" || f.Method == "logging/setLevel"
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.safe[wire.LookupString(f.Raw, "params", "name")]
}
