package server_test

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/mcpctl/mcpctl/server"
)

func TestProcessLimitsInConfiguration(t *testing.T) {
	cfg, faults := parse(t, strings.Replace(minimal, "builtin: [whoami]", `command: [cat]
    process: per-session
    limits: {memory: 512MiB, open_files: 256, processes: 64, cpu: 90m}`, 1))
	if runtime.GOOS != "linux" {
		if len(faults) != 1 || faults[0].Key != "upstreams[0].limits" || !strings.Contains(faults[0].Message, "needs Linux") {
			t.Errorf("got %v", faults)
		}
		return
	}
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	want := server.ProcessLimits{Memory: 512 << 20, OpenFiles: 256, Processes: 64, CPU: 90 * time.Minute}
	if got := cfg.Upstreams[0]; got.Limits != want || got.Process != "per-session" {
		t.Errorf("got %+v", got)
	}
}
