// Package server is the server half of mcpctl: an MCP endpoint that lets in
// only callers with a valid Entra ID token and relays them to the MCP server
// behind it.
package server

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mcpctl/mcpctl/internal/wire"
	"github.com/mcpctl/mcpctl/server/auth"
)

// Options configure a Server.
type Options struct {
	Config Config
	// Version is told to clients of built-in tools.
	Version string
	// DrainTimeout bounds how long requests in flight are waited for when the
	// server stops. Default: what Config says.
	DrainTimeout time.Duration
	// Credentials are what the server can prove itself with towards upstreams.
	Credentials Credentials
	// Getenv reads the variables of OpenTelemetry and of the service manager;
	// nil: there are none.
	Getenv func(string) string
	Logger *slog.Logger
}

// Server is one listening MCP endpoint.
type Server struct {
	cfg      Config // as it was at the start; Config has what is in force
	current  atomic.Pointer[Config]
	drain    time.Duration
	log      *slog.Logger
	getenv   func(string) string
	listener net.Listener
	verifier atomic.Pointer[auth.Verifier]
	metadata *auth.Metadata
	streams  *wire.StreamableFront
	sse      *wire.SSEFront
	audit    *auditLog
	http     *http.Server
	// connections says which of http's are busy.
	connections connections

	landing     *landingPage
	certificate *certificate // nil without TLS
	access      *accessLog
	metrics     *metrics
	tracing     *tracing
	health      health
	telemetry   *telemetryServer
	notify      *notifier
	reload      struct {
		mu    sync.Mutex
		keys  []string
		steps []reloadStep
	}

	authority   *http.Client // for a development authority, else nil
	endpoints   endpoints
	credentials *credentials
	exchanges   []exchange // what upstreams need in callers' names
	probes      []*probe
	upstreams   []interface{ Close() error } // what upstreams hold
}

// Listen opens the address and prepares everything behind it. Nobody is served
// before Run. Close frees what Listen took if Run is never called.
func Listen(ctx context.Context, opts Options) (_ *Server, err error) {
	s := &Server{cfg: opts.Config, drain: opts.DrainTimeout, log: opts.Logger, getenv: opts.Getenv}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.getenv == nil {
		s.getenv = func(string) string { return "" }
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
	if err := s.openEvidence(ctx, opts.Version); err != nil {
		return nil, err
	}
	s.credentials = newCredentials(opts.Credentials, s.cfg, nil, s.log)
	if err := s.openAuth(); err != nil {
		return nil, err
	}
	s.credentials.linkTo(s.verifier.Load().AuthorizationServers())
	if err := s.openGateway(opts.Version); err != nil {
		return nil, err
	}
	guard, err := auth.NewGuard(auth.GuardOptions{
		Verifier: liveVerifier{s}, Metadata: s.metadata, OnRefusal: s.refused, KeepAssertion: s.cfg.actsForCallers(), Logger: s.log,
	})
	if err != nil {
		return nil, err
	}
	if s.landing, err = newLandingPage(s.cfg.PublicURL, s.SSEURL()); err != nil {
		return nil, err
	}
	handler, err := s.behindProxies(s.access.handler(s.tracing.handler(limitBody(bodyTimeout, s.routes(guard)))))
	if err != nil {
		return nil, err
	}
	s.http = &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		// Room for the largest token above what other headers need.
		MaxHeaderBytes: s.verifier.Load().MaxTokenBytes() + 32<<10,
		ErrorLog:       slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		ConnState:      s.connections.track,
	}
	s.watch()
	s.setConfig(s.cfg)
	return s, nil
}

