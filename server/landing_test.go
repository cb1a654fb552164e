package server_test

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mcpctl/mcpctl/internal/nodetest"
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
	nodetest.InBrowser(t, filepath.Join("testdata", "browser", "landing.mjs"), map[string]string{
		"PUBLIC_URL": w.server.PublicURL(), "PAGE": strings.TrimSuffix(w.server.PublicURL(), "mcp"),
	})
}
