package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestFrontAnswersWithJSONWhenNothingElseBelongsToTheRequest(t *testing.T) {
	c := startFront(t, FrontOptions{}).open("2025-06-18")
	resp := c.do(http.MethodPost, request("9007199254740993", "test/echo", `{"z":1,"a":1e400}`), nil)
	if got := resp.Header.Get("Content-Type"); got != "application/json" {
		t.Errorf("Content-Type %q", got)
	}
	got := texts(readMessages(t, resp))
	if want := `{"jsonrpc":"2.0","id":9007199254740993,"result":{"z":1,"a":1e400}}`; len(got) != 1 || got[0] != want {
		t.Errorf("got %v, want %s", got, want)
	}
}

func TestFrontStreamsRelatedMessagesBeforeTheResponse(t *testing.T) {
	c := startFront(t, FrontOptions{}).open("2025-06-18")
	resp := c.do(http.MethodPost, request("1", "test/progress", `{"n":5}`), nil)
	for name, want := range map[string]string{"X-Accel-Buffering": "no", "Cache-Control": "no-cache, no-store"} {
		if got := resp.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	wantProgress(t, readMessages(t, resp), "1", 5)
}

// wantProgress checks n notifications of the request, in order, and then its
// response, and nothing else.
func wantProgress(t *testing.T, got []Frame, id string, n int) {
	t.Helper()
	if len(got) != n+1 {
		t.Fatalf("request %s: %d messages, want %d: %v", id, len(got), n+1, texts(got))
	}
	for i, f := range got[:n] {
		token, p := string(Lookup(f.Raw, "params", "progressToken")), string(Lookup(f.Raw, "params", "progress"))
		if token != id || p != strconv.Itoa(i) {
			t.Fatalf("request %s: message %d is %s", id, i, f.Raw)
		}
	}
	if last := got[n]; last.Kind != Response || string(last.ID) != id || last.Failed {
		t.Fatalf("request %s ends with %s", id, last.Raw)
	}
}

func TestFrontCarriesAServersRequestAndItsAnswer(t *testing.T) {
	c := startFront(t, FrontOptions{}).open("2025-06-18")
	stream := c.stream(http.MethodPost, request("7", "test/ask", `{}`), nil)
	ask := stream.mustNext()
	if ask.Kind != Request || ask.Method != "roots/list" {
		t.Fatalf("got %s", ask.Raw)
	}
	c.notify(`{"jsonrpc":"2.0","id":` + string(ask.ID) + `,"result":{"roots":[]}}`)
	if rest := stream.rest(); len(rest) != 1 || string(rest[0].ID) != "7" {
		t.Errorf("got %v", texts(rest))
	}
}

func TestFrontUnrelatedMessages(t *testing.T) {
	log := func(n int) string { return request("1", "test/log", fmt.Sprintf(`{"n":%d}`, n)) }
	wantLogs := func(t *testing.T, got []Frame, from, to int) {
		t.Helper()
		if len(got) < to-from {
			t.Fatalf("got %v, want %d to %d", texts(got), from, to)
		}
		for i, f := range got[:to-from] {
			if f.Method != "notifications/message" || string(Lookup(f.Raw, "params", "data")) != strconv.Itoa(from+i) {
				t.Fatalf("message %d is %s", from+i, f.Raw)
			}
		}
	}
	collect := func(l *listenTest, n int) []Frame {
		out := make([]Frame, n)
		for i := range out {
			out[i] = l.mustNext()
		}
		return out
	}

	t.Run("go on the GET stream when there is one", func(t *testing.T) {
		c := startFront(t, FrontOptions{}).open("2025-06-18")
		get := c.stream(http.MethodGet, "", nil)
		if got := c.call(log(1000)); len(got) != 1 {
			t.Errorf("the POST carried %v", texts(got))
		}
		wantLogs(t, collect(get, 1000), 0, 1000)
	})
	t.Run("go on the POST stream of a client that never opened one", func(t *testing.T) {
		c := startFront(t, FrontOptions{}).open("2025-06-18")
		got := c.call(log(1000))
		if len(got) != 1001 {
			t.Fatalf("%d messages", len(got))
		}
		wantLogs(t, got, 0, 1000)
	})
	t.Run("stay on the POST stream they began on until it ends", func(t *testing.T) {
		sc := &script{sessions: make(chan *Session, 1), hold: make(chan struct{})}
		c := startFrontWith(t, FrontOptions{KeepAlive: 5 * time.Millisecond}, sc).open("2025-06-18")
		s := <-sc.sessions
		post := c.stream(http.MethodPost, request("1", "test/hold", `{}`), nil)
		write := func(i int) {
			if err := s.Write(t.Context(), logNote(i)); err != nil {
				t.Fatal(err)
			}
		}
		write(0)
		get := c.stream(http.MethodGet, "", nil)
		write(1)
		close(sc.hold)
		got := post.rest()
		if len(got) != 3 || got[2].Kind != Response {
			t.Fatalf("the POST carried %v", texts(got))
		}
		wantLogs(t, got, 0, 2)
		write(2)
		wantLogs(t, collect(get, 1), 2, 3)
	})
	t.Run("leave a POST stream alone that opened before the GET stream", func(t *testing.T) {
		sc := &script{sessions: make(chan *Session, 1), hold: make(chan struct{})}
		c := startFrontWith(t, FrontOptions{KeepAlive: 5 * time.Millisecond}, sc).open("2025-06-18")
		s := <-sc.sessions
		post := c.stream(http.MethodPost, request("1", "test/hold", `{}`), nil)
		get := c.stream(http.MethodGet, "", nil)
		if err := s.Write(t.Context(), logNote(0)); err != nil {
			t.Fatal(err)
		}
		close(sc.hold)
		if got := post.rest(); len(got) != 1 {
			t.Errorf("the POST carried %v", texts(got))
		}
		wantLogs(t, collect(get, 1), 0, 1)
	})
	t.Run("wait for a client that has nothing open", func(t *testing.T) {
		sc := &script{sessions: make(chan *Session, 1)}
		c := startFrontWith(t, FrontOptions{}, sc).open("2025-06-18")
		s := <-sc.sessions
		for i := range 3 {
			if err := s.Write(t.Context(), logNote(i)); err != nil {
				t.Fatal(err)
			}
		}
		wantLogs(t, collect(c.stream(http.MethodGet, "", nil), 3), 0, 3)
	})
	t.Run("wait for a client that will open its GET stream again", func(t *testing.T) {
		c := startFront(t, FrontOptions{}).open("2025-06-18")
		c.hangUp(c.stream(http.MethodGet, "", nil))
		if got := c.call(log(10)); len(got) != 1 {
			t.Errorf("the POST carried %v", texts(got))
		}
		wantLogs(t, collect(c.stream(http.MethodGet, "", nil), 10), 0, 10)
	})
	t.Run("go on a POST stream, in order, when the GET stream stays away too long", func(t *testing.T) {
		sc := &script{sessions: make(chan *Session, 1)}
		c := startFrontWith(t, FrontOptions{Queue: 4}, sc).open("2025-06-18")
		s := <-sc.sessions
		c.hangUp(c.stream(http.MethodGet, "", nil))
		for i := range 4 {
			if err := s.Write(t.Context(), logNote(i)); err != nil {
				t.Fatal(err)
			}
		}
		done := make(chan error, 1)
		go func() { done <- s.Write(t.Context(), logNote(4)) }() // waits: nothing is dropped
		got := c.call(request("1", "test/progress", `{"n":1}`))
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		wantLogs(t, slices.DeleteFunc(got, func(f Frame) bool { return f.Method != "notifications/message" }), 0, 4)
	})
}

// hangUp ends a stream and waits until the front has noticed.
func (c *frontClient) hangUp(l *listenTest) {
	c.t.Helper()
	l.cancel()
	_ = l.resp.Body.Close()
	// The front has no client of the session any more when a probe that is
	// allowed only then would be; the tests ask it directly.
	eventually(c.t, "the front to notice a closed connection", func() bool {
		for _, s := range c.sessions() {
			if _, alone := s.aloneSince(); s.id == c.session && !alone {
				return false
			}
		}
		return true
	})
}

func TestFrontSecondGetReplacesTheFirst(t *testing.T) {
	sc := &script{sessions: make(chan *Session, 1)}
	c := startFrontWith(t, FrontOptions{}, sc).open("2025-06-18")
	s := <-sc.sessions
	first := c.stream(http.MethodGet, "", nil)
	second := c.stream(http.MethodGet, "", nil)
	if rest := first.rest(); len(rest) != 0 {
		t.Errorf("the first stream carried %v", texts(rest))
	}
	if err := s.Write(t.Context(), logNote(1)); err != nil {
		t.Fatal(err)
	}
	if f := second.mustNext(); f.Method != "notifications/message" {
		t.Errorf("got %s", f.Raw)
	}
}

func TestFrontResumesABrokenPost(t *testing.T) {
	for _, version := range []string{"2025-03-26", "2025-06-18", "2025-11-25"} {
		t.Run(version, func(t *testing.T) {
			sc := &script{sessions: make(chan *Session, 1), received: make(chan Incoming, 10)}
			opts := FrontOptions{Serve: func(ctx context.Context, s *Session) {
				sc.sessions <- s
				for {
					in, err := s.Receive(ctx)
					if err != nil {
						return
					}
					if in.Method == "initialize" {
						sc.answer(ctx, s, in.Frame)
					} else {
						sc.received <- in
					}
				}
			}}
			c := startFrontWith(t, opts, sc).open(version)
			s := <-sc.sessions
			ctx := t.Context()
			progress := func(i int) {
				t.Helper()
				if err := s.WriteRelated(ctx, MustParse(fmt.Sprintf(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":%d}}`, i)), ID("1")); err != nil {
					t.Fatal(err)
				}
			}
			answered := make(chan *listenTest)
			go func() { answered <- c.stream(http.MethodPost, request("1", "tools/call", `{}`), nil) }()
			<-sc.received
			progress(0)
			stream := <-answered
			stream.mustNext()
			c.hangUp(stream)
			// The work goes on without the client.
			progress(1)
			progress(2)
			if err := s.Write(ctx, NewResult(ID("1"), "done")); err != nil {
				t.Fatal(err)
			}
			for range 2 { // it may break again
				again := c.stream(http.MethodGet, "", map[string]string{headerLastID: stream.lastID})
				got := again.rest()
				if len(got) != 3 || string(Lookup(got[0].Raw, "params", "progress")) != "1" || got[2].Kind != Response {
					t.Fatalf("resumed with %v", texts(got))
				}
			}
			if got := c.stream(http.MethodGet, "", nil); got == nil {
				t.Fatal("no standalone stream")
			}
		})
	}
}

func TestFrontResumesTheGetStream(t *testing.T) {
	sc := &script{sessions: make(chan *Session, 1)}
	c := startFrontWith(t, FrontOptions{}, sc).open("2025-06-18")
	s := <-sc.sessions
	next := 0
	write := func(n int) {
		for range n {
			if err := s.Write(t.Context(), logNote(next)); err != nil {
				t.Error(err)
			}
			next++
		}
	}
	stream := c.stream(http.MethodGet, "", nil)
	write(10)
	for range 4 {
		stream.mustNext()
	}
	c.hangUp(stream)
	write(10)
	stream = c.stream(http.MethodGet, "", map[string]string{headerLastID: stream.lastID})
	write(10)
	for i := 4; i < 30; i++ {
		if f := stream.mustNext(); string(Lookup(f.Raw, "params", "data")) != strconv.Itoa(i) {
			t.Fatalf("message %d is %s", i, f.Raw)
		}
	}
}

func TestFrontPrimesOnlyClientsThatKnowIt(t *testing.T) {
	for version, want := range map[string]bool{"2025-03-26": false, "2025-06-18": false, "2025-11-25": true} {
		c := startFront(t, FrontOptions{KeepAlive: 10 * time.Millisecond}).open(version)
		for name, stream := range map[string]*listenTest{
			"GET":         c.stream(http.MethodGet, "", nil),
			"silent POST": c.stream(http.MethodPost, request("1", "test/silent", `{}`), nil),
		} {
			line := make([]byte, 3)
			if _, err := io.ReadFull(stream.resp.Body, line); err != nil {
				t.Fatal(err)
			}
			if got := string(line) == "id:"; got != want {
				t.Errorf("%s %s starts with %q", version, name, line)
			}
		}
	}
}

func TestFrontPrimesWithAnIDBeforeTheFirstEvent(t *testing.T) {
	c := startFront(t, FrontOptions{}).open("2025-11-25")
	stream := c.stream(http.MethodPost, request("1", "test/progress", `{"n":2}`), nil)
	prime, err := stream.events.next()
	if err != nil || prime.data != nil && len(prime.data.b) > 0 {
		t.Fatal(prime, err)
	}
	wantProgress(t, stream.rest(), "1", 2)
	again := c.stream(http.MethodGet, "", map[string]string{headerLastID: prime.id})
	wantProgress(t, again.rest(), "1", 2)
}

func TestFrontResumesAPostThatOnlyPrimed(t *testing.T) {
	ft := startFront(t, FrontOptions{KeepAlive: 10 * time.Millisecond})
	c := ft.open("2025-11-25")
	stream := c.stream(http.MethodPost, request("1", "test/hold", `{}`), nil)
	ev, err := stream.events.next()
	if err != nil || ev.id == "" {
		t.Fatal(ev, err)
	}
	c.hangUp(stream)
	close(ft.script.hold)
	got := c.stream(http.MethodGet, "", map[string]string{headerLastID: ev.id}).rest()
	if len(got) != 1 || string(got[0].ID) != "1" || got[0].Failed {
		t.Errorf("resumed with %v", texts(got))
	}
}

func TestFrontRescuesServerRequestsOfAClientThatCannotResume(t *testing.T) {
	sc := &script{sessions: make(chan *Session, 1)}
	c := startFrontWith(t, FrontOptions{}, sc).open("2025-06-18")
	s := <-sc.sessions
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		resp, err := http.DefaultClient.Do(c.request(ctx, http.MethodPost, request("1", "test/silent", `{}`), nil))
		if err == nil {
			_ = resp.Body.Close()
		}
	}()
	eventually(t, "the request to arrive", func() bool { _, alone := s.aloneSince(); return !alone })
	cancel()
	<-gone
	eventually(t, "the client to be gone", func() bool { _, alone := s.aloneSince(); return alone })
	if err := s.WriteRelated(t.Context(), MustParse(`{"jsonrpc":"2.0","id":"s1","method":"elicitation/create"}`), ID("1")); err != nil {
		t.Fatal(err)
	}
	if err := s.Write(t.Context(), NewResult(ID("1"), 1)); err != nil {
		t.Fatal(err) // nobody can take it, and that is no fault of the server
	}
	if f := c.stream(http.MethodGet, "", nil).mustNext(); string(f.ID) != `"s1"` {
		t.Errorf("got %s", f.Raw)
	}
}

func TestFrontBatches(t *testing.T) {
	ft := startFront(t, FrontOptions{})
	batch := "[" + request("1", "test/progress", `{"n":3}`) + `,{"jsonrpc":"2.0","method":"notifications/x"},` + request("2", "test/echo", `{}`) + "]"
	got := ft.open("2025-03-26").call(batch)
	one := slices.DeleteFunc(slices.Clone(got), func(f Frame) bool { return string(f.ID) == "2" })
	wantProgress(t, one, "1", 3)
	if len(got) != 5 {
		t.Errorf("got %v", texts(got))
	}
	ft.open("2025-03-26").notify(`[{"jsonrpc":"2.0","method":"notifications/x"},{"jsonrpc":"2.0","method":"notifications/y"}]`)
}

func TestFrontEndsASessionWithServe(t *testing.T) {
	release := make(chan struct{})
	sc := &script{}
	c := startFrontWith(t, FrontOptions{Serve: func(ctx context.Context, s *Session) {
		for {
			in, err := s.Receive(ctx)
			if err != nil {
				return
			}
			if in.Method == "initialize" {
				sc.answer(ctx, s, in.Frame)
				continue
			}
			<-release
			return
		}
	}}, sc).open("2025-06-18")
	get := c.stream(http.MethodGet, "", nil)
	answer := make(chan []Frame)
	go func() { answer <- c.call(request("1", "tools/call", `{}`)) }()
	close(release)
	if got := <-answer; len(got) != 1 || !got[0].Failed || string(got[0].ID) != "1" {
		t.Errorf("the open request got %v", texts(got))
	}
	if rest := get.rest(); len(rest) != 0 {
		t.Errorf("the GET stream carried %v", texts(rest))
	}
	if resp := c.do(http.MethodPost, request("2", "ping", `{}`), nil); resp.StatusCode != http.StatusNotFound {
		t.Errorf("HTTP %d after the session ended", resp.StatusCode)
	}
}

func TestFrontDeleteEndsTheSession(t *testing.T) {
	ended := make(chan error, 1)
	sc := &script{}
	c := startFrontWith(t, FrontOptions{Serve: func(ctx context.Context, s *Session) {
		for {
			in, err := s.Receive(ctx)
			if err != nil {
				ended <- err
				return
			}
			if in.Method == "initialize" {
				sc.answer(ctx, s, in.Frame)
			}
		}
	}}, sc).open("2025-06-18")
	answer := make(chan []Frame)
	go func() { answer <- c.call(request("1", "tools/call", `{}`)) }()
	eventually(t, "the call to be open", func() bool { _, idle := c.sessions()[0].idleSince(); return !idle })
	if resp := c.do(http.MethodDelete, "", nil); resp.StatusCode != http.StatusNoContent {
		t.Errorf("DELETE: HTTP %d", resp.StatusCode)
	}
	if got := <-answer; len(got) != 1 || !got[0].Failed {
		t.Errorf("the open request got %v", texts(got))
	}
	if err := <-ended; !errors.Is(err, io.EOF) {
		t.Errorf("Receive ended with %v", err)
	}
	for _, method := range []string{http.MethodGet, http.MethodDelete} {
		if resp := c.do(method, "", nil); resp.StatusCode != http.StatusNotFound {
			t.Errorf("%s: HTTP %d", method, resp.StatusCode)
		}
	}
}

func TestFrontForgetsASessionThatWasRefused(t *testing.T) {
	ft := startFront(t, FrontOptions{Serve: func(ctx context.Context, s *Session) {
		in, err := s.Receive(ctx)
		if err != nil {
			return
		}
		_ = s.Write(ctx, NewError(in.ID, CodeInvalidParams, "no", nil))
		<-ctx.Done()
	}})
	c := &frontClient{t: t, url: ft.server.URL}
	got := c.call(initializeMessage("2025-06-18"))
	if len(got) != 1 || !got[0].Failed {
		t.Fatalf("got %v", texts(got))
	}
	eventually(t, "the session to be gone", func() bool { return len(ft.front.front.all()) == 0 })
}

func TestFrontForgetsASessionWhoseClientNeverLearnedItsID(t *testing.T) {
	opened := make(chan struct{})
	ft := startFront(t, FrontOptions{Serve: func(ctx context.Context, _ *Session) {
		close(opened)
		<-ctx.Done()
	}})
	c := &frontClient{t: t, url: ft.server.URL}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		_, err := http.DefaultClient.Do(c.request(ctx, http.MethodPost, initializeMessage("2025-06-18"), nil))
		done <- err
	}()
	<-opened
	cancel()
	if err := <-done; err == nil {
		t.Fatal("initialize was answered")
	}
	eventually(t, "the session to be gone", func() bool { return len(ft.front.front.all()) == 0 })
}

type ctxKey struct{}

func TestFrontTellsTheCallerOfEachMessage(t *testing.T) {
	type seen struct{ session, message any }
	all := make(chan seen, 10)
	sc := &script{}
	front := NewStreamableFront(FrontOptions{Serve: func(ctx context.Context, s *Session) {
		for {
			in, err := s.Receive(ctx)
			if err != nil {
				return
			}
			if in.Request.Err() != nil {
				t.Error("the values of a request ended with it")
			}
			all <- seen{ctx.Value(ctxKey{}), in.Request.Value(ctxKey{})}
			if in.Kind == Request {
				sc.answer(ctx, s, in.Frame)
			}
		}
	}})
	server := newTestServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		front.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), ctxKey{}, r.Header.Get("X-Caller"))))
	}), front.Close)
	c := &frontClient{t: t, url: server.URL}
	resp := c.do(http.MethodPost, initializeMessage("2025-06-18"), map[string]string{"X-Caller": "alice"})
	c.session = resp.Header.Get(HeaderSession)
	_ = readMessages(t, resp)
	_ = readMessages(t, c.do(http.MethodPost, request("1", "ping", `{}`), map[string]string{"X-Caller": "bob"}))
	for _, want := range []seen{{"alice", "alice"}, {"alice", "bob"}} {
		if got := <-all; got != want {
			t.Errorf("got %v, want %v", got, want)
		}
	}
}

