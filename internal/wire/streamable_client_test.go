package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// sink collects what a remote delivers.
type sink struct {
	mu     sync.Mutex
	frames []Frame
	came   chan struct{}
}

func newSink() *sink { return &sink{came: make(chan struct{}, 10000)} }

func (s *sink) deliver(_ context.Context, f Frame) error {
	s.mu.Lock()
	s.frames = append(s.frames, f.Clone())
	s.mu.Unlock()
	s.came <- struct{}{}
	return nil
}

func (s *sink) texts() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []string
	for _, f := range s.frames {
		all = append(all, string(f.Raw))
	}
	return all
}

func (s *sink) await(t *testing.T, n int) {
	t.Helper()
	for range n {
		select {
		case <-s.came:
		case <-time.After(10 * time.Second):
			t.Fatalf("waiting for %d messages, have %q", n, s.texts())
		}
	}
}

// call is one request that a test server has received.
type received struct {
	method, body string
	header       http.Header
}

// scripted is a server that answers with handler and remembers what came.
type scripted struct {
	*httptest.Server
	mu   sync.Mutex
	came []received
}

func serve(t *testing.T, handler func(w http.ResponseWriter, r *http.Request, body string, n int)) *scripted {
	t.Helper()
	s := &scripted{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		s.mu.Lock()
		n := len(s.came)
		s.came = append(s.came, received{r.Method, string(body), r.Header.Clone()})
		s.mu.Unlock()
		handler(w, r, string(body), n)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *scripted) requests() []received {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]received(nil), s.came...)
}

func streamable(t *testing.T, url string, edit ...func(*ClientOptions)) (*StreamableClient, *sink) {
	t.Helper()
	got := newSink()
	transport := NewTransport()
	t.Cleanup(transport.CloseIdleConnections)
	opts := ClientOptions{
		URL: url, Deliver: got.deliver, RetryWait: time.Millisecond, MaxRetryWait: 5 * time.Millisecond, Attempts: 3,
		HTTP: &http.Client{Transport: transport, CheckRedirect: NoRedirect},
	}
	for _, e := range edit {
		e(&opts)
	}
	c, err := NewStreamableClient(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		_ = c.End(ctx)
	})
	return c, got
}

func sse(w http.ResponseWriter, events ...string) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.WriteHeader(http.StatusOK)
	for _, e := range events {
		_, _ = io.WriteString(w, e+"\n\n")
		_ = http.NewResponseController(w).Flush()
	}
}

func document(w http.ResponseWriter, body string) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_, _ = io.WriteString(w, body)
}

const (
	listRequest = `{"jsonrpc":"2.0","id":7,"method":"tools/list"}`
	callRequest = `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"t"}}`
	okAnswer    = `{"jsonrpc":"2.0","id":7,"result":{}}`
	progress    = `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1}}`
)

