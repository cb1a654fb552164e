package obo

import (
	"context"
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"time"
)

// A Source gives credentials for requests to one upstream. Errors are [*Error]
// or the context's. Methods may be called concurrently.
type Source interface {
	// Credential returns what the request of ctx is to carry.
	Credential(ctx context.Context) (Credential, error)
	// Renew returns another credential after the upstream has rejected one with
	// 401, or the same where there is no other. claims is the upstream's claims
	// challenge, in base64, or "".
	Renew(ctx context.Context, rejected Credential, claims string) (Credential, error)
}

// A Credential is header fields that nothing prints.
type Credential struct{ fields []field }

// field has its value in a function because printers that go by reflection
// pass over the methods of unexported fields.
type field struct {
	name  string
	value func() string
}

func newField(name, value string) field { return field{name, func() string { return value }} }

// bearer is the credential of RFC 6750 section 2.1.
func bearer(token string) Credential {
	return Credential{[]field{newField("Authorization", "Bearer "+token)}}
}

func (c Credential) set(h http.Header) {
	for _, f := range c.fields {
		h.Set(f.name, f.value())
	}
}

// Equal reports whether two credentials are the same.
func (c Credential) Equal(o Credential) bool {
	return slices.EqualFunc(c.fields, o.fields, func(a, b field) bool {
		return a.name == b.name && subtle.ConstantTimeCompare([]byte(a.value()), []byte(b.value())) == 1
	})
}

const redacted = "[redacted]"

// String implements [fmt.Stringer].
func (Credential) String() string { return redacted }

// Format implements [fmt.Formatter], so that no verb reaches the values.
func (Credential) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// MarshalText implements [encoding.TextMarshaler].
func (Credential) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue implements [slog.LogValuer].
func (Credential) LogValue() slog.Value { return slog.StringValue(redacted) }

const (
	// acquireTimeout bounds one request to the authority, retries included.
	acquireTimeout = 20 * time.Second
	// margin is how long before its end a token is no longer used: upstreams'
	// clocks differ, and calls take time.
	margin = 5 * time.Minute
	// A failure stands for a while, since asking again and again makes Entra
	// refuse everything (AADSTS50196).
	minFailure = 2 * time.Second
	maxFailure = time.Minute
	// maxTokens bounds how many tokens are kept for one upstream.
	maxTokens = 10_000
)

// goodUntil is when a token is no longer used.
func goodUntil(now, expires time.Time) time.Time {
	return expires.Add(-min(margin, expires.Sub(now)/2))
}
