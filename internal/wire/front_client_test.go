package wire

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"testing"
	"time"
)

// bothEnds is a ClientConn for each transport, with a front at its other end.
func bothEnds(t *testing.T, sc *script, test func(t *testing.T, c Conn, cut func())) {
	t.Helper()
	opts := FrontOptions{Serve: sc.serve, KeepAlive: 20 * time.Millisecond}
	t.Run("streamable", func(t *testing.T) {
		front := NewStreamableFront(opts)
		server := newTestServer(t, front, front.Close)
		c, err := NewClientConn(ClientConnOptions{MaxInFlight: 4000}, func(deliver Deliver) (Remote, error) {
			return NewStreamableClient(ClientOptions{URL: server.URL, HTTP: wideClient(t), Deliver: deliver, RetryWait: time.Millisecond})
		})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		test(t, c, server.CloseClientConnections)
	})
	t.Run("SSE", func(t *testing.T) {
		front := NewSSEFront(opts, "/messages")
		server := newTestServer(t, front, front.Close)
		c, err := NewClientConn(ClientConnOptions{MaxInFlight: 4000}, func(deliver Deliver) (Remote, error) {
			return ConnectSSE(t.Context(), ClientOptions{URL: server.URL + "/sse", HTTP: wideClient(t), Deliver: deliver})
		})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		test(t, c, nil)
	})
}

func mustWrite(t *testing.T, c Conn, message string) {
	t.Helper()
	if err := c.Write(t.Context(), MustParse(message)); err != nil {
		t.Fatal(err)
	}
}

func mustRead(t *testing.T, c Conn) Frame {
	t.Helper()
	f, err := c.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer f.Release()
	return f.Clone()
}

func handshake(t *testing.T, c Conn) {
	t.Helper()
	mustWrite(t, c, initializeMessage("2025-11-25"))
	if f := mustRead(t, c); string(f.ID) != `"init"` || f.Failed {
		t.Fatalf("got %s", f.Raw)
	}
	mustWrite(t, c, `{"jsonrpc":"2.0","method":"notifications/initialized"}`)
}

func TestBothEndsManyCallsAtOnce(t *testing.T) {
	const calls = 1000
	bothEnds(t, &script{}, func(t *testing.T, c Conn, _ func()) {
		handshake(t, c)
		written := make(chan error, 1)
		go func() {
			var err error
			for id := 0; id < calls && err == nil; id++ {
				err = c.Write(t.Context(), MustParse(request(strconv.Itoa(id), "test/progress", `{"n":3}`)))
			}
			written <- err
		}()
		perCall := map[string][]Frame{}
		for range calls * 4 {
			f := mustRead(t, c)
			key := string(f.ID)
			if f.Kind != Response {
				key = string(Lookup(f.Raw, "params", "progressToken"))
			}
			perCall[key] = append(perCall[key], f)
		}
		if err := <-written; err != nil {
			t.Fatal(err)
		}
		for id := range calls {
			checkProgress(t, perCall[strconv.Itoa(id)], strconv.Itoa(id), 3)
		}
	})
}

func TestBothEndsUnrelatedMessagesArriveInOrder(t *testing.T) {
	bothEnds(t, &script{}, func(t *testing.T, c Conn, _ func()) {
		handshake(t, c)
		mustWrite(t, c, request("1", "test/log", `{"n":1000}`))
		next, answered := 0, false
		for next < 1000 || !answered {
			f := mustRead(t, c)
			if f.Kind == Response {
				answered = true
				continue
			}
			if got := string(Lookup(f.Raw, "params", "data")); got != strconv.Itoa(next) {
				t.Fatalf("message %d is %s", next, f.Raw)
			}
			next++
		}
	})
}

func TestBothEndsSurviveABrokenConnection(t *testing.T) {
	sc := &script{hold: make(chan struct{}), sessions: make(chan *Session, 1)}
	front := NewStreamableFront(FrontOptions{Serve: sc.serve, Events: newTestEvents(100)})
	server := newTestServer(t, front, front.Close)
	c, err := NewClientConn(ClientConnOptions{}, func(deliver Deliver) (Remote, error) {
		return NewStreamableClient(ClientOptions{URL: server.URL, HTTP: wideClient(t), Deliver: deliver, RetryWait: time.Millisecond})
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	handshake(t, c)
	s := <-sc.sessions
	mustWrite(t, c, request("1", "test/hold", `{"z":1}`))
	note := func(i int) {
		t.Helper()
		f := MustParse(fmt.Sprintf(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":%d}}`, i))
		if err := s.WriteRelated(t.Context(), f, ID("1")); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the request to arrive", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.pending) == 1
	})
	note(0)
	mustRead(t, c)
	for i := 1; i < 4; i++ {
		server.CloseClientConnections()
		note(i)
		if f := mustRead(t, c); string(Lookup(f.Raw, "params", "progress")) != strconv.Itoa(i) {
			t.Fatalf("got %s", f.Raw)
		}
	}
	server.CloseClientConnections()
	close(sc.hold)
	if f := mustRead(t, c); string(f.ID) != "1" || f.Failed {
		t.Errorf("got %s", f.Raw)
	}
}

func TestFrontWithoutEventStoreGivesNoEventIDs(t *testing.T) {
	front := NewStreamableFront(FrontOptions{Serve: (&script{}).serve})
	ft := &frontTest{t: t, front: front, server: newTestServer(t, front, front.Close)}
	c := ft.open("2025-11-25")
	stream := c.stream(http.MethodPost, request("1", "test/progress", `{"n":2}`), nil)
	if got := stream.rest(); len(got) != 3 || stream.lastID != "" {
		t.Errorf("got %v, last event id %q", texts(got), stream.lastID)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	resp := c.doCtx(ctx, http.MethodGet, "", map[string]string{headerLastID: "1-1"})
	if resp.StatusCode != http.StatusBadRequest {
		t.Errorf("HTTP %d", resp.StatusCode)
	}
}
