package bridge

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// sseServer is a server that has HTTP+SSE and nothing else, at one address:
// GET is the stream, POST is refused.
type sseServer struct {
	*httptest.Server
	endpoint string           // what the stream names first
	guard    http.HandlerFunc // answers the GET in its stead; may be nil

	mu     sync.Mutex
	gets   int
	posted []wire.Frame
}

func newSSEServer(t *testing.T) *sseServer {
	t.Helper()
	s := &sseServer{endpoint: "/messages"}
	answers := make(chan wire.Frame, 10)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /sse", func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.gets++
		s.mu.Unlock()
		if s.guard != nil {
			s.guard(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = fmt.Fprintf(w, "event: endpoint\ndata: %s\n\n", s.endpoint)
		for {
			_ = http.NewResponseController(w).Flush()
			select {
			case f := <-answers:
				_, _ = fmt.Fprintf(w, "data: %s\n\n", f.Raw)
			case <-r.Context().Done():
				return
			}
		}
	})
	mux.HandleFunc("POST /messages", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		f, err := wire.Parse(body)
		if err != nil {
			t.Errorf("%s: %v", body, err)
			return
		}
		s.mu.Lock()
		s.posted = append(s.posted, f)
		s.mu.Unlock()
		w.WriteHeader(http.StatusAccepted)
		switch {
		case f.Kind != wire.Request:
		case f.Method == "initialize":
			answers <- wire.NewResult(f.ID, map[string]any{"protocolVersion": "2024-11-05", "capabilities": map[string]any{"tools": map[string]any{}}, "serverInfo": map[string]any{"name": "old", "version": "1"}})
		default:
			answers <- wire.NewResult(f.ID, map[string]any{"tools": []any{}})
		}
	})
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

func (s *sseServer) streams() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.gets
}

// Where a POST is refused and the stream says why there is no session either,
// that is the answer: the refused POST would send the person looking for another
// address.
func TestWhatTheStreamSaysIsTheAnswer(t *testing.T) {
	unauthorized := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }
	for _, transport := range []string{TransportAuto, TransportSSE} {
		for name, tc := range map[string]struct {
			guard    http.HandlerFunc
			endpoint string
			tokens   TokenSource
			code     string
			words    []string
		}{
			"a sign-in is needed":    {guard: unauthorized, tokens: &tokens{current: "t"}, code: "-31001", words: []string{"the sign-in has ended. Run: mcpctl login URL"}},
			"the server wants one":   {guard: unauthorized, code: "-31001", words: []string{"it wants a sign-in"}},
			"messages go elsewhere":  {endpoint: "https://evil.example/messages?key=secret", code: "-31000", words: []string{"https://evil.example", "nothing was sent"}},
			"the address is no such": {guard: http.NotFound, code: "-31000", words: []string{"ddress"}},
		} {
			t.Run(transport+"/"+name, func(t *testing.T) {
				s := newSSEServer(t)
				s.guard, s.endpoint = tc.guard, tc.endpoint
				c, _ := session(t, Options{URL: s.URL + "/sse", Transport: transport, Tokens: tc.tokens})
				got := ask(t, c, initialize)
				for _, word := range append(tc.words, tc.code) {
					if !strings.Contains(got, word) {
						t.Errorf("%s lacks %q", got, word)
					}
				}
				if strings.Contains(got, "may or may not") || strings.Contains(got, "secret") {
					t.Errorf("%s", got)
				}
				if n := s.streams(); tc.tokens == nil && n != 1 {
					t.Errorf("the stream was asked for %d times", n)
				}
			})
		}
	}
}

// HTTP+SSE belongs to the revisions that begin with initialize: a client of
// 2026-07-28 is translated for at once.
func TestModernClientBeforeSSE(t *testing.T) {
	s := newSSEServer(t)
	c, _ := session(t, Options{URL: s.URL + "/sse", Transport: TransportSSE})
	if got := ask(t, c, `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{`+modernMeta+`}}`); !strings.Contains(got, `"resultType":"complete"`) {
		t.Errorf("tools/list: %s", got)
	}
	if got := ask(t, c, `{"jsonrpc":"2.0","id":2,"method":"server/discover","params":{`+modernMeta+`}}`); !strings.Contains(got, "initialize") || !strings.Contains(got, "-32601") {
		t.Errorf("server/discover: %s", got)
	}
}
