package e2e_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"

	"go.uber.org/goleak"

	"github.com/mcpctl/mcpctl/internal/buildtest"
	"github.com/mcpctl/mcpctl/internal/nodetest"
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
		mcpctl, err = buildtest.Program(dir, buildtest.MCPCTL, buildtest.Race()...)
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

// everything is the command of npm's server-everything on stdio.
func everything(t *testing.T) []string {
	t.Helper()
	return []string{nodetest.Node(t), filepath.Join(npmDir(t), "node_modules", "@modelcontextprotocol", "server-everything", "dist", "index.js"), "stdio"}
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