// TestExchange: whatever a server answers, a request ends with exactly one
// response or with an error that tells what happened.
func TestExchange(t *testing.T) {
	for _, tc := range []struct {
		name    string
		answer  func(w http.ResponseWriter)
		want    []string
		wantErr error  // matched with errors.Is
		errText string // part of the error's text
	}{
		{name: "JSON", answer: func(w http.ResponseWriter) { document(w, okAnswer) }, want: []string{okAnswer}},
		{name: "pretty-printed", answer: func(w http.ResponseWriter) {
			document(w, "\r\n{\n \"jsonrpc\": \"2.0\",\r\n \"id\": 7, \"result\": {} }\n")
		},
			want: []string{"{\n \"jsonrpc\": \"2.0\",\r\n \"id\": 7, \"result\": {} }"}},
		{name: "batch in a body", answer: func(w http.ResponseWriter) { document(w, "["+progress+","+okAnswer+"]") }, want: []string{progress, okAnswer}},
		{name: "stream", answer: func(w http.ResponseWriter) { sse(w, "data: "+progress, ": ping", "event: message\ndata: "+okAnswer) }, want: []string{progress, okAnswer}},
		{name: "numbers and order are kept", answer: func(w http.ResponseWriter) {
			document(w, `{"result":{"z":1e400,"a":9007199254740993,"z":"<&>"},"x":null,"id":7,"jsonrpc":"2.0"}`)
		}, want: []string{`{"result":{"z":1e400,"a":9007199254740993,"z":"<&>"},"x":null,"id":7,"jsonrpc":"2.0"}`}},
		{name: "null id in a body", answer: func(w http.ResponseWriter) {
			document(w, `{"jsonrpc":"2.0","id":null,"error":{"code":-32603,"message":"no"}}`)
		},
			want: []string{`{"jsonrpc":"2.0","id":7,"error":{"code":-32603,"message":"no"}}`}},
		{name: "null id in a stream", answer: func(w http.ResponseWriter) {
			sse(w, `data: {"jsonrpc":"2.0","error":{"code":-32603,"message":"no"},"id":null}`)
		},
			want: []string{`{"jsonrpc":"2.0","error":{"code":-32603,"message":"no"},"id":7}`}},
		{name: "another request's response", answer: func(w http.ResponseWriter) { document(w, `{"jsonrpc":"2.0","id":8,"result":{}}`) }, wantErr: ErrNoAnswer},
		{name: "a string is no number", answer: func(w http.ResponseWriter) { document(w, `{"jsonrpc":"2.0","id":"7","result":{}}`) }, wantErr: ErrNoAnswer},
		{name: "two responses", answer: func(w http.ResponseWriter) { sse(w, "data: "+okAnswer, "data: "+okAnswer) }, want: []string{okAnswer}},
		{name: "empty 200", answer: func(w http.ResponseWriter) {}, wantErr: ErrNoAnswer},
		{name: "202", answer: func(w http.ResponseWriter) { w.WriteHeader(http.StatusAccepted) }, wantErr: ErrNoAnswer},
		{name: "empty JSON body", answer: func(w http.ResponseWriter) { document(w, "") }, wantErr: ErrNoAnswer},
		{name: "HTML", answer: func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = io.WriteString(w, "<html>")
		},
			wantErr: ErrNoAnswer, errText: "text/html"},
		{name: "not JSON", answer: func(w http.ResponseWriter) { document(w, "<html>") }, wantErr: ErrNoAnswer, errText: "no JSON-RPC message"},
		{name: "stream without response", answer: func(w http.ResponseWriter) { sse(w, "data: "+progress) }, want: []string{progress}, wantErr: ErrNoAnswer},
		{name: "redirect", answer: func(w http.ResponseWriter) {
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(http.StatusTemporaryRedirect)
		}, errText: "HTTP 307"},
		{name: "503", answer: func(w http.ResponseWriter) { w.WriteHeader(http.StatusServiceUnavailable) }, errText: "HTTP 503"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := serve(t, func(w http.ResponseWriter, r *http.Request, _ string, _ int) {
				if r.Method != http.MethodPost {
					w.WriteHeader(http.StatusMethodNotAllowed)
					return
				}
				tc.answer(w)
			})
			c, got := streamable(t, s.URL)
			err := c.Exchange(t.Context(), MustParse(callRequest))
			switch {
			case tc.wantErr == nil && tc.errText == "" && err != nil:
				t.Errorf("error %v", err)
			case tc.wantErr != nil && !errors.Is(err, tc.wantErr):
				t.Errorf("error %v, want %v", err, tc.wantErr)
			case tc.errText != "" && (err == nil || !strings.Contains(err.Error(), tc.errText)):
				t.Errorf("error %v, want it to say %q", err, tc.errText)
			}
			if want := fmt.Sprint(tc.want); fmt.Sprint(got.texts()) != want {
				t.Errorf("delivered %q, want %q", got.texts(), tc.want)
			}
			posts := 0
			for _, r := range s.requests() {
				if r.method == http.MethodPost {
					posts++
				}
			}
			if posts != 1 {
				t.Errorf("the tool call was sent %d times", posts)
			}
		})
	}
}

