package fakeentra

import (
	"context"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// SampleTenantID is the tenant that [Start] uses if [Options] names none.
const SampleTenantID = "6f1c7f0e-3a52-4b8e-9d0b-5a2f4c1e7d90"

// Limits of what a server keeps. They are far above what a person or a test
// suite needs and keep a runaway client from filling the memory.
const (
	maxBody          = 64 << 10 // bytes of a request body
	maxPending       = 1000     // device codes and, apart from them, authorization codes
	maxRefreshTokens = 10000    // refresh tokens, oldest forgotten first
	maxRequestLog    = 2000     // entries of Requests, oldest forgotten first
)

// Options configures [Start]. The zero value is ready for use.
type Options struct {
	// Addr is the loopback address to listen on; "127.0.0.1:0" if empty. MSAL
	// caches tokens under host and port, so a cache that outlives the server
	// needs a fixed port.
	Addr string
	// Tenant is the tenant's GUID; [SampleTenantID] if empty.
	Tenant string
	// Domain is the tenant's verified domain, accepted in place of the GUID as
	// Entra does; "contoso.example" if empty.
	Domain string
	// OneTimeRefreshTokens makes each refresh token work once. Entra's default,
	// and ours, is that a used refresh token stays valid next to its successor.
	OneTimeRefreshTokens bool
	// Lifetimes of what is issued. Zero fields take the defaults of [Lifetimes].
	Lifetimes Lifetimes
	// SigningKey is the first key that signs; made anew if nil. Making one takes
	// a tenth of a second and more, so tests that start many servers share one.
	SigningKey *rsa.PrivateKey
	// Now is the authority's clock; time.Now if nil.
	Now func() time.Time
	// Logger gets one line for each request, without secrets; nil discards.
	Logger *slog.Logger
}

// Server is a running authority. Its methods may be called concurrently.
type Server struct {
	tenant  string
	domain  string
	oneTime bool
	base    string // https://host:port
	now     func() time.Time
	log     *slog.Logger
	ca      *authorityCA
	client  *http.Client
	http    *http.Server
	stop    context.CancelFunc // ends the context of every request
	running sync.WaitGroup     // the accept loop and every handler

	mu       sync.Mutex // guards everything below
	life     Lifetimes
	skew     time.Duration
	keys     []*signingKey // newest first; keys[0] signs
	dir      directory
	devices  map[string]*deviceGrant // by device code
	codes    map[string]*codeGrant   // by authorization code
	refresh  *refreshStore
	faults   []*activeFault
	requests []Request
	closed   bool
}

// Start listens and serves until [Server.Close]. It fails if the address isn't
// loopback or is taken.
func Start(o Options) (*Server, error) {
	if o.Addr == "" {
		o.Addr = "127.0.0.1:0"
	}
	if o.Tenant == "" {
		o.Tenant = SampleTenantID
	}
	if !isGUID(o.Tenant) {
		return nil, fmt.Errorf("tenant %q is not a GUID", o.Tenant)
	}
	if o.Domain == "" {
		o.Domain = "contoso.example"
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	ln, err := listenLoopback(o.Addr)
	if err != nil {
		return nil, err
	}
	ca, err := newAuthorityCA()
	if err != nil {
		ln.Close()
		return nil, fmt.Errorf("creating the authority's CA: %w", err)
	}
	key, err := newSigningKey(o.SigningKey)
	if err != nil {
		ln.Close()
		return nil, fmt.Errorf("creating the signing key: %w", err)
	}

	ctx, stop := context.WithCancel(context.Background())
	s := &Server{
		tenant:  strings.ToLower(o.Tenant),
		domain:  strings.ToLower(o.Domain),
		oneTime: o.OneTimeRefreshTokens,
		base:    "https://" + ln.Addr().String(),
		now:     o.Now,
		log:     o.Logger,
		ca:      ca,
		stop:    stop,
		life:    o.Lifetimes.withDefaults(),
		keys:    []*signingKey{key},
		dir:     newDirectory(),
		devices: map[string]*deviceGrant{},
		codes:   map[string]*codeGrant{},
		refresh: newRefreshStore(maxRefreshTokens),
	}
	s.client = &http.Client{
		Timeout: 30 * time.Second,
		Transport: &http.Transport{
			TLSClientConfig: &tls.Config{RootCAs: ca.pool(), MinVersion: tls.VersionTLS12},
		},
	}
	// HTTP/1.1 alone: a dropped connection must be one, not a reset stream.
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	s.http = &http.Server{
		Protocols:         &protocols,
		Handler:           s.handler(),
		TLSConfig:         &tls.Config{Certificates: []tls.Certificate{ca.leaf}, MinVersion: tls.VersionTLS12},
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ConnState:         s.countConnection,
		ErrorLog:          slog.NewLogLogger(o.Logger.Handler(), slog.LevelDebug),
	}
	s.running.Go(func() {
		if err := s.http.ServeTLS(ln, "", ""); !errors.Is(err, http.ErrServerClosed) {
			s.log.Error("authority stopped serving", "error", err)
		}
	})
	return s, nil
}

// listenLoopback refuses addresses that other machines could reach: whoever
// reaches this authority can be anyone.
func listenLoopback(addr string) (net.Listener, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("authority address %q: %w", addr, err)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, fmt.Errorf("authority address %q is not loopback: use 127.0.0.1:PORT", addr)
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listening for the authority: %w", err)
	}
	return ln, nil
}

// Close stops the server, ends requests that wait, and returns when every
// goroutine it started has ended. Further calls do nothing.
func (s *Server) Close() error {
	s.mu.Lock()
	first := !s.closed
	s.closed = true // from here on no handler starts
	s.mu.Unlock()
	var err error
	if first {
		s.stop()
		err = s.http.Close()
		s.client.CloseIdleConnections()
	}
	s.running.Wait()
	return err
}

// countConnection makes Close wait for connections too: net/http lingers on one
// for half a second where the peer has not taken everything.
func (s *Server) countConnection(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		s.running.Add(1) // the accepting goroutine counts meanwhile
	case http.StateClosed, http.StateHijacked:
		s.running.Done()
	}
}

