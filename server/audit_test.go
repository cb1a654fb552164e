package server_test

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/mcpctl/mcpctl/internal/fakeentra"
)

func TestAudit(t *testing.T) {
	w := start(t, commandUpstream(t))
	token := w.token(w.sample.Ada)
	s := w.streamable(token)
	const args = `{"customer":"secret-customer"}`
	s.tool("echo", args)
	s.tool("fail", `{}`)
	w.stop()
	id, _ := s.http.Session()
	want := []struct{ method, target, args, outcome string }{
		{"initialize", "", "", "ok"},
		{"tools/call", "echo", args, "ok"},
		{"tools/call", "fail", `{}`, "tool_error"},
	}
	records := w.records()
	if len(records) != len(want) {
		t.Fatalf("%d records, want %d: %v", len(records), len(want), records)
	}
	for i, r := range records {
		hash := ""
		if want[i].args != "" {
			sum := sha256.Sum256([]byte(want[i].args))
			hash = hex.EncodeToString(sum[:])
		}
		text := func(key string) string { s, _ := r[key].(string); return s }
		if text("method") != want[i].method || text("target") != want[i].target || text("args_sha256") != hash || text("outcome") != want[i].outcome {
			t.Errorf("got %v, want %v", r, want[i])
		}
		if text("decision") != "allow" || text("tid") != w.authority.TenantID() || text("oid") != w.sample.Ada.OID || text("username") != w.sample.Ada.UPN ||
			text("client_id") != w.sample.Client.ClientID || text("uti") == "" || text("time") == "" {
			t.Errorf("who and when: %v", r)
		}
		if bytesIn, _ := r["bytes_in"].(float64); bytesIn == 0 {
			t.Errorf("no sizes: %v", r)
		}
		if session := text("session"); session == "" || session == id || !strings.HasPrefix(id, session) {
			t.Errorf("session %q of %q: want a part of it", session, id)
		}
	}
	w.checkTraces(token, "eyJ", "secret-customer", id)
}

// A request that a client takes back, or whose session ends, was sent to the
// upstream all the same.
func TestAuditOfRequestsWithoutAnswer(t *testing.T) {
	w := start(t, commandUpstream(t))
	s := w.streamable(w.token(w.sample.Ada))
	s.cancel(s.begin("silent", `{"a":1}`))
	w.recorded("silent", "cancelled")
	s.begin("silent", `{"b":1}`)
	s.close() // ends the session with DELETE
	w.stop()
	outcomes := map[string]int{}
	for _, r := range w.records() {
		if r["target"] == "silent" {
			outcome, _ := r["outcome"].(string)
			outcomes[outcome]++
		}
	}
	if outcomes["cancelled"] != 1 || outcomes["unanswered"] != 1 || len(outcomes) != 2 {
		t.Errorf("got %v", outcomes)
	}
}

func TestAuditLinesAreBounded(t *testing.T) {
	w := start(t, commandUpstream(t))
	s := w.streamable(w.token(w.sample.Ada))
	s.tool(strings.Repeat("ä", 1<<20), `{}`)
	records := w.records()
	target, _ := records[len(records)-1]["target"].(string)
	if !strings.HasPrefix(target, "ää") || len(target) > 1<<10 || strings.Contains(target, "\ufffd") {
		t.Errorf("a target of %d bytes: %.40q", len(target), target)
	}
}

func TestRefusedCallerIsNamedWhereKnown(t *testing.T) {
	w := start(t, whoami)
	w.do("POST", "/mcp", w.mint(fakeentra.TokenSpec{Person: w.sample.Ada.UPN, Scopes: []string{"Other"}}), initialize)
	r := w.records()[0]
	if r["oid"] != w.sample.Ada.OID || r["decision"] != "deny" || r["rule"] != "scope" {
		t.Errorf("got %v", r)
	}
}
