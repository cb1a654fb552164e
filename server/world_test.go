package server_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mcpctl/mcpctl/internal/fakeentra"
	"github.com/mcpctl/mcpctl/internal/wire"
	"github.com/mcpctl/mcpctl/server"
)

// patience bounds waits that a test would otherwise hang in.
const patience = time.Minute

// signingKey is shared, as making one takes long.
var signingKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

// world is a running server, the authority that it trusts, and its traces.
type world struct {
	t         testing.TB
	authority *fakeentra.Server
	sample    fakeentra.Sample
	server    *server.Server
	auditFile string
	log       *logBuffer
	cancel    context.CancelFunc
	ended     chan error
	stopping  sync.Once
}

// options returns a configuration for an authority of the test's own.
func options(t testing.TB, up server.Upstream) (server.Options, *world) {
	t.Helper()
	key, err := signingKey()
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, log: &logBuffer{}, ended: make(chan error, 1)}
	if w.authority, err = fakeentra.Start(fakeentra.Options{SigningKey: key}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.authority.Close(); err != nil {
			t.Error(err)
		}
	})
	if w.sample, err = w.authority.AddSample(""); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	ca := filepath.Join(dir, "ca.pem")
	write(t, ca, string(w.authority.CAPEM()))
	w.auditFile = filepath.Join(dir, "audit.jsonl")
	return server.Options{
		Config: server.Config{
			Listen: "127.0.0.1:0",
			Entra: server.Entra{
				Authority: w.authority.Authority(), CAFile: ca, TenantID: w.authority.TenantID(),
				ClientID: w.sample.API.ClientID, AppIDURI: w.sample.API.IDURIs[0], PublicClientID: w.sample.Client.ClientID,
				RequiredScopes: []string{fakeentra.SampleScope},
			},
			Upstreams: []server.Upstream{up},
			Audit:     server.Audit{File: w.auditFile},
		},
		Version: "test",
		Logger:  slog.New(slog.NewJSONHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}, w
}

func start(t testing.TB, up server.Upstream, change ...func(*server.Options)) *world {
	t.Helper()
	o, w := options(t, up)
	for _, c := range change {
		c(&o)
	}
	w.run(o)
	return w
}

// run starts the server.
func (w *world) run(o server.Options) {
	w.t.Helper()
	var err error
	if w.server, err = server.Listen(w.t.Context(), o); err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	w.cancel = cancel
	go func() { w.ended <- w.server.Run(ctx) }()
	w.t.Cleanup(w.stop)
}

// stop ends the server and checks that it ends well.
func (w *world) stop() {
	w.stopping.Do(func() {
		w.cancel()
		select {
		case err := <-w.ended:
			if err != nil {
				w.t.Errorf("Run: %v", err)
			}
		case <-time.After(patience):
			w.t.Error("the server did not stop")
		}
	})
}

func (w *world) token(person fakeentra.Person) string {
	return w.mint(fakeentra.TokenSpec{Person: person.UPN})
}

func (w *world) mint(spec fakeentra.TokenSpec) string {
	w.t.Helper()
	if spec.API == "" {
		spec.API = w.sample.API.ClientID
	}
	if spec.Client == "" {
		spec.Client = w.sample.Client.ClientID
	}
	if spec.Scopes == nil {
		spec.Scopes = []string{fakeentra.SampleScope}
	}
	token, err := w.authority.MintToken(spec)
	if err != nil {
		w.t.Fatal(err)
	}
	return token
}

// records returns the lines of the audit log.
func (w *world) records() []map[string]any {
	w.t.Helper()
	raw, err := os.ReadFile(w.auditFile)
	if err != nil {
		w.t.Fatal(err)
	}
	var list []map[string]any
	for line := range strings.Lines(string(raw)) {
		var r map[string]any
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			w.t.Fatalf("audit line %q: %v", line, err)
		}
		list = append(list, r)
	}
	return list
}

// recorded waits until a call of the tool is in the audit log with the outcome.
func (w *world) recorded(tool, outcome string) {
	w.t.Helper()
	for until := time.Now().Add(patience); time.Now().Before(until); time.Sleep(time.Millisecond) {
		for _, r := range w.records() {
			if r["target"] == tool && r["outcome"] == outcome {
				return
			}
		}
	}
	w.t.Fatalf("no call of %s ended as %s: %v", tool, outcome, w.records())
}

// bearer adds a token to requests, as a client does.
type bearer struct {
	token string
	next  *http.Transport
}

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+b.token)
	return b.next.RoundTrip(r)
}

