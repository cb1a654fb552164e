package server_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/mcpctl/mcpctl/server"
)

// An upstream that can't work is in the log before anybody needs it, and the
// server is not ready.
func TestUpstreamIsProbedAtStart(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	w := start(t, server.Upstream{Name: "broken", Command: []string{exe, "-test.run=^$"}}) // ends at once
	given := time.After(patience)
	for look := time.Tick(10 * time.Millisecond); !strings.Contains(w.log.String(), "the upstream does not work"); {
		select {
		case <-look:
		case <-given:
			t.Fatalf("nothing about the upstream in the log:\n%s", w.log.String())
		}
	}
}
