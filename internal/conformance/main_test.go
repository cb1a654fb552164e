package conformance_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"go.uber.org/goleak"

	"github.com/mcpctl/mcpctl/internal/buildtest"
)

// The programs that TestMain builds.
var (
	mcpctl string
	server string // go-sdk's conformance server, at the version of go.mod
)

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "mcpctl-conformance-")
	if err == nil {
		mcpctl, err = buildtest.Program(dir, buildtest.MCPCTL, buildtest.Race()...)
	}
	if err == nil {
		server, err = buildtest.Program(dir, "github.com/modelcontextprotocol/go-sdk/conformance/everything-server")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
		_ = os.RemoveAll(dir)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if err := os.RemoveAll(dir); err != nil && code == 0 {
			fmt.Fprintln(os.Stderr, "conformance:", err) // a process that still runs holds it, on Windows
			code = 1
		}
		os.Exit(code)
	}))
}

// packages is where npm put the suite and the Node it needs.
func packages(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../../.ci/npm/node_modules")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "@modelcontextprotocol", "conformance")); errors.Is(err, os.ErrNotExist) {
		t.Fatal("the conformance suite is missing. Run: bash .ci/setup")
	}
	return dir
}

// node is the Node.js 22 that is pinned with the suite, or the one on PATH where
// npm has none for this machine.
func node(t *testing.T) string {
	t.Helper()
	name := "node"
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	pinned, err := filepath.Glob(filepath.Join(packages(t), "node-*", "bin", name))
	if err != nil {
		t.Fatal(err)
	}
	if len(pinned) > 0 {
		return pinned[0]
	}
	path, err := exec.LookPath("node")
	if err != nil {
		t.Fatalf("this test needs Node.js 22 or newer: %v. Install it from https://nodejs.org, then run: bash .ci/setup", err)
	}
	return path
}