func TestFrontPushesBackOnClients(t *testing.T) {
	sessions := make(chan *Session, 1)
	sc := &script{}
	read := make(chan struct{})
	got := make(chan string, 100)
	c := startFrontWith(t, FrontOptions{Queue: 1, Serve: func(ctx context.Context, s *Session) {
		sessions <- s
		in, err := s.Receive(ctx)
		if err != nil {
			return
		}
		sc.answer(ctx, s, in.Frame)
		<-read
		for {
			in, err := s.Receive(ctx)
			if err != nil {
				return
			}
			// The client gave that one up; it may have arrived all the same.
			if in.Method != "n/lost" {
				got <- in.Method
			}
		}
	}}, sc).open("2025-06-18")
	<-sessions
	c.notify(`{"jsonrpc":"2.0","method":"n/0"}`) // fills the queue
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if resp, err := http.DefaultClient.Do(c.request(ctx, http.MethodPost, `{"jsonrpc":"2.0","method":"n/lost"}`, nil)); err == nil {
		_ = resp.Body.Close()
		t.Fatalf("HTTP %d while the server does not read", resp.StatusCode)
	}
	close(read)
	for i := 1; i < 20; i++ {
		c.notify(fmt.Sprintf(`{"jsonrpc":"2.0","method":"n/%d"}`, i))
	}
	for i := range 20 {
		if m := <-got; m != fmt.Sprintf("n/%d", i) {
			t.Fatalf("message %d is %s", i, m)
		}
	}
}

