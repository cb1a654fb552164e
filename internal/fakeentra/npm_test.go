package fakeentra_test

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// npmPackages installs what the lock file in dir pins into the user's cache and
// returns the folder that holds node_modules. Tests that run at the same time
// may both install; the first to finish is used by all. Node is part of what
// these tests need, so its lack fails them.
func npmPackages(t *testing.T, dir string) string {
	t.Helper()
	npm, err := exec.LookPath("npm")
	if err != nil {
		t.Fatalf("this test needs Node.js with npm: %v", err)
	}
	lock, err := os.ReadFile(filepath.Join(dir, "package-lock.json"))
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
		b, err := os.ReadFile(filepath.Join(dir, name))
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
