// Package server is the server half of mcpctl: an MCP endpoint that lets in
// only callers with a valid Entra ID token and relays them to the MCP server
// behind it.
package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/mcpctl/mcpctl/internal/wire"
	"github.com/mcpctl/mcpctl/server/auth"
	"github.com/mcpctl/mcpctl/server/gateway"
)

// Options configure a Server.
type Options struct {
	Config Config
	// Version is told to clients of built-in tools.
	Version string
	// DrainTimeout bounds how long requests in flight are waited for when the
	// server stops. Default 10 s.
	DrainTimeout time.Duration
	Logger       *slog.Logger
}

// Server is one listening MCP endpoint.
type Server struct {
	cfg      Config
	drain    time.Duration
	log      *slog.Logger
	listener net.Listener
	verifier *auth.Verifier
	metadata *auth.Metadata
	streams  *wire.StreamableFront
	sse      *wire.SSEFront
	audit    *auditLog
	http     *http.Server

	authority *http.Client               // for a development authority, else nil
	upstream  interface{ Close() error } // nil where there is nothing to close
}

// Listen opens the address and prepares everything behind it. Nobody is served
// before Run. Close frees what Listen took if Run is never called.
func Listen(ctx context.Context, opts Options) (_ *Server, err error) {
	s := &Server{cfg: opts.Config, drain: opts.DrainTimeout, log: opts.Logger}
	if s.drain <= 0 {
		s.drain = 10 * time.Second
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	if err := s.settle(); err != nil {
		return nil, err
	}
	if err := s.listen(ctx); err != nil {
		return nil, err
	}
	if s.audit, err = openAudit(s.cfg.Audit.File); err != nil {
		return nil, err
	}
	if err := s.openAuth(); err != nil {
		return nil, err
	}
	if err := s.openGateway(opts.Version); err != nil {
		return nil, err
	}
	guard, err := auth.NewGuard(auth.GuardOptions{
		Verifier: s.verifier, Metadata: s.metadata, OnRefusal: s.audit.refused, Logger: s.log,
	})
	if err != nil {
		return nil, err
	}
	s.http = &http.Server{
		Handler:           limitBody(bodyTimeout, s.routes(guard)),
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		// Room for the largest token above what other headers need.
		MaxHeaderBytes: s.verifier.MaxTokenBytes() + 32<<10,
		ErrorLog:       slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	return s, nil
}

// settle fills in defaults and refuses what a configuration that came without
// a file could get wrong unseen.
func (s *Server) settle() error {
	if s.cfg.Listen == "" {
		s.cfg.Listen = defaultListen
	}
	if s.cfg.Limits.Body <= 0 {
		s.cfg.Limits.Body = defaultBody
	}
	if s.cfg.PublicURL == "" {
		if !loopbackAddr(s.cfg.Listen) {
			return fmt.Errorf("listening on %s: a server that others can reach has to know the address that they type. Name it with --public-url or public_url: in the configuration", s.cfg.Listen)
		}
		return nil // it is made from the address listened on
	}
	if message, fix := checkPublicURL(s.cfg.PublicURL); message != "" {
		return fmt.Errorf("checking the public URL: %s. %s", message, fix)
	}
	return nil
}

func (s *Server) listen(ctx context.Context) error {
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", s.cfg.Listen)
	if err != nil {
		return fmt.Errorf("listening on %s: %w. Is another server running there? Choose another address with --listen or listen: in the configuration", s.cfg.Listen, cause(err))
	}
	s.listener = ln
	if s.cfg.TLS.CertFile != "" {
		cert, err := tls.LoadX509KeyPair(s.cfg.TLS.CertFile, s.cfg.TLS.KeyFile)
		if err != nil {
			return fmt.Errorf("reading the TLS certificate: %w. Check tls.cert_file and tls.key_file", err)
		}
		s.listener = tls.NewListener(ln, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}})
	}
	if s.cfg.PublicURL == "" {
		s.cfg.PublicURL = publicURLFor(ln.Addr(), s.cfg.TLS.CertFile != "")
	}
	return nil
}

// cause is the part of a network error that the sentence around doesn't say.
func cause(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}

