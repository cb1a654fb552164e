package obo

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/mcpctl/mcpctl/internal/memo"
)

// Application is a [Source] of tokens of this server's own: every caller's
// requests carry the same, so the upstream must not take it for the caller.
type Application struct {
	acquire func(ctx context.Context, claims string) (token string, expires time.Time, err error)
	now     func() time.Time
	log     *slog.Logger
	token   *memo.Memo[struct{}, Credential]
}

// ApplicationOptions configure [NewClientCredentials] and [NewManagedIdentity].
type ApplicationOptions struct {
	Authority Authority // for client credentials
	Tenant    string    // in which to ask; empty is the authority's
	Identity  Identity  // for a managed identity
	// Scope is the API's App ID URI and "/.default".
	Scope  string
	Now    func() time.Time // nil is [time.Now]
	Logger *slog.Logger     // nil discards
}

// NewClientCredentials returns a source of tokens that the server's application
// gets with its own credential (RFC 6749 section 4.4). Close it in the end.
func NewClientCredentials(o ApplicationOptions) (*Application, error) {
	if o.Authority == nil {
		return nil, errors.New("client credentials need a credential of this server (entra.credential)")
	}
	return newApplication(o, func(ctx context.Context, claims string) (string, time.Time, error) {
		return o.Authority.ForClient(ctx, o.Tenant, o.Scope, claims)
	})
}

// NewManagedIdentity returns a source of tokens of the managed identity of the
// machine. Close it in the end.
func NewManagedIdentity(o ApplicationOptions) (*Application, error) {
	if o.Identity == nil {
		return nil, errors.New("there is no managed identity to get tokens of")
	}
	return newApplication(o, func(ctx context.Context, claims string) (string, time.Time, error) {
		if claims == "{}" {
			claims = "" // the endpoint knows no such request
		}
		return o.Identity.Token(ctx, o.Scope, claims)
	})
}

func newApplication(o ApplicationOptions, acquire func(context.Context, string) (string, time.Time, error)) (*Application, error) {
	if uri, ok := strings.CutSuffix(o.Scope, "/.default"); !ok || uri == "" {
		return nil, errors.New("an application's own token is for all that it was granted: the scope must be an App ID URI and /.default")
	}
	a := &Application{acquire: acquire, now: o.Now, log: o.Logger}
	if a.now == nil {
		a.now = time.Now
	}
	if a.log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	a.token = memo.New[struct{}, Credential](memo.Options{Max: 1, Timeout: acquireTimeout, Now: a.now})
	return a, nil
}

// Close ends requests to the authority that are under way.
func (a *Application) Close() { a.token.Close() }

// Token returns the token itself, for those who send it on their own.
func (a *Application) Token(ctx context.Context) (string, error) {
	c, err := a.Credential(ctx)
	if err != nil {
		return "", err
	}
	return strings.TrimPrefix(c.fields[0].value(), "Bearer "), nil
}

// Credential implements [Source].
func (a *Application) Credential(ctx context.Context) (Credential, error) { return a.get(ctx, "") }

// Renew implements [Source].
func (a *Application) Renew(ctx context.Context, rejected Credential, claims string) (Credential, error) {
	a.token.Forget(struct{}{}, rejected.Equal)
	if claims == "" {
		claims = "{}"
	}
	return a.get(ctx, claims)
}

func (a *Application) get(ctx context.Context, claims string) (Credential, error) {
	c, err := a.token.Get(ctx, struct{}{}, func(ctx context.Context) (Credential, time.Time, error) {
		token, expires, err := a.acquire(ctx, claims)
		if err != nil {
			a.log.Warn("no token for the upstream", "error", err)
			return Credential{}, a.now().Add(failureKept(err)), err
		}
		return bearer(token), goodUntil(a.now(), expires), nil
	})
	if err == nil {
		return c, nil
	}
	err = terms{what: "a token of its own for the upstream's API"}.explain(ctx, err)
	var e *Error
	if errors.As(err, &e) && e.Reason != ReasonUnavailable {
		// Nothing that a caller could sign in for.
		return Credential{}, &Error{Reason: ReasonCredential, Text: "This server could not get a token of its own for the upstream's API.", Fix: operator, err: e.err}
	}
	return Credential{}, err
}

// failureKept is how long a failure stands.
func failureKept(err error) time.Duration {
	var f Failure
	switch {
	case errors.As(err, &f) && f.Temporary():
		return min(max(f.RetryAfter(), minFailure), maxFailure)
	case errors.As(err, &f):
		return 5 * minFailure // a person has to do something first
	}
	return minFailure
}
