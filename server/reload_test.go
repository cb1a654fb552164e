package server_test

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mcpctl/mcpctl/server"
)

func readFile(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// reload takes over a changed configuration.
func (w *world) takeOver(change func(*server.Config)) error {
	return w.server.Reload(w.t.Context(), func() (server.Config, error) {
		c := w.server.Config()
		change(&c)
		return c, nil
	})
}

func TestReloadKeepsSessions(t *testing.T) {
	w := start(t, server.Upstream{Name: "me", Builtin: []string{"whoami", "market"}})
	token := w.token(w.sample.Ada)
	s := w.streamable(token)
	before, _ := s.http.Session()
	if err := w.takeOver(func(c *server.Config) {
		c.Policy = []server.PolicyRule{{Name: "no-orders", Deny: `tool.name == "place_order"`}, {Allow: "true"}}
		c.Audit.Arguments = "full"
		c.Listen = "127.0.0.1:1"
	}); err != nil {
		t.Fatal(err)
	}
	s.tool("place_order", `{}`)
	s.tool("list_symbols", `{ "a" : 1 }`)
	if after, _ := s.http.Session(); after != before {
		t.Error("the session was lost")
	}
	records := w.records()
	denied, allowed := records[len(records)-2], records[len(records)-1]
	if denied["decision"] != "deny" || denied["rule"] != "no-orders" {
		t.Errorf("recorded as %v", denied)
	}
	if args, _ := allowed["arguments"].(map[string]any); args["a"] != float64(1) || allowed["args_sha256"] != nil {
		t.Errorf("recorded as %v", allowed)
	}
	log := w.log.String()
	if !strings.Contains(log, `need a restart`) || !strings.Contains(log, `"keys":"listen"`) || !strings.Contains(log, "policy") {
		t.Error("the log does not say what needs a restart")
	}
	if w.server.Config().Listen == "127.0.0.1:1" {
		t.Error("the configuration in force says what is not so")
	}
}

// A log that can't be rotated keeps no new policy from coming into force, and
// nobody is told that it did.
func TestReloadWithoutRotation(t *testing.T) {
	w := start(t, whoami)
	s := w.streamable(w.token(w.sample.Ada))
	if err := os.Rename(filepath.Dir(w.auditFile), filepath.Dir(w.auditFile)+".gone"); err != nil {
		t.Fatal(err)
	}
	err := w.takeOver(func(c *server.Config) { c.Policy = []server.PolicyRule{{Deny: "true"}} })
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if f, _ := s.tool("whoami", `{}`); at(f, "result.isError") != "true" {
		t.Errorf("the policy is not in force: %s", f.Raw)
	}
	if log := w.log.String(); strings.Contains(log, "the old one stays in force") || !strings.Contains(log, "could not be opened anew") {
		t.Errorf("the log says\n%s", log)
	}
}

// A faulty configuration changes nothing, not even in part; the audit log is
// opened anew nevertheless.
func TestFaultyReload(t *testing.T) {
	w := start(t, whoami)
	s := w.streamable(w.token(w.sample.Ada))
	if err := os.Rename(w.auditFile, w.auditFile+".1"); err != nil {
		t.Fatal(err)
	}
	wrong := errors.New("no such key")
	if err := w.server.Reload(t.Context(), func() (server.Config, error) { return server.Config{}, wrong }); !errors.Is(err, wrong) {
		t.Errorf("got %v", err)
	}
	if err := w.takeOver(func(c *server.Config) {
		c.Entra.AllowedClients = []string{"not-a-guid"}
		c.Policy = []server.PolicyRule{{Deny: "true"}}
	}); err == nil {
		t.Error("a configuration that can't be used was taken over")
	}
	if f, _ := s.tool("whoami", `{}`); f.Failed {
		t.Errorf("a part was taken over: %s", f.Raw)
	}
	if records := w.records(); len(records) != 1 || records[0]["target"] != "whoami" {
		t.Errorf("the new audit log has %v", records)
	}
	w.stop()
	if text := readFile(t, w.auditFile+".1"); !strings.Contains(text, `"initialize"`) {
		t.Errorf("the old audit log has %s", text)
	}
}

func TestReloadOfWhoMayComeIn(t *testing.T) {
	w := start(t, whoami)
	token := w.token(w.sample.Ada)
	s := w.streamable(token)
	if err := w.takeOver(func(c *server.Config) { c.Entra.RequiredScopes = []string{"Another"} }); err != nil {
		t.Fatal(err)
	}
	if resp, _ := w.do("POST", "/mcp", token, initialize); resp.StatusCode != 403 {
		t.Errorf("without the new scope: %d", resp.StatusCode)
	}
	if err := w.takeOver(func(c *server.Config) { c.Entra.RequiredScopes = []string{"Mcp.Access"} }); err != nil {
		t.Fatal(err)
	}
	if f, _ := s.tool("whoami", `{}`); f.Failed {
		t.Errorf("the session is gone: %s", f.Raw)
	}
}

// How many sessions there may be changes while those that are open go on.
func TestReloadOfSessionBounds(t *testing.T) {
	w := start(t, commandUpstream(t), func(o *server.Options) { o.Config.Limits.SessionsPerUser = 1 })
	token := w.token(w.sample.Ada)
	busy := func() *session {
		s := w.streamable(token)
		s.begin("silent", `{}`) // so that it is not idle, and no other takes its place
		return s
	}
	first := busy()
	open := func() int {
		resp, _ := w.do("POST", "/mcp", token, initialize)
		return resp.StatusCode
	}
	if status := open(); status != http.StatusServiceUnavailable && status != http.StatusTooManyRequests {
		t.Errorf("above the bound: %d", status)
	}
	if err := w.takeOver(func(c *server.Config) { c.Limits.SessionsPerUser, c.Limits.SessionIdle = 2, time.Hour }); err != nil {
		t.Fatal(err)
	}
	second := busy()
	if err := w.takeOver(func(c *server.Config) { c.Limits.SessionsPerUser = 1 }); err != nil {
		t.Fatal(err)
	}
	if status := open(); status != http.StatusServiceUnavailable && status != http.StatusTooManyRequests {
		t.Errorf("above the lowered bound: %d", status)
	}
	for _, s := range []*session{first, second} {
		if f, _ := s.tool("echo", `{"a":1}`); f.Failed {
			t.Errorf("an open session ended: %s", f.Raw)
		}
	}
	if strings.Contains(w.log.String(), "need a restart") || !strings.Contains(w.log.String(), "limits.session_idle, limits.sessions_per_user") {
		t.Errorf("the log does not say what changed:\n%s", w.log)
	}
}

// Reloads under load lose no request.
func TestReloadUnderLoad(t *testing.T) {
	w := start(t, whoami)
	token := w.token(w.sample.Ada)
	var clients sync.WaitGroup
	for range 4 {
		s := w.streamable(token)
		clients.Go(func() {
			for range 50 {
				if f, _ := s.tool("whoami", `{}`); f.Failed {
					t.Errorf("got %s", f.Raw)
				}
			}
		})
	}
	for i := range 20 {
		if err := w.takeOver(func(c *server.Config) {
			c.Entra.AllowedClients = nil
			if i%2 == 0 {
				c.Entra.AllowedClients = []string{w.sample.Client.ClientID}
			}
		}); err != nil {
			t.Error(err)
		}
	}
	clients.Wait()
	w.stop()
	if records := w.records(); len(records) != 4+4*50 {
		t.Errorf("%d records", len(records))
	}
}
