package fakeentra_test

import (
	"bufio"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/mcpctl/mcpctl/internal/fakeentra"
	"github.com/mcpctl/mcpctl/internal/nodetest"
)

// step is a line of testdata/msalnode/flows.mjs.
type step struct {
	Step          string
	UserCode      string
	Token         string
	Username      string
	HomeAccountID string
	FromCache     bool
	Refused       bool
	Name, Code    string
	Message       string
}

func TestMSALNode(t *testing.T) {
	srv, sample := start(t, fakeentra.Options{})
	api := middleTier(t, srv, nil)
	steps := runNode(t, srv, map[string]string{
		"CLIENT_ID": sample.Client.ClientID, "SCOPE": sample.Scope(),
		"MIDDLE_TIER_ID": api.ClientID, "MIDDLE_TIER_SECRET": api.Secret, "MIDDLE_TIER_SCOPE": api.IDURIs[0] + "/Access",
	}, sample.Ada.UPN)

	login := steps["login"]
	if login.Token == "" || login.Username != sample.Ada.UPN || login.HomeAccountID != sample.Ada.OID+"."+srv.TenantID() {
		t.Errorf("device code: %+v", login)
	}
	if s := steps["silent"]; !s.FromCache || s.Token != login.Token {
		t.Error("the silent call fetched a new token")
	}
	refreshed := steps["refresh"]
	if refreshed.FromCache || refreshed.Token == "" || refreshed.Token == login.Token {
		t.Error("the forced refresh brought no new token")
	}
	if s := steps["claims"]; s.FromCache || s.Token == "" || s.Token == refreshed.Token {
		t.Error("the claims challenge was answered with the cached token")
	}
	if _, claims := verify(t, srv, steps["claims"].Token); claims["xms_cc"] == nil {
		t.Error("the declared capability is missing")
	}
	if s := steps["on behalf of"]; s.Username != sample.Ada.UPN {
		t.Errorf("on behalf of: %+v", s)
	}
	if steps["client credentials"].Token == "" {
		t.Error("client credentials brought no token")
	}
	if s := steps["no consent"]; !s.Refused || s.Name != "InteractionRequiredAuthError" {
		t.Errorf("a scope without consent: %+v", s)
	}
}

// runNode runs the script, approves the device code it prints and returns its
// steps by name.
func runNode(t *testing.T, srv *fakeentra.Server, settings map[string]string, upn string) map[string]step {
	t.Helper()
	dir := filepath.Join("testdata", "msalnode")
	packages := nodetest.Packages(t, os.DirFS(dir))
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, srv.CAPEM(), 0o600); err != nil {
		t.Fatal(err)
	}

	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, nodetest.Node(t), filepath.Join(dir, "flows.mjs"))
	cmd.Env = append(os.Environ(), "NODE_EXTRA_CA_CERTS="+ca, "AUTHORITY="+srv.Authority(), "PACKAGES="+packages)
	for name, value := range settings {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	cmd.Stderr = t.Output()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	steps := map[string]step{}
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		var s step
		if err := json.Unmarshal(lines.Bytes(), &s); err != nil {
			t.Errorf("line %q: %v", lines.Text(), err)
			continue
		}
		steps[s.Step] = s
		if s.Step == "code" {
			if err := srv.ApproveDevice(s.UserCode, upn); err != nil {
				t.Error(err)
			}
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("flows.mjs: %v", err)
	}
	return steps
}
