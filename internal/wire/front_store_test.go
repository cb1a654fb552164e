package wire

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// testEvents is an EventStore that keeps a number of events of each session.
type testEvents struct {
	keep int

	mu       sync.Mutex
	sessions map[string][]testEvent
	appended int // calls of AppendEvent
	read     int // calls of EventsAfter
	failing  error
}

type testEvent struct {
	stream uint64
	StoredEvent
}

func newTestEvents(keep int) *testEvents {
	return &testEvents{keep: keep, sessions: map[string][]testEvent{}}
}

func (te *testEvents) AppendEvent(_ context.Context, session string, stream, place uint64, data []byte) error {
	te.mu.Lock()
	defer te.mu.Unlock()
	te.appended++
	if te.failing != nil {
		return te.failing
	}
	all := append(te.sessions[session], testEvent{stream, StoredEvent{place, bytes.Clone(data)}})
	te.sessions[session] = all[max(0, len(all)-te.keep):]
	return nil
}

func (te *testEvents) EventsAfter(_ context.Context, session string, stream, place uint64, limit int) ([]StoredEvent, bool, error) {
	te.mu.Lock()
	defer te.mu.Unlock()
	te.read++
	if te.failing != nil {
		return nil, false, te.failing
	}
	var out []StoredEvent
	last := uint64(0)
	for _, e := range te.sessions[session] {
		if e.stream != stream {
			continue
		}
		if last = e.Place; e.Place > place && len(out) < limit {
			out = append(out, e.StoredEvent)
		}
	}
	return out, place > last || len(out) > 0 && out[0].Place != place+1, nil
}

func (te *testEvents) fail(err error) {
	te.mu.Lock()
	defer te.mu.Unlock()
	te.failing = err
}

func (te *testEvents) calls() (appended, read int) {
	te.mu.Lock()
	defer te.mu.Unlock()
	return te.appended, te.read
}

func TestFrontStoresOnlyWhatCanBeResumed(t *testing.T) {
	events := newTestEvents(100)
	c := startFrontWith(t, FrontOptions{Events: events}, &script{}).open("2025-11-25")
	for range 10 {
		if got := c.call(request("1", "test/echo", `{}`)); len(got) != 1 {
			t.Fatalf("got %v", texts(got))
		}
	}
	if appended, read := events.calls(); appended != 0 || read != 0 {
		t.Errorf("plain answers: %d events stored, %d reads", appended, read)
	}
	if got := c.call(request("1", "test/progress", `{"n":5}`)); len(got) != 6 {
		t.Fatalf("got %v", texts(got))
	}
	if appended, read := events.calls(); appended != 6 || read != 0 {
		t.Errorf("a stream of six: %d events stored, %d reads", appended, read)
	}
}

func TestFrontWithoutItsStore(t *testing.T) {
	events := newTestEvents(100)
	c := startFrontWith(t, FrontOptions{Events: events}, &script{}).open("2025-11-25")
	first := c.stream(http.MethodPost, request("1", "test/progress", `{"n":2}`), nil)
	wantProgress(t, first.rest(), "1", 2)
	events.fail(errors.New("out of reach"))
	second := c.stream(http.MethodPost, request("2", "test/progress", `{"n":2}`), nil)
	prime, err := second.events.next()
	if err != nil {
		t.Fatal(err)
	}
	wantProgress(t, second.rest(), "2", 2)
	if second.lastID != prime.id { // what can't be stored is sent without an id
		t.Errorf("an event that was not stored has the id %q", second.lastID)
	}
	if resp := c.do(http.MethodGet, "", map[string]string{headerLastID: first.lastID}); resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("resuming without the store: HTTP %d", resp.StatusCode)
	}
	events.fail(nil)
	if resp := c.do(http.MethodGet, "", map[string]string{headerLastID: "3-1"}); resp.StatusCode != http.StatusBadRequest {
		t.Errorf("resuming what was not stored: HTTP %d", resp.StatusCode)
	}
}

// A stream that is taken over again and again, while events come: each client
// reads on where the one before it stopped.
func TestFrontTakesOverWithoutLoss(t *testing.T) {
	const messages = 400
	for _, method := range []string{"POST", "GET"} {
		t.Run(method, func(t *testing.T) {
			sc := &script{sessions: make(chan *Session, 1)}
			c := startFrontWith(t, FrontOptions{Events: newTestEvents(2 * messages), KeepAlive: 5 * time.Millisecond}, sc).open("2025-11-25")
			s := <-sc.sessions
			body, to := "", ID(nil)
			if method == "POST" {
				body, to = request("1", "test/silent", `{}`), ID("1")
			}
			stream := c.stream(method, body, nil)
			ev, err := stream.events.next() // primes
			if err != nil {
				t.Fatal(err)
			}
			stream.lastID = ev.id
			written := make(chan error, 1)
			go func() {
				for i := range messages {
					if err := s.WriteRelated(t.Context(), logNote(i), to); err != nil {
						written <- err
						return
					}
				}
				written <- nil
			}()
			for next := 0; next < messages; {
				for range 7 {
					if next == messages {
						break
					}
					if f := stream.mustNext(); string(Lookup(f.Raw, "params", "data")) != strconv.Itoa(next) {
						t.Fatalf("message %d is %s", next, f.Raw)
					}
					next++
				}
				old := stream
				stream = c.stream(http.MethodGet, "", map[string]string{headerLastID: old.lastID})
				old.cancel()
			}
			if err := <-written; err != nil {
				t.Error(err)
			}
		})
	}
}

