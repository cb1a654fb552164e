package entra

import (
	"errors"
	"regexp"
	"strings"
	"time"
)

// ErrSignInRequired matches, with [errors.Is], each [Error] that only a person
// can resolve by signing in again.
var ErrSignInRequired = errors.New("sign-in is required")

// A Kind says what an [Error] asks for. It is derived from the HTTP status and
// OAuth's error, suberror and claims; AADSTS numbers only refine it where
// Entra has no other sign.
type Kind int

// The kinds of failure.
const (
	// KindFailed is a refusal that fits no other kind.
	KindFailed Kind = iota
	// KindSignInRequired: no usable token, and no silent way to one.
	KindSignInRequired
	// KindConsentRequired: a person or an administrator must grant the scopes.
	KindConsentRequired
	// KindDeviceCodeBlocked: a policy stands against the device code flow; a
	// browser may get further.
	KindDeviceCodeBlocked
	// KindBlocked: policy forbids this sign-in, however it is done.
	KindBlocked
	// KindDeclined: the person said no.
	KindDeclined
	// KindExpired: nobody finished the sign-in in time.
	KindExpired
	// KindMisconfigured: the app registration or the request is wrong.
	KindMisconfigured
	// KindThrottled: the authority asks to wait; see [Error.RetryAfter].
	KindThrottled
	// KindOutage: the authority is failing or answers nonsense.
	KindOutage
	// KindNetwork: the authority could not be reached.
	KindNetwork
	// KindUntrusted: a request was refused because of where it would have gone.
	KindUntrusted
	// KindBusy: another process held the token store for too long.
	KindBusy
	// KindStore: the token store could not be read or written.
	KindStore
	// KindCanceled: the caller gave up first.
	KindCanceled
)

var kindNames = [...]string{
	"failed", "sign-in required", "consent required", "device code blocked", "blocked", "declined", "expired",
	"misconfigured", "throttled", "outage", "network", "untrusted", "busy", "store", "canceled",
}

// String names the kind for logs.
func (k Kind) String() string {
	if k < 0 || int(k) >= len(kindNames) {
		return "unknown"
	}
	return kindNames[k]
}

// An Error is a failed sign-in or token request. It holds nothing secret: it
// is assembled from selected fields of the authority's answer, and MSAL's own
// errors, which can hold tokens, are neither quoted nor wrapped.
type Error struct {
	Kind          Kind
	Op            string        // what was being done: "refreshing the token"
	Status        int           // HTTP status, 0 where there was no answer
	Code          string        // "AADSTS53003", or ""
	OAuth         string        // OAuth's error: "invalid_grant"
	Suberror      string        // Entra's suberror: "basic_action"
	Claims        string        // the claims that a new sign-in must ask for, as JSON
	Description   string        // one line, without trace data
	CorrelationID string        // what Microsoft support asks for
	RetryAfter    time.Duration // how long the authority asks to wait, 0 if it does not say
	Hint          string        // what to do next
	NoCode        string        // of KindDeviceCodeBlocked: what the organisation does, "does not allow …"

	cause error // safe to show: ours, the standard library's or the context's
}

// Error returns what happened, why and what to do next, in one line.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	b.WriteString(": ")
	switch {
	case e.Description != "":
		b.WriteString(strings.TrimSuffix(e.Description, "."))
	case e.cause != nil:
		b.WriteString(e.cause.Error())
	case e.OAuth != "":
		b.WriteString(e.OAuth)
	default:
		b.WriteString(e.Kind.String())
	}
	if e.Code != "" && !strings.Contains(e.Description, e.Code) {
		b.WriteString(" (" + e.Code + ")")
	}
	if e.Hint != "" {
		b.WriteString(". " + e.Hint)
	}
	return b.String()
}

// Unwrap returns the underlying error where there is one that holds no secret.
func (e *Error) Unwrap() error { return e.cause }

// Is makes the kinds that need a person match [ErrSignInRequired].
func (e *Error) Is(target error) bool {
	if target != ErrSignInRequired {
		return false
	}
	switch e.Kind {
	case KindSignInRequired, KindConsentRequired, KindDeviceCodeBlocked, KindDeclined, KindExpired:
		return true
	}
	return false
}

// Transient reports whether the same request may succeed later unchanged.
func (e *Error) Transient() bool {
	switch e.Kind {
	case KindThrottled, KindOutage, KindNetwork, KindBusy:
		return true
	}
	return false
}

var (
	// jwtPattern matches a JWT even when it is cut off.
	jwtPattern = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{8,}(\.[A-Za-z0-9_-]*)*`)
	// opaquePattern matches what is too long to be a word or an identifier:
	// Entra's refresh tokens and codes.
	opaquePattern = regexp.MustCompile(`[A-Za-z0-9_\-.~+=]{64,}`)
	// traceMarks start the lines that Entra appends to a description.
	traceMarks = []string{"Trace ID:", "Correlation ID:", "Timestamp:"}
)

// maxDescription bounds a description in bytes.
const maxDescription = 400

// redactDescription reduces an authority's text to one bounded line without
// trace data and without anything that looks like a credential.
func redactDescription(s string) string {
	for _, mark := range traceMarks {
		if i := strings.Index(s, mark); i >= 0 {
			s = s[:i]
		}
	}
	s = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(s, "?"), func(r rune) bool { return r <= ' ' || r == 0x7f || (r >= 0x80 && r < 0xa0) }), " ")
	s = jwtPattern.ReplaceAllString(s, redacted)
	s = opaquePattern.ReplaceAllString(s, redacted)
	if len(s) > maxDescription {
		s = strings.ToValidUTF8(s[:maxDescription], "") + "…"
	}
	return s
}
