package wire

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// wideClient keeps enough connections for many calls at once.
func wideClient(t *testing.T) *http.Client {
	t.Helper()
	tr := NewTransport()
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

func TestFrontManyCallsAtOnceOnOneSession(t *testing.T) {
	const calls, workers = 2000, 64
	for name, version := range map[string]string{"": "2025-06-18", " with priming": "2025-11-25"} {
		t.Run("each message with its own request"+name, func(t *testing.T) {
			c := startFront(t, FrontOptions{}).open(version)
			client := wideClient(t)
			ids := make(chan int)
			var wg sync.WaitGroup
			for range workers {
				wg.Go(func() {
					for id := range ids {
						req := c.request(t.Context(), http.MethodPost, request(strconv.Itoa(id), "test/progress", fmt.Sprintf(`{"n":%d}`, id%6)), nil)
						resp, err := client.Do(req)
						if err != nil {
							t.Error(err)
							continue
						}
						got := drainAnswer(resp)
						if got.err != nil {
							t.Error(got.err)
							continue
						}
						checkProgress(t, got.frames, strconv.Itoa(id), id%6)
					}
				})
			}
			for id := range calls {
				ids <- id
			}
			close(ids)
			wg.Wait()
		})
	}
}

type allRead struct {
	frames []Frame
	err    error
}

// drainAnswer is readMessages for goroutines that must not end the test.
func drainAnswer(resp *http.Response) allRead {
	defer resp.Body.Close()
	if contentType(resp.Header) != "text/event-stream" {
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			return allRead{err: err}
		}
		f, err := Parse(body)
		return allRead{[]Frame{f}, err}
	}
	l := &listenTest{events: newEventReader(resp.Body, DefaultMaxMessage, "")}
	var all allRead
	for {
		f, err := l.next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			all.err = err
			return all
		}
		all.frames = append(all.frames, f)
	}
}

func checkProgress(t *testing.T, got []Frame, id string, n int) {
	if len(got) != n+1 {
		t.Errorf("request %s: %d messages, want %d", id, len(got), n+1)
		return
	}
	for i, f := range got[:n] {
		if string(Lookup(f.Raw, "params", "progressToken")) != id || string(Lookup(f.Raw, "params", "progress")) != strconv.Itoa(i) {
			t.Errorf("request %s: message %d is %s", id, i, f.Raw)
		}
	}
	if last := got[n]; last.Kind != Response || string(last.ID) != id || last.Failed {
		t.Errorf("request %s ends with %s", id, last.Raw)
	}
}

// dial opens a connection whose peer soon notices that nobody reads.
func (c *frontClient) dial() net.Conn {
	c.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(c.url, "http://"))
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = conn.Close() })
	_ = conn.(*net.TCPConn).SetReadBuffer(4 << 10)
	return conn
}

// stalled sends a request by hand and never reads its answer.
func (c *frontClient) stalled(method, body string, header map[string]string) {
	c.t.Helper()
	conn := c.dial()
	var raw bytes.Buffer
	if err := c.request(c.t.Context(), method, body, header).Write(&raw); err != nil {
		c.t.Fatal(err)
	}
	if _, err := conn.Write(raw.Bytes()); err != nil {
		c.t.Fatal(err)
	}
}

