//go:build unix

package packaging

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// stubborn is a program that says which signal it got, and can die by one.
const stubborn = `#!/bin/sh
if [ "$1" = die ]; then
  kill -s "$2" $$
  sleep 60
fi
trap 'echo INT; exit 31' INT
trap 'echo TERM; exit 32' TERM
trap 'echo HUP; exit 33' HUP
echo ready
for i in $(seq 1200); do sleep 0.05; done # a minute, should nobody stop it
`

func installStubborn(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "stubborn")
	must(t, os.WriteFile(program, []byte(stubborn), 0o600))
	return install(t, program)
}

func TestLauncherPassesSignals(t *testing.T) {
	t.Parallel()
	for name, node := range nodes(t) {
		for _, c := range []struct {
			signal syscall.Signal
			says   string
			code   int
		}{{syscall.SIGINT, "INT", 31}, {syscall.SIGTERM, "TERM", 32}, {syscall.SIGHUP, "HUP", 33}} {
			t.Run(name+" "+c.says, func(t *testing.T) {
				t.Parallel()
				command := exec.CommandContext(testContext(t), node, installStubborn(t))
				stdout, err := command.StdoutPipe()
				must(t, err)
				must(t, command.Start())
				lines := bufio.NewReader(stdout)
				if line, err := lines.ReadString('\n'); line != "ready\n" {
					t.Fatalf("the program says %q, %v", line, err)
				}
				must(t, command.Process.Signal(c.signal))
				if line, _ := lines.ReadString('\n'); strings.TrimSpace(line) != c.says {
					t.Errorf("after %v the program says %q", c.signal, line)
				}
				_ = command.Wait()
				if code := command.ProcessState.ExitCode(); code != c.code {
					t.Errorf("the exit code is %d, want the program's %d", code, c.code)
				}
			})
		}
	}
}

func TestLauncherDiesAsTheProgramDoes(t *testing.T) {
	t.Parallel()
	for name, node := range nodes(t) {
		for says, signal := range map[string]syscall.Signal{"KILL": syscall.SIGKILL, "TERM": syscall.SIGTERM, "SEGV": syscall.SIGSEGV} {
			t.Run(name+" "+says, func(t *testing.T) {
				t.Parallel()
				command := exec.CommandContext(testContext(t), node, installStubborn(t), "die", says)
				_ = command.Run()
				status, ok := command.ProcessState.Sys().(syscall.WaitStatus)
				if !ok || !status.Signaled() || status.Signal() != signal {
					t.Errorf("it ended with %v, want %v", command.ProcessState, signal)
				}
			})
		}
	}
}

// TestLauncherStopsTheBridge ends real bridges the way MCP clients do.
func TestLauncherStopsTheBridge(t *testing.T) {
	for name, node := range nodes(t) {
		t.Run(name, func(t *testing.T) {
			remote := newMCPServer(t)
			var codes []int
			for _, command := range [][]string{{mcpctl}, {node, install(t, mcpctl)}} {
				args := append(command[1:], "bridge", remote, "--no-auth")
				bridge := startSession(t, exec.CommandContext(testContext(t), command[0], args...))
				bridge.initialize()
				must(t, bridge.cmd.Process.Signal(syscall.SIGTERM))
				_ = bridge.cmd.Wait()
				codes = append(codes, bridge.cmd.ProcessState.ExitCode())
			}
			if codes[0] != codes[1] {
				t.Errorf("after SIGTERM mcpctl ends with %d, through the launcher with %d", codes[0], codes[1])
			}
		})
	}
}

func TestLauncherSaysWhenTheProgramCannotRun(t *testing.T) {
	script := installStubborn(t)
	program := filepath.Join(filepath.Dir(filepath.Dir(filepath.Dir(script))), filepath.FromSlash(here.NPMPackage()), "bin", "mcpctl")
	must(t, os.Chmod(program, 0o600))
	out, err := exec.CommandContext(testContext(t), "node", script).CombinedOutput()
	if err == nil || !strings.HasPrefix(string(out), "mcpctl: ") || !strings.Contains(string(out), "npm install --force mcpctl") {
		t.Errorf("error %v, message %s", err, out)
	}
}
