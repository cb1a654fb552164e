package cmd

import (
	"os"
	"syscall"
)

// StopSignals are the signals that end a command in order. Go reports closing
// the console window, logging off and shutting down as SIGTERM.
func StopSignals([]string) []os.Signal { return []os.Signal{os.Interrupt, syscall.SIGTERM} }

// reloadSignals: Windows has none, so a changed configuration needs a restart.
func reloadSignals() []os.Signal { return nil }
