package e2e_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mcpctl/mcpctl/internal/nodetest"
)

// clients are the official TypeScript clients: @modelcontextprotocol/sdk 1.x
// and @modelcontextprotocol/client 2.x.
var clients = []string{"sdk", "client"}

var everythingChecks = []string{
	"the server introduces itself",
	"tools are listed",
	"every tool is called",
	"a wrong argument is refused as the server words it",
	"progress arrives in order",
	"log messages arrive",
	"a subscribed resource reports its update",
	"the server asks again when the roots change",
	"resources are listed and read",
	"prompts are listed and filled",
	"arguments are completed",
	"calls run side by side",
	"a call is cancelled and the next one works",
	"pings are answered",
	"nothing but JSON-RPC came",
}

var relayChecks = []string{
	"a result of 10 MB arrives whole",
	"1,000 notifications of a call arrive in order and before its result",
	"1,000 notifications outside of calls arrive in order",
	"1,000 steps of progress arrive in order",
	"the server sees a cancellation and later calls work",
	"a server that dies is answered for and calls work again",
	"nothing but JSON-RPC came",
}

// TestTypeScriptClients puts the official clients before mcpctl bridge and
// servers behind mcpctl serve, on both transports.
func TestTypeScriptClients(t *testing.T) {
	t.Parallel()
	for _, server := range []struct {
		name    string
		command []string
		script  string
		checks  []string
	}{
		{"everything", everything(t), "everything.mjs", everythingChecks},
		{"scripted", scripted(t), "relay.mjs", relayChecks},
	} {
		for _, transport := range transports {
			for _, client := range clients {
				t.Run(server.name+"/"+transport.flag+"/"+client, func(t *testing.T) {
					t.Parallel()
					s, d := serveDev(t, server.command...), newDesk(t)
					url := transport.address(s.MCPURL, s.SSEURL)
					d.login(t, url, s.CAFile, ada)
					runChecks(t, server.script, client, server.checks, input{
						Bridge: []string{mcpctl, "bridge", url, "--transport", transport.flag, "--log-level", "debug"},
						Direct: server.command,
						Env:    d.variables(),
					})
				})
			}
		}
	}
}

// TestProbingClient lets the 2.x client look for the newest protocol era, which
// server-everything does not speak.
func TestProbingClient(t *testing.T) { //nolint:tparallel // the subtests are reports of what has happened
	t.Parallel()
	s := newStack(t, everything(t))
	d := newDesk(t)
	d.login(t, s.url, s.caFile, ada)
	runChecks(t, "negotiate.mjs", "client", []string{"a client that probes for 2026-07-28 falls back and works"}, input{
		Bridge: []string{mcpctl, "bridge", s.url}, Env: d.variables(),
	})
}

// input is what the scripts are told.
type input struct {
	Bridge []string          `json:"bridge"`
	Direct []string          `json:"direct,omitempty"`
	Env    map[string]string `json:"env"`

	// For eras.mjs.
	URL   string  `json:"url,omitempty"`
	SSE   bool    `json:"sse,omitempty"`
	Mode  string  `json:"mode,omitempty"`
	Alone bool    `json:"alone,omitempty"` // client and server can't talk directly
	Calls [][]any `json:"calls,omitempty"`
}

// runChecks runs a script under Node and makes each of its checks a subtest.
func runChecks(t *testing.T, script, client string, want []string, in input) {
	t.Helper()
	given, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(testContext(t), nodetest.Node(t), filepath.Join(npmDir(t), script), client, string(given))
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	failed := cmd.Run()
	checkNoSecret(t, "the bridge on standard error", stderr.String())
	if strings.Contains(stderr.String(), "DATA RACE") {
		t.Errorf("the bridge: %s", &stderr)
	}
	var got []string
	for lines := bufio.NewScanner(&stdout); lines.Scan(); {
		var result struct{ Check, Error string }
		if err := json.Unmarshal(lines.Bytes(), &result); err != nil {
			t.Fatalf("%s printed %q: %v", script, lines.Text(), err)
		}
		got = append(got, result.Check)
		t.Run(result.Check, func(t *testing.T) {
			if result.Error != "" {
				t.Error(result.Error)
			}
		})
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s checked %q instead of %q", script, got, want)
	}
	if failed != nil {
		t.Errorf("%s: %v\n%s", script, failed, &stderr)
	}
}
