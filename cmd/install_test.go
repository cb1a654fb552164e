package cmd

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// cmdWhich puts the path of a program into a variable: «which NAME PROGRAM».
func cmdWhich(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: which NAME PROGRAM")
	}
	for _, dir := range filepath.SplitList(ts.Getenv("PATH")) {
		if path, err := exec.LookPath(filepath.Join(dir, args[1])); err == nil {
			ts.Setenv(args[0], path)
			return
		}
	}
	ts.Fatalf("there is no %s", args[1])
}

func TestDefaultName(t *testing.T) {
	for url, want := range map[string]string{
		"https://mcp.contoso.com/mcp":                       "contoso",
		"https://contoso.com/mcp":                           "contoso",
		"https://mcp.com/":                                  "mcp",
		"https://contoso-mcp.azurewebsites.net/mcp":         "contoso-mcp",
		"https://mcp.contoso.com/mcp/crm":                   "crm",
		"https://mcp.contoso.com/mcp/crm/":                  "crm",
		"https://mcp.contoso.com/a/b":                       "contoso",
		"http://127.0.0.1:8080/mcp":                         "127-0-0-1-8080",
		"http://localhost:8080/mcp":                         "localhost-8080",
		"http://[::1]/mcp":                                  "1",
		"https://a-very-long-name-of-forty-characters-x.io": "a-very-long-name-of-forty-charac",
		"https://mcp.contoso.com/mcp/%C3%A9":                "mcp",
	} {
		got := defaultName(url)
		if got != want {
			t.Errorf("%s: got %q, want %q", url, got, want)
		}
		if err := checkServerName(got); err != nil {
			t.Errorf("%s: %v", url, err)
		}
	}
}