func TestExchangeStatusCarriesTheServersError(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request, _ string, _ int) {
		w.Header().Set("WWW-Authenticate", `Bearer error="x"`)
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":null,"error":{"code":-32022,"message":"version"}}`)
	})
	c, _ := streamable(t, s.URL)
	var status *StatusError
	if err := c.Exchange(t.Context(), MustParse(listRequest)); !errors.As(err, &status) {
		t.Fatalf("error %v", err)
	}
	if status.Status != 400 || !status.Answer.Failed || status.Header.Get("WWW-Authenticate") == "" {
		t.Errorf("got %+v", status)
	}
}

func TestExchangeUnreachable(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	s.Close()
	c, _ := streamable(t, s.URL+"/mcp?code=secret")
	err := c.Exchange(t.Context(), MustParse(callRequest))
	if !errors.Is(err, ErrNotSent) || strings.Contains(err.Error(), "secret") {
		t.Errorf("error %v", err)
	}
}

// Session id and negotiated version go on everything after initialize, and a
// new initialize names neither.
func TestSessionHeaders(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request, body string, _ int) {
		switch {
		case strings.Contains(body, `"initialize"`):
			w.Header().Set("Mcp-Session-Id", "s1")
			document(w, `{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"2025-06-18"}}`)
		case strings.Contains(body, `"id"`):
			document(w, okAnswer)
		case r.Method == http.MethodGet:
			w.WriteHeader(http.StatusMethodNotAllowed)
		default:
			w.WriteHeader(http.StatusAccepted)
		}
	})
	c, _ := streamable(t, s.URL, func(o *ClientOptions) { o.Header = http.Header{"X-Extra": {"1"}} })
	initialize := MustParse(`{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25"}}`)
	for _, f := range []Frame{initialize, MustParse(`{"jsonrpc":"2.0","method":"notifications/initialized"}`), MustParse(listRequest), initialize} {
		if err := c.Exchange(t.Context(), f); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Listen(t.Context()); !errors.Is(err, ErrNoListen) {
		t.Errorf("Listen: %v", err)
	}
	if err := c.End(t.Context()); err != nil {
		t.Errorf("End: %v", err)
	}
	want := []string{"POST - -", "POST s1 2025-06-18", "POST s1 2025-06-18", "POST - -", "GET s1 2025-06-18", "DELETE s1 2025-06-18"}
	var got []string
	for _, r := range s.requests() {
		or := func(v string) string {
			if v == "" {
				return "-"
			}
			return v
		}
		got = append(got, r.method+" "+or(r.header.Get("Mcp-Session-Id"))+" "+or(r.header.Get("Mcp-Protocol-Version")))
		if r.header.Get("X-Extra") != "1" {
			t.Errorf("%s without the extra header", r.method)
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestSessionLost(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request, body string, _ int) {
		if strings.Contains(body, `"initialize"`) {
			w.Header().Set("Mcp-Session-Id", "s1")
			document(w, `{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"2025-06-18"}}`)
			return
		}
		w.WriteHeader(http.StatusNotFound)
	})
	c, _ := streamable(t, s.URL)
	if err := c.Exchange(t.Context(), MustParse(listRequest)); errors.Is(err, ErrSessionLost) {
		t.Errorf("404 without a session is no lost session: %v", err)
	}
	if err := c.Exchange(t.Context(), MustParse(`{"jsonrpc":"2.0","id":0,"method":"initialize"}`)); err != nil {
		t.Fatal(err)
	}
	if err := c.Exchange(t.Context(), MustParse(listRequest)); !errors.Is(err, ErrSessionLost) {
		t.Errorf("error %v", err)
	}
}

// A stream that was cut after an event id is resumed by GET, on that id only.
func TestResumeCutStream(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request, _ string, n int) {
		switch n {
		case 0:
			sse(w, "id: a1\ndata:", "id: a2\ndata: "+progress)
			panic(http.ErrAbortHandler) // cut in the middle
		case 1:
			w.WriteHeader(http.StatusBadGateway) // still down
		case 2:
			sse(w, "id: a3\ndata: "+progress) // hangs up without a response
		default:
			sse(w, "id: a4\ndata: "+okAnswer)
		}
	})
	c, got := streamable(t, s.URL)
	if err := c.Exchange(t.Context(), MustParse(callRequest)); err != nil {
		t.Fatal(err)
	}
	if want := []string{progress, progress, okAnswer}; fmt.Sprint(got.texts()) != fmt.Sprint(want) {
		t.Errorf("delivered %q", got.texts())
	}
	var ids []string
	for _, r := range s.requests() {
		ids = append(ids, r.method+" "+r.header.Get("Last-Event-Id"))
	}
	if want := "[POST  GET a2 GET a2 GET a3]"; fmt.Sprint(ids) != want {
		t.Errorf("got %q, want %s", ids, want)
	}
}

