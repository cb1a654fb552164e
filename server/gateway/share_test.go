package gateway_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mcpctl/mcpctl/internal/wire"
	"github.com/mcpctl/mcpctl/server/gateway"
	"github.com/mcpctl/mcpctl/server/state"
)

// pair are two replicas, and a session that lives in the first.
func pair(t *testing.T) (home, away *replica, v *visitor) {
	t.Helper()
	store := sharedStore(t)
	home, away = startReplica(t, store, sharedKey), startReplica(t, store, sharedKey)
	v = visit(t, "ada")
	v.initialize(home)
	return home, away, v
}

func TestReplicaAnswersForAnother(t *testing.T) {
	home, away, v := pair(t)
	resp := v.do(away, http.MethodPost, "/mcp", call(1, "echo", `{"n":0,"big":12345678901234567890}`))
	if text := v.text(resp); resp.Header.Get("Content-Type") != "application/json" || text != `{"jsonrpc":"2.0","id":1,"result":{"arguments":{"n":0,"big":12345678901234567890}}}` {
		t.Errorf("got %s %q", resp.Header.Get("Content-Type"), text)
	}
	s := v.stream(away, http.MethodPost, "/mcp", call(2, "steps", `{"n":3}`))
	for i := range 3 {
		s.expect(fmt.Sprintf(`{"progressToken":"p2","progress":%d`, i+1))
	}
	s.expect(`"id":2,"result"`)
	if s.next() != "" {
		t.Error("the stream goes on")
	}
	general := v.stream(away, http.MethodGet, "/mcp", "")
	if resp := v.do(away, http.MethodPost, "/mcp", `{"jsonrpc":"2.0","method":"notifications/tell","params":{"data":"x"}}`); resp.StatusCode != http.StatusAccepted {
		t.Errorf("a notification: %s", resp.Status)
	}
	general.expect(`"params":{"data":"x"}`)
	if resp := v.do(away, http.MethodPost, "/mcp", strings.Repeat(" ", 10)+`{"jsonrpc"`); resp.StatusCode != http.StatusBadRequest {
		t.Errorf("no message: %s", resp.Status)
	}
	if home.count(0) != 1 || away.count(0) != 0 {
		t.Errorf("%d and %d upstream connections", home.count(0), away.count(0))
	}
}

func TestReplicaTakesRepliesForAnother(t *testing.T) {
	home, away, v := pair(t)
	s := v.stream(home, http.MethodPost, "/mcp", call(1, "ask", `{}`))
	s.expect(`"id":"q1","method":"elicitation/create"`)
	if resp := v.do(away, http.MethodPost, "/mcp", `{"jsonrpc":"2.0","id":"q1","result":{"action":"accept"}}`); resp.StatusCode != http.StatusAccepted {
		t.Errorf("the reply: %s", resp.Status)
	}
	s.expect(`"id":1,"result":{"answer":{"action":"accept"}}`)
}

func TestReplicaCancelsAndEndsForAnother(t *testing.T) {
	home, away, v := pair(t)
	waiting := v.stream(home, http.MethodPost, "/mcp", call(1, "ask", `{}`)) // it is surely there
	waiting.expect("elicitation")
	v.do(away, http.MethodPost, "/mcp", `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`)
	waiting.expect(`"id":1,"error"`)
	soon(t, "the upstream to have been told", func() bool { // requests don't wait for notifications before them
		return strings.Contains(v.text(v.do(home, http.MethodPost, "/mcp", call(2, "cancelled", `{}`))), `{"cancelled":1}`)
	})
	if resp := v.do(away, http.MethodDelete, "/mcp", ""); resp.StatusCode != http.StatusNoContent {
		t.Errorf("DELETE: %s", resp.Status)
	}
	for _, r := range []*replica{home, away} {
		if resp := v.do(r, http.MethodPost, "/mcp", call(3, "echo", `{}`)); resp.StatusCode != http.StatusNotFound {
			t.Errorf("after its end: %s", resp.Status)
		}
	}
	soon(t, "the upstream's end", func() bool { return home.count(0) == 0 })
}

