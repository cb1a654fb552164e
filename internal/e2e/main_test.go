package e2e_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"testing"

	"go.uber.org/goleak"
)

// mcpctl is the program under test, built by TestMain.
var mcpctl string

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == scriptedServer {
		serveScript(os.Stdin, os.Stdout)
		return
	}
	dir, err := os.MkdirTemp("", "mcpctl-e2e-")
	if err == nil {
		mcpctl, err = build(dir)
	}
	if err == nil {
		// Tests wait for processes most of the time.
		flag.Parse()
		err = flag.Set("test.parallel", strconv.Itoa(4*runtime.GOMAXPROCS(0)))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		_ = os.RemoveAll(dir)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if err := os.RemoveAll(dir); err != nil && code == 0 {
			fmt.Fprintln(os.Stderr, "e2e:", err) // a process that still runs holds it, on Windows
			code = 1
		}
		os.Exit(code)
	}))
}

// build builds mcpctl, under the race detector if the tests are.
func build(dir string) (string, error) {
	program := filepath.Join(dir, "mcpctl")
	if runtime.GOOS == "windows" {
		program += ".exe"
	}
	args := []string{"build", "-o", program}
	if raceDetector() {
		args = append(args, "-race")
	}
	out, err := exec.Command("go", append(args, "github.com/mcpctl/mcpctl/cmd/mcpctl")...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("building mcpctl: %w\n%s", err, out)
	}
	return program, nil
}

func raceDetector() bool {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return false
	}
	for _, s := range info.Settings {
		if s.Key == "-race" {
			return s.Value == "true"
		}
	}
	return false
}

// npmDir holds the scripts and the packages of other people.
func npmDir(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../../.ci/npm")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "node_modules", "@modelcontextprotocol")); errors.Is(err, os.ErrNotExist) {
		t.Fatal("the npm packages that this test needs are missing. Run: bash .ci/setup")
	}
	return dir
}

func node(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("node")
	if err != nil {
		t.Fatalf("this test needs Node.js 20 or newer: %v. Install it from https://nodejs.org, then run: bash .ci/setup", err)
	}
	return path
}

// everything is the command of npm's server-everything on stdio.
func everything(t *testing.T) []string {
	t.Helper()
	return []string{node(t), filepath.Join(npmDir(t), "node_modules", "@modelcontextprotocol", "server-everything", "dist", "index.js"), "stdio"}
}

// scripted is the command of the server in script_test.go.
func scripted(t *testing.T) []string {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return []string{exe, scriptedServer}
}