func TestFrontRefusesADuplicateID(t *testing.T) {
	ft := startFront(t, FrontOptions{KeepAlive: 10 * time.Millisecond})
	c := ft.open("2025-06-18")
	first := c.stream(http.MethodPost, request(`"a\/b"`, "test/hold", `{}`), nil)
	resp := c.do(http.MethodPost, request(`"a/b"`, "test/echo", `{}`), nil)
	if got := readMessages(t, resp); resp.StatusCode != http.StatusBadRequest || len(got) != 1 || string(got[0].ID) != `"a/b"` {
		t.Errorf("HTTP %d, %v", resp.StatusCode, texts(got))
	}
	close(ft.script.hold)
	if got := first.rest(); len(got) != 1 || got[0].Failed {
		t.Errorf("the first request got %v", texts(got))
	}
	if got := c.call(request(`"a/b"`, "test/echo", `{}`)); len(got) != 1 || got[0].Failed {
		t.Errorf("an id that is free again got %v", texts(got))
	}
}

func TestFrontResponsesNobodyWaitsFor(t *testing.T) {
	sc := &script{sessions: make(chan *Session, 1)}
	startFrontWith(t, FrontOptions{}, sc).open("2025-06-18")
	s := <-sc.sessions
	for _, id := range []string{"99", "null", `"init"`} {
		if err := s.Write(t.Context(), NewResult(ID(id), 1)); !errors.Is(err, ErrNoRequest) {
			t.Errorf("id %s: %v", id, err)
		}
	}
}

