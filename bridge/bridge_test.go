package bridge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/mcpctl/mcpctl/internal/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// tokens is a TokenSource with a scripted life.
type tokens struct {
	mu        sync.Mutex
	current   string
	refreshes int
	asked     int
	refreshTo string
	err       error
}

func (s *tokens) Token(context.Context) (Token, time.Time, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	if s.err != nil {
		return "", time.Time{}, s.err
	}
	return Token(s.current), time.Now().Add(time.Hour), nil
}

func (s *tokens) Refresh(_ context.Context, rejected Token, _ []string) (Token, time.Time, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refreshes++
	if s.refreshTo == "" {
		return "", time.Time{}, errors.New("the sign-in has ended. Run: mcpctl login URL")
	}
	if string(rejected) == s.current {
		s.current = s.refreshTo
	}
	return Token(s.current), time.Now().Add(time.Hour), nil
}

func (s *tokens) Refused(status int, challenge []string) error {
	return fmt.Errorf("refused with %d, %q", status, challenge)
}

// remoteServer is a Streamable HTTP server that lets in one token.
type remoteServer struct {
	*httptest.Server
	accept   atomic.Value // string; "" accepts everybody
	requests atomic.Int64
	deleted  atomic.Int64
	handle   func(w http.ResponseWriter, r *http.Request, f wire.Frame)
}

func newRemoteServer(t *testing.T, accept string) *remoteServer {
	t.Helper()
	s := &remoteServer{}
	s.accept.Store(accept)
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.requests.Add(1)
		if want := s.accept.Load().(string); want != "" && r.Header.Get("Authorization") != "Bearer "+want {
			w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token", error_description="expired"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		switch r.Method {
		case http.MethodDelete:
			s.deleted.Add(1)
			return
		case http.MethodGet:
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		body, _ := io.ReadAll(r.Body)
		f, err := wire.Parse(body)
		if err != nil || f.Kind != wire.Request {
			w.WriteHeader(http.StatusAccepted)
			return
		}
		if s.handle != nil && f.Method != "initialize" {
			s.handle(w, r, f)
			return
		}
		w.Header().Set("Mcp-Session-Id", "s")
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(wire.NewResult(f.ID, map[string]any{"protocolVersion": "2025-06-18"}).Raw)
	}))
	t.Cleanup(s.Close)
	return s
}

// session runs a bridge and returns the client's end of it.
func session(t *testing.T, opts Options) (wire.Conn, func() error) {
	t.Helper()
	client, inner := wire.Pipe(64)
	transport := wire.NewTransport()
	opts.Client, opts.HTTP = inner, transport
	done := make(chan error, 1)
	go func() { done <- Run(context.Background(), opts) }()
	var once sync.Once
	var err error
	stop := func() error {
		once.Do(func() {
			_ = client.Close()
			select {
			case err = <-done:
			case <-time.After(20 * time.Second):
				err = errors.New("the bridge did not stop")
			}
			transport.CloseIdleConnections()
		})
		return err
	}
	t.Cleanup(func() { _ = stop() })
	return client, stop
}

func ask(t *testing.T, c wire.Conn, raw string) string {
	t.Helper()
	send(t, c, raw)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	f, err := c.Read(ctx)
	if err != nil {
		t.Fatalf("no answer to %s: %v", raw, err)
	}
	return string(f.Raw)
}

func send(t *testing.T, c wire.Conn, raw string) {
	t.Helper()
	if err := c.Write(t.Context(), wire.MustParse(raw)); err != nil {
		t.Fatal(err)
	}
}

const (
	initialize = `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25"}}`
	callTool   = `{"jsonrpc":"2.0","id":"c","method":"tools/call","params":{"name":"t"}}`
)

func TestRelaysAndEndsTheSession(t *testing.T) {
	s := newRemoteServer(t, "")
	c, stop := session(t, Options{URL: s.URL})
	if got := ask(t, c, initialize); !strings.Contains(got, "2025-06-18") {
		t.Errorf("initialize: %s", got)
	}
	if got := ask(t, c, callTool); !strings.Contains(got, `"id":"c"`) {
		t.Errorf("call: %s", got)
	}
	if err := stop(); err != nil {
		t.Errorf("Run: %v", err)
	}
	if n := s.deleted.Load(); n != 1 {
		t.Errorf("the session was deleted %d times", n)
	}
}

