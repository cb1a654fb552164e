package bridge

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// expiryMargin is how long before its expiry a token is no longer used: a
// request must not be overtaken by the clock on its way.
const expiryMargin = 60 * time.Second

// authTransport puts the access token on every request, to one origin only, and
// repeats a request once with a new token when the remote answers 401.
type authTransport struct {
	base   http.RoundTripper
	tokens TokenSource
	origin string

	mu      sync.Mutex
	token   Token
	expires time.Time
}

// signInError is a failure to get a token: the request was not sent.
type signInError struct{ err error }

func (e *signInError) Error() string { return e.err.Error() }
func (e *signInError) Unwrap() error { return e.err }

func origin(u *url.URL) string { return u.Scheme + "://" + u.Host }

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
	resp, err := t.send(req, req.Body, token)
	if err != nil || resp.StatusCode != http.StatusUnauthorized {
		return resp, err
	}
	fresh, err := t.refresh(req.Context(), token, resp.Header.Values("WWW-Authenticate"))
	if err != nil {
		_ = resp.Body.Close()
		return nil, &signInError{err}
	}
	if fresh == token || req.Body != nil && req.GetBody == nil {
		return resp, nil
	}
	_ = resp.Body.Close()
	body := req.Body
	if req.GetBody != nil {
		if body, err = req.GetBody(); err != nil {
			return nil, err
		}
	}
	return t.send(req, body, fresh)
}

func closeRequestBody(req *http.Request) {
	if req.Body != nil {
		_ = req.Body.Close()
	}
}

func (t *authTransport) send(req *http.Request, body interface {
	Read([]byte) (int, error)
	Close() error
}, token Token) (*http.Response, error) {
	out := req.Clone(req.Context()) // a RoundTripper must not change its request
	out.Body = body
	out.Header.Set("Authorization", "Bearer "+string(token))
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

// refresh replaces the rejected token unless a concurrent request already has.
func (t *authTransport) refresh(ctx context.Context, rejected Token, challenge []string) (Token, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.token != rejected && t.token != "" {
		return t.token, nil
	}
	token, expires, err := t.tokens.Refresh(ctx, rejected, challenge)
	if err != nil {
		t.token = ""
		return "", err
	}
	t.token, t.expires = token, expires
	return token, nil
}
