package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// sseTest is an HTTP+SSE front on a loopback listener, at /sse and /messages.
type sseTest struct {
	t      *testing.T
	front  *SSEFront
	server *httptest.Server
}

func startSSE(t *testing.T, opts FrontOptions, sc *script) *sseTest {
	t.Helper()
	if opts.Serve == nil {
		opts.Serve = sc.serve
	}
	opts.Owner = func(r *http.Request) string { return r.Header.Get(ownerHeader) }
	front := NewSSEFront(opts, "/messages")
	mux := http.NewServeMux()
	mux.HandleFunc("/sse", front.Stream)
	mux.HandleFunc("/messages", front.Messages)
	return &sseTest{t: t, front: front, server: newTestServer(t, mux, front.Close)}
}

// sseClient is a client of the old transport: a stream and where to post.
type sseClient struct {
	*listenTest
	post *frontClient
}

func (st *sseTest) connect(owner string) *sseClient {
	st.t.Helper()
	c := &frontClient{t: st.t, url: st.server.URL + "/sse", owner: owner}
	l := c.stream(http.MethodGet, "", nil)
	ev, err := l.events.next()
	if err != nil || ev.name != "endpoint" {
		st.t.Fatalf("first event %q, %v", ev.name, err)
	}
	endpoint := string(ev.data.b)
	if !strings.HasPrefix(endpoint, "/messages?sessionId=") {
		st.t.Fatalf("endpoint %q", endpoint)
	}
	return &sseClient{l, &frontClient{t: st.t, url: st.server.URL + endpoint, owner: owner}}
}

func (c *sseClient) initialize() {
	c.t.Helper()
	c.post.notify(initializeMessage("2024-11-05"))
	if f := c.mustNext(); string(f.ID) != `"init"` || f.Failed {
		c.t.Fatalf("got %s", f.Raw)
	}
}

func TestSSEFrontCarriesCallsInOrder(t *testing.T) {
	c := startSSE(t, FrontOptions{}, &script{}).connect("")
	c.initialize()
	c.post.notify(request("1", "test/progress", `{"n":1000}`))
	got := make([]Frame, 1001)
	for i := range got {
		got[i] = c.mustNext()
	}
	checkProgress(t, got, "1", 1000)
	if text := string(got[1000].Raw); text != `{"jsonrpc":"2.0","id":1,"result":{"n":1000}}` {
		t.Errorf("got %s", text)
	}
}

func TestSSEFrontResponsesNeverOvertakeTheirNotifications(t *testing.T) {
	const calls = 500
	c := startSSE(t, FrontOptions{}, &script{}).connect("")
	c.initialize()
	var posts sync.WaitGroup
	ids := make(chan int)
	for range 8 {
		posts.Go(func() {
			for id := range ids {
				resp, err := http.DefaultClient.Do(c.post.request(t.Context(), http.MethodPost, request(strconv.Itoa(id), "test/progress", `{"n":5}`), nil))
				if err != nil {
					t.Error(err)
					continue
				}
				_ = resp.Body.Close()
			}
		})
	}
	go func() {
		for id := range calls {
			ids <- id
		}
		close(ids)
	}()
	perCall := map[string][]Frame{}
	for range calls * 6 {
		f := c.mustNext()
		key := string(f.ID)
		if f.Kind != Response {
			key = string(Lookup(f.Raw, "params", "progressToken"))
		}
		perCall[key] = append(perCall[key], f)
	}
	posts.Wait()
	for id := range calls {
		checkProgress(t, perCall[strconv.Itoa(id)], strconv.Itoa(id), 5)
	}
}

func TestSSEFrontTakesMessagesInOrder(t *testing.T) {
	sc := &script{received: make(chan Incoming, 200)}
	c := startSSE(t, FrontOptions{}, sc).connect("")
	for i := range 100 {
		c.post.notify(fmt.Sprintf(`{"jsonrpc":"2.0","method":"n/%d"}`, i))
	}
	for i := range 100 {
		if in := <-sc.received; in.Method != fmt.Sprintf("n/%d", i) {
			t.Fatalf("message %d is %s", i, in.Method)
		}
	}
}

