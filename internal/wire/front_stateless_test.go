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
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestStatelessAnswersWithJSONOrAStream(t *testing.T) {
	_, c := startModern(t, FrontOptions{}, &modernScript{})
	resp := c.send(modern("9007199254740993", "test/echo", `"z":1e400`))
	body, _ := io.ReadAll(resp.Body)
	if want := `{"jsonrpc":"2.0","id":9007199254740993,"result":{` + modernMeta + `,"z":1e400}}`; string(body) != want {
		t.Errorf("got %s", body)
	}
	resp = c.send(modern(`"a"`, "test/progress", `"n":100`))
	h := resp.Header
	if contentType(h) != "text/event-stream" || h.Get("X-Accel-Buffering") != "no" || h.Get("Cache-Control") != "no-cache, no-store" || h.Get(HeaderSession) != "" {
		t.Errorf("got %v", h)
	}
	stream := &listenTest{t: t, resp: resp, events: newEventReader(resp.Body, DefaultMaxMessage, "")}
	checkProgress(t, stream.rest(), `"a"`, 100)
	if stream.lastID != "" {
		t.Errorf("an event has the id %q", stream.lastID)
	}
}

func TestStatelessRefusals(t *testing.T) {
	_, c := startModern(t, FrontOptions{}, &modernScript{})
	resp := c.send(modern("5", "test/refuse", ""))
	body, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != http.StatusForbidden || string(body) != refusedCall || resp.Header.Get("Retry-After") != "7" || contentType(resp.Header) != "application/json" {
		t.Errorf("HTTP %d %v %s", resp.StatusCode, resp.Header, body)
	}
	resp = c.send(modern("5", "test/late", ""))
	if got := readMessages(t, resp); resp.StatusCode != http.StatusOK || len(got) != 2 || string(got[1].Raw) != refusedCall {
		t.Errorf("HTTP %d %v", resp.StatusCode, texts(got))
	}
}

func TestStatelessNotifications(t *testing.T) {
	sc := &modernScript{began: make(chan *Call, 10)}
	_, c := startModern(t, FrontOptions{}, sc)
	for method, want := range map[string]int{"notifications/vendor": 202, "notifications/cancelled": 202, "notifications/refuse": 403} {
		resp := c.do(http.MethodPost, `{"jsonrpc":"2.0","method":"`+method+`","params":{"requestId":1}}`, nil)
		body, _ := io.ReadAll(resp.Body)
		if resp.StatusCode != want || (len(body) == 0) != (want == 202) || want != 202 && !strings.Contains(string(body), `"id":null`) {
			t.Errorf("%s: HTTP %d %s", method, resp.StatusCode, body)
		}
	}
	if len(sc.began) != 2 {
		t.Errorf("%d notifications were worked on, want all but the cancellation", len(sc.began))
	}
	if call := <-sc.began; !errors.Is(call.Write(t.Context(), logNote(1)), io.ErrClosedPipe) {
		t.Error("something can be sent on a notification's answer")
	}
	resp := c.do(http.MethodPost, `{"jsonrpc":"2.0","method":"notifications/vendor"}`, map[string]string{HeaderMethod: "other"})
	if resp.StatusCode != http.StatusBadRequest {
		t.Errorf("HTTP %d for another method in the header", resp.StatusCode)
	}
}

func TestStatelessContextHasTheRequestsValues(t *testing.T) {
	got := make(chan string, 1)
	front := NewStreamableFront(FrontOptions{Serve: (&script{}).serve, Stateless: func(ctx context.Context, c *Call) {
		got <- labelOf(ctx) + " " + c.Owner() + " " + c.Version
	}, Owner: func(r *http.Request) string { return "owner of " + labelOf(r.Context()) }})
	server := newTestServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		front.ServeHTTP(w, r.WithContext(labelled(r.Context(), "Ann")))
	}), front.Close)
	c := modernClient{&frontClient{t: t, url: server.URL, version: revision20260728}}
	c.call(modern("1", "test/silent", ""))
	if got := <-got; got != "Ann owner of Ann 2026-07-28" {
		t.Errorf("got %q", got)
	}
}