func TestFrontStalledReader(t *testing.T) {
	const size = 64 << 10
	big := MustParse(`{"jsonrpc":"2.0","method":"notifications/message","params":{"data":"` + strings.Repeat("x", size) + `"}}`)
	opts := FrontOptions{Queue: 16, WriteTimeout: 300 * time.Millisecond, Events: newTestEvents(8)}
	// held is what a session keeps in memory for its client.
	held := func(s *Session) (n int) {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, st := range s.streams {
			for _, e := range st.events {
				n += len(e.frame.Raw)
			}
		}
		return n
	}
	const bound = 16*size + 2*size

	t.Run("of a GET stream", func(t *testing.T) {
		sc := &script{sessions: make(chan *Session, 2)}
		ft := startFrontWith(t, opts, sc)
		c, other := ft.open("2025-06-18"), ft.open("2025-06-18")
		s := <-sc.sessions
		c.stalled(http.MethodGet, "", nil)
		eventually(t, "the stream to open", func() bool { _, alone := s.aloneSince(); return !alone })
		ctx, cancel := context.WithCancel(t.Context())
		pushedBack := make(chan error)
		go func() {
			for {
				if err := s.Write(ctx, big); err != nil {
					pushedBack <- err
					return
				}
			}
		}()
		for range 100 {
			if got := other.call(request("1", "ping", `{}`)); len(got) != 1 || got[0].Failed {
				t.Fatalf("another session got %v", texts(got))
			}
			if n := held(s); n > bound {
				t.Fatalf("%d bytes are held for a client that does not read", n)
			}
		}
		eventually(t, "the stalled client to be cut", func() bool { _, alone := s.aloneSince(); return alone })
		cancel()
		if err := <-pushedBack; !errors.Is(err, context.Canceled) {
			t.Errorf("writing ended with %v", err)
		}
		if n := held(s); n > bound {
			t.Errorf("%d bytes are held", n)
		}
	})
	t.Run("of one request among others", func(t *testing.T) {
		sc := &script{sessions: make(chan *Session, 1)}
		c := startFrontWith(t, opts, sc).open("2025-06-18")
		s := <-sc.sessions
		c.stalled(http.MethodPost, request("1", "test/silent", `{}`), nil)
		eventually(t, "the request to arrive", func() bool { _, alone := s.aloneSince(); return !alone })
		// After the client was cut, writing goes on into the log.
		for range 200 {
			if err := s.WriteRelated(t.Context(), big, ID("1")); err != nil {
				t.Fatal(err)
			}
			if n := held(s); n > bound {
				t.Fatalf("%d bytes are held for a client that does not read", n)
			}
		}
		if got := c.call(request("2", "ping", `{}`)); len(got) != 1 || got[0].Failed {
			t.Errorf("another request got %v", texts(got))
		}
	})
}

func TestFrontKeepsAResponseOrSaysThatItDidNot(t *testing.T) {
	sc := &script{sessions: make(chan *Session, 1)}
	events := newTestEvents(4)
	c := startFrontWith(t, FrontOptions{Events: events, KeepAlive: 5 * time.Millisecond}, sc).open("2025-11-25")
	s := <-sc.sessions
	streams := map[string]*listenTest{}
	for _, id := range []string{"1", "2"} {
		l := c.stream(http.MethodPost, request(id, "test/silent", `{}`), nil)
		ev, err := l.events.next()
		if err != nil {
			t.Fatal(err)
		}
		l.lastID = ev.id
		streams[id] = l
	}
	for _, l := range streams {
		l.cancel()
	}
	eventually(t, "the clients to be gone", func() bool { _, alone := s.aloneSince(); return alone })
	ctx := t.Context()
	if err := s.Write(ctx, NewResult(ID("1"), "early")); err != nil {
		t.Fatal(err)
	}
	stored := func(n int) {
		t.Helper()
		eventually(t, "events to be stored", func() bool { appended, _ := events.calls(); return appended == n })
	}
	stored(1)
	for range 4 {
		if err := s.WriteRelated(ctx, logNote(0), ID("2")); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Write(ctx, NewResult(ID("2"), "late")); err != nil {
		t.Fatal(err)
	}
	stored(6)
	resume := func(id string) Frame {
		got := c.stream(http.MethodGet, "", map[string]string{headerLastID: streams[id].lastID}).rest()
		if len(got) == 0 {
			t.Fatalf("request %s got nothing", id)
		}
		return got[len(got)-1]
	}
	if f := resume("1"); !f.Failed || string(f.ID) != "1" {
		t.Errorf("the response that had to go: %s", f.Raw)
	}
	if f := resume("2"); f.Failed || string(f.ID) != "2" {
		t.Errorf("the response that was kept: %s", f.Raw)
	}
}

func TestFrontLargeMessagesPassUnchanged(t *testing.T) {
	c := startFront(t, FrontOptions{}).open("2025-06-18")
	for _, size := range []int{minBuffer - 100, 4 << 20} {
		text := strings.Repeat("<é\\u0000>", size/10)
		want := `{"jsonrpc":"2.0","id":1,"result":{"n":1,"text":"` + text + `"}}`
		got := c.call(request("1", "test/log", `{"n":1,"text":"`+text+`"}`)) // a stream
		if len(got) != 2 || string(got[1].Raw) != want {
			t.Errorf("%d bytes did not pass", size)
		}
	}
}
