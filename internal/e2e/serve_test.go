package e2e_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// served is what mcpctl serve --dev writes into its ready file.
type served struct {
	MCPURL string `json:"mcp_url"`
	SSEURL string `json:"sse_url"`
	CAFile string `json:"ca_file"`
	PID    int    `json:"pid"`
}

const ada, grace = "ada@contoso.example", "grace@contoso.example"

// transports are the ways to reach a server, by the flag that asks for them,
// and the address that goes with each.
var transports = []struct {
	flag    string
	address func(mcp, sse string) string
}{
	{"http", func(mcp, _ string) string { return mcp }},
	{"sse", func(_, sse string) string { return sse }},
}

var serving = regexp.MustCompile(`msg=serving `)

// serveDev runs mcpctl serve --dev before command until the test ends.
func serveDev(t *testing.T, command ...string) served {
	t.Helper()
	ready := filepath.Join(t.TempDir(), "ready.json")
	args := append([]string{"serve", "--dev", "--listen", "127.0.0.1:0", "--dev-authority-listen", "127.0.0.1:0", "--ready-file", ready, "--log-level", "debug", "--"}, command...)
	p := newDesk(t).start(t, args...)
	if _, err := p.stderr.await(testContext(t), serving); err != nil {
		t.Fatalf("mcpctl serve does not serve: %v\n%s", err, p.stderr)
	}
	text, err := os.ReadFile(ready)
	if err != nil {
		t.Fatal(err)
	}
	var s served
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatalf("reading the ready file: %v", err)
	}
	if s.PID != p.cmd.Process.Pid {
		t.Errorf("the ready file names process %d instead of %d", s.PID, p.cmd.Process.Pid)
	}
	return s
}
