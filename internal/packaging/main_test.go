package packaging

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

const (
	repo = "../.."
	// testVersion is what the program and the packages of the tests say they are.
	testVersion = "1.2.3"
	// patience bounds every wait of a test.
	patience = 2 * time.Minute
)

// mcpctl is the program as a release has it, for this machine, built by TestMain.
var mcpctl string

// here is this machine.
var here = Platform{runtime.GOOS, runtime.GOARCH}

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "mcpctl-packaging-")
	if err == nil {
		mcpctl = filepath.Join(dir, here.Binary())
		err = build(mcpctl)
	}
	code := 1
	if err == nil {
		code = m.Run()
	} else {
		fmt.Fprintln(os.Stderr, "packaging:", err)
	}
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// build does without -trimpath, so that it finds in the cache what go vet put there.
func build(to string) error {
	c := exec.Command("go", "build", "-ldflags", "-s -w -X github.com/mcpctl/mcpctl/cmd.version="+testVersion, "-o", to, "./cmd/mcpctl")
	c.Dir, c.Env = repo, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("building mcpctl: %w\n%s", err, out)
	}
	return nil
}

// testContext ends with patience, or with the test.
func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// nodes are the Node of this machine, and the one that .ci/npm pins: with the
// latter the launcher becomes the program, with an older one it waits beside it.
func nodes(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{"node of this machine": "node"}
	pinned, err := filepath.Glob(filepath.Join(repo, ".ci", "npm", "node_modules", "node-*", "bin", "node*"))
	if err != nil || len(pinned) == 0 {
		t.Fatalf("the pinned Node is not there (%v). Run: bash .ci/setup", err)
	}
	if found["pinned node"], err = filepath.Abs(pinned[0]); err != nil {
		t.Fatal(err)
	}
	return found
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