func TestResumeGivesUp(t *testing.T) {
	for _, tc := range []struct {
		name   string
		status int
		gets   int
	}{
		{"refused", http.StatusMethodNotAllowed, 1},
		{"down", http.StatusBadGateway, 3},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := serve(t, func(w http.ResponseWriter, r *http.Request, _ string, _ int) {
				if r.Method == http.MethodPost {
					sse(w, "id: a1\ndata:")
					return
				}
				w.WriteHeader(tc.status)
			})
			c, _ := streamable(t, s.URL)
			if err := c.Exchange(t.Context(), MustParse(callRequest)); !errors.Is(err, ErrNoAnswer) {
				t.Errorf("error %v", err)
			}
			if gets := len(s.requests()) - 1; gets != tc.gets {
				t.Errorf("%d attempts, want %d", gets, tc.gets)
			}
		})
	}
}

// A server that is away when a stream is to be resumed has had the request: that
// the attempts did not reach it says nothing else.
func TestResumeDoesNotReachTheServer(t *testing.T) {
	var s *scripted
	s = serve(t, func(w http.ResponseWriter, _ *http.Request, _ string, _ int) {
		_ = s.Listener.Close()
		w.Header().Set("Connection", "close")
		sse(w, "id: a1\ndata:")
	})
	c, _ := streamable(t, s.URL)
	if err := c.Exchange(t.Context(), MustParse(callRequest)); !errors.Is(err, ErrNoAnswer) || errors.Is(err, ErrNotSent) {
		t.Errorf("error %v", err)
	}
}

// Without an event id nothing can be resumed, and a call is not repeated: it
// may have had its effect.
func TestCutStreamWithoutEventID(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request, _ string, _ int) {
		sse(w, "data: "+progress)
		panic(http.ErrAbortHandler)
	})
	c, _ := streamable(t, s.URL)
	if err := c.Exchange(t.Context(), MustParse(callRequest)); !errors.Is(err, ErrNoAnswer) {
		t.Errorf("error %v", err)
	}
	if n := len(s.requests()); n != 1 {
		t.Errorf("%d requests", n)
	}
}

func TestListenReconnects(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s := serve(t, func(w http.ResponseWriter, r *http.Request, _ string, n int) {
		switch n {
		case 0:
			sse(w, "id: g1\ndata: "+progress)
			panic(http.ErrAbortHandler)
		case 1:
			w.WriteHeader(http.StatusServiceUnavailable)
		default:
			sse(w, "id: g2\ndata: "+progress)
			<-r.Context().Done()
		}
	})
	c, got := streamable(t, s.URL)
	done := make(chan error, 1)
	go func() { done <- c.Listen(ctx) }()
	got.await(t, 2)
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("Listen: %v", err)
	}
	var ids []string
	for _, r := range s.requests() {
		ids = append(ids, r.header.Get("Last-Event-Id"))
	}
	if want := "[ g1 g1]"; fmt.Sprint(ids) != want {
		t.Errorf("resumed with %q, want %s", ids, want)
	}
}