// BaseURL is the origin, "https://127.0.0.1:PORT".
func (s *Server) BaseURL() string { return s.base }

// Authority is what MSAL calls the authority: the base URL and the tenant.
func (s *Server) Authority() string { return s.base + "/" + s.tenant }

// TenantID is the tenant's GUID.
func (s *Server) TenantID() string { return s.tenant }

// IssuerV2 is the issuer of v2 tokens.
func (s *Server) IssuerV2() string { return s.base + "/" + s.tenant + "/v2.0" }

// IssuerV1 is the issuer of v1 tokens. At Entra it lives on another host,
// sts.windows.net; the form of the path is the same.
func (s *Server) IssuerV1() string { return s.base + "/" + s.tenant + "/" }

// CAPEM is the certificate of the CA that signed the server's own, in PEM.
func (s *Server) CAPEM() []byte { return s.ca.pem() }

// CertPool holds the CA's certificate alone.
func (s *Server) CertPool() *x509.CertPool { return s.ca.pool() }

// HTTPClient trusts the server's CA and nothing else, and uses no proxy. Its
// idle connections are closed by [Server.Close].
func (s *Server) HTTPClient() *http.Client { return s.client }

// SetSkew moves the authority's clock by d from [Options.Now], as seen in
// tokens and in the Date header.
func (s *Server) SetSkew(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.skew = d
}

// SetLifetimes changes how long what is issued from now on lives.
func (s *Server) SetLifetimes(l Lifetimes) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.life = l.withDefaults()
}

// clock is the authority's time; s.mu is held.
func (s *Server) clock() time.Time { return s.now().Add(s.skew) }
