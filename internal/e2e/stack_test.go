package e2e_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mcpctl/mcpctl/internal/fakeentra"
	"github.com/mcpctl/mcpctl/server"
)

// stack is an authority and a protected server inside the test, for what can't
// be done to a process: expire, revoke, roll keys over, restart, look at the
// requests. A proxy at the public address sees every request.
type stack struct {
	t         *testing.T
	authority *fakeentra.Server
	sample    fakeentra.Sample
	caFile    string
	url, sse  string // what people type
	config    server.Config
	stop      func() // ends the server

	mu      sync.Mutex
	target  *url.URL // nil while the server is down
	seen    []string // "METHOD PATH STATUS"
	changed chan struct{}
}

// quick makes the authority's device flow poll each second instead of each five.
var quick = fakeentra.Lifetimes{PollInterval: time.Second}

func newStack(t *testing.T, command []string) *stack {
	t.Helper()
	return newStackWith(t, command, fakeentra.Options{Lifetimes: quick})
}

func newStackWith(t *testing.T, command []string, o fakeentra.Options) *stack {
	t.Helper()
	s := &stack{t: t, stop: func() {}, changed: make(chan struct{})}
	var err error
	if s.authority, err = fakeentra.Start(o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.authority.Close() })
	s.caFile = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(s.caFile, s.authority.CAPEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	origin := s.openProxy()
	s.url, s.sse = origin+"/mcp", origin+"/sse"
	if s.sample, err = s.authority.AddSample(s.url); err != nil {
		t.Fatal(err)
	}
	s.config = server.Config{
		Listen: "127.0.0.1:0", PublicURL: s.url,
		Entra: server.Entra{
			Authority: s.authority.Authority(), CAFile: s.caFile, TenantID: s.authority.TenantID(),
			ClientID: s.sample.API.ClientID, PublicClientID: s.sample.Client.ClientID, RequiredScopes: []string{fakeentra.SampleScope},
		},
		Upstreams: []server.Upstream{{Name: "command", Command: command}},
	}
	t.Cleanup(func() { s.stop() })
	s.up()
	return s
}

// up starts the server.
func (s *stack) up() {
	s.t.Helper()
	var ln net.Listener
	ctx, cancel := context.WithCancel(context.Background())
	// The server tells the address it listens on only as its public one, which
	// is the proxy's here; so it is chosen beforehand.
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	s.config.Listen = ln.Addr().String()
	_ = ln.Close()
	srv, err := server.Listen(ctx, server.Options{Config: s.config, Version: "test", DrainTimeout: 5 * time.Second})
	if err != nil {
		cancel()
		s.t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- srv.Run(ctx) }()
	s.aim(&url.URL{Scheme: "http", Host: s.config.Listen})
	s.stop = sync.OnceFunc(func() {
		s.aim(nil)
		cancel()
		if err := <-done; err != nil {
			s.t.Errorf("stopping the server: %v", err)
		}
	})
}

// down stops the server; its address then refuses connections.
func (s *stack) down() { s.stop() }

func (s *stack) aim(target *url.URL) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.target = target
}

func (s *stack) aimed() *url.URL {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.target
}

// openProxy opens the public address and returns its origin.
func (s *stack) openProxy() string {
	s.t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 16}
	proxy := &httputil.ReverseProxy{
		Transport: transport,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(s.aimed())
			r.Out.Host = r.In.Host
		},
		ModifyResponse: func(r *http.Response) error {
			s.note(r.Request.Method + " " + r.Request.URL.Path + " " + r.Status[:3])
			return nil
		},
		ErrorHandler:  func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
		FlushInterval: -1,
	}
	srv := &http.Server{ReadHeaderTimeout: patience, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.aimed() == nil {
			panic(http.ErrAbortHandler)
		}
		proxy.ServeHTTP(w, r)
	})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = srv.Serve(ln)
	}()
	s.t.Cleanup(func() {
		_ = srv.Close()
		<-done
		transport.CloseIdleConnections()
	})
	return "http://" + ln.Addr().String()
}

func (s *stack) note(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = append(s.seen, line)
	close(s.changed)
	s.changed = make(chan struct{})
}

// count is how many requests beginning with prefix were answered.
func (s *stack) count(prefix string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, line := range s.seen {
		if strings.HasPrefix(line, prefix) {
			n++
		}
	}
	return n
}
