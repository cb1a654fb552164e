package e2e_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A bridge that is started with a bare environment goes through the proxy that
// the person has set in GNOME's control panel.
func TestGNOMEProxySettings(t *testing.T) {
	c, d := newCorporate(t), newDesk(t)
	ctx := testContext(t)
	home, keys := t.TempDir(), t.TempDir()
	host, port, _ := strings.Cut(strings.TrimPrefix(c.proxy, "http://"), ":")
	database := filepath.Join(home, ".config", "dconf", "user")
	if err := os.MkdirAll(filepath.Dir(database), 0o700); err != nil {
		t.Fatal(err)
	}
	text := "[system/proxy]\nmode='manual'\n[system/proxy/http]\nhost='" + host + "'\nport=" + port + "\n"
	if err := os.WriteFile(filepath.Join(keys, "keys"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("dconf", "compile", database, keys).CombinedOutput(); err != nil {
		t.Fatalf("dconf compile: %v\n%s\nRun: bash .ci/setup", err, out)
	}
	headers := filepath.Join(t.TempDir(), "headers")
	if err := os.WriteFile(headers, []byte("Authorization: Bearer ey\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := append(d.bare(), "HOME="+home)
	process := start(t, env, mcpctl, "bridge", c.url, "--log-level", "info", "--header-file", headers, "--ca-file", c.ca, "--client-cert", c.cert, "--client-key", c.key)
	p := newPeer(process)
	p.open(ctx)
	p.works(ctx)
	_ = process.stdin.Close()
	process.wait()
	if asked, _ := c.seen(); !slices.Contains(asked, "CONNECT mcp.contoso.example:443") {
		t.Errorf("the proxy was asked %q", asked)
	}
	if log := process.stderr.String(); !strings.Contains(log, `from="the GNOME proxy settings"`) {
		t.Errorf("the log does not say which proxy:\n%s", log)
	}
}
