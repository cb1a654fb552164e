package entra

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/mcpctl/mcpctl/internal/redact"
)

const (
	// attemptTimeout bounds one request with its answer's body.
	attemptTimeout = 15 * time.Second
	// maxBody bounds the body of an answer. Discovery documents and token
	// responses stay far below it.
	maxBody = 1 << 20
)

// A Doer sends HTTP requests. *[http.Client] is one, and so is *[HTTPClient].
type Doer interface {
	Do(*http.Request) (*http.Response, error)
}

// An HTTPClient sends requests only where it may and brings back whole,
// bounded answers. Its rules:
//
//   - https only (plain http to loopback where the policy says so), to the
//     allowed hosts only; redirects are returned, not followed;
//   - 15 s for each attempt, three attempts: GET after 429, 5xx and transport
//     failures; POST after 429 and 503, or when no connection was made, so
//     that nothing is sent twice that could have been acted upon;
//   - Retry-After is obeyed up to 10 s, and never beyond the context's end.
//
// Safe for concurrent use.
type HTTPClient struct {
	client *http.Client
	allow  func(*url.URL) error
}

// NewHTTPClient returns the client for requests to authority. In development
// it trusts only the authority's own CA, uses no proxy and connects to
// loopback only. A transport replaces the connection but not the rules; nil
// means the normal one.
func NewHTTPClient(authority Authority, transport http.RoundTripper) *HTTPClient {
	if transport == nil {
		t := newTransport()
		if authority.IsDev() {
			restrictToLoopback(t, authority)
		}
		transport = t
	}
	return newHTTPClient(transport, func(u *url.URL) error { return allowAuthority(authority, u) })
}

// newTransport is http.DefaultTransport with its usual settings, and without
// its being a variable that anyone can change.
func newTransport() *http.Transport {
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           dialer.DialContext,
		ForceAttemptHTTP2:     true,
		MaxIdleConns:          4,
		IdleConnTimeout:       90 * time.Second,
		TLSHandshakeTimeout:   10 * time.Second,
		ExpectContinueTimeout: time.Second,
		TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12},
	}
}

func newHTTPClient(transport http.RoundTripper, allow func(*url.URL) error) *HTTPClient {
	return &HTTPClient{
		allow: allow,
		client: &http.Client{
			Transport: transport,
			Timeout:   attemptTimeout,
			// A 307 from a token endpoint would carry the refresh token along.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// restrictToLoopback makes t trust only the development CA and connect only to
// loopback addresses, whatever name a document or a proxy setting brings up.
func restrictToLoopback(t *http.Transport, authority Authority) {
	t.Proxy = nil
	t.TLSClientConfig = &tls.Config{RootCAs: authority.devCA, MinVersion: tls.VersionTLS12}
	t.DialContext = dialLoopback
}

func dialLoopback(ctx context.Context, network, addr string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil || !isLoopbackLiteral(host) {
		return nil, &untrustedError{host: addr, why: "development mode connects to loopback addresses only"}
	}
	d := net.Dialer{Timeout: 5 * time.Second}
	return d.DialContext(ctx, network, addr)
}

// An untrustedError reports a request that was refused before it was sent.
type untrustedError struct{ host, why string }

func (e *untrustedError) Error() string { return "refusing to contact " + clip(e.host) + ": " + e.why }

func allowAuthority(authority Authority, u *url.URL) error {
	if u.Scheme == "https" && strings.EqualFold(u.Host, authority.host) && u.User == nil {
		return nil
	}
	why := "sign-in requests go to " + authority.host + " only"
	if cloud, ok := CloudOfHost(u.Host); ok && cloud.Name != authority.cloud {
		why = "the tenant belongs to the " + cloud.Name + " cloud, whose authority is " + cloud.Authority(authority.tenant)
	}
	return &untrustedError{host: u.Scheme + "://" + u.Host, why: why}
}

// CloseIdleConnections closes idle connections; MSAL's interface asks for it.
func (c *HTTPClient) CloseIdleConnections() { c.client.CloseIdleConnections() }

// Do sends req by the rules above. The answer's body is already read: closing
// it is allowed but not needed.
func (c *HTTPClient) Do(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	ex := exchangeFrom(ctx)
	if err := c.allow(req.URL); err != nil {
		ex.record(nil, nil, err)
		return nil, err
	}
	if err := ex.pace(ctx); err != nil {
		ex.record(nil, nil, err)
		return nil, err
	}
	for attempt := 1; ; attempt++ {
		resp, body, err := c.once(req, attempt)
		wait, again := backoff(req.Method, resp, err, attempt)
		if again && canWait(ctx, wait) && (req.Body == nil || req.GetBody != nil) {
			if err := sleep(ctx, wait); err == nil {
				continue
			}
		}
		ex.record(resp, body, err)
		return resp, err
	}
}

// once sends req a single time and reads the whole answer.
func (c *HTTPClient) once(req *http.Request, attempt int) (*http.Response, []byte, error) {
	if attempt > 1 && req.GetBody != nil {
		body, err := req.GetBody()
		if err != nil {
			return nil, nil, fmt.Errorf("repeating the request: %w", err)
		}
		req = req.Clone(req.Context())
		req.Body = body
	}
	resp, err := c.client.Do(req)
	if failed := (*url.Error)(nil); errors.As(err, &failed) {
		failed.URL = redact.URL(failed.URL) // it is about to be shown
	}
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	if mediaType(resp.Header) == "text/event-stream" {
		// Discovery wants the status; the stream itself has no end to read to.
		resp.Body = http.NoBody
		return resp, nil, nil
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if err != nil {
		return nil, nil, fmt.Errorf("reading the answer of %s: %w", req.URL.Host, err)
	}
	if len(body) > maxBody {
		return nil, nil, fmt.Errorf("the answer of %s is longer than %d bytes", req.URL.Host, maxBody)
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, body, nil
}

// mediaType returns the Content-Type without parameters, in lower case.
func mediaType(h http.Header) string {
	t, _, _ := strings.Cut(h.Get("Content-Type"), ";")
	return strings.ToLower(strings.TrimSpace(t))
}

// NewResourceClient returns the client with which [Discover] asks the MCP
// server at resource: requests stay on its origin, and plain http is for
// loopback only. devCA, the path of a PEM file, becomes the only trusted root
// when resource is on loopback and devCA is not empty. Otherwise transport
// replaces the connection; nil means the normal one.
func NewResourceClient(resource, devCA string, transport http.RoundTripper) (*HTTPClient, error) {
	u, err := parseResource(resource)
	if err != nil {
		return nil, err
	}
	if transport != nil && (devCA == "" || !isLoopbackHost(u.Hostname())) {
		return newResourceClient(u, transport), nil
	}
	t := newTransport()
	if isLoopbackHost(u.Hostname()) {
		t.Proxy = nil
		if devCA != "" {
			pool, err := loadPool(devCA)
			if err != nil {
				return nil, err
			}
			t.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
		}
	}
	return newResourceClient(u, t), nil
}

func newResourceClient(resource *url.URL, transport http.RoundTripper) *HTTPClient {
	return newHTTPClient(transport, func(u *url.URL) error {
		if sameOrigin(u, resource) {
			return nil
		}
		return &untrustedError{host: u.Scheme + "://" + u.Host, why: "the MCP server is on " + resource.Scheme + "://" + resource.Host}
	})
}
