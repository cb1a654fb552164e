package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"
)

// script is a server behind a front. What it does with a request stands in the
// request's method:
//
//	initialize        answers with the version that was asked for
//	test/echo         answers with the params
//	test/progress     sends params.n notifications related to the request first
//	test/log          sends params.n notifications related to nothing first
//	test/hold         answers when the script's hold channel is closed
//	test/ask          sends a request of its own, related; answers with its answer
//	test/silent       never answers
//
// Requests are worked on concurrently.
type script struct {
	hold     chan struct{}
	received chan Incoming // if not nil, a copy of all that came in
	sessions chan *Session // if not nil, each session that opened
}

func (sc *script) serve(ctx context.Context, s *Session) {
	if sc.sessions != nil {
		sc.sessions <- s
	}
	done := make(chan struct{})
	calls := 0
	asked := map[string]ID{}
	for {
		in, err := s.Receive(ctx)
		if err != nil {
			break
		}
		f := in.Frame.Clone()
		in.Release()
		if sc.received != nil {
			sc.received <- Incoming{f, in.Request}
		}
		switch {
		case f.Kind == Response:
			to := asked[string(f.ID)]
			if err := s.Write(ctx, NewResult(to, map[string]string{"answer": string(f.Raw)})); err != nil {
				return
			}
		case f.Method == "test/ask":
			id := fmt.Sprintf(`"ask-%d"`, len(asked))
			asked[id] = f.ID
			if err := s.WriteRelated(ctx, MustParse(`{"jsonrpc":"2.0","id":`+id+`,"method":"roots/list"}`), f.ID); err != nil {
				return
			}
		case f.Kind == Request:
			calls++
			go func() {
				defer func() { done <- struct{}{} }()
				sc.answer(ctx, s, f)
			}()
		}
	}
	for range calls {
		<-done
	}
}