// What a client missed and the store does not give out at the moment must not be
// overtaken by what came later.
func TestFrontNeverSkipsWhatItCannotRead(t *testing.T) {
	sc := &script{sessions: make(chan *Session, 1)}
	events := newTestEvents(100)
	ft := startFrontWith(t, FrontOptions{Events: events}, sc)
	c := ft.open("2025-06-18")
	s := <-sc.sessions
	write := func(i int) {
		t.Helper()
		if err := s.Write(t.Context(), logNote(i)); err != nil {
			t.Fatal(err)
		}
	}
	stream := c.stream(http.MethodGet, "", nil)
	write(0)
	stream.mustNext()
	place := map[string]string{headerLastID: stream.lastID}
	write(1)
	stream.mustNext()
	stream.cancel()
	eventually(t, "the client's leave", func() bool { return ft.front.Stats().Streams == 0 })
	write(2)
	events.fail(errors.New("out of reach"))
	if f, err := c.stream(http.MethodGet, "", place).next(); err == nil {
		t.Fatalf("got %s", f.Raw)
	}
	events.fail(nil)
	stream = c.stream(http.MethodGet, "", place)
	for _, want := range []string{"1", "2"} {
		if f := stream.mustNext(); string(Lookup(f.Raw, "params", "data")) != want {
			t.Errorf("got %s, want %s", f.Raw, want)
		}
	}
}

// A client that has nothing but the beginning of a stream that is not kept any
// more learns so, instead of getting an answer without its response.
func TestFrontHasForgottenAStream(t *testing.T) {
	events := newTestEvents(1)
	c := startFrontWith(t, FrontOptions{Events: events}, &script{}).open("2025-11-25")
	stream := c.stream(http.MethodPost, request("1", "test/progress", `{"n":2}`), nil)
	prime, err := stream.events.next()
	if err != nil {
		t.Fatal(err)
	}
	wantProgress(t, stream.rest(), "1", 2)
	wantProgress(t, c.stream(http.MethodPost, request("2", "test/progress", `{"n":2}`), nil).rest(), "2", 2)
	if resp := c.do(http.MethodGet, "", map[string]string{headerLastID: prime.id}); resp.StatusCode != http.StatusBadRequest {
		t.Errorf("HTTP %d", resp.StatusCode)
	}
}

// Of several answers on one stream each arrives once, or an error in its place,
// whatever the store has let go of while the client was away.
func TestFrontAnswersWhatTheStoreHasDropped(t *testing.T) {
	for _, when := range []string{"while it goes on", "when it has ended"} {
		t.Run(when, func(t *testing.T) {
			sc := &script{hold: make(chan struct{}), sessions: make(chan *Session, 1)}
			events := newTestEvents(1)
			ft := startFrontWith(t, FrontOptions{Events: events}, sc)
			c := ft.open("2025-03-26")
			s := <-sc.sessions
			batch := `[` + request("1", "test/progress", `{"n":1}`) + `,` + request("2", "test/hold", `{}`) + `,` + request("3", "test/hold", `{}`) + `,` + request("4", "test/silent", `{}`) + `]`
			stream := c.stream(http.MethodPost, batch, nil)
			stream.mustNext()
			stream.mustNext()
			place := map[string]string{headerLastID: stream.lastID}
			stream.cancel()
			eventually(t, "the client's leave", func() bool { return ft.front.Stats().Streams == 0 })
			close(sc.hold)
			eventually(t, "two answers in the store", func() bool { appended, _ := events.calls(); return appended == 4 })
			last := func() {
				if err := s.Write(t.Context(), NewResult(ID("4"), struct{}{})); err != nil {
					t.Error(err)
				}
			}
			want := map[string]bool{"2": false, "3": false, "4": false}
			if when == "when it has ended" {
				last()
				eventually(t, "the stream's end", func() bool { s.mu.Lock(); defer s.mu.Unlock(); return len(s.finished) == 1 })
				stream = c.stream(http.MethodGet, "", place)
			} else {
				stream = c.stream(http.MethodGet, "", place)
				last()
			}
			failed := 0
			for _, f := range stream.rest() {
				if got, ours := want[string(f.ID)]; f.Kind != Response || got || !ours {
					t.Errorf("got %s", f.Raw)
				}
				want[string(f.ID)] = true
				if f.Failed {
					failed++
				}
			}
			if wantFailed := map[bool]int{true: 2, false: 1}[when == "when it has ended"]; !want["2"] || !want["3"] || !want["4"] || failed != wantFailed {
				t.Errorf("answered: %v, %d with an error", want, failed)
			}
		})
	}
}

// A client that comes back and has got what was to be sent again makes room for
// those who write.
func TestResumingMakesRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		front := NewStreamableFront(FrontOptions{
			Serve: func(ctx context.Context, _ *Session) { <-ctx.Done() }, Queue: 1, Events: newTestEvents(10),
		})
		defer front.Close(t.Context())
		s, err := front.front.open(httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/mcp", nil))
		if err != nil {
			t.Fatal(err)
		}
		st, rd, err := s.listen("")
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Write(t.Context(), logNote(1)); err != nil {
			t.Fatal(err)
		}
		step, sent := s.take(st, rd, false)
		if step != stepSend || !s.keep(st, rd, sent) {
			t.Fatalf("step %d", step)
		}
		s.detach(st, rd, []taken{sent}) // the connection broke: nobody knows whether it arrived
		written := make(chan error, 1)
		go func() { written <- s.Write(t.Context(), logNote(2)) }()
		synctest.Wait()
		if st, rd, err = s.listen("0-1"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		select {
		case err := <-written:
			if err != nil {
				t.Error(err)
			}
		default:
			t.Error("the writer waits for room that there is")
		}
		s.detach(st, rd, nil)
		_ = s.Close()
	})
}

// keepEvents makes streams resumable.
func keepEvents(o *FrontOptions) { o.Events = newTestEvents(1024) }