// Starting a bridge sends nothing and asks for no token: clients start copies
// that they throw away.
func TestStartIsSilent(t *testing.T) {
	s := newRemoteServer(t, "")
	src := &tokens{current: "t1"}
	_, stop := session(t, Options{URL: s.URL, Tokens: src})
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if s.requests.Load() != 0 || src.asked != 0 {
		t.Errorf("%d requests, %d tokens asked for", s.requests.Load(), src.asked)
	}
}

// A token that the server rejects is refreshed once, and the request repeated;
// the client notices nothing.
func TestRefreshOn401(t *testing.T) {
	s := newRemoteServer(t, "t1")
	src := &tokens{current: "t1", refreshTo: "t2"}
	c, stop := session(t, Options{URL: s.URL, Tokens: src})
	ask(t, c, initialize)
	s.accept.Store("t2")
	if got := ask(t, c, callTool); !strings.Contains(got, "result") {
		t.Errorf("call: %s", got)
	}
	if err := stop(); err != nil || src.refreshes != 1 || s.deleted.Load() != 1 {
		t.Errorf("%v, %d refreshes, %d sessions deleted", err, src.refreshes, s.deleted.Load())
	}
}

// Many calls that are rejected together share one refresh.
func TestConcurrentRefresh(t *testing.T) {
	s := newRemoteServer(t, "t1")
	src := &tokens{current: "t1", refreshTo: "t2"}
	c, _ := session(t, Options{URL: s.URL, Tokens: src})
	ask(t, c, initialize)
	s.accept.Store("t2")
	const n = 50
	for i := range n {
		send(t, c, fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"tools/list"}`, i+1))
	}
	for range n {
		f, err := c.Read(t.Context())
		if err != nil || f.Failed {
			t.Fatalf("%s, %v", f.Raw, err)
		}
	}
	if src.refreshes != 1 {
		t.Errorf("%d refreshes", src.refreshes)
	}
}

// Whatever goes wrong with the sign-in, each request gets an error that says
// what to do, and the bridge lives on.
func TestSignInFailures(t *testing.T) {
	for _, tc := range []struct {
		name   string
		tokens TokenSource
		want   string
	}{
		{"refresh fails", &tokens{current: "old"}, "Run: mcpctl login"},
		{"refresh does not help", &tokens{current: "old", refreshTo: "other"}, `refused with 401, [\"Bearer error=`},
		{"refresh brings the same", &tokens{current: "old", refreshTo: "old"}, "refused with 401"},
		{"bridge without sign-in", nil, "Run: mcpctl login"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newRemoteServer(t, "right")
			c, _ := session(t, Options{URL: s.URL, Tokens: tc.tokens})
			for range 2 {
				got := ask(t, c, initialize)
				if !strings.Contains(got, tc.want) || !strings.Contains(got, `"code":-31001`) {
					t.Errorf("answer %s", got)
				}
			}
			if n := s.requests.Load(); n > 4 {
				t.Errorf("%d requests for two messages", n)
			}
		})
	}
}

// A token never goes to another origin.
func TestTokenStaysAtItsOrigin(t *testing.T) {
	var leaked atomic.Int64
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			leaked.Add(1)
		}
	}))
	defer elsewhere.Close()
	s := newRemoteServer(t, "t1")
	s.handle = func(w http.ResponseWriter, r *http.Request, _ wire.Frame) {
		http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
	}
	c, _ := session(t, Options{URL: s.URL, Tokens: &tokens{current: "t1"}})
	ask(t, c, initialize)
	if got := ask(t, c, callTool); !strings.Contains(got, "does not follow") {
		t.Errorf("answer %s", got)
	}
	transport := wire.NewTransport()
	defer transport.CloseIdleConnections()
	at := &authTransport{base: transport, tokens: &tokens{current: "t1"}, origin: s.URL}
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, elsewhere.URL, nil)
	if resp, err := at.RoundTrip(req); err == nil {
		_ = resp.Body.Close()
		t.Error("a request to another origin went out")
	}
	if leaked.Load() != 0 {
		t.Error("the token leaked")
	}
}