func (sc *script) answer(ctx context.Context, s *Session, f Frame) {
	n, _ := strconv.Atoi(string(Lookup(f.Raw, "params", "n")))
	switch f.Method {
	case "initialize":
		_ = s.Write(ctx, NewResult(f.ID, map[string]any{
			"protocolVersion": LookupString(f.Raw, "params", "protocolVersion"),
			"capabilities":    map[string]any{},
			"serverInfo":      map[string]string{"name": "script", "version": "1"},
		}))
		return
	case "test/refuse":
		_ = s.Write(ctx, NewError(f.ID, -32602, "no", nil))
		return
	case "test/progress":
		for i := range n {
			note := fmt.Sprintf(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":%s,"progress":%d}}`, f.ID, i)
			if err := s.WriteRelated(ctx, MustParse(note), f.ID); err != nil {
				return
			}
		}
	case "test/log":
		for i := range n {
			if err := s.Write(ctx, logNote(i)); err != nil {
				return
			}
		}
	case "test/hold":
		select {
		case <-sc.hold:
		case <-ctx.Done():
			return
		}
	case "test/silent":
		return
	}
	params := Lookup(f.Raw, "params")
	if params == nil {
		params = []byte("{}")
	}
	_ = s.Write(ctx, MustParse(fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"result":%s}`, f.ID, params)))
}

func logNote(i int) Frame {
	return MustParse(fmt.Sprintf(`{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":%d}}`, i))
}

// frontTest is a Streamable HTTP front on a loopback listener.
type frontTest struct {
	t      *testing.T
	front  *StreamableFront
	server *httptest.Server
	script *script
}

const ownerHeader = "X-Test-Owner"

func startFront(t *testing.T, opts FrontOptions) *frontTest {
	t.Helper()
	sc := &script{hold: make(chan struct{})}
	return startFrontWith(t, opts, sc)
}

func startFrontWith(t *testing.T, opts FrontOptions, sc *script) *frontTest {
	t.Helper()
	if opts.Serve == nil {
		opts.Serve = sc.serve
	}
	if opts.Owner == nil {
		opts.Owner = func(r *http.Request) string { return r.Header.Get(ownerHeader) }
	}
	if opts.Events == nil {
		opts.Events = newTestEvents(1000)
	}
	front := NewStreamableFront(opts)
	server := newTestServer(t, front, front.Close)
	return &frontTest{t: t, front: front, server: server, script: sc}
}

// client speaks to a front in raw HTTP.
type frontClient struct {
	t       *testing.T
	url     string
	session string
	version string
	owner   string
	all     func() []*Session // of the front it speaks to
}

// open opens a session that negotiates the given version.
func (ft *frontTest) open(version string) *frontClient {
	ft.t.Helper()
	c := &frontClient{t: ft.t, url: ft.server.URL, all: ft.front.front.all}
	c.initialize(version)
	return c
}

func (c *frontClient) initialize(version string) {
	c.t.Helper()
	resp := c.do(http.MethodPost, initializeMessage(version), nil)
	answer := readMessages(c.t, resp)
	if len(answer) != 1 || answer[0].Failed {
		c.t.Fatalf("initialize: HTTP %d, %v", resp.StatusCode, texts(answer))
	}
	c.session, c.version = resp.Header.Get(HeaderSession), version
	if c.session == "" {
		c.t.Fatal("no session id after initialize")
	}
}

func initializeMessage(version string) string {
	return `{"jsonrpc":"2.0","id":"init","method":"initialize","params":{"protocolVersion":"` + version +
		`","capabilities":{},"clientInfo":{"name":"raw","version":"1"}}}`
}

func (c *frontClient) request(ctx context.Context, method, body string, header map[string]string) *http.Request {
	c.t.Helper()
	var content io.Reader
	if body != "" {
		content = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.url, content)
	if err != nil {
		c.t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Accept", "application/json, text/event-stream")
	set := func(name, value string) {
		if value != "" {
			req.Header.Set(name, value)
		}
	}
	set(HeaderSession, c.session)
	set(HeaderProtocol, c.version)
	set(ownerHeader, c.owner)
	for k, v := range header {
		if v == "" {
			req.Header.Del(k)
			continue
		}
		req.Header.Set(k, v)
	}
	return req
}

func (c *frontClient) do(method, body string, header map[string]string) *http.Response {
	c.t.Helper()
	return c.doCtx(c.t.Context(), method, body, header)
}

func (c *frontClient) doCtx(ctx context.Context, method, body string, header map[string]string) *http.Response {
	c.t.Helper()
	resp, err := http.DefaultClient.Do(c.request(ctx, method, body, header))
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

// call POSTs one message and returns all that its answer carries.
func (c *frontClient) call(body string) []Frame {
	c.t.Helper()
	return readMessages(c.t, c.do(http.MethodPost, body, nil))
}

// notify POSTs something that asks for no answer.
func (c *frontClient) notify(body string) {
	c.t.Helper()
	resp := c.do(http.MethodPost, body, nil)
	if resp.StatusCode != http.StatusAccepted {
		c.t.Fatalf("%s: HTTP %d", body, resp.StatusCode)
	}
}

// listenTest is an open event stream.
type listenTest struct {
	t      *testing.T
	resp   *http.Response
	events *eventReader
	cancel context.CancelFunc
	lastID string
}

// stream sends a request whose answer is an event stream.
func (c *frontClient) stream(method, body string, header map[string]string) *listenTest {
	c.t.Helper()
	ctx, cancel := context.WithCancel(c.t.Context())
	c.t.Cleanup(cancel)
	resp := c.doCtx(ctx, method, body, header)
	if got := contentType(resp.Header); resp.StatusCode != http.StatusOK || got != "text/event-stream" {
		text, _ := io.ReadAll(resp.Body)
		c.t.Fatalf("%s: HTTP %d, %q: %s", method, resp.StatusCode, got, text)
	}
	return &listenTest{t: c.t, resp: resp, events: newEventReader(resp.Body, DefaultMaxMessage, ""), cancel: cancel}
}

// next returns the next event that has data.
func (l *listenTest) next() (Frame, error) {
	for {
		ev, err := l.events.next()
		if err != nil {
			return Frame{}, err
		}
		l.lastID = ev.id
		if ev.data == nil || len(ev.data.b) == 0 {
			continue
		}
		return Parse([]byte(string(ev.data.b)))
	}
}

func (l *listenTest) mustNext() Frame {
	l.t.Helper()
	f, err := l.next()
	if err != nil {
		l.t.Fatalf("reading an event: %v", err)
	}
	return f
}

// rest returns the messages up to the end of the stream.
func (l *listenTest) rest() []Frame {
	l.t.Helper()
	var all []Frame
	for {
		f, err := l.next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			l.t.Fatalf("reading an event: %v", err)
		}
		all = append(all, f)
	}
}

// readMessages returns all messages of an answer, JSON or event stream.
func readMessages(t *testing.T, resp *http.Response) []Frame {
	t.Helper()
	defer resp.Body.Close()
	if contentType(resp.Header) == "text/event-stream" {
		return (&listenTest{t: t, resp: resp, events: newEventReader(resp.Body, DefaultMaxMessage, "")}).rest()
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if len(body) == 0 {
		return nil
	}
	f, err := Parse(body)
	if err != nil {
		t.Fatalf("HTTP %d with %q: %v", resp.StatusCode, body, err)
	}
	return []Frame{f}
}

func texts(frames []Frame) []string {
	out := make([]string, len(frames))
	for i, f := range frames {
		out[i] = string(f.Raw)
	}
	return out
}

// eventually waits for something that happens on its own soon.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 2000 {
		if ok() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("still waiting for: %s", what)
}

func request(id, method, params string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"method":%q,"params":%s}`, id, method, params)
}

// sessions are those of the front the client speaks to.
func (c *frontClient) sessions() []*Session { return c.all() }

// newTestServer is an httptest.Server that ends cleanly with the test.
func newTestServer(t *testing.T, h http.Handler, closeFront func(context.Context) error) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel() // nothing that is left open is waited for
		if err := closeFront(ctx); err != nil {
			t.Error(err)
		}
		server.CloseClientConnections()
		server.Close()
		http.DefaultClient.CloseIdleConnections()
	})
	return server
}

// bubble talks to a handler without a network, for tests with a clock of their
// own.
type bubble struct {
	t       *testing.T
	h       http.Handler
	session string
}

func (b *bubble) post(body string) (int, string) {
	r := httptest.NewRequest(http.MethodPost, "/mcp", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	if b.session != "" {
		r.Header.Set(HeaderSession, b.session)
	}
	w := httptest.NewRecorder()
	b.h.ServeHTTP(w, r)
	if id := w.Header().Get(HeaderSession); id != "" {
		b.session = id
	}
	return w.Code, w.Body.String()
}

func (b *bubble) open(version string) {
	b.session = ""
	if code, body := b.post(initializeMessage(version)); code != http.StatusOK {
		b.t.Fatalf("initialize: HTTP %d %s", code, body)
	}
}
