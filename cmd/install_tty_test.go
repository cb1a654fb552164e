//go:build unix

package cmd

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The change is shown in colour on a terminal, and nowhere else.
func TestDiffInColour(t *testing.T) {
	for _, tt := range []struct {
		env    []string
		colour bool
	}{{nil, true}, {[]string{"NO_COLOR=1"}, false}, {[]string{"TERM=dumb"}, false}} {
		code, text := onTerminal(t, 40, tt.env, "install", "cursor", "https://mcp.contoso.com/mcp", "--dry-run").end()
		if code != 0 || !strings.Contains(text, `"contoso": {`) {
			t.Fatalf("exit code %d: %s", code, text)
		}
		if got := strings.Contains(text, "\033[32m+  \"mcpServers\": {\033[0m"); got != tt.colour {
			t.Errorf("with %v, colour is %v: %q", tt.env, got, text)
		}
		if !tt.colour && strings.Contains(text, "\033") {
			t.Errorf("with %v there are control characters: %q", tt.env, text)
		}
	}
}

// What a file of somebody else's holds never reaches the terminal as it is.
func TestDiffIsCleaned(t *testing.T) {
	home := t.TempDir()
	if err := os.MkdirAll(filepath.Join(home, ".cursor"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(home, ".cursor", "mcp.json"), []byte("{\n  // \033]0;title\a\n}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, text := onTerminal(t, 80, []string{"HOME=" + home, "NO_COLOR=1"}, "install", "cursor", "https://mcp.contoso.com/mcp", "--dry-run").end()
	if strings.ContainsAny(text, "\033\a") || !strings.Contains(text, "title") {
		t.Errorf("the terminal got %q", text)
	}
}

func TestClientsFitTheTerminal(t *testing.T) {
	home := t.TempDir()
	env := []string{"HOME=" + home, "NO_COLOR=1"}
	if code, text := onTerminal(t, 80, env, "install", "cursor", "https://mcp.contoso.com/mcp").end(); code != 0 {
		t.Fatal(text)
	}
	for _, width := range []uint16{20, 40, 80, 200} {
		code, text := onTerminal(t, width, env, "install", "--list").end()
		if code != 0 || !strings.Contains(text, "contoso") {
			t.Fatalf("exit code %d: %s", code, text)
		}
		for line := range strings.Lines(text) {
			line = strings.TrimSuffix(line, "\n")
			if n := columns(line); n > int(width) && !strings.Contains(line, home) { // a path stays whole
				t.Errorf("%d columns on a terminal of %d: %q", n, width, line)
			}
		}
	}
}
