//go:build unix

package cmd

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mcpctl/mcpctl/internal/desktop"
	"github.com/mcpctl/mcpctl/internal/entra/registration"
)

// A person is asked for what is missing, told what is wrong, and asked again.
func TestSetupEntraAsks(t *testing.T) {
	dir := t.TempDir()
	p := onTerminal(t, 60, nil, "setup", "entra", "--out", dir)
	answer := func(prompt, text string) {
		t.Helper()
		p.expect(prompt)
		p.write(text + "\n")
	}
	answer("Tenant id", "contoso")
	p.expect("not a tenant")
	answer(`(?s)not a tenant.*Tenant id[^:]*: $`, tenantForSetup)
	answer("Address", "https://mcp.contoso.com/mcp/")
	answer(`(?s)must not end.*Address[^:]*https://mcp.contoso.com/mcp: $`, "https://mcp.contoso.com/mcp")
	answer(`Name shown to people \[MCP server mcp\.contoso\.com\]`, "Contoso")
	answer(`Scopes that clients ask for \[Mcp\.Access\]`, "")
	answer("App roles", "Mcp.Invoke")
	answer("Clients that people use", "vscode, zed")
	answer("assigned", "y")
	answer("act for callers", "y")
	answer(`Credential of the server: .*\[managed-identity\]`, "secret")
	code, text := p.end()
	if code != 0 || !strings.Contains(text, "\x1b[32mnew") {
		t.Fatalf("exit code %d:\n%s", code, text)
	}
	data, err := os.ReadFile(filepath.Join(dir, registration.AnswersFile))
	if err != nil {
		t.Fatal(err)
	}
	a, err := registration.ParseAnswers("answers.yaml", data)
	if err != nil || a.Name != "Contoso" || strings.Join(a.Clients, " ") != "vscode zed" || !a.AssignmentRequired || a.Credential.Kind != "secret" || a.TenantID != tenantForSetup {
		t.Errorf("%+v, %v", a, err)
	}

	// Again: what would change is shown in colour and asked about.
	for _, agreed := range []bool{false, true} {
		p := onTerminal(t, 60, nil, "setup", "entra", "--out", dir, "--scope", "Mcp.Read")
		p.expect(`Write these changes\? \[y/N\] $`)
		p.write(map[bool]string{false: "n\n", true: "y\n"}[agreed])
		code, text := p.end()
		if (code == 0) != agreed || !strings.Contains(text, "\x1b[31m-scopes: [Mcp.Access]") || !strings.Contains(text, "\x1b[32m+scopes: [Mcp.Read]") {
			t.Errorf("agreed %v: exit code %d:\n%s", agreed, code, text)
		}
	}
	p = onTerminal(t, 60, []string{"NO_COLOR=1"}, "setup", "entra", "--out", dir, "--scope", "Mcp.Write", "--yes")
	if code, text := p.end(); code != 0 || strings.Contains(text, "\x1b") {
		t.Errorf("exit code %d:\n%q", code, text)
	}
}

const tenantForSetup = "11111111-1111-1111-1111-111111111111"

// Clients that connect through the bridge are told to type what mcpctl install knows.
func TestSetupEntraKnowsClientsByTheirNames(t *testing.T) {
	for _, c := range registration.Clients {
		if _, err := desktop.FindClient(c.Name); (err == nil) != c.Bridged {
			t.Errorf("%s: bridged: %v, but install says: %v", c.Name, c.Bridged, err)
		}
	}
}
