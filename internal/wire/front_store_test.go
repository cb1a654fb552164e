package wire

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strconv"
	"sync"
	"testing"
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

// keepEvents makes streams resumable.
func keepEvents(o *FrontOptions) { o.Events = newTestEvents(1024) }
