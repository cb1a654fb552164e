//go:build unix

package cmd

import (
	"os"
	"slices"
	"strings"
	"syscall"
)

// StopSignals are the signals that end a command in order. SIGHUP is that of a
// terminal which is gone, but makes a server with a configuration file read it
// anew.
func StopSignals(args []string) []os.Signal {
	stop := []os.Signal{os.Interrupt, syscall.SIGTERM}
	configured := slices.ContainsFunc(args, func(a string) bool { return a == "--config" || strings.HasPrefix(a, "--config=") })
	if len(args) > 0 && args[0] == "serve" && configured {
		return stop
	}
	return append(stop, syscall.SIGHUP)
}

// reloadSignals make a server read its configuration anew.
func reloadSignals() []os.Signal { return []os.Signal{syscall.SIGHUP} }