// Closing the stream is the cancellation, whether it has begun or not.
func TestStatelessDisconnectCancels(t *testing.T) {
	for name, before := range map[string]func(*Call){
		"silent":         func(*Call) {},
		"with keepalive": func(c *Call) { time.Sleep(3 * c.front.opts.KeepAlive) },
		"with a message": func(call *Call) { _ = call.Write(t.Context(), logNote(1)) },
	} {
		sc := &modernScript{began: make(chan *Call, 1), ended: make(chan error, 1)}
		opts := FrontOptions{}
		if name == "with keepalive" {
			opts.KeepAlive = 20 * time.Millisecond
		}
		ft, c := startModern(t, opts, sc)
		cancel, _ := c.begin(modern("1", "test/wait", ""))
		call := <-sc.began
		before(call)
		cancel()
		if err := <-sc.ended; !errors.Is(err, ErrDisconnected) {
			t.Errorf("%s: ended because of %v", name, err)
		}
		eventually(t, "the end of the call", func() bool { return ft.front.Stats().Calls == 0 })
		if err := call.Write(t.Context(), NewResult(ID("1"), 1)); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("%s: writing after the end: %v", name, err)
		}
		if s := ft.front.Stats(); s.Pending != 0 {
			t.Errorf("%s: %d requests are still pending", name, s.Pending)
		}
	}
}

func TestStatelessTakesWhatBelongsToTheRequestOnly(t *testing.T) {
	errs := make(chan error, 10)
	_, c := startModern(t, FrontOptions{Stateless: func(ctx context.Context, c *Call) {
		errs <- c.Write(ctx, MustParse(`{"jsonrpc":"2.0","id":9,"method":"roots/list"}`))
		errs <- c.Write(ctx, MustParse(`[{"jsonrpc":"2.0","id":9,"method":"roots/list"}]`))
		errs <- c.Write(ctx, NewResult(ID(`"1"`), 1))
		errs <- c.Write(ctx, NewResult(ID("1"), 1))
		errs <- c.Write(ctx, NewResult(ID("1"), 2))
		errs <- c.Write(ctx, logNote(1))
		errs <- c.Refuse(ctx, needsLogin)
	}}, nil)
	if got := c.call(modern("1", "test/echo", "")); len(got) != 1 || string(Lookup(got[0].Raw, "result")) != "1" {
		t.Errorf("got %v", texts(got))
	}
	for i, want := range []error{errNotRelated, errNotRelated, ErrNoRequest, nil, ErrNoRequest, ErrNoRequest, ErrNoRequest} {
		err := <-errs
		if errors.Is(want, ErrNoRequest) && errors.Is(err, io.ErrClosedPipe) {
			continue // the answer is out already
		}
		if !errors.Is(err, want) {
			t.Errorf("message %d: %v, want %v", i, err, want)
		}
	}
}

func TestStatelessEveryCallGetsItsOwn(t *testing.T) {
	const calls, each = 2000, 5
	ft, c := startModern(t, FrontOptions{MaxCallsPerOwner: calls}, &modernScript{})
	hc := wideClient(t)
	var all sync.WaitGroup
	for i := range calls {
		all.Go(func() {
			id := strconv.Itoa(i % 7) // ids mean nothing across requests
			message := modern(id, "test/progress", fmt.Sprintf(`"n":%d,"own":%d`, each, i))
			resp, err := hc.Do(c.request(t.Context(), http.MethodPost, message, headers(message)))
			if err != nil {
				t.Error(err)
				return
			}
			got := readMessages(t, resp)
			checkProgress(t, got, id, each)
			if own := string(Lookup(got[len(got)-1].Raw, "result", "own")); own != strconv.Itoa(i) {
				t.Errorf("call %d got the answer to %s", i, own)
			}
		})
	}
	all.Wait()
	eventually(t, "the end of all calls", func() bool { s := ft.front.Stats(); return s.Calls == 0 && s.Pending == 0 && s.Bytes == 0 })
}

