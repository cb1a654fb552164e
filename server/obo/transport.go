package obo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"

	"github.com/mcpctl/mcpctl/server/auth"
)

// Transport is an [http.RoundTripper] to one upstream. It adds the credential
// that its [Source] has for the request's caller, whom the request's context
// names ([auth.FromContext]).
//
// It sends nothing to another origin than the upstream's, and nothing in which
// the caller's own token stands. What it gets from the source goes into no log.
type Transport struct {
	base   http.RoundTripper
	origin string
	source Source
	log    *slog.Logger
}

// NewTransport returns a transport over base to the origin of address. A nil
// source adds no credential; the rules stay.
func NewTransport(base http.RoundTripper, address string, source Source, logger *slog.Logger) (*Transport, error) {
	u, err := url.Parse(address)
	if base == nil || err != nil || u.Host == "" {
		return nil, errors.New("a transport to an upstream needs a base and the upstream's address")
	}
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	return &Transport{base: base, origin: originOf(u), source: source, log: logger}, nil
}

// originOf is scheme, host and port (RFC 6454 section 4).
func originOf(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"https": "443", "http": "80"}[u.Scheme]
	}
	return u.Scheme + "://" + strings.ToLower(u.Hostname()) + ":" + port
}

// errCrossOrigin: a request that would carry the credential elsewhere.
var errCrossOrigin = errors.New("the request would leave the upstream's origin")

// errCallersToken: a request that would carry the caller's token.
var errCallersToken = errors.New("the request would carry the caller's own token to the upstream")

// RoundTrip implements [http.RoundTripper]. Where there is no credential the
// error is an [*Error]; it is noted for the request as well ([auth.Refuse]), for
// those between here and the caller who don't hand on errors.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if originOf(req.URL) != t.origin {
		return nil, closing(req, fmt.Errorf("%w: %s", errCrossOrigin, t.origin))
	}
	ctx := req.Context()
	if t.source == nil {
		return t.send(ctx, req, Credential{})
	}
	c, err := t.source.Credential(ctx)
	if err != nil {
		return nil, closing(req, t.refuse(ctx, err))
	}
	resp, err := t.send(ctx, req, c)
	if err != nil || resp.StatusCode != http.StatusUnauthorized || req.Body != nil && req.Body != http.NoBody && req.GetBody == nil {
		return resp, err
	}
	return t.again(ctx, req, resp, c)
}

// again tries once more with another credential, where there is one: a request
// that was answered with 401 has not been acted upon.
func (t *Transport) again(ctx context.Context, req *http.Request, resp *http.Response, c Credential) (*http.Response, error) {
	next, err := t.source.Renew(ctx, c, challengedClaims(resp.Header))
	if err == nil && next.Equal(c) {
		t.log.Warn("the upstream rejects this server's credential", "upstream", t.origin)
		return resp, nil
	}
	_, _ = io.CopyN(io.Discard, resp.Body, 4<<10)
	_ = resp.Body.Close()
	if err != nil {
		return nil, t.refuse(ctx, err)
	}
	t.log.Debug("the upstream rejected a credential; trying another one", "upstream", t.origin)
	repeated := req.Clone(ctx)
	if req.GetBody != nil {
		if repeated.Body, err = req.GetBody(); err != nil {
			return nil, fmt.Errorf("repeating the request: %w", err)
		}
	}
	return t.send(ctx, repeated, next)
}

func (t *Transport) send(ctx context.Context, req *http.Request, c Credential) (*http.Response, error) {
	out := req.Clone(ctx)
	// What a client of ours set stays; what only a caller could have sent goes.
	out.Header.Del("Cookie")
	out.Header.Del("Proxy-Authorization")
	c.set(out.Header)
	if token, _ := auth.Assertion(ctx); token != "" && carries(out.Header, token) {
		return nil, closing(req, errCallersToken)
	}
	return t.base.RoundTrip(out)
}

func carries(h http.Header, token string) bool {
	for _, values := range h {
		for _, value := range values {
			if len(value) >= len(token) && strings.Contains(value, token) {
				return true
			}
		}
	}
	return false
}

func (t *Transport) refuse(ctx context.Context, err error) error {
	var e *Error
	if !errors.As(err, &e) {
		return err
	}
	if p, ok := auth.FromContext(ctx); ok {
		auth.Refuse(ctx, Refusal(p, e))
	}
	return err
}

// closing closes the body, as a RoundTripper must also where it fails.
func closing(req *http.Request, err error) error {
	if req.Body != nil {
		_ = req.Body.Close()
	}
	return err
}

// maxChallenge bounds a challenge that is looked into.
const maxChallenge = 16 << 10

var claimsPattern = regexp.MustCompile(`(?i)(?:^|[\s,])claims\s*=\s*"([A-Za-z0-9+/_=-]+)"`)

// challengedClaims are the claims of a challenge by continuous access
// evaluation or by an authentication context, in base64; "" if it has none.
func challengedClaims(h http.Header) string {
	for _, challenge := range h.Values("WWW-Authenticate") {
		if len(challenge) > maxChallenge || !strings.Contains(challenge, "insufficient_claims") {
			continue
		}
		if m := claimsPattern.FindStringSubmatch(challenge); m != nil {
			return m[1]
		}
	}
	return ""
}

// Session returns a transport for a connection on which one caller's requests
// go: what the connection sends for itself, to listen or to end, carries that
// caller's credential too. A request of anybody else is an error.
func (t *Transport) Session() http.RoundTripper { return &session{transport: t} }

type session struct {
	transport *Transport

	mu     sync.Mutex
	caller *auth.Principal
	latest context.Context // values of the caller's last request; nil without a source
}

// RoundTrip implements [http.RoundTripper].
func (s *session) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	p, ok := auth.FromContext(ctx)
	s.mu.Lock()
	switch {
	case ok && s.caller != nil && (s.caller.TenantID != p.TenantID || s.caller.ObjectID != p.ObjectID):
		s.mu.Unlock()
		return nil, closing(req, errors.New("the connection to the upstream belongs to another caller"))
	case ok:
		s.caller = p
		if s.transport.source != nil {
			s.latest = auth.Inherit(context.Background(), ctx)
		}
	case s.latest != nil:
		req = req.WithContext(auth.Inherit(ctx, s.latest))
	}
	s.mu.Unlock()
	return s.transport.RoundTrip(req)
}
