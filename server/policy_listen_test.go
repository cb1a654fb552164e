package server_test

import (
	"strings"
	"testing"

	"github.com/mcpctl/mcpctl/server"
)

// Who may not read a resource is not told of its updates either, in any era and
// at any address.
func TestPolicyDecidesAboutSubscriptions(t *testing.T) {
	w := start(t, server.Upstream{}, several(richUpstream(t, "red"), richUpstream(t, "blue")), func(o *server.Options) {
		o.Config.Policy = []server.PolicyRule{
			{Name: "tools", Allow: `tool.kind == "tool"`},
			{Name: "open", Allow: `tool.kind == "resource" && !tool.name.startsWith("mem://secret")`},
		}
	})
	token := w.token(w.sample.Ada)
	for _, path := range []string{"/mcp", "/mcp/red"} {
		s := w.connect(token, path, `{}`)
		if f, _ := s.call("resources/subscribe", `{"uri":"mem://secret/x"}`); !f.Failed {
			t.Errorf("%s: subscribed to a secret: %s", path, f.Raw)
		}
		if f, _ := s.call("tools/Call", `{"name":"red__write"}`); at(f, "error.code") != "-32601" {
			t.Errorf("%s: another spelling of a method: %s", path, f.Raw)
		}
		m := w.modern(token, path)
		if f := m.call("1", "subscriptions/listen", `{"notifications":{"resourceSubscriptions":["mem://secret/x"]}}`); !f.Failed || !strings.Contains(at(f, "error.message"), `mem://secret/x`) {
			t.Errorf("%s: listening to a secret: %s", path, f.Raw)
		}
		stream := m.start("2", "subscriptions/listen", `{"notifications":{"resourceSubscriptions":["mem://red/one","mem://secret/x"]}}`, "")
		if f := stream.message(); at(f, "params.notifications.resourceSubscriptions") != `["mem://red/one"]` {
			t.Errorf("%s: acknowledged: %s", path, f.Raw)
		}
		touch := map[string]string{"/mcp": "red__touch", "/mcp/red": "touch"}[path]
		for _, uri := range []string{"mem://secret/x", "mem://red/one"} {
			if f := m.tool("3", touch, `{"URI":"`+uri+`"}`); f.Failed {
				t.Fatalf("%s: touching: %s", path, f.Raw)
			}
		}
		if f := stream.message(); at(f, "params.uri") != `"mem://red/one"` {
			t.Errorf("%s: told: %s", path, f.Raw)
		}
		stream.leave()
	}
	w.stop()
	denials := 0
	for _, r := range w.records() {
		if target, _ := r["target"].(string); r["decision"] == "allow" && strings.Contains(target, "secret") {
			t.Errorf("recorded as allowed: %v", r)
		}
		if r["method"] == "subscriptions/listen" && r["decision"] == "deny" && r["outcome"] == "denied" && r["target"] == "mem://secret/x" && r["oid"] == w.sample.Ada.OID {
			denials++
		}
	}
	if denials != 4 {
		t.Errorf("%d denials are recorded: %v", denials, w.records())
	}
}