// settle fills in defaults and refuses what a configuration that came without
// a file could get wrong unseen.
func (s *Server) settle() error {
	fillDefaults(&s.cfg, "")
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

// fillDefaults sets what is not said. publicURL is made from the address
// listened on.
func fillDefaults(c *Config, publicURL string) {
	c.Listen = cmp.Or(c.Listen, defaultListen)
	c.PublicURL = cmp.Or(c.PublicURL, publicURL)
	if c.Limits.Body <= 0 {
		c.Limits.Body = defaultBody
	}
}

func (s *Server) listen(ctx context.Context) error {
	if err := s.takeAddress(ctx); err != nil {
		return err
	}
	if s.cfg.PublicURL == "" {
		s.cfg.PublicURL = publicURLFor(s.listener.Addr(), s.cfg.TLS.CertFile != "")
	}
	if s.cfg.TLS.CertFile != "" {
		var err error
		if s.certificate, err = loadCertificate(s.cfg.TLS, s.log); err != nil {
			return err
		}
		s.listener = tls.NewListener(s.listener, s.certificate.config())
	}
	return nil
}

// takeAddress listens, unless the service manager already does for us.
func (s *Server) takeAddress(ctx context.Context) (err error) {
	if s.listener, err = passedListener(socketMCP, s.getenv, os.Getpid()); err != nil || s.listener != nil {
		return err
	}
	var lc net.ListenConfig
	if s.listener, err = lc.Listen(ctx, "tcp", s.cfg.Listen); err != nil {
		return fmt.Errorf("listening on %s: %w. Is another server running there? Choose another address with --listen or listen: in the configuration", s.cfg.Listen, cause(err))
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

func (s *Server) openGateway(version string) error {
	upstreams, err := s.openUpstreams(version)
	if err != nil {
		return err
	}
	return s.openEndpoints(upstreams, version)
}

// PublicURL is the address that people type.
func (s *Server) PublicURL() string { return s.cfg.PublicURL }

// Config is the configuration in force, with the defaults filled in.
func (s *Server) Config() Config { return *s.current.Load() }

func (s *Server) setConfig(c Config) { s.current.Store(&c) }

// Scopes are the full scope names that clients ask for.
func (s *Server) Scopes() []string { return s.metadata.Scopes() }

// SSEURL is the address of the HTTP+SSE endpoint.
func (s *Server) SSEURL() string { return sseURL(s.cfg.PublicURL) }

// Run serves until ctx ends, then stops in order: it is not ready any more; no
// new sessions; requests in flight get their answers within the drain timeout;
// everything else is ended.
func (s *Server) Run(ctx context.Context) error {
	failed := make(chan error, 1)
	go func() { failed <- s.http.Serve(s.listener) }()
	s.log.Info("serving", "url", s.cfg.PublicURL, "listen", s.listener.Addr().String())
	s.notify.ready()
	guard, endGuard := context.WithCancel(context.WithoutCancel(ctx))
	defer endGuard()
	var watchdog sync.WaitGroup
	defer watchdog.Wait()
	defer endGuard()
	watchdog.Go(func() { s.notify.guard(guard, s.alive) })
	watchdog.Go(func() { s.probeUpstreams(guard) })
	select {
	case err := <-failed:
		s.Close()
		return fmt.Errorf("serving: %w", err)
	case <-ctx.Done():
	}
	return s.stop(ctx, failed)
}

// stop is the second half of Run.
func (s *Server) stop(ctx context.Context, failed <-chan error) error {
	s.health.drain()
	s.notify.stopping()
	cfg := s.Config()
	drain := cmp.Or(s.drain, cfg.DrainTimeout, defaultDrain)
	s.log.Info("stopping", "drain", drain.String(), "delay", cfg.DrainDelay.String())
	select {
	case err := <-failed:
		s.Close()
		return fmt.Errorf("serving: %w", err)
	case <-time.After(cfg.DrainDelay):
	}
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer cancel()
	// No new connections; those that there are get answers. http.Server.Shutdown
	// comes last, as it drops requests that it has not read yet.
	s.http.SetKeepAlivesEnabled(false)
	_ = s.listener.Close()
	if err := <-failed; !errors.Is(err, net.ErrClosed) { // Serve ends with its listener
		s.log.Debug("ending to serve", "reason", err)
	}
	s.closeFronts(limited)
	last, cancelLast := context.WithTimeout(context.WithoutCancel(ctx), lastAnswers)
	defer cancelLast()
	s.connections.settle(last)
	err := s.http.Shutdown(last)
	if errors.Is(err, context.DeadlineExceeded) {
		err = s.http.Close()
	}
	s.Close()
	return err
}

// closeFronts ends the sessions of all endpoints and transports side by side.
func (s *Server) closeFronts(ctx context.Context) {
	var fronts sync.WaitGroup
	for _, front := range s.endpoints.fronts() {
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
	if len(s.endpoints.all) > 0 {
		now, cancel := context.WithCancel(context.Background())
		cancel()
		s.closeFronts(now)
	}
	if s.http != nil {
		_ = s.http.Close()
	}
	if v := s.verifier.Load(); v != nil {
		_ = v.Close()
	}
	if s.authority != nil {
		s.authority.CloseIdleConnections()
	}
	s.endpoints.close()
	for _, closer := range s.upstreams {
		_ = closer.Close()
	}
	if s.credentials != nil {
		_ = s.credentials.Close()
	}
	s.closeEvidence()
}
