package server_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/mcpctl/mcpctl/internal/wire"
	"github.com/mcpctl/mcpctl/server"
)

const helloMessage = `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`

// A person opens more sessions than there may be processes: the longest idle one
// makes room, and its client is told to open another when it next asks.
func TestIdleSessionMakesRoomForAnother(t *testing.T) {
	up := richUpstream(t, "files")
	up.Process = "per-session"
	w := start(t, up, func(o *server.Options) { o.Config.Limits.ProcessesPerUser = 2 })
	token := w.token(w.sample.Ada)
	first, second, third := w.rawSession(token, "/mcp"), w.rawSession(token, "/mcp"), w.rawSession(token, "/mcp")
	const ping = `{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"name":"read","arguments":{}}}`
	for _, s := range []*rawSession{third, second, third} {
		if resp, body := s.post(ping); resp.StatusCode != http.StatusOK || !strings.Contains(body, `"result"`) {
			t.Errorf("HTTP %s %s", resp.Status, body)
		}
	}
	for range 2 {
		if resp, body := first.post(ping); resp.StatusCode != http.StatusNotFound {
			t.Errorf("the session that made room: HTTP %s %s", resp.Status, body)
		}
	}
	if f, _ := w.streamable(token).tool("read", `{}`); f.Failed {
		t.Errorf("a new session: %s", f.Raw)
	}
}

// Where all processes are at work nobody gets a session that is dead from its
// start. The bounds can change while the server runs.
func TestNoProcessForAnotherSession(t *testing.T) {
	for name, test := range map[string]struct {
		limits server.Limits
		status int
	}{
		"of one person": {server.Limits{ProcessesPerUser: 1}, http.StatusTooManyRequests},
		"of all":        {server.Limits{Processes: 1}, http.StatusServiceUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			up := richUpstream(t, "files")
			up.Process = "per-session"
			w := start(t, up, func(o *server.Options) { o.Config.Limits = test.limits })
			token := w.token(w.sample.Ada)
			busy := w.rawSession(token, "/mcp")
			if resp := busy.start("tools/call", `{"name":"wait","arguments":{},"_meta":{"progressToken":"p"}}`); resp.Header.Get("Content-Type") != "text/event-stream" {
				t.Fatalf("the call that waits: %s", resp.Status)
			}
			resp, body := w.do(http.MethodPost, "/mcp", token, helloMessage)
			if resp.StatusCode != test.status || resp.Header.Get("Retry-After") == "" || resp.Header.Get(wire.HeaderSession) != "" || !strings.Contains(body, "Too many") {
				t.Errorf("initialize: HTTP %s %v %s", resp.Status, resp.Header, body)
			}
			refused := slices.ContainsFunc(w.records(), func(r map[string]any) bool {
				return r["method"] == "initialize" && r["decision"] == "deny" && r["rule"] == "process-limit"
			})
			if !refused {
				t.Errorf("the audit log: %v", w.records())
			}
			e := w.modern(token, "/mcp").start("1", "tools/list", `{}`, "")
			if e.resp.StatusCode != test.status || e.resp.Header.Get("Retry-After") == "" {
				t.Errorf("without a session: HTTP %s", e.resp.Status)
			}
			e.leave()
			if err := w.takeOver(func(c *server.Config) { c.Limits.Processes, c.Limits.ProcessesPerUser = 5, 5 }); err != nil {
				t.Fatal(err)
			}
			if f, _ := w.streamable(token).tool("read", `{}`); f.Failed {
				t.Errorf("with a higher bound: %s", f.Raw)
			}
			if f := w.modern(token, "/mcp").tool("1", "read", `{}`); f.Failed {
				t.Errorf("with a higher bound, without a session: %s", f.Raw)
			}
			busy.post(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`)
		})
	}
}

// Of several upstreams as one, the one whose process made room is started again
// when it is needed.
func TestOneOfSeveralMakesRoom(t *testing.T) {
	up := richUpstream(t, "files")
	w := start(t, up, func(o *server.Options) {
		o.Config.Upstreams = append(o.Config.Upstreams, whoami)
		o.Config.Limits.Processes = 1
	})
	ada, grace := w.token(w.sample.Ada), w.token(w.sample.Grace)
	a, g := w.streamable(ada), w.streamable(grace)
	am, gm := w.modern(ada, "/mcp"), w.modern(grace, "/mcp")
	for range 3 {
		for who, f := range map[string]func() wire.Frame{
			"ada":                      func() wire.Frame { f, _ := a.tool("files__read", `{}`); return f },
			"grace":                    func() wire.Frame { f, _ := g.tool("files__read", `{}`); return f },
			"ada, without a session":   func() wire.Frame { return am.tool("1", "files__read", `{}`) },
			"grace, without a session": func() wire.Frame { return gm.tool("1", "files__read", `{}`) },
		} {
			if got := f(); got.Failed {
				t.Errorf("%s: %s", who, got.Raw)
			}
		}
	}
}