func TestSSEFrontCarriesAServersRequest(t *testing.T) {
	c := startSSE(t, FrontOptions{}, &script{}).connect("")
	c.initialize()
	c.post.notify(request("7", "test/ask", `{}`))
	ask := c.mustNext()
	if ask.Method != "roots/list" {
		t.Fatalf("got %s", ask.Raw)
	}
	c.post.notify(`{"jsonrpc":"2.0","id":` + string(ask.ID) + `,"result":{}}`)
	if f := c.mustNext(); string(f.ID) != "7" {
		t.Errorf("got %s", f.Raw)
	}
}

func TestSSEFrontRefusals(t *testing.T) {
	st := startSSE(t, FrontOptions{MaxMessage: 1000}, &script{})
	c := st.connect("alice")
	other := *c.post
	other.owner = "bob"
	unknown := *c.post
	unknown.url = st.server.URL + "/messages?sessionId=NOSUCHSESSION"
	missing := unknown
	missing.url = st.server.URL + "/messages"
	stream := *c.post
	stream.url = st.server.URL + "/sse"
	ping := request("1", "ping", `{}`)
	type header = map[string]string
	for name, tc := range map[string]struct {
		c            *frontClient
		method, body string
		header       header
		status       int
	}{
		"POST at the stream":    {&stream, http.MethodPost, initializeMessage("2025-06-18"), nil, 405},
		"GET at the messages":   {c.post, http.MethodGet, "", nil, 405},
		"another owner":         {&other, http.MethodPost, ping, nil, 404},
		"unknown session":       {&unknown, http.MethodPost, ping, nil, 404},
		"no session":            {&missing, http.MethodPost, ping, nil, 400},
		"no event stream taken": {&stream, http.MethodGet, "", header{"Accept": "application/json"}, 406},
		"no JSON type":          {c.post, http.MethodPost, ping, header{"Content-Type": "text/plain"}, 415},
		"no JSON":               {c.post, http.MethodPost, "{", nil, 400},
		"batch":                 {c.post, http.MethodPost, "[" + ping + "]", nil, 400},
		"too large":             {c.post, http.MethodPost, request("1", "x", `"`+strings.Repeat("x", 1000)+`"`), nil, 413},
		"origin at the stream":  {&stream, http.MethodGet, "", header{"Origin": "https://evil.example"}, 403},
		"origin at messages":    {c.post, http.MethodPost, ping, header{"Origin": "https://evil.example"}, 403},
	} {
		t.Run(name, func(t *testing.T) {
			tc.c.t = t
			resp := tc.c.do(tc.method, tc.body, tc.header)
			if got := readMessages(t, resp); resp.StatusCode != tc.status || len(got) != 1 || !got[0].Failed {
				t.Errorf("HTTP %d %v, want %d", resp.StatusCode, texts(got), tc.status)
			}
		})
	}
	c.post.t = t
	c.initialize()
}

func TestSSEFrontAnotherOwnersSessionDoesNotExist(t *testing.T) {
	st := startSSE(t, FrontOptions{}, &script{})
	c := st.connect("alice")
	show := func(address string) string {
		bob := &frontClient{t: t, url: address, owner: "bob"}
		resp := bob.do(http.MethodPost, request("1", "ping", `{}`), nil)
		body, _ := io.ReadAll(resp.Body)
		return resp.Status + string(body)
	}
	other, none := show(c.post.url), show(st.server.URL+"/messages?sessionId=NOSUCHSESSION")
	if other != none {
		t.Errorf("another owner sees %s, without a session it is %s", other, none)
	}
}

func TestSSEFrontAnswersStatelessRequestsOnTheStream(t *testing.T) {
	c := startSSE(t, FrontOptions{}, &script{}).connect("")
	c.post.notify(request("3", "server/discover", `{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}`))
	if f := c.mustNext(); string(f.ID) != "3" || string(Lookup(f.Raw, "error", "code")) != "-32022" {
		t.Errorf("got %s", f.Raw)
	}
	c.initialize()
}

