package server_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/mcpctl/mcpctl/internal/fakeentra"
	"github.com/mcpctl/mcpctl/internal/wire"
	"github.com/mcpctl/mcpctl/server"
)

// readersAndWriters: everybody may read, writers may do everything.
func readersAndWriters(o *server.Options) {
	o.Config.Policy = []server.PolicyRule{
		{Name: "readers", Allow: "tool.annotations.readOnlyHint"},
		{Name: "writers", Allow: `"Writer" in user.roles`},
		{Name: "no-secrets", Deny: `"path" in args && args.path == "/etc/shadow"`},
	}
}

func TestPolicyReaderAndWriter(t *testing.T) {
	w := start(t, richUpstream(t, "files"), readersAndWriters)
	ada, grace := w.token(w.sample.Ada), w.token(w.sample.Grace)

	writer, reader := w.connect(ada, "/mcp", `{}`), w.connect(grace, "/mcp", `{}`)
	both, one := []string{"read", "write"}, []string{"read"}
	if f, _ := writer.call("tools/list", `{}`); !slices.Equal(names(f, "tools", "name"), both) {
		t.Errorf("a writer sees %s", f.Raw)
	}
	if f, _ := reader.call("tools/list", `{}`); !slices.Equal(names(f, "tools", "name"), one) {
		t.Errorf("a reader sees %s", f.Raw)
	}
	if f, _ := writer.tool("write", `{"n":1}`); at(f, "result.args") != `{"n":1}` {
		t.Errorf("a writer writes: %s", f.Raw)
	}
	f, _ := reader.tool("write", `{}`)
	if at(f, "result.isError") != "true" || !strings.Contains(at(f, "result.content"), `(default)`) {
		t.Errorf("a reader writes: %s", f.Raw)
	}
	f, _ = writer.tool("read", `{"path":"/etc/shadow"}`)
	if at(f, "result.isError") != "true" || !strings.Contains(at(f, "result.content"), `(no-secrets)`) {
		t.Errorf("a denial outweighs: %s", f.Raw)
	}
	if f, _ := reader.tool("read", `{"path":"/etc/hosts"}`); f.Failed || at(f, "result.calls") == "" {
		t.Errorf("a reader reads: %s", f.Raw)
	}

	// The same holds for clients without sessions; also for a reader's list when
	// a writer has asked before, and the other way round.
	for token, want := range map[string][]string{ada: both, grace: one} {
		m := w.modern(token, "/mcp")
		if f := m.call("1", "tools/list", `{}`); !slices.Equal(names(f, "tools", "name"), want) {
			t.Errorf("without a session: %s, want %v", f.Raw, want)
		}
		if f := m.tool("2", "write", `{}`); (at(f, "result.isError") == "true") != (token == grace) {
			t.Errorf("without a session: %s", f.Raw)
		}
	}
	w.stop()
	w.decided("write", w.sample.Ada, "allow", "writers", "ok")
	w.decided("write", w.sample.Grace, "deny", "default", "denied")
	w.decided("read", w.sample.Ada, "deny", "no-secrets", "denied")
	w.decided("read", w.sample.Grace, "allow", "readers", "ok")
}

// decided checks that the audit log has a decision.
func (w *world) decided(tool string, who fakeentra.Person, decision, rule, outcome string) {
	w.t.Helper()
	for _, r := range w.records() {
		if r["target"] == tool && r["oid"] == who.OID && r["decision"] == decision && r["rule"] == rule && r["outcome"] == outcome {
			return
		}
	}
	w.t.Errorf("the audit log lacks: %s, %s by %s for %s, ended as %s: %v", tool, decision, rule, who.Name, outcome, w.records())
}