// A response above the cap becomes an error with its id; a 10 MB one passes.
func TestLargeResponses(t *testing.T) {
	big := `{"jsonrpc":"2.0","id":7,"result":"` + strings.Repeat("x", 10<<20) + `"}`
	for _, tc := range []struct {
		name  string
		limit int
		write func(w http.ResponseWriter)
		want  string
	}{
		{"stream", 16 << 20, func(w http.ResponseWriter) { sse(w, "data: "+big) }, big},
		{"body", 16 << 20, func(w http.ResponseWriter) { document(w, big) }, big},
		{"stream above the cap", 1 << 20, func(w http.ResponseWriter) { sse(w, "data: "+big) }, "exceeds|more than the limit"},
		{"body above the cap", 1 << 20, func(w http.ResponseWriter) { document(w, big) }, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := serve(t, func(w http.ResponseWriter, _ *http.Request, _ string, _ int) { tc.write(w) })
			c, got := streamable(t, s.URL, func(o *ClientOptions) { o.MaxMessage = tc.limit })
			err := c.Exchange(t.Context(), MustParse(callRequest))
			switch {
			case tc.want == "":
				if !errors.Is(err, errTooLarge) {
					t.Errorf("error %v", err)
				}
			case tc.want == big:
				if err != nil || len(got.texts()) != 1 || got.texts()[0] != big {
					t.Errorf("error %v, %d messages", err, len(got.texts()))
				}
			default:
				if err != nil || len(got.texts()) != 1 || !strings.Contains(got.texts()[0], "more than the limit") || !strings.Contains(got.texts()[0], `"id":7`) {
					t.Errorf("error %v, %.300q", err, got.texts())
				}
			}
		})
	}
}

// A stream that stays open after the response, or after a notification, holds
// nobody up.
func TestStreamsThatStayOpen(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request, body string, _ int) {
		if strings.Contains(body, `"id"`) {
			sse(w, "data: "+okAnswer)
		} else {
			sse(w, ": hello")
		}
		<-r.Context().Done()
	})
	c, got := streamable(t, s.URL)
	for _, f := range []string{callRequest, `{"jsonrpc":"2.0","method":"notifications/x"}`} {
		if err := c.Exchange(t.Context(), MustParse(f)); err != nil {
			t.Fatal(err)
		}
	}
	if len(got.texts()) != 1 {
		t.Errorf("delivered %q", got.texts())
	}
}

// A second answer that is too large comes when the request's bytes are gone.
func TestLargeAnswerAfterTheAnswer(t *testing.T) {
	released := make(chan struct{})
	s := serve(t, func(w http.ResponseWriter, _ *http.Request, _ string, _ int) {
		sse(w, "data: "+okAnswer)
		<-released
		_, _ = fmt.Fprintf(w, "data: {\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{\"text\":%q}}\n\n", strings.Repeat("x", 2<<20))
	})
	c, got := streamable(t, s.URL, func(o *ClientOptions) { o.MaxMessage = 1 << 20 })
	f, err := parseBuffer(newBuffer(len(callRequest)).appendBytes([]byte(callRequest)))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Exchange(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	f.Release()
	close(released)
	c.wg.Wait() // for what reads on
	if texts := got.texts(); len(texts) != 1 || texts[0] != okAnswer {
		t.Errorf("got %.300q", texts)
	}
}

// What the receiver can't take ends the stream instead of piling up.
func TestDeliverErrorEndsTheExchange(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request, _ string, _ int) {
		sse(w, "id: 1\ndata: "+progress, "data: "+okAnswer)
	})
	broken := errors.New("broken")
	c, _ := streamable(t, s.URL, func(o *ClientOptions) { o.Deliver = func(context.Context, Frame) error { return broken } })
	if err := c.Exchange(t.Context(), MustParse(callRequest)); !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
	if n := len(s.requests()); n != 1 {
		t.Errorf("%d requests", n)
	}
}

func TestClientRefusesBadAddresses(t *testing.T) {
	for _, url := range []string{"", "mcp", "ftp://x/", "http://", "://", "https:///mcp"} {
		if _, err := NewStreamableClient(ClientOptions{URL: url, Deliver: newSink().deliver}); err == nil {
			t.Errorf("%q was taken", url)
		}
	}
}
