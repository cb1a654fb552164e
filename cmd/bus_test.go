package cmd

import (
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// cmdBus starts a D-Bus session bus with a configuration file and makes it the
// script's: «bus FILE».
func cmdBus(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: bus FILE")
	}
	p := newProcess(ts, []string{"dbus-daemon", "--nofork", "--print-address", "--config-file=" + ts.MkAbs(args[0])})
	p.start(ts)
	if !p.await(&p.stdout, func(text string) bool { return strings.HasSuffix(text, "\n") }) {
		ts.Fatalf("the bus ended: %s", p.stderr.String())
	}
	ts.Setenv("DBUS_SESSION_BUS_ADDRESS", strings.TrimSpace(p.stdout.String()))
}
