// Package nodetest runs Node.js programs in tests, with packages of npm's that
// a lock file pins, and pages in a real browser.
//
// What it needs is part of what the tests need: its lack fails them.
package nodetest

import (
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Node returns the path of Node.js.
func Node(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("node")
	if err != nil {
		t.Fatalf("this test needs Node.js 20 or newer: %v. Install it from https://nodejs.org, then run: bash .ci/setup", err)
	}
	return path
}

// Packages installs what the package-lock.json in dir pins into the user's cache
// and returns the folder that holds node_modules. Tests that run at the same time
// may both install; the first to finish is used by all.
func Packages(t *testing.T, dir fs.FS) string {
	t.Helper()
	npm, err := exec.LookPath("npm")
	if err != nil {
		t.Fatalf("this test needs Node.js with npm: %v", err)
	}
	lock, err := fs.ReadFile(dir, "package-lock.json")
	if err != nil {
		t.Fatal(err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(lock)
	parent := filepath.Join(cache, "mcpctl-test")
	done := filepath.Join(parent, "npm-"+hex.EncodeToString(sum[:8]))
	if _, err := os.Stat(done); err == nil {
		return done
	}

	if err := os.MkdirAll(parent, 0o700); err != nil {
		t.Fatal(err)
	}
	work, err := os.MkdirTemp(parent, "installing-*") //nolint:usetesting // a rename must stay on one file system
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(work)
	for _, name := range []string{"package.json", "package-lock.json", ".npmrc"} {
		b, err := fs.ReadFile(dir, name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(work, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), npm, "ci", "--loglevel=error")
	cmd.Dir = work
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("npm ci: %v\n%s", err, out)
	}
	if err := os.Rename(work, done); err != nil {
		if _, statErr := os.Stat(done); statErr != nil { // else another test was first
			t.Fatal(err)
		}
	}
	return done
}
