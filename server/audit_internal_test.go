package server

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mcpctl/mcpctl/server/auth"
)

func auditRecords(t *testing.T, path string) (list []auditRecord) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(raw)) {
		var r auditRecord
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		list = append(list, r)
	}
	return list
}

// Whoever sends bad tokens by the thousand gets some lines and a count; what is
// proven is counted by caller.
func TestFloodOfRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "audit.jsonl")
		a, err := openAudit(auditOptions{Audit: Audit{File: path}, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		anonymous := &auth.Refusal{Rule: auth.RuleNoToken, Status: 401}
		ada := &auth.Refusal{Rule: auth.RuleScope, Status: 403, Principal: &auth.Principal{TenantID: "t", ObjectID: "ada"}}
		req := httptest.NewRequest("POST", "/mcp", nil)
		for range 10_000 {
			a.refused(req, anonymous)
		}
		a.refused(req, ada)
		time.Sleep(refusalReport + time.Second)
		records := auditRecords(t, path)
		if len(records) != refusalBurst+2 {
			t.Fatalf("%d lines for %d refusals", len(records), 10_001)
		}
		counts := map[string]int{}
		for _, r := range records[refusalBurst:] {
			counts[r.Rule+" "+r.ObjectID] = r.Count
		}
		if counts["no-token "] != 10_000-refusalBurst || counts["scope ada"] != 1 {
			t.Errorf("got %v", counts)
		}
		// A minute later there are lines of their own again; what is counted when
		// the log closes is not lost.
		a.refused(req, ada)
		for range 200 {
			a.refused(req, anonymous)
		}
		if err := a.Close(); err != nil {
			t.Error(err)
		}
		total := 0
		for _, r := range auditRecords(t, path)[refusalBurst+2:] {
			total += max(r.Count, 1)
		}
		if total != 201 {
			t.Errorf("%d of 201 refusals are there", total)
		}
	})
}

func TestKindsOfRefusalsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		written := 0
		c := newRefusalCounts(func(auditRecord) error { written++; return nil })
		for i := range 5000 {
			c.add(auditRecord{Time: time.Now(), Rule: "scope", ObjectID: string(rune('a' + i))})
		}
		c.close()
		if written > refusalBurst+maxRefusals+1 {
			t.Errorf("%d lines", written)
		}
	})
}

// A log that can be written again says how much is missing, on a line of its own.
func TestAuditResumes(t *testing.T) {
	for _, policy := range []string{"stop", "continue"} {
		t.Run(policy, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "audit.jsonl")
			failures := 0
			a, err := openAudit(auditOptions{Audit: Audit{File: path, OnFailure: policy}, Logger: slog.New(slog.DiscardHandler), Failed: func() { failures++ }})
			if err != nil {
				t.Fatal(err)
			}
			record := auditRecord{Method: "tools/call", Outcome: "ok"}
			good := a.f
			if a.f, err = os.Open(path); err != nil { // can't be written
				t.Fatal(err)
			}
			for range 3 {
				if err := a.write(record); (err == nil) != (policy == "continue") {
					t.Errorf("writing: %v", err)
				}
			}
			if err := a.ready(); (err == nil) != (policy == "continue") || err != nil && !errors.Is(err, errAuditFailing) {
				t.Errorf("ready: %v", err)
			}
			if (a.healthy() == nil) != (policy == "continue") {
				t.Error("readiness does not follow")
			}
			_ = a.f.Close()
			a.f, a.retry = good, time.Time{}
			if err := a.ready(); err != nil {
				t.Errorf("ready again: %v", err)
			}
			if err := a.write(record); err != nil {
				t.Error(err)
			}
			if err := a.Close(); err != nil {
				t.Error(err)
			}
			records := auditRecords(t, path)
			if len(records) != 2 || records[0].Outcome != "lost" || records[0].Count != 3 || records[1].Outcome != "ok" || failures != 3 {
				t.Errorf("%d failures, and %+v", failures, records)
			}
		})
	}
}

func TestAuditArguments(t *testing.T) {
	large := []byte(`"` + strings.Repeat("x", maxAuditArguments) + `"`)
	for _, tt := range []struct {
		keep string
		raw  []byte
		want string // the arguments, hash, or nothing
	}{
		{"", []byte(`{"a":1}`), "hash"},
		{"hash", []byte(`{"a":1}`), "hash"},
		{"full", []byte(`{"a":1}`), `{"a":1}`},
		{"full", large, "hash"},
		{"none", []byte(`{"a":1}`), ""},
		{"full", nil, ""},
	} {
		var r auditRecord
		a := &auditLog{opts: auditOptions{Audit: Audit{Arguments: tt.keep}}}
		a.arguments(&r, tt.raw)
		got := string(r.Arguments)
		if r.ArgsSHA256 != "" {
			got += "hash"
		}
		if got != tt.want {
			t.Errorf("%q of %.20s: got %.20s, want %s", tt.keep, tt.raw, got, tt.want)
		}
	}
}

// What a full disk left of a record does not stay.
func TestAuditTakesBackHalfALine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	a, err := openAudit(auditOptions{Audit: Audit{File: path}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	record := auditRecord{Method: "tools/call", Outcome: "ok"}
	half := `{"time":"2026-`
	for range 2 {
		if err := a.write(record); err != nil {
			t.Fatal(err)
		}
		if n, err := a.f.WriteString(half); err != nil || !a.takeBack(n) {
			t.Fatalf("%v", err)
		}
	}
	if a.takeBack(0) {
		t.Error("nothing was written, and something was taken back")
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if records := auditRecords(t, path); len(records) != 2 {
		t.Errorf("got %+v", records)
	}
}