func (s *Server) openAuth() error {
	e := s.cfg.Entra
	client, err := authorityClient(e.CAFile)
	if err != nil {
		return err
	}
	s.authority = client
	s.verifier, err = auth.New(auth.Options{
		Cloud: auth.Cloud(e.Cloud), Authority: e.Authority, TenantIDs: s.cfg.tenants(), Audiences: s.cfg.audiences(),
		RequiredScopes: e.RequiredScopes, RequiredRoles: e.RequiredRoles, AllowedClients: e.AllowedClients,
		HTTPClient: client, Logger: s.log,
	})
	if err != nil {
		return fmt.Errorf("preparing token verification: %w", err)
	}
	s.metadata, err = auth.NewMetadata(auth.MetadataOptions{
		PublicURL: s.cfg.PublicURL, OtherPaths: []string{ssePath}, AuthorizationServers: s.verifier.AuthorizationServers(),
		AppIDURI: s.cfg.appIDURI(), Scopes: e.RequiredScopes, PublicClientID: e.PublicClientID,
	})
	if err != nil {
		return fmt.Errorf("preparing resource metadata: %w", err)
	}
	return nil
}

// authorityClient trusts only the CA of a development authority; nil where
// there is none, for the default client.
func authorityClient(caFile string) (*http.Client, error) {
	if caFile == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return nil, fmt.Errorf("reading the authority's CA: %w. Check entra.ca_file", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("reading the authority's CA: %s holds no PEM certificate", caFile)
	}
	t := &http.Transport{
		TLSClientConfig:     &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout: 10 * time.Second,
		MaxIdleConnsPerHost: 2,
		IdleConnTimeout:     time.Minute,
	}
	return &http.Client{Transport: t, Timeout: 15 * time.Second}, nil
}

func (s *Server) openGateway(version string) error {
	up, err := s.openUpstream(version)
	if err != nil {
		return err
	}
	gw, err := gateway.New(gateway.Options{Upstream: up, Record: s.audit.record, Logger: s.log})
	if err != nil {
		return err
	}
	front := wire.FrontOptions{
		Owner: func(r *http.Request) string {
			if p, ok := auth.FromContext(r.Context()); ok {
				return p.Key()
			}
			return "" // the guard lets nobody come here without
		},
		Serve:               gw.Serve,
		MaxMessage:          int(s.cfg.Limits.Body),
		MaxSessionsPerOwner: s.cfg.Limits.SessionsPerUser,
		AllowedOrigins:      s.cfg.AllowedOrigins,
		LoopbackHost:        loopbackAddr(s.cfg.Listen) && publicIsLoopback(s.cfg.PublicURL),
		Logger:              s.log,
	}
	s.streams = wire.NewStreamableFront(front)
	s.sse = wire.NewSSEFront(front, messagesPath)
	return nil
}

// PublicURL is the address that people type.
func (s *Server) PublicURL() string { return s.cfg.PublicURL }

// Config is the configuration in force, with the defaults filled in.
func (s *Server) Config() Config { return s.cfg }

// Scopes are the full scope names that clients ask for.
func (s *Server) Scopes() []string { return s.metadata.Scopes() }

// SSEURL is the address of the HTTP+SSE endpoint.
func (s *Server) SSEURL() string { return sseURL(s.cfg.PublicURL) }

// Run serves until ctx ends, then stops in order: no new sessions, requests in
// flight get their answers within the drain timeout, everything else is ended.
func (s *Server) Run(ctx context.Context) error {
	failed := make(chan error, 1)
	go func() { failed <- s.http.Serve(s.listener) }()
	s.log.Info("serving", "url", s.cfg.PublicURL, "listen", s.listener.Addr().String())
	select {
	case err := <-failed:
		s.Close()
		return fmt.Errorf("serving: %w", err)
	case <-ctx.Done():
	}
	s.log.Info("stopping", "drain", s.drain.String())
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.drain)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- s.http.Shutdown(drain) }()
	s.closeFronts(drain)
	err := <-done
	if errors.Is(err, context.DeadlineExceeded) {
		err = s.http.Close()
	}
	<-failed
	s.Close()
	return err
}

// closeFronts ends the sessions of both transports side by side.
func (s *Server) closeFronts(ctx context.Context) {
	var fronts sync.WaitGroup
	for _, front := range []interface{ Close(context.Context) error }{s.streams, s.sse} {
		fronts.Go(func() {
			if err := front.Close(ctx); err != nil {
				s.log.Warn("ending sessions", "reason", err)
			}
		})
	}
	fronts.Wait()
}

// Close frees what Listen took. It may be called at any time and twice.
func (s *Server) Close() {
	if s.listener != nil {
		_ = s.listener.Close()
	}
	if s.streams != nil {
		now, cancel := context.WithCancel(context.Background())
		cancel()
		s.closeFronts(now)
	}
	if s.http != nil {
		_ = s.http.Close()
	}
	if s.verifier != nil {
		_ = s.verifier.Close()
	}
	if s.authority != nil {
		s.authority.CloseIdleConnections()
	}
	if s.upstream != nil {
		_ = s.upstream.Close()
	}
	if s.audit != nil {
		_ = s.audit.Close()
	}
}
