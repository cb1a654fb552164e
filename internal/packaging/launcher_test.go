package packaging

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// install lays out what npm would: the launcher, and program as this platform's
// package. It returns the launcher's script.
func install(t *testing.T, program string) string {
	t.Helper()
	modules := filepath.Join(t.TempDir(), "node_modules")
	must(t, StageLauncher(repo, filepath.Join(modules, "mcpctl"), testVersion))
	if program != "" {
		must(t, StagePlatform(repo, filepath.Join(modules, filepath.FromSlash(here.NPMPackage())), here, program, testVersion))
	}
	return filepath.Join(modules, "mcpctl", "bin", "mcpctl.js")
}

func TestLauncherPassesExitCodesAndStreams(t *testing.T) {
	for name, node := range nodes(t) {
		t.Run(name, func(t *testing.T) {
			script := install(t, mcpctl)
			var stdout, stderr bytes.Buffer
			c := exec.CommandContext(testContext(t), node, script, "nonsense")
			c.Stdout, c.Stderr = &stdout, &stderr
			_ = c.Run()
			direct := exec.CommandContext(testContext(t), mcpctl, "nonsense")
			want, _ := direct.CombinedOutput()
			if code := c.ProcessState.ExitCode(); code != 2 || code != direct.ProcessState.ExitCode() {
				t.Errorf("the exit code is %d, want 2", code)
			}
			if stdout.Len() > 0 || stderr.String() != string(want) {
				t.Errorf("through the launcher:\n%s%s\ndirectly:\n%s", stdout.String(), stderr.String(), want)
			}

			bridge := startSession(t, exec.CommandContext(testContext(t), node, script, "bridge", newMCPServer(t), "--no-auth"))
			bridge.initialize()
			long := strings.Repeat("ü", 1<<16)
			if bridge.callEcho(long) != long {
				t.Error("a long message came back changed")
			}
			if code := bridge.end(); code != 0 {
				t.Errorf("after the end of input the exit code is %d, want 0", code)
			}
			if bridge.stderr.Len() > 0 {
				t.Errorf("standard error has %q", bridge.stderr.String())
			}
		})
	}
}

func TestLauncherSaysWhatIsMissing(t *testing.T) {
	elsewhere := filepath.Join(t.TempDir(), "elsewhere.js")
	must(t, os.WriteFile(elsewhere, []byte(`Object.defineProperty(process, "arch", {value: "mips"});`), 0o600))
	for _, c := range []struct {
		name string
		args []string
		want []string
	}{
		{"no platform package", nil, []string{here.NPMPackage(), "isn't installed", "npm install --include=optional mcpctl"}},
		{"no such platform", []string{"--require", elsewhere}, []string{"-mips", "linux-x64", "go install github.com/mcpctl/mcpctl/cmd/mcpctl@latest"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			command := exec.CommandContext(testContext(t), "node", append(c.args, install(t, ""), "version")...)
			out, err := command.CombinedOutput()
			if err == nil || command.ProcessState.ExitCode() != 1 {
				t.Errorf("error %v, want exit code 1", err)
			}
			if !strings.HasPrefix(string(out), "mcpctl: ") || strings.Contains(string(out), "\n    at ") {
				t.Errorf("that is no message for a person: %s", out)
			}
			for _, want := range c.want {
				if !strings.Contains(string(out), want) {
					t.Errorf("the message lacks %q: %s", want, out)
				}
			}
		})
	}
}

// TestLauncherOverhead logs what the launcher adds, without npx, and how much of
// that is Node's own start, which no script can do without: see it with -v.
func TestLauncherOverhead(t *testing.T) {
	// The shortest of some runs: on a busy machine the others measure what else runs there.
	least := func(name string, args ...string) time.Duration {
		shortest := patience
		for range 5 {
			start := time.Now()
			must(t, exec.CommandContext(testContext(t), name, args...).Run())
			shortest = min(shortest, time.Since(start))
		}
		return shortest
	}
	empty := filepath.Join(t.TempDir(), "empty.js")
	must(t, os.WriteFile(empty, nil, 0o600))
	direct := least(mcpctl, "version")
	for name, node := range nodes(t) {
		bare, through := least(node, empty), least(node, install(t, mcpctl), "version")
		t.Logf("%s: %v through the launcher, %v directly: it adds %v, of which Node's start is %v (ratio %.2f)",
			name, through, direct, through-direct, bare, float64(through-direct)/float64(bare))
	}
}
