package obo

import (
	"context"
	"time"
)

// An Authority gives tokens to this server. Its errors may be a [Failure]. The
// methods may be called concurrently; claims is a claims challenge of the API in
// question, base64 or JSON, "{}" for a new token in place of a rejected one, or
// "".
type Authority interface {
	// OnBehalfOf exchanges the token that a person of tenant came with for one
	// with scopes of another API.
	OnBehalfOf(ctx context.Context, tenant, assertion string, scopes []string, claims string) (token string, expires time.Time, err error)
	// ForClient returns a token of the server's own application for the API of
	// scope, an App ID URI and "/.default".
	ForClient(ctx context.Context, tenant, scope, claims string) (token string, expires time.Time, err error)
}

// An Identity is a managed identity. Its errors may be a [Failure].
type Identity interface {
	// Token returns a token for the API with the App ID URI resource.
	Token(ctx context.Context, resource, claims string) (token string, expires time.Time, err error)
}

// A Failure is an authority's error that says more than its text. The text
// holds nothing secret.
type Failure interface {
	error
	AADSTS() int               // Entra's number, such as 65001, or 0
	OAuth() string             // OAuth's error code, or ""
	Claims() string            // what a new sign-in has to ask for, in JSON, or ""
	Description() string       // one line, or ""
	CorrelationID() string     // as in Entra's sign-in log, or ""
	RetryAfter() time.Duration // 0 if the authority doesn't say
	Temporary() bool           // the same request may succeed later
}