func TestPolicyPrefixedNames(t *testing.T) {
	w := start(t, server.Upstream{}, several(richUpstream(t, "red"), richUpstream(t, "blue")), func(o *server.Options) {
		o.Config.Policy = []server.PolicyRule{{Name: "blue-reads", Allow: `tool.upstream == "blue" && tool.name == "read"`}}
	})
	token := w.token(w.sample.Ada)
	s := w.connect(token, "/mcp", `{}`)
	if f, _ := s.call("tools/list", `{}`); !slices.Equal(names(f, "tools", "name"), []string{"blue__read"}) {
		t.Errorf("the list: %s", f.Raw)
	}
	if f, _ := s.tool("red__read", `{}`); at(f, "result.isError") != "true" {
		t.Errorf("red__read: %s", f.Raw)
	}
	if f, _ := s.tool("blue__read", `{}`); at(f, "result.who") != `"blue"` {
		t.Errorf("blue__read: %s", f.Raw)
	}
	for _, wrong := range []string{"read", "green__read", "blue__", "__read"} {
		for _, method := range []string{"tools/call", "prompts/get"} {
			f, _ := s.call(method, `{"name":"`+wrong+`"}`)
			if at(f, "error.code") != "-32602" || !strings.Contains(at(f, "error.message"), "names here are UPSTREAM__NAME, where UPSTREAM is one of red, blue") {
				t.Errorf("%s %s: %s", method, wrong, f.Raw)
			}
		}
	}
	// The way round by the upstream's own address is the same way.
	if f, _ := w.connect(token, "/mcp/red", `{}`).tool("read", `{}`); at(f, "result.isError") != "true" {
		t.Errorf("read at /mcp/red: %s", f.Raw)
	}
	if f, _ := w.connect(token, "/mcp/blue", `{}`).tool("read", `{}`); at(f, "result.who") != `"blue"` {
		t.Errorf("read at /mcp/blue: %s", f.Raw)
	}
}

// Where permissions are missing that a person could give, the client is told
// which in the way that makes it ask (MCP 2025-11-25, basic/authorization).
func TestPolicyAsksForScopes(t *testing.T) {
	const scope = "Mcp.Write"
	w := start(t, richUpstream(t, "files"), func(o *server.Options) {
		o.Config.Policy = []server.PolicyRule{
			{Name: "read", Allow: `tool.name == "read"`},
			{Name: "write", Allow: `tool.name == "write"`, Scopes: []string{scope}},
		}
	})
	without := w.token(w.sample.Ada)
	with := w.mint(fakeentra.TokenSpec{Person: w.sample.Ada.UPN, Scopes: []string{fakeentra.SampleScope, scope}})
	check := func(resp *http.Response, f wire.Frame) {
		t.Helper()
		challenge := resp.Header.Get("WWW-Authenticate")
		if resp.StatusCode != http.StatusForbidden || !f.Failed {
			t.Errorf("got %s %s", resp.Status, f.Raw)
		}
		api := w.sample.API.IDURIs[0]
		all := `scope="` + api + "/" + scope + " " + api + "/" + fakeentra.SampleScope + `"` // what lets the caller in would be lost else
		for _, want := range []string{`error="insufficient_scope"`, all, w.url("/.well-known/oauth-protected-resource/mcp")} {
			if !strings.Contains(challenge, want) {
				t.Errorf("the challenge %s lacks %s", challenge, want)
			}
		}
	}
	s := w.rawSession(without, "/mcp")
	check(s.call("tools/call", toolParams("write", `{}`)))
	if _, f := s.call("tools/call", toolParams("read", `{}`)); f.Failed {
		t.Errorf("the session did not go on: %s", f.Raw)
	}
	e := w.modern(without, "/mcp").start("1", "tools/call", toolParams("write", `{}`), "")
	f, _ := e.answer()
	check(e.resp, f)

	// A token with more permissions goes on with the same session.
	s.token = with
	if _, f := s.call("tools/call", toolParams("write", `{}`)); at(f, "result.who") != `"files"` {
		t.Errorf("with the permission: %s", f.Raw)
	}
}

