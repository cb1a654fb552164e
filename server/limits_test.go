package server_test

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mcpctl/mcpctl/internal/wire"
	"github.com/mcpctl/mcpctl/server"
)

func TestRateLimit(t *testing.T) {
	w := start(t, richUpstream(t, "files"), func(o *server.Options) {
		o.Config.Limits.Tools = []server.ToolLimit{{Tool: "write", RequestsPerMinute: 60}} // one a second, ten at once
	})
	ada, grace := w.rawSession(w.token(w.sample.Ada), "/mcp"), w.rawSession(w.token(w.sample.Grace), "/mcp")
	var resp *http.Response
	var f wire.Frame
	allowed := 0
	for ; allowed < 30; allowed++ {
		if resp, f = ada.call("tools/call", toolParams("write", `{}`)); resp.StatusCode == http.StatusTooManyRequests {
			break
		}
	}
	wait, err := strconv.Atoi(resp.Header.Get("Retry-After"))
	if allowed < 10 || allowed == 30 || err != nil || wait < 1 || wait > 10 || !strings.Contains(at(f, "error.message"), `\"write\"`) {
		t.Fatalf("after %d calls: %s, Retry-After %q, %s", allowed, resp.Status, resp.Header.Get("Retry-After"), f.Raw)
	}
	if e := w.modern(ada.token, "/mcp").start("1", "tools/call", toolParams("write", `{}`), ""); e.resp.StatusCode != http.StatusTooManyRequests {
		t.Errorf("without a session the same person has another limit: %s", e.resp.Status)
	}
	if resp, _ := grace.call("tools/call", toolParams("write", `{}`)); resp.StatusCode != http.StatusOK {
		t.Errorf("another person's call: %s", resp.Status)
	}
	if resp, _ := ada.call("tools/call", toolParams("read", `{}`)); resp.StatusCode != http.StatusOK {
		t.Errorf("another tool: %s", resp.Status)
	}
	time.Sleep(time.Duration(wait) * time.Second) // the server said so
	if resp, f := ada.call("tools/call", toolParams("write", `{}`)); resp.StatusCode != http.StatusOK {
		t.Errorf("after the wait: %s %s", resp.Status, f.Raw)
	}
	w.stop()
	w.decided("write", w.sample.Ada, "deny", "rate-limit", "denied")
}

// A tool's limits and its kept results are the same at every address and by every
// name of the tool.
func TestLimitsByEveryName(t *testing.T) {
	long := strings.Repeat("x", 70)
	sum := sha256.Sum256([]byte(long))
	short := "red__" + long[:50] + "_" + hex.EncodeToString(sum[:4])
	w := start(t, server.Upstream{}, several(richUpstream(t, "red"), richUpstream(t, "blue")), func(o *server.Options) {
		o.Config.Limits.Tools = []server.ToolLimit{{Tool: "red__write", RequestsPerMinute: 1}, {Tool: short, RequestsPerMinute: 1}}
		o.Config.Cache = []server.CacheRule{{Tool: "red__read", TTL: time.Minute}}
	})
	token := w.token(w.sample.Ada)
	all, red, blue := w.rawSession(token, "/mcp"), w.rawSession(token, "/mcp/red"), w.rawSession(token, "/mcp/blue")
	for _, call := range []struct {
		s    *rawSession
		tool string
		want int
	}{
		{red, "write", http.StatusOK}, {all, "red__write", http.StatusTooManyRequests}, {red, "write", http.StatusTooManyRequests},
		{all, "blue__write", http.StatusOK}, {blue, "write", http.StatusOK},
		{all, "red__" + long, http.StatusOK}, {all, short, http.StatusTooManyRequests}, {red, long, http.StatusTooManyRequests},
	} {
		if resp, f := call.s.call("tools/call", toolParams(call.tool, `{}`)); resp.StatusCode != call.want {
			t.Errorf("%s: %s, want %d: %s", call.tool, resp.Status, call.want, f.Raw)
		}
	}
	for tool, s := range map[string]*rawSession{"red__read": all, "read": red} {
		_, first := s.call("tools/call", toolParams(tool, `{}`))
		if _, again := s.call("tools/call", toolParams(tool, `{}`)); at(again, "result.calls") != at(first, "result.calls") {
			t.Errorf("%s is not kept: %s, %s", tool, first.Raw, again.Raw)
		}
	}
}

func TestRequestsPerMinuteReload(t *testing.T) {
	w := start(t, richUpstream(t, "files"), func(o *server.Options) { o.Config.Limits.RequestsPerMinute, o.Config.Limits.Burst = 1, 1 })
	s := w.rawSession(w.token(w.sample.Ada), "/mcp")
	_, _ = s.call("tools/call", toolParams("read", `{}`))
	if resp, f := s.call("tools/call", toolParams("read", `{}`)); resp.StatusCode != http.StatusTooManyRequests {
		t.Errorf("the second call: %s %s", resp.Status, f.Raw)
	}
	if resp, _ := s.call("ping", `{}`); resp.StatusCode != http.StatusOK {
		t.Errorf("a ping: %s", resp.Status)
	}
	w.reload(func(c *server.Config) { c.Limits.RequestsPerMinute = 0 })
	if resp, f := s.call("tools/call", toolParams("read", `{}`)); resp.StatusCode != http.StatusOK {
		t.Errorf("without a limit: %s %s", resp.Status, f.Raw)
	}
}

func TestConcurrencyLimits(t *testing.T) {
	w := start(t, richUpstream(t, "files"), func(o *server.Options) {
		o.Config.Limits.Tools = []server.ToolLimit{{Tool: "wait", ConcurrentRequests: 2}}
		o.Config.Limits.ConcurrentRequests = 3
		o.DrainTimeout = 100 * time.Millisecond // calls wait for nothing
	})
	ada, grace := w.token(w.sample.Ada), w.token(w.sample.Grace)
	s := w.connect(ada, "/mcp", `{}`)
	first := s.begin("wait", `{}`)
	w.connect(grace, "/mcp", `{}`).begin("wait", `{}`)

	raw := w.rawSession(ada, "/mcp")
	resp, f := raw.call("tools/call", toolParams("wait", `{}`))
	if resp.StatusCode != http.StatusTooManyRequests || resp.Header.Get("Retry-After") != "1" {
		t.Errorf("a third call of all: %s %s", resp.Status, f.Raw)
	}
	if resp, f := raw.call("tools/call", toolParams("read", `{}`)); resp.StatusCode != http.StatusOK {
		t.Errorf("another tool: %s %s", resp.Status, f.Raw)
	}
	s.cancel(first)
	w.recorded("wait", "cancelled")
	// There is room again soon.
	for resp.StatusCode == http.StatusTooManyRequests {
		time.Sleep(100 * time.Millisecond) // bounded by the test's own timeout
		resp = raw.start("tools/call", `{"name":"wait","arguments":{},"_meta":{"progressToken":1}}`)
	}
	w.stop()
	w.decided("wait", w.sample.Ada, "deny", "concurrency-limit", "denied")
}