func (w *world) httpClient(token string) *http.Client {
	transport := wire.NewTransport()
	w.t.Cleanup(transport.CloseIdleConnections)
	if token == "" {
		return &http.Client{Transport: transport}
	}
	return &http.Client{Transport: bearer{token, transport}}
}

// do sends one raw request.
func (w *world) do(method, path, token, body string, header ...string) (*http.Response, string) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(w.server.PublicURL(), "/mcp")+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			r.Host = header[i+1]
		}
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := w.httpClient(token).Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	var b bytes.Buffer
	if resp.Header.Get("Content-Type") != "text/event-stream" {
		if _, err := b.ReadFrom(resp.Body); err != nil {
			w.t.Fatal(err)
		}
	}
	return resp, b.String()
}

// session is one client's session.
type session struct {
	t    testing.TB
	conn wire.Conn
	http *wire.StreamableClient // nil over HTTP+SSE
	next int
}

func (w *world) streamable(token string) *session {
	w.t.Helper()
	s := &session{t: w.t}
	conn, err := wire.NewClientConn(wire.ClientConnOptions{}, func(deliver wire.Deliver) (wire.Remote, error) {
		var err error
		s.http, err = wire.NewStreamableClient(wire.ClientOptions{URL: w.server.PublicURL(), HTTP: w.httpClient(token), Deliver: deliver})
		return s.http, err
	})
	return s.open(conn, err)
}

func (w *world) sse(token string) *session {
	w.t.Helper()
	conn, err := wire.NewClientConn(wire.ClientConnOptions{}, func(deliver wire.Deliver) (wire.Remote, error) {
		return wire.ConnectSSE(w.t.Context(), wire.ClientOptions{URL: w.server.SSEURL(), HTTP: w.httpClient(token), Deliver: deliver})
	})
	return (&session{t: w.t}).open(conn, err)
}

func (s *session) open(conn wire.Conn, err error) *session {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
	s.conn = conn
	s.t.Cleanup(s.close)
	f, _ := s.call("initialize", `{"protocolVersion":"2025-11-25","capabilities":{"sampling":{}},"clientInfo":{"name":"test","version":"1"}}`)
	if f.Failed {
		s.t.Fatalf("initialize: %s", f.Raw)
	}
	s.write(`{"jsonrpc":"2.0","method":"notifications/initialized"}`)
	return s
}

func (s *session) close() { _ = s.conn.Close() }

func (s *session) write(raw string) {
	s.t.Helper()
	if err := s.conn.Write(s.t.Context(), wire.MustParse(raw)); err != nil {
		s.t.Errorf("writing %s: %v", raw, err)
	}
}

// send writes a request and returns its id.
func (s *session) send(method, params string) string {
	s.t.Helper()
	s.next++
	s.write(fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":%q,"params":%s}`, s.next, method, params))
	return fmt.Sprint(s.next)
}

func (s *session) read() (wire.Frame, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	f, err := s.conn.Read(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		s.t.Error("nothing came for a minute")
	}
	return f, err
}

// answer reads until the answer to id and returns what came before it.
func (s *session) answer(id string) (answer wire.Frame, before []wire.Frame) {
	s.t.Helper()
	for {
		f, err := s.read()
		if err != nil {
			s.t.Fatalf("reading: %v", err)
		}
		if f.Kind == wire.Response && string(f.ID) == id {
			return f, before
		}
		before = append(before, f)
	}
}

func (s *session) call(method, params string) (answer wire.Frame, before []wire.Frame) {
	s.t.Helper()
	return s.answer(s.send(method, params))
}

func (s *session) tool(name, args string) (answer wire.Frame, before []wire.Frame) {
	s.t.Helper()
	return s.call("tools/call", toolParams(name, args))
}

// begin calls a tool that reports progress and returns when it has done so.
func (s *session) begin(name, args string) (id string) {
	s.t.Helper()
	id = s.send("tools/call", fmt.Sprintf(`{"name":%q,"arguments":%s,"_meta":{"progressToken":"began"}}`, name, args))
	for {
		f, err := s.read()
		if err != nil || f.Kind == wire.Response {
			s.t.Fatalf("got %s %v, want progress", f.Raw, err)
		}
		if at(f, "params.progressToken") == `"began"` {
			return id
		}
	}
}

func (s *session) cancel(id string) {
	s.t.Helper()
	s.write(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":` + id + `}}`)
}

func toolParams(name, args string) string {
	return fmt.Sprintf(`{"name":%q,"arguments":%s}`, name, args)
}

func at(f wire.Frame, path string) string {
	return string(wire.Lookup(f.Raw, strings.Split(path, ".")...))
}

// logBuffer keeps what is logged.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
