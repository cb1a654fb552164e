package bridge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

const (
	// expiryMargin is how long before its expiry a token is no longer used: a
	// request must not be overtaken by the clock on its way.
	expiryMargin = 60 * time.Second
	// maxStepUps is how often one request may ask for more permissions.
	maxStepUps = 2
	// No more than maxRefreshes rejected tokens are replaced within
	// refreshWindow: a remote that rejects everything is not to become a storm
	// at the authority, which answers that with a block.
	maxRefreshes  = 20
	refreshWindow = 30 * time.Second
)

// authTransport puts the access token on every request, to one origin only. A
// request that the remote answers with 401 is repeated once with a new token,
// and once more for the claims that a challenge asks for; one that it answers
// with 403 for want of a scope is repeated with more scopes.
type authTransport struct {
	base   http.RoundTripper
	tokens TokenSource
	origin string

	mu      sync.Mutex
	token   Token
	expires time.Time
	brake   brake
	failed  failedCure
}

// failedCure is an attempt to replace a token that came to nothing. Requests
// that were rejected together share it, until somebody signs in.
type failedCure struct {
	token     Token
	challenge string
	stamp     string // of the token source, where it has one
	err       error
	at        time.Time
}

// cureMemory is how long a failed attempt stands for the next one.
const cureMemory = time.Second

// signInError is a failure to get a token: the request was not sent, or the
// remote rejected it.
type signInError struct{ err error }

func (e *signInError) Error() string { return e.err.Error() }
func (e *signInError) Unwrap() error { return e.err }

// isSignIn reports failures that no repetition cures.
func isSignIn(err error) bool { return errors.As(err, new(*signInError)) }

// asksForPerson reports failures after which a person has to act.
func asksForPerson(err error) bool { return errors.Is(err, ErrSignInNeeded) }

func origin(u *url.URL) string { return u.Scheme + "://" + u.Host }

// cures counts what has been tried for one request.
type cures struct {
	refreshed, claims bool
	stepUps           int
}

// RoundTrip implements http.RoundTripper.
func (t *authTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	if got := origin(req.URL); got != t.origin {
		closeRequestBody(req)
		return nil, fmt.Errorf("refusing to send credentials for %s to %s", t.origin, got)
	}
	token, err := t.current(req.Context())
	if err != nil {
		closeRequestBody(req)
		return nil, &signInError{err}
	}
	body := req.Body
	var tried cures
	for {
		resp, err := t.send(req, body, token)
		if err != nil {
			return nil, err
		}
		fresh, err := t.cure(req.Context(), token, resp, &tried)
		if err != nil {
			_ = resp.Body.Close()
			return nil, &signInError{err}
		}
		if fresh == token || req.Body != nil && req.GetBody == nil {
			return resp, nil
		}
		_ = resp.Body.Close()
		if req.GetBody != nil {
			if body, err = req.GetBody(); err != nil {
				return nil, err
			}
		}
		token = fresh
	}
}

// cure returns another token where that may change the answer, and the same one
// where it can't.
func (t *authTransport) cure(ctx context.Context, token Token, resp *http.Response, tried *cures) (Token, error) {
	challenge := resp.Header.Values("WWW-Authenticate")
	switch resp.StatusCode {
	case http.StatusUnauthorized:
		claims := challenges(challenge, "insufficient_claims")
		if tried.claims || tried.refreshed && !claims {
			return token, nil
		}
		tried.refreshed, tried.claims = true, claims
		return t.replace(ctx, token, challenge, t.tokens.Refresh)
	case http.StatusForbidden:
		elevator, ok := t.tokens.(Elevator)
		if !ok || token == "" || tried.stepUps >= maxStepUps || !challenges(challenge, "insufficient_scope") {
			return token, nil
		}
		tried.stepUps++
		return t.replace(ctx, token, challenge, elevator.Elevate)
	}
	return token, nil
}

// challenges reports whether a Bearer challenge names the error. A false
// positive costs one refresh.
func challenges(fields []string, name string) bool {
	for _, f := range fields {
		f = strings.ToLower(f)
		if strings.Contains(f, `error="`+name+`"`) || strings.Contains(f, "error="+name) {
			return true
		}
	}
	return false
}

func closeRequestBody(req *http.Request) {
	if req.Body != nil {
		_ = req.Body.Close()
	}
}

func (t *authTransport) send(req *http.Request, body io.ReadCloser, token Token) (*http.Response, error) {
	out := req.Clone(req.Context()) // a RoundTripper must not change its request
	out.Body = body
	if token != "" {
		out.Header.Set("Authorization", "Bearer "+string(token))
	}
	return t.base.RoundTrip(out)
}

// current returns the token in hand while it is good, else asks for one. The
// lock makes concurrent requests share one question.
func (t *authTransport) current(ctx context.Context) (Token, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.token != "" && time.Until(t.expires) > expiryMargin {
		return t.token, nil
	}
	token, expires, err := t.tokens.Token(ctx)
	if err != nil {
		return "", err
	}
	t.token, t.expires = token, expires
	return token, nil
}

// replace gets another token than the rejected one, unless a concurrent request
// already has.
func (t *authTransport) replace(ctx context.Context, rejected Token, challenge []string, by func(context.Context, Token, []string) (Token, time.Time, error)) (Token, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.token != rejected && t.token != "" {
		return t.token, nil
	}
	attempt := failedCure{token: rejected, challenge: strings.Join(challenge, "\n")}
	if s, ok := t.tokens.(SignIner); ok {
		attempt.stamp = s.Stamp()
	}
	if t.failed.stands(attempt) {
		return "", t.failed.err
	}
	if wait, ok := t.brake.allow(maxRefreshes, refreshWindow); !ok {
		return "", fmt.Errorf("the MCP server at %s has rejected %d tokens within %d seconds, so mcpctl asks for no more for %d seconds. If that goes on, the server's settings are at fault: ask its operator",
			t.origin, maxRefreshes, int(refreshWindow.Seconds()), int(math.Ceil(wait.Seconds())))
	}
	token, expires, err := by(ctx, rejected, challenge)
	if err != nil {
		t.token = ""
		if ctx.Err() == nil { // whoever gave up speaks for nobody else
			attempt.err, attempt.at = err, time.Now()
			t.failed = attempt
		}
		return "", err
	}
	t.failed = failedCure{}
	t.token, t.expires = token, expires
	return token, nil
}

// stands reports that the attempt would fail in the same way again.
func (f failedCure) stands(attempt failedCure) bool {
	return f.err != nil && f.token == attempt.token && f.challenge == attempt.challenge && f.stamp == attempt.stamp && time.Since(f.at) < cureMemory
}

// brake bounds how often something happens within a window of time. It is
// guarded by its owner's lock.
type brake struct{ recent []time.Time }

// allow counts one more time, or says how long to wait.
func (b *brake) allow(limit int, window time.Duration) (wait time.Duration, ok bool) {
	now := time.Now()
	for len(b.recent) > 0 && now.Sub(b.recent[0]) >= window {
		b.recent = b.recent[1:]
	}
	if len(b.recent) >= limit {
		return window - now.Sub(b.recent[0]), false
	}
	b.recent = append(b.recent, now)
	return 0, true
}
