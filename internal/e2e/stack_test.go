package e2e_test

import (
	"context"
	"log/slog"
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
	address   string // of the proxy
	url, sse  string // what people type
	config    server.Config
	stop      func() // ends server and proxy

	mu     sync.Mutex
	seen   []string // "METHOD PATH STATUS"
	meddle meddler
}

// A meddler answers a request in the server's stead, or returns false.
type meddler func(w http.ResponseWriter, r *http.Request) bool

// meddleWith puts m in front of the server; nil takes it away.
func (s *stack) meddleWith(m meddler) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.meddle = m
}

// meddled reports that a meddler has answered.
func (s *stack) meddled(w http.ResponseWriter, r *http.Request) bool {
	s.mu.Lock()
	m := s.meddle
	s.mu.Unlock()
	return m != nil && m(w, r)
}

// quick makes the authority's device flow poll each second instead of each five.
var quick = fakeentra.Lifetimes{PollInterval: time.Second}

func newStack(t *testing.T, command []string) *stack {
	t.Helper()
	return newStackWith(t, command, fakeentra.Options{Lifetimes: quick})
}

func newStackWith(t *testing.T, command []string, o fakeentra.Options) *stack {
	t.Helper()
	s := &stack{t: t, stop: func() {}}
	var err error
	if s.authority, err = fakeentra.Start(o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.authority.Close() })
	s.caFile = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(s.caFile, s.authority.CAPEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	s.address = freeAddress(t)
	s.url, s.sse = "http://"+s.address+"/mcp", "http://"+s.address+"/sse"
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

// freeAddress finds an address to listen on, now and again later.
func freeAddress(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// up starts the server and the proxy before it.
func (s *stack) up() {
	s.t.Helper()
	// The server tells the address it listens on only as its public one, which
	// is the proxy's here; so it is chosen beforehand.
	s.config.Listen = freeAddress(s.t)
	ctx, cancel := context.WithCancel(context.Background())
	srv, err := server.Listen(ctx, server.Options{Config: s.config, Version: "test", DrainTimeout: 5 * time.Second})
	if err != nil {
		cancel()
		s.t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- srv.Run(ctx) }()
	closeProxy := s.openProxy(&url.URL{Scheme: "http", Host: s.config.Listen})
	s.stop = sync.OnceFunc(func() {
		closeProxy()
		cancel()
		if err := <-done; err != nil {
			s.t.Errorf("stopping the server: %v", err)
		}
	})
}

// down stops the server; its address then refuses connections.
func (s *stack) down() { s.stop() }

// openProxy opens the public address.
func (s *stack) openProxy(target *url.URL) (stop func()) {
	s.t.Helper()
	ln, err := net.Listen("tcp", s.address)
	if err != nil {
		s.t.Fatal(err)
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 16}
	proxy := &httputil.ReverseProxy{
		Transport: transport,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host
		},
		ModifyResponse: func(r *http.Response) error {
			s.note(r.Request.Method + " " + r.Request.URL.Path + " " + r.Status[:3])
			return nil
		},
		ErrorHandler:  func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
		ErrorLog:      slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug),
		FlushInterval: -1,
	}
	srv := &http.Server{ReadHeaderTimeout: patience, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.meddled(w, r) {
			return
		}
		// The server may answer before it has read all of the request. An error
		// here is that of HTTP/2, which needs no leave.
		_ = http.NewResponseController(w).EnableFullDuplex()
		proxy.ServeHTTP(w, r)
	})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = srv.Serve(ln)
	}()
	return func() {
		_ = srv.Close()
		<-done
		transport.CloseIdleConnections()
	}
}

func (s *stack) note(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = append(s.seen, line)
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
