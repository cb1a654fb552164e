package nodetest

import (
	"embed"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// browserFiles are what scripts drive a browser with: playwright, and axe, which
// finds what shuts people out of a page.
//
//go:embed browser/package.json browser/package-lock.json browser/.npmrc browser/browser.mjs
var browserFiles embed.FS

// InBrowser runs a script that uses pages as a person does, in an installed
// Chromium. The script imports the module that BROWSER_MODULE names, see
// browser/browser.mjs; settings are added to its environment. Any finding ends
// it with an error, which fails the test.
func InBrowser(t *testing.T, script string, settings map[string]string) {
	t.Helper()
	files, err := fs.Sub(browserFiles, "browser")
	if err != nil {
		t.Fatal(err)
	}
	module, err := fs.ReadFile(files, "browser.mjs")
	if err != nil {
		t.Fatal(err)
	}
	modulePath := filepath.Join(t.TempDir(), "browser.mjs")
	if err := os.WriteFile(modulePath, module, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), Node(t), script)
	cmd.Env = append(os.Environ(), "BROWSER_MODULE="+modulePath, "PACKAGES="+Packages(t, files), "BROWSER="+findBrowser(t))
	if os.Geteuid() == 0 { // Chromium's sandbox refuses root, as in containers
		cmd.Env = append(cmd.Env, "NO_SANDBOX=1")
	}
	for name, value := range settings {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", filepath.Base(script), err, strings.TrimSpace(string(out)))
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