func TestStatelessBounds(t *testing.T) {
	sc := &modernScript{hold: make(chan struct{}), began: make(chan *Call, 10)}
	stuck := make(chan struct{})
	ft, ann := startModern(t, FrontOptions{MaxCalls: 4, MaxCallsPerOwner: 2, MaxListensPerOwner: 1, Stateless: func(ctx context.Context, c *Call) {
		sc.serve(ctx, c)
		if c.Frame.Method == "test/hold" && c.Owner() == "Ann" {
			<-stuck // does not care that nobody waits any more
		}
	}}, sc)
	ann.owner = "Ann"
	other := *ann.frontClient
	bob := modernClient{&other}
	bob.owner = "Bob"
	refused := func(c modernClient, message string) {
		t.Helper()
		resp := c.send(message)
		if got := readMessages(t, resp); resp.StatusCode != http.StatusTooManyRequests || resp.Header.Get("Retry-After") == "" || string(got[0].ID) != "1" {
			t.Errorf("HTTP %d %v", resp.StatusCode, texts(got))
		}
	}
	cancel, _ := ann.begin(modern("1", "test/hold", ""))
	ann.begin(modern("1", "test/hold", ""))
	<-sc.began
	<-sc.began
	refused(ann, modern("1", "test/echo", ""))
	ann.listen("1").mustNext() // has a bound of its own
	<-sc.began
	refused(ann, modern("1", listenMethod, ""))
	if got := bob.call(modern("1", "test/echo", "")); got[0].Failed {
		t.Errorf("another owner got %s", got[0].Raw)
	}
	<-sc.began
	eventually(t, "the end of Bob's call", func() bool { return ft.front.Stats().Calls == 2 })
	bob.begin(modern("1", "test/hold", ""))
	<-sc.began
	refused(bob, modern("1", "test/echo", "")) // all together
	// Work goes on after its client has left; so it counts on.
	cancel()
	eventually(t, "the cancellation", func() bool { return ft.front.Stats().Pending == 2 })
	refused(ann, modern("1", "test/echo", ""))
	close(stuck)
	eventually(t, "the end of the work", func() bool { return ft.front.Stats().Calls == 2 })
	if got := ann.call(modern("1", "test/echo", "")); got[0].Failed {
		t.Errorf("got %s", got[0].Raw)
	}
	if s := ft.front.Stats(); s.Refused != 4 || s.Listens != 1 {
		t.Errorf("got %+v", s)
	}
	close(sc.hold)
}

// A client that takes nothing makes its own writers wait, nobody else's, and is
// cut in the end.
func TestStatelessStalledReader(t *testing.T) {
	const size = 64 << 10
	big := MustParse(`{"jsonrpc":"2.0","method":"notifications/message","params":{"data":"` + strings.Repeat("x", size) + `"}}`)
	sc := &modernScript{began: make(chan *Call, 1000)}
	cut := make(chan error, 1)
	ft, c := startModern(t, FrontOptions{Queue: 16, WriteTimeout: 300 * time.Millisecond, Stateless: func(ctx context.Context, c *Call) {
		if c.Frame.Method != "test/flood" {
			sc.serve(ctx, c)
			return
		}
		for {
			if err := c.Write(ctx, big); err != nil {
				<-ctx.Done()
				cut <- errors.Join(err, context.Cause(ctx))
				return
			}
		}
	}}, sc)
	message := modern("1", "test/flood", "")
	c.stalled(http.MethodPost, message, headers(message))
	for range 100 {
		if got := c.call(modern("1", "test/echo", "")); len(got) != 1 || got[0].Failed {
			t.Fatalf("another request got %v", texts(got))
		}
		if s := ft.front.Stats(); s.Bytes > 16*(size+100) {
			t.Fatalf("%d bytes are held for a client that does not read", s.Bytes)
		}
	}
	if err := <-cut; !errors.Is(err, ErrDisconnected) {
		t.Errorf("writing ended with %v", err)
	}
}

func TestStatelessKeepsSilentStreamsAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		front := NewStreamableFront(FrontOptions{Serve: (&script{}).serve, Stateless: func(ctx context.Context, c *Call) {
			time.Sleep(time.Hour)
			_ = c.Write(ctx, NewResult(c.Frame.ID, "late"))
		}})
		w := httptest.NewRecorder()
		front.ServeHTTP(w, modernRequest(t.Context(), modern("1", "test/echo", "")))
		body := w.Body.String()
		if n := strings.Count(body, ": keep-alive\n\n"); n < 230 || !strings.HasSuffix(body, "data: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":\"late\"}\n\n") {
			t.Errorf("%d comments, %q", n, body[max(0, len(body)-100):])
		}
		if err := front.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// modernRequest is a request for a handler without a network.
func modernRequest(ctx context.Context, message string) *http.Request {
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/mcp", strings.NewReader(message))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	r.Header.Set(HeaderProtocol, revision20260728)
	for name, value := range headers(message) {
		r.Header.Set(name, value)
	}
	return r
}