// The tests below run on a clock of their own and talk to the handler directly.

func TestFrontEndsIdleSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sc := &script{}
		front := NewStreamableFront(FrontOptions{Serve: sc.serve, IdleTTL: time.Hour})
		defer front.Close(t.Context())
		h := &bubble{t: t, h: front}
		h.open("2025-06-18")
		used := h.session
		h.open("2025-06-18")
		idle := h.session
		for range 4 {
			time.Sleep(20 * time.Minute)
			h.session = used
			if code, _ := h.post(request("1", "ping", `{}`)); code != http.StatusOK {
				t.Fatalf("a session in use: HTTP %d", code)
			}
		}
		h.session = idle
		if code, _ := h.post(request("1", "ping", `{}`)); code != http.StatusNotFound {
			t.Errorf("an idle session: HTTP %d", code)
		}
	})
}

func TestFrontAnswersACancelledRequestThatTheServerForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sc := &script{}
		front := NewStreamableFront(FrontOptions{Serve: sc.serve})
		defer front.Close(t.Context())
		h := &bubble{t: t, h: front}
		h.open("2025-06-18")
		answer := make(chan string)
		go func() {
			_, body := h.post(request("1", "test/silent", `{}`))
			answer <- body
		}()
		time.Sleep(time.Second)
		if code, _ := h.post(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`); code != http.StatusAccepted {
			t.Fatalf("HTTP %d", code)
		}
		before := time.Now()
		body := <-answer
		if !strings.Contains(body, `"id":1,"error"`) {
			t.Errorf("got %s", body)
		}
		if waited := time.Since(before); waited < cancelGrace {
			t.Errorf("the server had %s to answer", waited)
		}
	})
}

func TestFrontSendsCommentsOnASilentStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sc := &script{hold: make(chan struct{})}
		front := NewStreamableFront(FrontOptions{Serve: sc.serve})
		defer front.Close(t.Context())
		h := &bubble{t: t, h: front}
		h.open("2025-06-18")
		go func() {
			time.Sleep(10 * time.Minute)
			close(sc.hold)
		}()
		_, body := h.post(request("1", "test/hold", `{}`))
		if n := strings.Count(body, ": keep-alive\n\n"); n < 39 || n > 40 {
			t.Errorf("%d comments in ten minutes", n)
		}
		if !strings.HasSuffix(body, "data: "+`{"jsonrpc":"2.0","id":1,"result":{}}`+"\n\n") {
			t.Errorf("ends with %q", body[max(0, len(body)-100):])
		}
	})
}