// What readers of JSON could take for different things is not decided about.
func TestPolicyRefusesAmbiguousRequests(t *testing.T) {
	w := start(t, richUpstream(t, "files"), readersAndWriters)
	s := w.rawSession(w.token(w.sample.Grace), "/mcp")
	for name, params := range map[string]string{
		"a name that stands twice":      `{"name":"read","name":"write","arguments":{}}`,
		"a name in another case":        `{"name":"read","Name":"write","arguments":{}}`,
		"arguments that stand twice":    `{"name":"read","arguments":{},"arguments":{"path":"/etc/shadow"}}`,
		"arguments in another case":     `{"name":"read","arguments":{},"ARGUMENTS":{"path":"/etc/shadow"}}`,
		"a name with an escaped letter": `{"name":"read","n\u0061me":"write","arguments":{}}`,
		"a name that is not there":      `{"arguments":{}}`,
		"params that are a list":        `["write"]`,
		"a name that is no text":        `{"name":["write"],"arguments":{}}`,
		"an argument that stands twice": `{"name":"read","arguments":{"path":"/etc/shadow","path":"/tmp"}}`,
		"one inside another":            `{"name":"read","arguments":{"list":[{"path":"/etc/shadow","path":"/tmp"}]}}`,
		"an argument with a long s":     `{"name":"read","arguments":{"pasſ":"1","pass":"2"}}`,
		"an argument in two cases":      `{"name":"read","arguments":{"PATH":"/etc/shadow","path":"/tmp"}}`,
	} {
		_, f := s.call("tools/call", params)
		if !f.Failed && at(f, "result.isError") != "true" {
			t.Errorf("%s: %s", name, f.Raw)
		}
	}
	// Nor does a second method get past.
	_, body := s.post(`{"jsonrpc":"2.0","id":99,"method":"tools/list","method":"tools/call","params":{"name":"write","arguments":{}}}`)
	if strings.Contains(body, `"who"`) {
		t.Errorf("a method that stands twice: %s", body)
	}
}

func TestPolicyReload(t *testing.T) {
	w := start(t, richUpstream(t, "files"), func(o *server.Options) {
		o.Config.Policy = []server.PolicyRule{{Name: "wait", Allow: `tool.name == "wait"`}}
	})
	s := w.connect(w.token(w.sample.Grace), "/mcp", `{}`)
	if f, _ := s.tool("write", `{}`); at(f, "result.isError") != "true" {
		t.Errorf("before: %s", f.Raw)
	}
	id := s.begin("wait", `{}`) // goes on through it all
	w.reload(func(c *server.Config) {
		c.Policy = append(slices.Clone(c.Policy), server.PolicyRule{Name: "all", Allow: "true"})
	})
	if f, _ := s.tool("write", `{}`); at(f, "result.who") != `"files"` {
		t.Errorf("after, in the same session: %s", f.Raw)
	}
	w.reload(func(c *server.Config) { c.Policy = []server.PolicyRule{{Name: "none", Deny: "true"}} })
	if f, _ := s.tool("write", `{}`); at(f, "result.isError") != "true" {
		t.Errorf("after another: %s", f.Raw)
	}
	// A policy that can't be compiled leaves the old one in force.
	next := w.server.Config()
	next.Policy = []server.PolicyRule{{Name: "bad", Allow: "user.nme == 1"}}
	if err := w.server.Reload(t.Context(), func() (server.Config, error) { return next, nil }); err == nil || !strings.Contains(err.Error(), "nme") {
		t.Errorf("a misspelt field: %v", err)
	}
	if f, _ := s.tool("read", `{}`); at(f, "result.isError") != "true" {
		t.Errorf("after a bad one: %s", f.Raw)
	}
	s.cancel(id)
	w.recorded("wait", "cancelled")
}

// reload changes the configuration of the running server.
func (w *world) reload(change func(*server.Config)) {
	w.t.Helper()
	next := w.server.Config()
	change(&next)
	if err := w.server.Reload(context.Background(), func() (server.Config, error) { return next, nil }); err != nil {
		w.t.Fatal(err)
	}
}

// Upstreams whose decoder ignores case would find another request in these than
// policy and audit did.
func TestNoRequestInsideAnother(t *testing.T) {
	w := start(t, richUpstream(t, "files"), readersAndWriters)
	s := w.rawSession(w.token(w.sample.Grace), "/mcp")
	for _, message := range []string{
		`{"jsonrpc":"2.0","id":1,"method":"ping","Method":"tools/call","params":{"name":"write","arguments":{}}}`,
		`{"jsonrpc":"2.0","method":"tools/call","ID":2,"params":{"name":"write","arguments":{}}}`,
		`{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"read"},"Params":{"name":"write"}}`,
	} {
		if resp, body := s.post(message); resp.StatusCode != http.StatusBadRequest || !strings.Contains(body, "-32600") {
			t.Errorf("%s: HTTP %d %s", message, resp.StatusCode, body)
		}
	}
}
