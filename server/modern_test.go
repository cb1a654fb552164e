package server_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpctl/mcpctl/internal/wire"
	"github.com/mcpctl/mcpctl/server"
)

// Clients of 2026-07-28 before an upstream on stdio that speaks 2025-11-25.

func TestModernQuestions(t *testing.T) {
	w := start(t, richUpstream(t, "files"))
	m := w.modern(w.token(w.sample.Ada), "/mcp")
	for tool, answer := range map[string]string{
		"sample": `{"role":"assistant","model":"m","content":{"type":"text","text":"42"}}`,
		"elicit": `{"action":"accept","content":{"ok":true}}`,
	} {
		f := m.tool("1", tool, `{}`)
		if at(f, "result.resultType") != `"input_required"` {
			t.Fatalf("%s: %s", tool, f.Raw)
		}
		key := ""
		_ = wire.Members(wire.Lookup(f.Raw, "result", "inputRequests"), func(name, _ []byte) error { key = string(name); return nil })
		f = m.call("2", "tools/call", fmt.Sprintf(`{"name":%q,"arguments":{},"requestState":%s,"inputResponses":{%q:%s}}`, tool, at(f, "result.requestState"), key, answer))
		if at(f, "result.answered") != answer {
			t.Errorf("%s was told %s", tool, f.Raw)
		}
	}
}

func TestModernListen(t *testing.T) {
	w := start(t, richUpstream(t, "files"))
	token := w.token(w.sample.Ada)
	m := w.modern(token, "/mcp")
	e := w.listen(m, `"sub"`, `{"resourceSubscriptions":["mem://files/one"]}`)
	other := w.listen(m, `"sub"`, `{"resourceSubscriptions":["mem://files/two"]}`) // another client of Ada's, same id
	for _, uri := range []string{"mem://files/two", "mem://files/three", "mem://files/one"} {
		if f := m.tool("1", "touch", `{"uri":"`+uri+`"}`); f.Failed {
			t.Errorf("touch: %s", f.Raw)
		}
	}
	for uri, stream := range map[string]*exchange{"mem://files/one": e, "mem://files/two": other} {
		f := stream.message()
		if f.Method != "notifications/resources/updated" || at(f, "params.uri") != `"`+uri+`"` || wire.LookupString(f.Raw, "params", "_meta", "io.modelcontextprotocol/subscriptionId") != "sub" {
			t.Errorf("the subscription to %s got %s", uri, f.Raw)
		}
	}
}

// What stands for itself opens no session: neither the caller's own later
// requests nor anybody else's are taken for those of an older client.
func TestModernInitializeOpensNothing(t *testing.T) {
	for name, more := range map[string][]server.Upstream{
		"one":  nil,
		"many": {richUpstream(t, "notes")},
	} {
		t.Run(name, func(t *testing.T) {
			w := start(t, richUpstream(t, "files"), func(o *server.Options) { o.Config.Upstreams = append(o.Config.Upstreams, more...) })
			m := w.modern(w.token(w.sample.Ada), "/mcp")
			for gone, params := range map[string]string{
				"initialize":          `{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}`,
				"ping":                "{}",
				"logging/setLevel":    `{"level":"info"}`,
				"resources/subscribe": `{"uri":"mem://files/one"}`,
			} {
				e := m.start("1", gone, params, "")
				if f, _ := e.answer(); e.resp.StatusCode != http.StatusNotFound || at(f, "error.code") != "-32601" {
					t.Errorf("%s: HTTP %d %s", gone, e.resp.StatusCode, f.Raw)
				}
				if f := m.call("2", "tools/list", "{}"); at(f, "result.resultType") != `"complete"` {
					t.Errorf("after %s: %.200s", gone, f.Raw)
				}
			}
		})
	}
}

