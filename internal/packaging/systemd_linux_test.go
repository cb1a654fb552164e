package packaging

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestSystemdUnit has systemd judge the service.
func TestSystemdUnit(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(repo, "examples", "systemd", "mcpctl.service"))
	must(t, err)
	text := string(data)
	for _, want := range []string{"ExecStart=/usr/bin/mcpctl ", "Documentation=man:mcpctl-serve(1) "} {
		if !strings.Contains(text, want) {
			t.Errorf("the unit lacks %q", want)
		}
	}
	// Where the packages aren't installed, neither the program nor its manual is.
	text = strings.NewReplacer("ExecStart=/usr/bin/mcpctl ", "ExecStart="+mcpctl+" ", "man:mcpctl-serve(1) ", "").Replace(text)
	unit := filepath.Join(t.TempDir(), "mcpctl.service")
	must(t, os.WriteFile(unit, []byte(text), 0o600))
	if out, err := exec.CommandContext(testContext(t), "systemd-analyze", "verify", unit).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("systemd finds fault with the unit: %v\n%s", err, out)
	}
	// At most 2.0 of 10, in systemd's count of what a service may do; 9.6 is one without any of these settings.
	out, err := exec.CommandContext(testContext(t), "systemd-analyze", "security", "--no-pager", "--offline=true", "--threshold=20", unit).CombinedOutput()
	if err != nil {
		t.Errorf("the service may do too much: %v\n%s", err, out)
	}
}
