package cmd

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"
)

// TestMain makes the test binary serve as the programs that scripts start: the
// real command line, and a browser with a person in front of it.
func TestMain(m *testing.M) {
	testscript.Main(leakCheck{m}, map[string]func(){
		"mcpctl":      mainProgram,
		"fakebrowser": fakeBrowser,
	})
}

// mainProgram is cmd/mcpctl's main.
func mainProgram() {
	ctx, stop := signal.NotifyContext(context.Background(), StopSignals(os.Args[1:])...)
	context.AfterFunc(ctx, stop)
	code := Main(ctx, os.Args[1:], SystemDeps())
	stop()
	os.Exit(code)
}

// leakCheck fails a run after which goroutines are left.
type leakCheck struct{ m *testing.M }

func (l leakCheck) Run() int {
	code := l.m.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}