func TestReplicaResumesStreamsOfAnother(t *testing.T) {
	home, away, v := pair(t)
	s := v.stream(home, http.MethodPost, "/mcp", call(1, "hold", `{"n":3}`))
	s.expect(`"progress":1`)
	_ = s.body.Close()
	s = v.stream(away, http.MethodGet, "/mcp", "", "Last-Event-ID", s.lastID) // while it goes on
	s.expect(`"progress":2`)
	seen := s.lastID
	s.expect(`"progress":3`)
	close(home.hold)
	s.expect(`"id":1,"result"`)
	soon(t, "the stream's end", func() bool { return s.next() == "" })
	for _, r := range []*replica{home, away} { // and when it has ended
		again := v.stream(r, http.MethodGet, "/mcp", "", "Last-Event-ID", seen)
		again.expect(`"progress":3`)
		again.expect(`"id":1,"result"`)
	}
}

// What a replica has stored outlives it. The session does not: its client is told.
func TestReplicaThatIsGone(t *testing.T) {
	home, away, v := pair(t)
	s := v.stream(home, http.MethodPost, "/mcp", call(1, "steps", `{"n":3}`))
	s.expect(`"progress":1`)
	seen := s.lastID
	for s.next() != "" {
	}
	home.stop()
	again := v.stream(away, http.MethodGet, "/mcp", "", "Last-Event-ID", seen)
	again.expect(`"progress":2`)
	again.expect(`"progress":3`)
	again.expect(`"id":1,"result"`)
	if again.next() != "" {
		t.Error("the stream goes on")
	}
	grace := &visitor{t: t, owner: "grace", session: v.session, client: v.client}
	for what, resp := range map[string]*http.Response{
		"POST":                 v.do(away, http.MethodPost, "/mcp", call(2, "echo", `{}`)),
		"GET":                  v.do(away, http.MethodGet, "/mcp", ""),
		"GET of nothing more":  v.do(away, http.MethodGet, "/mcp", "", "Last-Event-ID", again.lastID),
		"DELETE":               v.do(away, http.MethodDelete, "/mcp", ""),
		"another owner's GET ": grace.do(away, http.MethodGet, "/mcp", "", "Last-Event-ID", seen),
	} {
		if resp.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %s", what, resp.Status)
		}
	}
	v.session = ""
	v.initialize(away)
}

// Grace knows every name of Ada's session. At no replica does it help her.
func TestReplicaRefusesOtherOwners(t *testing.T) {
	home, away, ada := pair(t)
	waiting := ada.stream(home, http.MethodPost, "/mcp", call(1, "ask", `{}`))
	waiting.expect("elicitation")
	grace := &visitor{t: t, owner: "grace", session: ada.session, client: ada.client}
	for name, r := range map[string]*replica{"home": home, "away": away} {
		for verb, resp := range map[string]*http.Response{
			"POST":   grace.do(r, http.MethodPost, "/mcp", call(9, "echo", `{}`)),
			"cancel": grace.do(r, http.MethodPost, "/mcp", `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`),
			"reply":  grace.do(r, http.MethodPost, "/mcp", `{"jsonrpc":"2.0","id":"q1","result":{"action":"accept"}}`),
			"GET":    grace.do(r, http.MethodGet, "/mcp", ""),
			"resume": grace.do(r, http.MethodGet, "/mcp", "", "Last-Event-ID", waiting.lastID),
			"DELETE": grace.do(r, http.MethodDelete, "/mcp", ""),
			"SSE":    grace.do(r, http.MethodPost, "/messages?sessionId="+ada.session, call(9, "echo", `{}`)),
		} {
			if resp.StatusCode != http.StatusNotFound {
				t.Errorf("%s at the replica %s: %s", verb, name, resp.Status)
			}
		}
	}
	if resp := ada.do(away, http.MethodPost, "/messages?sessionId="+ada.session, call(9, "echo", `{}`)); resp.StatusCode != http.StatusNotFound {
		t.Errorf("a session of the other transport: %s", resp.Status)
	}
	if resp := ada.do(away, http.MethodPost, "/mcp", call(9, "echo", `{}`), "Origin", "https://evil.example"); resp.StatusCode != http.StatusForbidden {
		t.Errorf("another origin: %s", resp.Status)
	}
	if resp := ada.do(away, http.MethodPost, "/mcp", call(9, "echo", `{}`), "Origin", "https://good.example"); resp.StatusCode != http.StatusOK {
		t.Errorf("a listed origin: %s", resp.Status)
	}
	ada.do(away, http.MethodPost, "/mcp", `{"jsonrpc":"2.0","id":"q1","result":{"action":"decline"}}`)
	waiting.expect(`{"answer":{"action":"decline"}}`)
}