// Closing the answer's stream cancels the call, all the way to the upstream.
func TestModernDisconnectCancels(t *testing.T) {
	w := start(t, richUpstream(t, "files"))
	m := w.modern(w.token(w.sample.Ada), "/mcp")
	e := m.start("1", "tools/call", toolParams("wait", `{}`), `"progressToken":"p"`)
	if f := e.message(); at(f, "params.progressToken") != `"p"` {
		t.Fatalf("got %s", f.Raw)
	}
	if f := m.tool("2", "read", `{}`); at(f, "result.waiting") != "1" {
		t.Errorf("before: %s", f.Raw)
	}
	e.leave()
	w.recorded("wait", "cancelled")
	for until := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		f := m.tool("2", "read", `{}`)
		if at(f, "result.waiting") == "0" && at(f, "result.cancelled") == "1" {
			break
		}
		if time.Now().After(until) {
			t.Fatalf("the upstream was not told: %s", f.Raw)
		}
	}
}

// A client of an older revision that drops its connection has cancelled nothing.
func TestLegacyDisconnectCancelsNothing(t *testing.T) {
	w := start(t, richUpstream(t, "files"), func(o *server.Options) { o.DrainTimeout = 100 * time.Millisecond })
	s := w.rawSession(w.token(w.sample.Ada), "/mcp")
	s.start("tools/call", `{"name":"wait","arguments":{},"_meta":{"progressToken":1}}`)
	if _, f := s.call("tools/call", toolParams("read", `{}`)); at(f, "result.waiting") != "1" || at(f, "result.cancelled") != "0" {
		t.Errorf("got %s", f.Raw)
	}
}

// Everybody uses the ids 1, 2, 3 and the progress token 1.
func TestModernEqualIDs(t *testing.T) {
	for _, sharing := range []string{"per-user", "shared"} {
		t.Run(sharing, func(t *testing.T) {
			up := richUpstream(t, "files")
			up.Process = sharing
			w := start(t, up)
			var clients sync.WaitGroup
			for n := range 8 {
				person := w.sample.Ada
				if n%2 == 1 {
					person = w.sample.Grace
				}
				m := w.modern(w.token(person), "/mcp")
				clients.Go(func() {
					for id := range 20 {
						f, before := m.start(fmt.Sprint(id), "tools/call", toolParams("steps", fmt.Sprintf(`{"steps":3,"n":%d,"id":%d}`, n, id)), `"progressToken":1`).answer()
						if string(f.ID) != fmt.Sprint(id) || at(f, "result.args") != fmt.Sprintf(`{"steps":3,"n":%d,"id":%d}`, n, id) {
							t.Errorf("client %d, id %d: %s", n, id, f.Raw)
						}
						steps := 0
						for _, b := range before {
							if steps++; at(b, "params.progressToken") != "1" || at(b, "params.progress") != fmt.Sprint(steps) {
								t.Errorf("client %d, id %d: %s", n, id, b.Raw)
							}
						}
						if steps != 3 {
							t.Errorf("client %d, id %d: %d steps", n, id, steps)
						}
					}
				})
			}
			clients.Wait()
		})
	}
}

// modernOnly is go-sdk's server, which refuses what older clients send, as a
// server must that speaks 2026-07-28 alone.
func modernOnly(t *testing.T) server.Upstream {
	t.Helper()
	s := sdk.NewServer(&sdk.Implementation{Name: "go-sdk", Version: "1"}, nil)
	s.AddTool(&sdk.Tool{Name: "ask", InputSchema: map[string]any{"type": "object"}}, func(ctx context.Context, r *sdk.CallToolRequest) (*sdk.CallToolResult, error) {
		if token := r.Params.GetProgressToken(); token != nil {
			_ = r.Session.NotifyProgress(ctx, &sdk.ProgressNotificationParams{ProgressToken: token, Progress: 1})
		}
		if answer, ok := r.Params.InputResponses["go"].(*sdk.ElicitResult); ok {
			return &sdk.CallToolResult{Content: []sdk.Content{&sdk.TextContent{Text: "they " + answer.Action}}}, nil
		}
		return &sdk.CallToolResult{InputRequests: sdk.InputRequestMap{"go": &sdk.ElicitParams{Message: "Go on?", RequestedSchema: map[string]any{"type": "object"}}}, RequestState: "state"}, nil
	})
	h := sdk.NewStreamableHTTPHandler(func(*http.Request) *sdk.Server { return s }, &sdk.StreamableHTTPOptions{Stateless: true})
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method != http.MethodPost:
			w.WriteHeader(http.StatusMethodNotAllowed)
		case r.Header.Get(wire.HeaderProtocol) != modernVersion:
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusBadRequest)
			_, _ = w.Write(wire.NewError(nil, -32020, "Mcp-Protocol-Version is missing", nil).Raw)
		default:
			h.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(func() {
		web.CloseClientConnections()
		web.Close()
	})
	return server.Upstream{Name: "new", URL: web.URL + "/mcp"}
}