// Each failure of the remote becomes an answer that a person can act on.
func TestExplain(t *testing.T) {
	for _, tc := range []struct {
		name string
		err  error
		code int
		want string
	}{
		{"unreachable", fmt.Errorf("%w: %w", wire.ErrNotSent, errors.New("connection refused")), CodeUnreachable, "could not be reached, so nothing was sent: connection refused"},
		{"no answer", wire.ErrNoAnswer, CodeOutcome, "may or may not have been done"},
		{"session lost", fmt.Errorf("%w: %w", wire.ErrSessionLost, &wire.StatusError{Status: 404}), CodeRemoteFailed, "no longer knows this session"},
		{"404", &wire.StatusError{Status: 404}, CodeRemoteFailed, "Check the address: mcpctl inspect https://x/mcp."},
		{"413", &wire.StatusError{Status: 413}, CodeRemoteFailed, "Raise limits.body"},
		{"431", &wire.StatusError{Status: 431}, CodeRemoteFailed, "This needs an Entra administrator: App registrations"},
		{"504", &wire.StatusError{Status: 504}, CodeRemoteFailed, "proxy_read_timeout"},
		{"418", &wire.StatusError{Status: 418}, CodeRemoteFailed, "Check that the address is its MCP endpoint"},
		{"503", &wire.StatusError{Status: 503, Header: http.Header{"Retry-After": {"7"}}}, CodeRemoteFailed, "try again after: 7"},
		{"web page", &wire.ContentError{Status: 200, Type: "text/html; charset=utf-8"}, CodeRemoteFailed, "answered with a web page (HTTP 200) and not with an MCP message"},
		{"redirect", &wire.StatusError{Status: 302, Header: http.Header{"Location": {"https://u:p@x/login?code=secret#f"}}}, CodeRemoteFailed, `"https://x/login"`},
		{"no HTTP+SSE", &noStreamError{&wire.StatusError{Status: 400}}, CodeRemoteFailed, "leave out --transport sse"},
		{"busy", fmt.Errorf("%w: 5", wire.ErrBusy), CodeBusy, "no more requests"},
		{"stopping", wire.ErrStopping, CodeStopping, "stopping"},
		{"sign-in", &signInError{errors.New("Run: mcpctl login")}, CodeSignInNeeded, "mcpctl login"},
		{"anything", errors.New("boom"), CodeRemoteFailed, "boom"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			code, text := explainer{url: "https://x/mcp"}.explain(tc.err)
			if code != tc.code || !strings.Contains(text, tc.want) {
				t.Errorf("%d %s", code, text)
			}
		})
	}
}

// Who signs in otherwise than with mcpctl login learns what was not accepted.
func TestRefusedWithoutASignIn(t *testing.T) {
	refused := &wire.StatusError{Status: http.StatusUnauthorized}
	for own, want := range map[bool]string{true: "Check --header and --header-file", false: "Run: mcpctl login https://x/mcp, and leave --no-auth out"} {
		if code, text := (explainer{url: "https://x/mcp", own: own}).explain(refused); code != CodeSignInNeeded || !strings.Contains(text, want) {
			t.Errorf("%d %s", code, text)
		}
	}
}