func TestReplicaOverSSE(t *testing.T) {
	store := sharedStore(t)
	home, away := startReplica(t, store, sharedKey), startReplica(t, store, sharedKey)
	v := visit(t, "ada")
	s := v.stream(home, http.MethodGet, "/sse", "")
	address := s.expect("/messages?sessionId=")
	for _, message := range []string{
		`{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2024-11-05"}}`, call(1, "echo", `{"n":0}`),
	} {
		if resp := v.do(away, http.MethodPost, address, message); resp.StatusCode != http.StatusAccepted {
			t.Errorf("%s: %s", message, resp.Status)
		}
	}
	s.expect(`"id":0,"result"`)
	s.expect(`"id":1,"result"`)
	_ = s.body.Close()
	soon(t, "the session's end", func() bool {
		return v.do(away, http.MethodPost, address, call(2, "echo", `{}`)).StatusCode == http.StatusNotFound
	})
}

// Owners have as many sessions as they may, at all replicas together.
func TestReplicasCountSessionsTogether(t *testing.T) {
	home, away, v := pair(t)
	busy := v.stream(home, http.MethodGet, "/mcp", "") // can't be ended to make room
	defer busy.body.Close()
	for range 2 {
		other := visit(t, "ada")
		other.initialize(home)
		defer other.stream(home, http.MethodGet, "/mcp", "").body.Close()
	}
	more := visit(t, "ada")
	hello := `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25"}}`
	if resp := more.do(away, http.MethodPost, "/mcp", hello); resp.StatusCode != http.StatusTooManyRequests {
		t.Errorf("the fourth of three sessions: %s", resp.Status)
	}
	visit(t, "grace").initialize(away)
	v.do(away, http.MethodDelete, "/mcp", "")
	more.initialize(away)
	last := visit(t, "ada")
	last.initialize(away) // in place of the one there that is idle
	if resp := more.do(away, http.MethodPost, "/mcp", call(1, "echo", `{}`)); resp.StatusCode != http.StatusNotFound {
		t.Errorf("the session that had to go: %s", resp.Status)
	}
	if resp := last.do(home, http.MethodPost, "/mcp", call(1, "echo", `{}`)); resp.StatusCode != http.StatusOK {
		t.Errorf("the one that came: %s", resp.Status)
	}
}

func TestManyCallsAtTwoReplicas(t *testing.T) {
	const calls, workers = 1000, 16
	home, away, v := pair(t)
	numbers := make(chan int)
	var working sync.WaitGroup
	for range workers {
		working.Go(func() {
			for n := range numbers {
				r := home
				if n%2 == 0 {
					r = away
				}
				s := v.stream(r, http.MethodPost, "/mcp", call(n, "steps", `{"n":4}`))
				for i := range 4 {
					if got := s.next(); !strings.Contains(got, fmt.Sprintf(`{"progressToken":"p%d","progress":%d,`, n, i+1)) {
						t.Errorf("call %d, step %d: %q", n, i+1, got)
					}
				}
				if got := s.next(); !strings.Contains(got, fmt.Sprintf(`"id":%d,"result"`, n)) {
					t.Errorf("call %d ended with %q", n, got)
				}
				_ = s.body.Close()
			}
		})
	}
	for n := range calls {
		numbers <- n + 1
	}
	close(numbers)
	working.Wait()
}

