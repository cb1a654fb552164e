package server_test

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestLandingPage(t *testing.T) {
	w := start(t, whoami)
	resp, body := w.do("GET", "/", "", "")
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/html; charset=utf-8" || !strings.Contains(body, "mcpctl login "+w.server.PublicURL()) {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	policy := resp.Header.Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "script-src 'sha256-", "style-src 'sha256-", "frame-ancestors 'none'"} {
		if !strings.Contains(policy, want) {
			t.Errorf("the policy %q lacks %s", policy, want)
		}
	}
	if strings.Contains(policy, "unsafe") {
		t.Error(policy)
	}
	if resp, _ := w.do("POST", "/", "", "{}"); resp.StatusCode == http.StatusOK {
		t.Error("POST / is served")
	}
}

// The page in a real Chromium: under its policy, in light and dark, narrow and
// wide, checked for accessibility by axe; every copy button and install link.
func TestLandingPageInABrowser(t *testing.T) {
	w := start(t, whoami)
	node, err := exec.LookPath("node")
	if err != nil {
		t.Fatalf("this test needs Node.js: %v", err)
	}
	dir := filepath.Join("testdata", "browser")
	cmd := exec.CommandContext(t.Context(), node, filepath.Join(dir, "landing.mjs"))
	cmd.Env = append(os.Environ(), "PACKAGES="+npmPackages(t, dir), "BROWSER="+findBrowser(t),
		"PUBLIC_URL="+w.server.PublicURL(), "PAGE="+strings.TrimSuffix(w.server.PublicURL(), "mcp"))
	if os.Geteuid() == 0 { // Chromium's sandbox refuses root, as in containers
		cmd.Env = append(cmd.Env, "NO_SANDBOX=1")
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("landing.mjs: %v\n%s", err, strings.TrimSpace(string(out)))
	}
}

// findBrowser looks for a Chromium where Linux, macOS and Windows keep one.
func findBrowser(t *testing.T) string {
	t.Helper()
	for _, name := range []string{
		"chromium", "chromium-browser", "google-chrome", "chrome", "msedge",
		"/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
		`C:\Program Files\Google\Chrome\Application\chrome.exe`,
		`C:\Program Files (x86)\Microsoft\Edge\Application\msedge.exe`,
	} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Fatal("this test needs Chromium or Chrome; on Debian: apt-get install chromium")
	return ""
}

// npmPackages installs what the lock file in dir pins into the user's cache and
// returns the folder that holds node_modules. Of tests that install at the same
// time the first to finish is used by all.
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
		write(t, filepath.Join(work, name), string(b))
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
