package conformance_test

import (
	"testing"
)

// revisions are the requirement sets, with the number of scenarios in each.
var revisions = []struct {
	name      string
	scenarios int
	stateless bool // served by go-sdk's server in its stateless mode
}{
	{"2025-11-25", 30, false},
	{"2026-07-28", 37, true},
}

// notTheBridge are scenarios that need a full HTTP server, which the adapter is not.
var notTheBridge = map[string]string{
	"server-sse-polling":                   "the adapter's streams can't be resumed",
	"http-header-validation":               "the adapter compares two headers with the message",
	"http-custom-header-server-validation": "the adapter compares two headers with the message",
}

// notTheGateway is a scenario in which the gateway differs from go-sdk's server.
var notTheGateway = map[string]string{"server-sse-polling": "the gateway doesn't end a stream before its answer"}

func TestConformance(t *testing.T) {
	t.Parallel()
	stateful, stateless := startEverything(t, false), startEverything(t, true)
	stdio := startGateway(t, "command: ["+yamlString(server)+"]")
	http := startGateway(t, "url: "+startBothEras(t, stateful, stateless))
	for _, revision := range revisions {
		t.Run(revision.name, func(t *testing.T) {
			t.Parallel()
			r := readRequirements(t, revision.name)
			if len(r.scored) != revision.scenarios {
				t.Fatalf("the suite requires %d scenarios instead of %d", len(r.scored), revision.scenarios)
			}
			everything := stateful
			if revision.stateless {
				everything = stateless
			}
			var direct results
			if !t.Run("direct", func(t *testing.T) { direct = r.judge(t, trial{url: everything}, nil) }) {
				t.Fatal("the server fails by itself")
			}
			t.Run("bridge", func(t *testing.T) {
				r.judge(t, trial{startAdapter(t, revision.stateless, mcpctl, "bridge", everything, "--no-auth"), notTheBridge}, direct)
			})
			t.Run("gateway before stdio", func(t *testing.T) { r.judge(t, trial{stdio.mcp, notTheGateway}, direct) })
			t.Run("gateway before HTTP", func(t *testing.T) { r.judge(t, trial{http.mcp, notTheGateway}, direct) })
			if revision.stateless {
				return // HTTP+SSE is a session
			}
			t.Run("HTTP+SSE", func(t *testing.T) {
				r.judge(t, trial{startAdapter(t, false, mcpctl, "bridge", stdio.sse, "--transport", "sse", "--no-auth"), notTheBridge}, direct)
			})
		})
	}
}