// A client that reads nothing of what another replica sends holds up itself.
func TestReplicaWithAStalledClient(t *testing.T) {
	home, away, v := pair(t)
	stalled := v.do(away, http.MethodPost, "/mcp", call(1, "steps", fmt.Sprintf(`{"n":2000,"pad":%q}`, strings.Repeat("x", 32<<10))))
	defer stalled.Body.Close()
	other := visit(t, "grace")
	other.initialize(home)
	for n := range 100 {
		if text := other.text(other.do(away, http.MethodPost, "/mcp", call(n+1, "echo", `{"n":0}`))); !strings.Contains(text, `"result"`) {
			t.Fatalf("another session got %s", text)
		}
	}
}

func TestReplicaOfAnotherKeyIsNotBelieved(t *testing.T) {
	store := sharedStore(t)
	home, stranger := startReplica(t, store, sharedKey), startReplica(t, store, []byte(strings.Repeat("o", 32)))
	v := visit(t, "ada")
	v.initialize(home)
	if resp := v.do(stranger, http.MethodPost, "/mcp", call(1, "echo", `{}`)); resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("got %s", resp.Status)
	}
	if _, err := gateway.NewReplica(gateway.ReplicaOptions{Store: store, Caller: owners{}, Key: []byte("short")}); err == nil {
		t.Error("a key that is too short is taken")
	}
}

// renewedStore counts how often a record was renewed.
type renewedStore struct {
	state.Store
	renewals atomic.Int32
}

func (s *renewedStore) Session(ctx context.Context, id, owner string, ttl time.Duration) (state.Session, error) {
	s.renewals.Add(1)
	return s.Store.Session(ctx, id, owner, ttl)
}

// A record that somebody removed, or that expired, ends a session that is in use.
func TestReplicaGivesUpWhatIsNotItsOwn(t *testing.T) {
	// The clock goes on as the test says: a busy machine must not let a record expire.
	var passed atomic.Int64
	start := time.Now()
	now := func() time.Time { return start.Add(time.Duration(passed.Load())) }
	const ttl = 40 * time.Millisecond
	memory := state.NewMemory(state.MemoryOptions{Now: now})
	t.Cleanup(func() { _ = memory.Close() })
	store := &renewedStore{Store: memory}
	short := func(o *wire.FrontOptions) { o.IdleTTL, o.Now = ttl, now }
	home := startReplica(t, store, sharedKey, short)
	v := visit(t, "ada")
	v.initialize(home)
	s := v.stream(home, http.MethodGet, "/mcp", "") // keeps it in use
	for range 10 {                                  // several lives of a record that is not renewed
		renewals := store.renewals.Load()
		passed.Add(int64(ttl / 2))
		soon(t, "another renewal", func() bool { return store.renewals.Load() > renewals })
	}
	if _, err := store.Session(t.Context(), v.session, "/mcp\nada", time.Minute); err != nil {
		t.Fatalf("a session in use: %v", err)
	}
	if err := store.DeleteSession(t.Context(), v.session, "/mcp\nada"); err != nil {
		t.Fatal(err)
	}
	passed.Add(int64(ttl / 2))
	if got := s.next(); got != "" {
		t.Errorf("got %s", got)
	}
	if resp := v.do(home, http.MethodPost, "/mcp", call(1, "echo", `{}`)); resp.StatusCode != http.StatusNotFound {
		t.Errorf("got %s", resp.Status)
	}
}
