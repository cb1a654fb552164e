package bridge

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

// Token is an access token. It prints as [redacted] wherever it is formatted
// or logged.
type Token string

const redacted = "[redacted]"

// String implements fmt.Stringer.
func (Token) String() string { return redacted }

// GoString implements fmt.GoStringer.
func (Token) GoString() string { return redacted }

// LogValue implements slog.LogValuer.
func (Token) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText keeps the token out of encoded values.
func (Token) MarshalText() ([]byte, error) { return []byte(redacted), nil }

var (
	// ErrSignInNeeded is matched by errors of a [TokenSource] that only a
	// person can resolve, by signing in.
	ErrSignInNeeded = errors.New("a sign-in is needed")
	// ErrConsentNeeded is matched by errors of an [Elevator] that a person can
	// resolve by signing in for more. The present sign-in stays as good as it
	// was.
	ErrConsentNeeded = errors.New("a sign-in for more permissions is needed")
)

// TokenSource brings access tokens for the remote. Methods may be called
// concurrently. Error texts are shown to the person: they say what happened and
// what to do, and hold no secret.
type TokenSource interface {
	// Token returns a token that is valid now and when it expires. It never
	// asks the person anything. An empty token means that none is known to be
	// needed: the remote is asked without. A token that Refresh could not
	// replace is not returned again.
	Token(ctx context.Context) (Token, time.Time, error)
	// Refresh returns a token other than the rejected one, after the remote
	// answered 401 with the given WWW-Authenticate fields (RFC 9110 §11.6.1).
	Refresh(ctx context.Context, rejected Token, challenge []string) (Token, time.Time, error)
	// Refused explains an answer of 401 or 403 that a new token did not cure.
	Refused(status int, challenge []string) error
}

// An Elevator is a TokenSource that can ask for more permissions.
type Elevator interface {
	// Elevate returns a token with what the remote found missing in used, after
	// it answered 403 with error="insufficient_scope" (RFC 6750 §3.1; MCP
	// basic/authorization, Scope Challenge Handling). It asks nobody: where that
	// is not enough the error matches [ErrConsentNeeded].
	Elevate(ctx context.Context, used Token, challenge []string) (Token, time.Time, error)
}

// A SignIner is a TokenSource that can have a person sign in while the bridge
// runs.
type SignIner interface {
	// SignIn has a person sign in, together with every other process that does
	// so for the same sign-in, and returns when that is done, has failed, or ctx
	// ends. It calls show for each page and code to be shown, from one goroutine
	// at a time: again when they change. It opens no window before consent is
	// closed.
	SignIn(ctx context.Context, consent <-chan struct{}, show func(Prompt)) error
	// Unable says why SignIn is out of the question and what to do instead; nil
	// where it is not.
	Unable() error
	// Stamp changes when Token may answer otherwise than before. It is cheap and
	// takes no lock.
	Stamp() string
}

// A Prompt is what a person needs to sign in.
type Prompt struct {
	URL       string    // the page; "" where a browser has opened on this machine
	Code      string    // to enter there; "" where a browser has opened on this machine
	ExpiresOn time.Time // when this stops working
	Note      string    // why it is as it is, in one sentence; mostly ""
}
