package server_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/mcpctl/mcpctl/internal/wire"
	"github.com/mcpctl/mcpctl/server"
)

func TestCommandUpstream(t *testing.T) {
	w := start(t, commandUpstream(t))
	for name, open := range map[string]func(string) *session{"Streamable HTTP": w.streamable, "HTTP+SSE": w.sse} {
		t.Run(name, func(t *testing.T) {
			s := open(w.token(w.sample.Ada))
			// Bytes pass as they are: order, spacing, big numbers, unknown members.
			const args = `{"z":1, "a":9007199254740993,"x":{"y":[ ]}}`
			if f, _ := s.tool("echo", args); at(f, "result.echo") != args {
				t.Errorf("echo: %s", f.Raw)
			}

			first := s.send("tools/call", `{"name":"progress","arguments":{},"_meta":{"progressToken":"one"}}`)
			second := s.send("tools/call", `{"name":"progress","arguments":{},"_meta":{"progressToken":2}}`)
			checkProgress(t, s, map[string]string{first: `"one"`, second: `2`})

			id := s.send("tools/call", toolParams("ask", `{}`))
			asked, err := s.read()
			if err != nil || asked.Method != "sampling/createMessage" {
				t.Fatalf("got %s %v, want the upstream's question", asked.Raw, err)
			}
			s.write(fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"result":{"role":"assistant"}}`, asked.ID))
			if f, _ := s.answer(id); at(f, "result.answered.role") != `"assistant"` {
				t.Errorf("the answer to the upstream's question came back as %s", f.Raw)
			}

			if f, _ := s.tool("garbage", `{}`); f.Failed {
				t.Errorf("what is no message was in the way: %s", f.Raw)
			}
		})
	}
	if log := w.log.String(); !strings.Contains(log, "a message from the upstream was dropped") {
		t.Error("the log does not mention garbage from the upstream")
	}
}

// checkProgress reads the answers to requests and checks that each came after
// its own three notifications, in order.
func checkProgress(t *testing.T, s *session, tokens map[string]string) {
	t.Helper()
	seen := map[string]int{}
	for answered := 0; answered < len(tokens); {
		f, err := s.read()
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case f.Method == "notifications/progress":
			token := at(f, "params.progressToken")
			seen[token]++
			if at(f, "params.progress") != fmt.Sprint(seen[token]) {
				t.Errorf("out of order: %s", f.Raw)
			}
		case f.Kind == wire.Response:
			answered++
			if token := tokens[string(f.ID)]; f.Failed || token == "" || seen[token] != 3 {
				t.Errorf("%s came after %d of 3 notifications", f.Raw, seen[token])
			}
		}
	}
}

func TestTooLargeAnswerOfAnUpstream(t *testing.T) {
	w := start(t, commandUpstream(t))
	s := w.streamable(w.token(w.sample.Ada))
	f, _ := s.tool("huge", `{}`)
	if !f.Failed || !strings.Contains(at(f, "error.message"), "larger than 64 MiB") {
		t.Errorf("got %.300s", f.Raw)
	}
	if f, _ := s.tool("echo", `{}`); f.Failed {
		t.Errorf("the session did not go on: %s", f.Raw)
	}
}

func TestTooLargeAMessageOfAClient(t *testing.T) {
	w := start(t, commandUpstream(t), func(o *server.Options) { o.Config.Limits.Body = 1 << 10 })
	s := w.streamable(w.token(w.sample.Ada))
	if f, _ := s.tool("echo", `"`+strings.Repeat("x", 2<<10)+`"`); !f.Failed || !strings.Contains(string(f.Raw), "Too Large") {
		t.Errorf("got %.300s", f.Raw)
	}
	if f, _ := s.tool("echo", `{}`); f.Failed {
		t.Errorf("the session did not go on: %s", f.Raw)
	}
}

func TestUpstreamThatDies(t *testing.T) {
	w := start(t, commandUpstream(t))
	token := w.token(w.sample.Ada)
	s := w.streamable(token)
	other := s.begin("silent", `{}`)
	died := s.send("tools/call", toolParams("die", `{}`))
	got := map[string]bool{}
	for range 2 {
		f, err := s.read()
		if err != nil {
			t.Fatal(err)
		}
		got[string(f.ID)] = f.Failed && strings.Contains(at(f, "error.message"), "stopped before it answered")
	}
	if !got[other] || !got[died] {
		t.Errorf("answers: %v", got)
	}
	if f, _ := w.streamable(token).tool("echo", `{"n":1}`); at(f, "result.echo") != `{"n":1}` {
		t.Errorf("the next session: %s", f.Raw)
	}
	if log := w.log.String(); !strings.Contains(log, "exit status 3") {
		t.Error("the log does not say how the upstream ended")
	}
}

func TestTokenStaysHereCommand(t *testing.T) {
	t.Setenv("SOME_SECRET", "s3cr3t")
	w := start(t, commandUpstream(t))
	token := w.token(w.sample.Ada)
	f, _ := w.streamable(token).tool("environment", `{}`)
	env := at(f, "result.env")
	if !strings.Contains(env, upstreamVariable) || !strings.Contains(env, "PATH=") {
		t.Errorf("the environment lacks what it should have: %s", env)
	}
	for _, secret := range []string{token, "eyJ", "s3cr3t", "Bearer"} {
		if strings.Contains(env, secret) {
			t.Errorf("%.10s… is in the upstream's environment", secret)
		}
	}
	w.stop()
	w.checkTraces(token, "eyJ")
}

// httpUpstream is a Streamable HTTP server that remembers what it was sent.
// Its tool "hold" waits until release is closed.
type httpUpstream struct {
	*httptest.Server
	release chan struct{}
	holding chan struct{} // gets one for each call that waits

	mu     sync.Mutex
	header []http.Header
	bodies []string
}

func startHTTPUpstream(t testing.TB) *httpUpstream {
	t.Helper()
	u := &httpUpstream{release: make(chan struct{}), holding: make(chan struct{}, 10)}
	u.Server = httptest.NewServer(u)
	t.Cleanup(u.Close)
	return u
}

func (u *httpUpstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	u.mu.Lock()
	u.header = append(u.header, r.Header.Clone())
	u.bodies = append(u.bodies, r.URL.String()+string(body))
	u.mu.Unlock()
	var m message
	if r.Method != http.MethodPost || json.Unmarshal(body, &m) != nil {
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	result := `{"content":[]}`
	switch {
	case m.ID == nil:
		w.WriteHeader(http.StatusAccepted)
		return
	case m.Method == "initialize":
		w.Header().Set("Mcp-Session-Id", "upstream-session")
		result = `{"protocolVersion":"2025-11-25","capabilities":{},"serverInfo":{"name":"http","version":"1"}}`
	case m.Params.Name == "hold":
		u.holding <- struct{}{}
		select {
		case <-u.release:
		case <-r.Context().Done():
			return
		}
	case m.Params.Name == "unauthorized":
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":%s}`, m.ID, result)
}

func TestTokenStaysHereHTTP(t *testing.T) {
	u := startHTTPUpstream(t)
	w := start(t, server.Upstream{Name: "http", URL: u.URL + "/mcp", Headers: map[string]string{"Authorization": "Bearer own-credential", "X-Team": "blue"}})
	token := w.token(w.sample.Ada)
	for _, open := range []func(string) *session{w.streamable, w.sse} {
		s := open(token)
		if f, _ := s.tool("echo", `{}`); f.Failed {
			t.Errorf("got %s", f.Raw)
		}
		if f, _ := s.tool("unauthorized", `{}`); !f.Failed || !strings.Contains(at(f, "error.message"), "did not answer") {
			t.Errorf("got %s", f.Raw)
		}
	}
	w.stop()
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.header) == 0 {
		t.Fatal("the upstream saw nothing")
	}
	for i, h := range u.header {
		if len(h["Authorization"]) != 1 || h.Get("Authorization") != "Bearer own-credential" || h.Get("X-Team") != "blue" {
			t.Errorf("the configured headers did not arrive: %v", h)
		}
		if text := fmt.Sprint(h, u.bodies[i]); strings.Contains(text, token) || strings.Contains(text, "eyJ") {
			t.Error("the caller's token reached the upstream")
		}
	}
	w.checkTraces(token, "eyJ", "own-credential")
}

func TestInterleavedCalls(t *testing.T) {
	const calls = 250
	w := start(t, server.Upstream{Name: "b", Builtin: []string{"whoami", "market"}})
	var users sync.WaitGroup
	for name, s := range map[string]*session{w.sample.Ada.Name: w.streamable(w.token(w.sample.Ada)), w.sample.Grace.Name: w.sse(w.token(w.sample.Grace))} {
		users.Go(func() {
			tokens := map[string]string{}
			for i := range calls {
				if i%5 == 0 {
					tokens[s.send("tools/call", toolParams("whoami", `{}`))] = ""
					continue
				}
				token := fmt.Sprintf(`"%s-%d"`, name, i)
				id := s.send("tools/call", fmt.Sprintf(`{"name":"run_backtest","arguments":{"symbol":"CTSO","steps":3},"_meta":{"progressToken":%s}}`, token))
				tokens[id] = token
			}
			seen := map[string]int{}
			for len(tokens) > 0 {
				f, err := s.read()
				if err != nil {
					t.Error(err)
					return
				}
				if f.Method == "notifications/progress" {
					token := at(f, "params.progressToken")
					seen[token]++
					if !strings.HasPrefix(token, `"`+name) || at(f, "params.progress") != fmt.Sprint(seen[token]) {
						t.Errorf("%s got %s", name, f.Raw)
					}
					continue
				}
				token, mine := tokens[string(f.ID)]
				delete(tokens, string(f.ID))
				switch {
				case f.Kind != wire.Response:
				case !mine || f.Failed:
					t.Errorf("%s got %s", name, f.Raw)
				case token != "" && seen[token] != 3:
					t.Errorf("%s: %d of 3 notifications before %s", name, seen[token], f.Raw)
				case token == "" && at(f, "result.structuredContent.name") != `"`+name+`"`:
					t.Errorf("%s is called %s", name, at(f, "result.structuredContent.name"))
				}
			}
		})
	}
	users.Wait()
	w.stop()
	answered := 0
	for _, r := range w.records() {
		if r["method"] == "tools/call" && r["outcome"] == "ok" {
			answered++
		}
	}
	if answered != 2*calls {
		t.Errorf("%d calls in the audit log, want %d", answered, 2*calls)
	}
}