func TestSSEFrontRefusesADuplicateID(t *testing.T) {
	sc := &script{hold: make(chan struct{})}
	c := startSSE(t, FrontOptions{}, sc).connect("")
	c.initialize()
	c.post.notify(request("1", "test/hold", `{}`))
	if resp := c.post.do(http.MethodPost, request("1", "test/hold", `{}`), nil); resp.StatusCode != http.StatusBadRequest {
		t.Errorf("HTTP %d", resp.StatusCode)
	}
	close(sc.hold)
	if f := c.mustNext(); string(f.ID) != "1" || f.Failed {
		t.Errorf("got %s", f.Raw)
	}
}

func TestSSEFrontSessionEndsWithItsStream(t *testing.T) {
	ended := make(chan error, 1)
	c := startSSE(t, FrontOptions{Serve: func(ctx context.Context, s *Session) {
		_, err := s.Receive(ctx)
		ended <- err
	}}, nil).connect("")
	c.cancel()
	if err := <-ended; !errors.Is(err, io.EOF) {
		t.Errorf("Receive ended with %v", err)
	}
	eventually(t, "the session to be unknown", func() bool {
		return c.post.do(http.MethodPost, request("1", "ping", `{}`), nil).StatusCode == http.StatusNotFound
	})
}

func TestSSEFrontStalledReaderIsCut(t *testing.T) {
	sessions := make(chan *Session, 2)
	sc := &script{sessions: sessions}
	st := startSSE(t, FrontOptions{Queue: 8, WriteTimeout: 200 * time.Millisecond}, sc)
	(&frontClient{t: t, url: st.server.URL + "/sse"}).stalledAt("/sse")
	s := <-sessions
	other := st.connect("")
	other.initialize()
	big := MustParse(`{"jsonrpc":"2.0","method":"n","params":"` + strings.Repeat("x", 64<<10) + `"}`)
	var err error
	for err == nil {
		err = s.Write(t.Context(), big)
		s.mu.Lock()
		if n := s.general.waiting(); n > 8 {
			t.Errorf("%d messages wait", n)
		}
		s.mu.Unlock()
	}
	if !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("writing ended with %v", err)
	}
	other.post.notify(request("1", "test/echo", `{}`))
	if f := other.mustNext(); f.Failed {
		t.Errorf("another session got %s", f.Raw)
	}
}

func (c *frontClient) stalledAt(path string) {
	c.t.Helper()
	u, err := url.Parse(c.url)
	if err != nil {
		c.t.Fatal(err)
	}
	u.Path = ""
	dial := *c
	dial.url = u.String()
	conn := dial.dial()
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nAccept: text/event-stream\r\n\r\n", path, u.Host); err != nil {
		c.t.Fatal(err)
	}
}

func TestSSEFrontBoundsSessions(t *testing.T) {
	st := startSSE(t, FrontOptions{MaxSessionsPerOwner: 2}, &script{})
	first := st.connect("alice")
	st.connect("alice")
	c := &frontClient{t: t, url: st.server.URL + "/sse", owner: "alice"}
	if resp := c.do(http.MethodGet, "", nil); resp.StatusCode != http.StatusTooManyRequests {
		t.Errorf("HTTP %d", resp.StatusCode)
	}
	st.connect("bob")
	first.initialize()
}

func TestSSEFrontCloseAnswersOpenRequests(t *testing.T) {
	sc := &script{hold: make(chan struct{}), received: make(chan Incoming, 10)}
	st := startSSE(t, FrontOptions{}, sc)
	c := st.connect("")
	c.initialize()
	c.post.notify(request("1", "test/hold", `{}`))
	<-sc.received
	<-sc.received
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := st.front.Close(ctx); err != nil {
		t.Error(err)
	}
	if got := c.rest(); len(got) != 1 || !got[0].Failed || string(got[0].ID) != "1" {
		t.Errorf("the open request got %v", texts(got))
	}
}

func TestSSEFrontAsOneHandler(t *testing.T) {
	sc := &script{}
	front := NewSSEFront(FrontOptions{Serve: sc.serve}, "/messages")
	st := &sseTest{t: t, front: front, server: newTestServer(t, front, front.Close)}
	st.connect("").initialize()
}