func TestStatelessCloseAnswersAll(t *testing.T) {
	sc := &modernScript{hold: make(chan struct{}), began: make(chan *Call, 10)}
	front := NewStreamableFront(FrontOptions{Serve: (&script{}).serve, Stateless: sc.serve})
	server := newTestServer(t, front, front.Close)
	c := modernClient{&frontClient{t: t, url: server.URL, version: revision20260728}}
	sub := c.listen(`"s"`)
	sub.mustNext()
	<-sc.began
	answers := make(chan []Frame, 2)
	for _, method := range []string{"test/hold", "test/wait"} {
		sc.ended = make(chan error, 1)
		message := modern("1", method, "")
		req := c.request(t.Context(), http.MethodPost, message, headers(message))
		go func() {
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Error(err)
				answers <- nil
				return
			}
			answers <- readMessages(t, resp)
		}()
		<-sc.began
	}
	ctx, cancel := context.WithCancel(t.Context())
	closed := make(chan error, 1)
	go func() { closed <- front.Close(ctx) }()
	// The subscription ends at once and in order; what is worked on may go on.
	want := `{"jsonrpc":"2.0","id":"s","result":{"resultType":"complete","_meta":{"io.modelcontextprotocol/subscriptionId":"s"}}}`
	if got := sub.rest(); len(got) != 1 || string(got[0].Raw) != want {
		t.Errorf("got %v", texts(got))
	}
	resp := c.send(modern("1", "test/echo", ""))
	if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
		t.Errorf("a new call got HTTP %d", resp.StatusCode)
	}
	close(sc.hold)
	if got := <-answers; len(got) != 1 || got[0].Failed {
		t.Errorf("got %v", texts(got))
	}
	cancel() // no more patience
	if got := <-answers; len(got) != 1 || !strings.Contains(string(got[0].Raw), "shutting down") {
		t.Errorf("got %v", texts(got))
	}
	if err := <-sc.ended; !errors.Is(err, errShuttingDown) {
		t.Errorf("the work ended because of %v", err)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
}

func TestEndOwnerEndsSessionsAndCalls(t *testing.T) {
	sc := &modernScript{began: make(chan *Call, 10), ended: make(chan error, 2)}
	ft, ann := startModern(t, FrontOptions{}, sc)
	ann.owner = "Ann"
	legacy := &frontClient{t: t, url: ft.server.URL, owner: "Ann", all: ft.front.front.all}
	legacy.initialize("2025-11-25")
	bob := &frontClient{t: t, url: ft.server.URL, owner: "Bob"}
	bob.initialize("2025-11-25")
	s := ft.front.Sessions("Ann")[0]
	if s.Owner() != "Ann" || s.Context().Err() != nil || s.Opened().IsZero() || s.Used().Before(s.Opened()) {
		t.Errorf("got %+v", s)
	}
	ann.begin(modern("1", "test/wait", ""))
	<-sc.began
	get := legacy.stream(http.MethodGet, "", nil)
	sub := ann.listen("2")
	sub.mustNext()
	// A client may have its answer before the front has counted it.
	eventually(t, "the front's figures", func() bool {
		st := ft.front.Stats()
		return st == Stats{Sessions: 2, Opened: 2, Streams: 1, Calls: 1, Listens: 1, Pending: 1, Bytes: st.Bytes}
	})
	if n := ft.front.EndOwner("Ann"); n != 3 {
		t.Errorf("%d were ended", n)
	}
	if err := <-sc.ended; !errors.Is(err, errEnded) {
		t.Errorf("the work ended because of %v", err)
	}
	if got := get.rest(); len(got) != 0 {
		t.Errorf("got %v", texts(got))
	}
	if got := sub.rest(); len(got) != 1 || got[0].Failed {
		t.Errorf("got %v", texts(got))
	}
	if s.Context().Err() == nil {
		t.Error("the session's context goes on")
	}
	if resp := legacy.do(http.MethodPost, request("1", "test/echo", "{}"), nil); resp.StatusCode != http.StatusNotFound {
		t.Errorf("HTTP %d", resp.StatusCode)
	}
	if got := bob.call(request("1", "test/echo", "{}")); got[0].Failed {
		t.Errorf("another owner got %s", got[0].Raw)
	}
}

// Whoever works on a request that the server ends learns why, however fast the
// client gets its answer: that ends the work for another reason.
func TestEndedCallsLearnWhy(t *testing.T) {
	front := NewStreamableFront(FrontOptions{Serve: (&script{}).serve, Stateless: (&modernScript{}).serve})
	defer front.Close(t.Context())
	message := modern("1", "test/wait", "")
	c, err := front.front.openCall(modernRequest(t.Context(), message), MustParse(message), revision20260728)
	if err != nil {
		t.Fatal(err)
	}
	defer c.leave()
	defer c.close(errAnswered)
	cancel := c.cancel
	c.cancel = func(cause error) {
		if c.mu.TryLock() {
			c.mu.Unlock()
			t.Error("the answer can leave before the work is told why it ends")
		}
		cancel(cause)
	}
	c.end(errEnded, "the request was ended")
	c.cancel = cancel
	if err := context.Cause(c.ctx); !errors.Is(err, errEnded) {
		t.Errorf("the work ended because of %v", err)
	}
}
