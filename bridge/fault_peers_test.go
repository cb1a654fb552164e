package bridge

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// More of what other bridges break at.

// A key of one's own that the server takes no more is told as what it is; when
// the server takes it again, so does the bridge.
func TestFault401StaticHeader(t *testing.T) {
	inWorld(t, Options{Header: http.Header{"Authorization": {"Key of-ones-own"}}}, func(w *world) {
		refusing := false
		w.server.before = func(rw http.ResponseWriter, r *http.Request, _ wire.Frame) bool {
			if r.Header.Get("Authorization") != "Key of-ones-own" {
				t.Errorf("a request came with %q", r.Header.Get("Authorization"))
			}
			if refusing {
				rw.Header().Set("WWW-Authenticate", "Bearer")
				rw.WriteHeader(http.StatusUnauthorized)
			}
			return refusing
		}
		w.open()
		refusing = true
		for i := range 3 {
			w.fails(w.call(fmt.Sprint("refused", i), "write", ``), CodeSignInNeeded, "HTTP 401")
		}
		refusing = false
		w.succeeds(w.call("again", "write", ``))
	})
}

// What the server asks the client on its own stream is answered, also after that
// stream has been opened anew.
func TestFaultServerAsksOnItsOwnStream(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		w.open()
		s := w.server.session()
		for i, method := range []string{"sampling/createMessage", "elicitation/create", "roots/list"} {
			id := fmt.Sprintf(`"own-%d"`, i)
			answer := make(chan wire.Frame, 1)
			s.mu.Lock()
			s.asked[wire.ID(id).Key()] = answer
			s.mu.Unlock()
			s.general.send(fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"method":%q,"params":{"n":1e400}}`, id, method))
			select {
			case f := <-answer:
				if want := `{"jsonrpc":"2.0","id":` + id + `,"result":{"ok":true}}`; string(f.Raw) != want {
					t.Errorf("%s was answered with %s", method, f.Raw)
				}
			case <-time.After(time.Minute):
				t.Fatalf("%s was not answered", method)
			}
			w.net.Cut()
			time.Sleep(30 * time.Second)
		}
		if w.asked != 3 {
			t.Errorf("the client was asked %d times", w.asked)
		}
	})
}

// The end of the bridge ends the session with a token that is good at that time.
func TestFaultSessionIsEndedWithCredentials(t *testing.T) {
	src := &tokens{current: "t1", refreshTo: "t2"}
	inWorld(t, Options{Tokens: src}, func(w *world) {
		var mu sync.Mutex
		accept := "t1"
		w.server.before = func(rw http.ResponseWriter, r *http.Request, _ wire.Frame) bool {
			mu.Lock()
			defer mu.Unlock()
			if r.Header.Get("Authorization") == "Bearer "+accept {
				return false
			}
			rw.WriteHeader(http.StatusUnauthorized)
			return true
		}
		w.open()
		w.succeeds(w.call("a", "write", ``))
		mu.Lock()
		accept = "t2" // the old one is not taken any more
		mu.Unlock()
		if err := w.eof(); err != nil {
			t.Error(err)
		}
		if w.server.deleted != 1 {
			t.Errorf("%d sessions were ended", w.server.deleted)
		}
	})
}

// A line that is no JSON is answered as JSON-RPC has it, and what is no message
// reaches nobody.
func TestFaultInvalidLinesAreAnswered(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		w.open()
		for _, raw := range []string{`{"jsonrpc":`, `not json`} {
			before := len(w.notes)
			w.write(raw)
			synctest.Wait()
			w.mu.Lock()
			if len(w.notes) != before+1 || !strings.Contains(w.notes[before], "-32700") || !strings.Contains(w.notes[before], `"id":null`) {
				t.Errorf("%s was answered with %q", raw, w.notes[before:])
			}
			w.mu.Unlock()
		}
		w.succeeds(w.call("b", "echo", ``))
	})
}

// TestProtocolByChoice: with --protocol the remote is spoken to in one era only,
// whatever the client speaks and whatever the remote would rather have.
func TestProtocolByChoice(t *testing.T) {
	const modernList = `{"jsonrpc":"2.0","id":"l","method":"tools/list","params":{` + modernMeta + `}}`
	for _, tc := range []struct {
		name, protocol string
		modern         bool // the server's era
		send           []string
		last           string // in the last answer
		methods        string // that the server got
	}{
		{"older client, newer server", "2026-07-28", true, []string{initializeFull, initialized, `{"jsonrpc":"2.0","id":"l","method":"tools/list"}`}, `"tools"`, "server/discover tools/list"},
		{"newer client, newer server", "2026-07-28", true, []string{modernList}, `"tools"`, "tools/list"},
		{"older client, older server", "2026-07-28", false, []string{initializeFull}, `"error"`, "server/discover"},
		{"newer client, older server", "2025-11-25", false, []string{discover, modernList}, `"tools"`, "initialize notifications/initialized tools/list"},
		{"older client, newer server", "2025-11-25", true, []string{initializeFull}, `"error"`, "initialize"},
	} {
		t.Run(tc.protocol+" "+tc.name, func(t *testing.T) {
			seen := newLegacyServer
			if tc.modern {
				seen = func(t *testing.T) (string, func() string) {
					t.Helper()
					s := newModernServer(t)
					return s.URL, s.methods
				}
			}
			url, methods := seen(t)
			c, stop := session(t, Options{URL: url, Protocol: tc.protocol})
			var answer string
			for _, raw := range tc.send {
				if wire.MustParse(raw).Kind == wire.Request {
					answer = ask(t, c, raw)
				} else {
					send(t, c, raw)
				}
			}
			if err := stop(); err != nil {
				t.Error(err)
			}
			if got := methods(); !strings.Contains(answer, tc.last) || got != tc.methods {
				t.Errorf("the client got %s, the server %q", answer, got)
			}
		})
	}
}

// methods are those of what came, in order. Listening has a time of its own.
func (s *modernServer) methods() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]string, 0, len(s.seen))
	for _, r := range s.seen {
		if r.f.Method != "subscriptions/listen" {
			all = append(all, r.f.Method)
		}
	}
	return strings.Join(all, " ")
}

// newLegacyServer starts a server that knows nothing of MCP 2026-07-28. It
// returns its address and the methods of what came.
func newLegacyServer(t *testing.T) (url string, methods func() string) {
	t.Helper()
	var mu sync.Mutex
	var all []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		f, err := wire.Parse(body)
		if r.Method != http.MethodPost || err != nil {
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		mu.Lock()
		all = append(all, f.Method)
		mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		switch {
		case f.Kind != wire.Request:
			w.WriteHeader(http.StatusAccepted)
		case f.Method == "server/discover":
			w.WriteHeader(http.StatusBadRequest)
			_, _ = w.Write(wire.NewError(nil, -32000, "Bad Request: Server not initialized", nil).Raw)
		default:
			_, _ = w.Write(wire.NewResult(f.ID, map[string]any{"protocolVersion": "2025-11-25", "capabilities": map[string]any{"tools": map[string]any{}}, "serverInfo": map[string]any{"name": "old", "version": "1"}, "tools": []any{}}).Raw)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL, func() string {
		mu.Lock()
		defer mu.Unlock()
		return strings.Join(all, " ")
	}
}