// A client of 2025-11-25 before an upstream that speaks 2026-07-28 alone, and
// one of 2026-07-28 beside it.
func TestLegacyClientOfModernUpstream(t *testing.T) {
	w := start(t, modernOnly(t))
	s := w.connect(w.token(w.sample.Ada), "/mcp", `{"elicitation":{}}`)
	if f, _ := s.call("tools/list", `{}`); !slices.Equal(names(f, "tools", "name"), []string{"ask"}) {
		t.Errorf("tools: %s", f.Raw)
	}
	id := s.send("tools/call", `{"name":"ask","arguments":{},"_meta":{"progressToken":"p"}}`)
	progress := 0
	for {
		f, err := s.read()
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case f.Method == "notifications/progress" && at(f, "params.progressToken") == `"p"`:
			progress++
		case f.Method == "elicitation/create":
			s.write(fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"result":{"action":"accept","content":{}}}`, f.ID))
		case string(f.ID) == id:
			if !strings.Contains(at(f, "result.content"), "they accept") || progress == 0 {
				t.Errorf("after %d steps: %s", progress, f.Raw)
			}
			return
		}
	}
}

func TestModernClientOfModernUpstream(t *testing.T) {
	w := start(t, modernOnly(t))
	m := w.modern(w.token(w.sample.Ada), "/mcp")
	f := m.tool("1", "ask", `{}`)
	if at(f, "result.resultType") != `"input_required"` || at(f, "result.requestState") != `"state"` {
		t.Fatalf("got %s", f.Raw)
	}
	f = m.call("2", "tools/call", `{"name":"ask","arguments":{},"requestState":"state","inputResponses":{"go":{"action":"decline"}}}`)
	if !strings.Contains(at(f, "result.content"), "they decline") {
		t.Errorf("got %s", f.Raw)
	}
}

// A call whose header says something else than its arguments is refused, and
// recorded, before the upstream hears of it.
func TestContradictingHeaderIsRecorded(t *testing.T) {
	s := sdk.NewServer(&sdk.Implementation{Name: "go-sdk", Version: "1"}, nil)
	s.AddTool(&sdk.Tool{Name: "sql", InputSchema: map[string]any{"type": "object", "properties": map[string]any{"region": map[string]any{"type": "string", "x-mcp-header": "Region"}}}},
		func(context.Context, *sdk.CallToolRequest) (*sdk.CallToolResult, error) {
			t.Error("the upstream was asked")
			return &sdk.CallToolResult{}, nil
		})
	web := httptest.NewServer(sdk.NewStreamableHTTPHandler(func(*http.Request) *sdk.Server { return s }, &sdk.StreamableHTTPOptions{Stateless: true}))
	t.Cleanup(web.Close)
	w := start(t, server.Upstream{Name: "sql", URL: web.URL + "/mcp"})
	m := w.modern(w.token(w.sample.Ada), "/mcp")
	if f := m.call("1", "tools/list", `{}`); len(names(f, "tools", "name")) != 1 {
		t.Fatalf("got %s", f.Raw)
	}
	if f := m.tool("2", "sql", `{"region":"eu"}`); at(f, "error.code") != "-32020" { // without the field
		t.Errorf("got %s", f.Raw)
	}
	all := w.records()
	if r := all[len(all)-1]; r["rule"] != "header-mismatch" || r["outcome"] != "refused" || r["target"] != "sql" || r["oid"] != w.sample.Ada.OID || r["status"] != float64(http.StatusBadRequest) {
		t.Errorf("recorded as %v", r)
	}
}
