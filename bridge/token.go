package bridge

import (
	"context"
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

// TokenSource brings access tokens for the remote. Methods may be called
// concurrently. Error texts are shown to the person: they say what happened and
// what to do, and hold no secret.
type TokenSource interface {
	// Token returns a token that is valid now and when it expires. It never
	// asks the person anything.
	Token(ctx context.Context) (Token, time.Time, error)
	// Refresh returns a token other than the rejected one, after the remote
	// answered 401 with the given WWW-Authenticate fields (RFC 9110 §11.6.1).
	Refresh(ctx context.Context, rejected Token, challenge []string) (Token, time.Time, error)
	// Refused explains an answer of 401 or 403 that a new token did not cure.
	Refused(status int, challenge []string) error
}
