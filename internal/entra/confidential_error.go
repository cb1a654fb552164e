package entra

import (
	"strconv"
	"strings"
	"time"
)

// A ConfidentialError is a failed request of an application for a token. Its
// methods say what an application can act on; it holds nothing secret and
// unwraps to the [*Error].
type ConfidentialError struct{ err *Error }

// Error says what happened and why, in one line.
func (e *ConfidentialError) Error() string { return e.err.Error() }

// Unwrap returns the [*Error].
func (e *ConfidentialError) Unwrap() error { return e.err }

// AADSTS is Entra's number for what happened, such as 65001; 0 if it gave none.
func (e *ConfidentialError) AADSTS() int {
	n, err := strconv.Atoi(strings.TrimPrefix(e.err.Code, "AADSTS"))
	if err != nil {
		return 0
	}
	return n
}

// OAuth is OAuth's error code, such as invalid_grant; empty if there was no answer.
func (e *ConfidentialError) OAuth() string { return e.err.OAuth }

// Claims is the claims request, in JSON, that a person has to sign in with
// before the same exchange can succeed; empty if that isn't what is missing.
func (e *ConfidentialError) Claims() string { return e.err.Claims }

// Description is Entra's text, without trace data; it may be empty.
func (e *ConfidentialError) Description() string { return e.err.Description }

// CorrelationID is what Entra's sign-in log knows the request by.
func (e *ConfidentialError) CorrelationID() string { return e.err.CorrelationID }

// RetryAfter is how long the authority asks to wait; 0 if it doesn't say.
func (e *ConfidentialError) RetryAfter() time.Duration { return e.err.RetryAfter }

// Temporary reports whether the same request may succeed later unchanged.
func (e *ConfidentialError) Temporary() bool { return e.err.Transient() }
