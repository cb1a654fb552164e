package server_test

import (
	"strings"
	"testing"
	"time"

	"github.com/mcpctl/mcpctl/server"
)

func TestResultCache(t *testing.T) {
	w := start(t, richUpstream(t, "files"), func(o *server.Options) {
		o.Config.Upstreams[0].Process = "shared" // so that one counter counts all
		o.Config.Cache = []server.CacheRule{
			{Tool: "read", TTL: time.Hour},
			{Tool: "write", TTL: time.Hour, Public: true},
			{Resource: "mem://files/*", TTL: time.Hour, Public: true},
		}
	})
	ada, grace := w.connect(w.token(w.sample.Ada), "/mcp", `{}`), w.connect(w.token(w.sample.Grace), "/mcp", `{}`)
	calls := func(s *session, tool, args string) string {
		t.Helper()
		f, _ := s.tool(tool, args)
		return at(f, "result.calls")
	}
	for i, step := range []struct {
		who        *session
		tool, args string
		want       string
	}{
		{ada, "read", `{"n":1}`, "1"},
		{ada, "read", `{"n":1}`, "1"}, // kept
		{ada, "read", `{"n":2}`, "2"}, // other arguments
		{grace, "read", `{"n":1}`, "3"},
		{grace, "read", `{"n":1}`, "3"},
		{ada, "read", `{"n":1}`, "1"},
		{ada, "write", `{}`, "4"},
		{grace, "write", `{}`, "4"}, // public
	} {
		if got := calls(step.who, step.tool, step.args); got != step.want {
			t.Errorf("step %d: %s %s came from call %s, want %s", i, step.tool, step.args, got, step.want)
		}
	}
	again := w.connect(w.token(w.sample.Ada), "/mcp", `{}`)
	if got := calls(again, "read", `{"n":1}`); got != "1" {
		t.Errorf("another session of the same person: call %s", got)
	}

	read := func(s *session) string {
		t.Helper()
		f, _ := s.call("resources/read", `{"uri":"mem://files/one"}`)
		return at(f, "result.contents")
	}
	if a, b := read(ada), read(grace); a != b || !strings.Contains(a, "read 1") {
		t.Errorf("a public resource: %s and %s", a, b)
	}
	if f, _ := ada.call("resources/subscribe", `{"uri":"mem://files/one"}`); f.Failed {
		t.Fatalf("subscribing: %s", f.Raw)
	}
	if f, _ := ada.tool("touch", `{"uri":"mem://files/one"}`); f.Failed {
		t.Fatalf("touch: %s", f.Raw)
	}
	if a, b := read(ada), read(grace); a != b || !strings.Contains(a, "read 2") {
		t.Errorf("after an update: %s and %s", a, b)
	}
	w.stop()
	kept := 0
	for _, r := range w.records() {
		if r["cached"] == true {
			kept++
		}
	}
	if kept != 7 {
		t.Errorf("%d records say that the result was kept, want 7", kept)
	}
}
