package recovery

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"strconv"
	"syscall"
	"time"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// attempts bounds how long one message is tried.
type attempts struct {
	patience     time.Duration
	final        func(error) bool
	began, until time.Time
	pause        time.Duration
	doubts       int // failures whose outcome is unknown
	guesses      int // restorations after what only looks like a lost session
}

// maxDoubts is how often a message is repeated that the server may have seen.
const maxDoubts = 3

var errPatience = errors.New("patience is at its end")

func newAttempts(opts Options) *attempts {
	now := time.Now()
	return &attempts{patience: opts.Patience, final: opts.Final, began: now, until: now.Add(opts.Patience), pause: 100 * time.Millisecond}
}

// hurry makes patience end sooner, counted from the message's first attempt.
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
	case isLasting(err), errors.Is(err, wire.ErrForeignEndpoint):
		return false, 0
	case errors.Is(err, wire.ErrNotSent) && !errors.Is(err, wire.ErrNoAnswer):
		return true, 0
	case errors.As(err, &status) && !errors.Is(err, wire.ErrNoAnswer):
		return judgeStatus(f, status, repeatable)
	case a.final(err), errors.As(err, new(*wire.ContentError)):
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
	pause := max(after, a.pause/2+jitter(a.pause))
	a.pause = min(2*a.pause, 3*time.Second)
	return pauseFor(ctx, min(pause, left), nil)
}

// jitter keeps many clients of one server from coming back at the same moment.
func jitter(most time.Duration) time.Duration {
	return rand.N(most) //nolint:gosec // no secret
}

// maxGuesses is how often one message is sent again in a new session after an
// answer that only looks like the loss of the old one.
const maxGuesses = 2

// mayRestore reports whether a new session is worth trying for a message that
// was rejected with err. That which the specification has for it always is; a
// 400 may be about something else, and a new session no help.
func (a *attempts) mayRestore(err error) bool {
	if errors.Is(err, wire.ErrSessionLost) {
		return true
	}
	a.guesses++
	return a.guesses <= maxGuesses
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