// The server's own JSON-RPC error is the answer, whatever the status.
func TestServersErrorIsTheAnswer(t *testing.T) {
	s := newRemoteServer(t, "")
	s.handle = func(w http.ResponseWriter, _ *http.Request, _ wire.Frame) {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":null,"error":{"code":-32602,"message":"own words","data":{"n":9007199254740993}}}`)
	}
	c, _ := session(t, Options{URL: s.URL})
	ask(t, c, initialize)
	if got, want := ask(t, c, callTool), `{"jsonrpc":"2.0","id":"c","error":{"code":-32602,"message":"own words","data":{"n":9007199254740993}}}`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// auto falls back to HTTP+SSE where Streamable HTTP is refused.
func TestFallsBackToSSE(t *testing.T) {
	var newest atomic.Pointer[chan string] // of ids for the stream that was opened last: one before may not have ended yet
	mux := http.NewServeMux()
	stream := func(w http.ResponseWriter, r *http.Request) {
		posted := make(chan string, 10)
		newest.Store(&posted)
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "event: endpoint\ndata: /messages\n\n")
		_ = http.NewResponseController(w).Flush()
		for {
			select {
			case id := <-posted:
				_, _ = fmt.Fprintf(w, "data: {\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":{\"protocolVersion\":\"2024-11-05\"}}\n\n", id)
				_ = http.NewResponseController(w).Flush()
			case <-r.Context().Done():
				return
			}
		}
	}
	mux.HandleFunc("GET /sse", stream)
	mux.HandleFunc("POST /messages", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.WriteHeader(http.StatusAccepted)
		if f, err := wire.Parse(body); err == nil && f.Kind == wire.Request {
			*newest.Load() <- string(f.ID)
		}
	})
	// A server may say in JSON-RPC why it takes no POST.
	mux.HandleFunc("GET /wordy", stream)
	mux.HandleFunc("POST /wordy", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusMethodNotAllowed)
		_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"use GET"}}`)
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close) // after the sessions, whose streams it waits for
	for _, o := range []Options{
		{URL: s.URL + "/sse", Transport: TransportAuto},
		{URL: s.URL + "/sse", Transport: TransportSSE},
		{URL: s.URL + "/wordy", Transport: TransportAuto},
	} {
		c, stop := session(t, o)
		if got := ask(t, c, initialize); !strings.Contains(got, "2024-11-05") {
			t.Errorf("%s %s: %s", o.Transport, o.URL, got)
		}
		if got := ask(t, c, callTool); !strings.Contains(got, `"id":"c"`) {
			t.Errorf("%s %s: %s", o.Transport, o.URL, got)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	}
}

// A call in flight when the client closes its end is still answered.
func TestFinishesAfterEOF(t *testing.T) {
	s := newRemoteServer(t, "")
	release := make(chan struct{})
	s.handle = func(w http.ResponseWriter, _ *http.Request, f wire.Frame) {
		<-release
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(wire.NewResult(f.ID, map[string]any{}).Raw)
	}
	client, inner := halfClosing()
	transport := wire.NewTransport()
	defer transport.CloseIdleConnections()
	done := make(chan error, 1)
	go func() { done <- Run(context.Background(), Options{URL: s.URL, Client: inner, HTTP: transport}) }()
	client.in <- wire.MustParse(initialize)
	<-client.out
	client.in <- wire.MustParse(callTool)
	close(client.in)
	close(release)
	if f := <-client.out; !strings.Contains(string(f.Raw), `"id":"c","result"`) {
		t.Errorf("answer %s", f.Raw)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// lines is a client connection that can end its input and still take output.
type lines struct{ in, out chan wire.Frame }

func halfClosing() (*lines, wire.Conn) {
	l := &lines{in: make(chan wire.Frame, 10), out: make(chan wire.Frame, 10)}
	return l, l
}

func (l *lines) Read(ctx context.Context) (wire.Frame, error) {
	select {
	case f, ok := <-l.in:
		if !ok {
			return wire.Frame{}, io.EOF
		}
		return f, nil
	case <-ctx.Done():
		return wire.Frame{}, ctx.Err()
	}
}

func (l *lines) Write(_ context.Context, f wire.Frame) error { l.out <- f.Clone(); return nil }
func (l *lines) Close() error                                { return nil }

func TestTokenNeverPrints(t *testing.T) {
	var out strings.Builder
	log := slog.New(slog.NewJSONHandler(&out, nil))
	secret := Token("eyJsecret")
	log.Info("x", "token", secret, "in", struct{ T Token }{secret})
	fmt.Fprintf(&out, "%v %s %q %#v %+v %x", secret, secret, secret, secret, struct{ T Token }{secret}, secret)
	if strings.Contains(out.String(), "secret") || strings.Contains(out.String(), "65794a") {
		t.Errorf("printed: %s", out.String())
	}
}

func TestOptionsAreChecked(t *testing.T) {
	_, inner := wire.Pipe(1)
	for _, opts := range []Options{{}, {Client: inner, URL: "https://x", Transport: "telepathy"}, {Client: inner, URL: "nowhere"}, {Client: inner, URL: "https://x", Transport: TransportSSE, Protocol: "2026-07-28"}} {
		if err := Run(t.Context(), opts); err == nil {
			t.Errorf("%+v was taken", opts)
		}
	}
}
