package wire

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"
)

// ClientOptions configure the client end of an HTTP transport.
type ClientOptions struct {
	// URL is the endpoint. Required; http or https.
	URL string
	// HTTP sends the requests and decides about credentials, cookies, proxies
	// and redirects. It must have no Timeout: calls may be silent for hours.
	// Default: a client over [NewTransport] that follows no redirect.
	HTTP *http.Client
	// Header is added to every request.
	Header http.Header
	// Annotate may add headers that depend on the message.
	Annotate func(f Frame, h http.Header)
	// Deliver takes what comes from the server. Required.
	Deliver Deliver
	// MaxMessage is the size cap of one message, in bytes.
	MaxMessage int
	// RetryWait bounds the first and the longest pause between attempts to
	// resume a stream. Defaults: 250 ms and 15 s.
	RetryWait, MaxRetryWait time.Duration
	// Attempts is how many attempts in a row may fail before a dropped stream
	// is given up. Default 6.
	Attempts int
	Logger   *slog.Logger
}

func (o ClientOptions) withDefaults() (ClientOptions, error) {
	u, err := url.Parse(o.URL)
	if err != nil {
		return o, fmt.Errorf("reading the server's address: %w", err)
	}
	if (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" {
		return o, fmt.Errorf("the server's address %q is not an http or https URL", u.Scheme+"://"+u.Host)
	}
	if o.Deliver == nil {
		return o, errors.New("wire: ClientOptions.Deliver is missing")
	}
	if o.HTTP == nil {
		o.HTTP = &http.Client{Transport: NewTransport(), CheckRedirect: NoRedirect}
	}
	if o.MaxMessage <= 0 {
		o.MaxMessage = DefaultMaxMessage
	}
	if o.RetryWait <= 0 {
		o.RetryWait = 250 * time.Millisecond
	}
	if o.MaxRetryWait <= 0 {
		o.MaxRetryWait = 15 * time.Second
	}
	if o.Attempts <= 0 {
		o.Attempts = 6
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o, nil
}

// NoRedirect makes a client hand a redirect to the caller instead of following
// it: a redirect could carry credentials to another origin.
func NoRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// maxConcurrent is how many calls keep a connection of their own warm.
const maxConcurrent = 128

// NewTransport returns an HTTP transport for MCP: enough idle connections for
// 128 concurrent calls (the standard library keeps 2 a host), HTTP/2 with
// liveness pings, bounded connecting, and no bound on how long an answer takes.
func NewTransport() *http.Transport {
	dialer := &net.Dialer{
		Timeout: 10 * time.Second,
		// A peer that vanished without a word is noticed in about a minute: by
		// keep-alive where nothing is under way, else by what it leaves
		// unacknowledged, for which the system's own patience is a quarter of an
		// hour.
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 10 * time.Second, Count: 3},
		Control:         func(_, _ string, c syscall.RawConn) error { return setUserTimeout(c, userTimeout) },
	}
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           dialer.DialContext,
		ForceAttemptHTTP2:     true,
		MaxIdleConns:          2 * maxConcurrent,
		MaxIdleConnsPerHost:   maxConcurrent,
		IdleConnTimeout:       90 * time.Second,
		TLSHandshakeTimeout:   10 * time.Second,
		ExpectContinueTimeout: time.Second,
		// Messages are small and servers near: compressing costs more than it
		// saves, and compressed event streams get stuck in buffers.
		DisableCompression: true,
		HTTP2:              &http.HTTP2Config{SendPingTimeout: 20 * time.Second, PingTimeout: 15 * time.Second},
	}
}

// userTimeout is how long a peer may leave what was sent unacknowledged.
const userTimeout = time.Minute

const maxErrorBody = 64 << 10

// bodyPatience is how long an answer that is of no further use may take to
// arrive whole before its connection is given up.
const bodyPatience = 5 * time.Second

// statusError turns an answer that isn't a success into an error and closes it.
// cancel ends the request.
func statusError(resp *http.Response, cancel context.CancelFunc) error {
	defer time.AfterFunc(bodyPatience, cancel).Stop()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
	_ = resp.Body.Close()
	se := &StatusError{Status: resp.StatusCode, Header: resp.Header, Body: body}
	if f, err := Parse(body); err == nil && f.Kind == Response && f.Failed {
		se.Answer = f
	}
	return se
}

// discard closes an answer whose body doesn't matter, and lets the connection
// be used again where little is left to read.
func discard(resp *http.Response, cancel context.CancelFunc) {
	if resp.ContentLength != 0 && contentType(resp.Header) != "text/event-stream" {
		defer time.AfterFunc(bodyPatience, cancel).Stop()
		_, _ = io.CopyN(io.Discard, resp.Body, 4<<10)
	}
	_ = resp.Body.Close()
}

func contentType(h http.Header) string {
	t, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil {
		return ""
	}
	return t
}

// sendError classifies a failed round trip: what never reached the server may
// be repeated. A TLS handshake that never ended has no type of its own in
// net/http.
func sendError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err // its text repeats the URL, which may hold a secret query
	}
	var op *net.OpError
	var certificate *tls.CertificateVerificationError
	if errors.As(err, &op) && connecting[op.Op] || errors.As(err, &certificate) || strings.Contains(err.Error(), "TLS handshake timeout") {
		return fmt.Errorf("%w: %w", ErrNotSent, err)
	}
	return err
}

// connecting are the operations of a net.OpError that come before a request:
// connecting to the server, or to it through an HTTP or a SOCKS proxy.
var connecting = map[string]bool{"dial": true, "proxyconnect": true, "socks connect": true}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
