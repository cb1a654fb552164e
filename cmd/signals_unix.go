//go:build unix

package cmd

import (
	"os"
	"syscall"
)

// StopSignals are the signals that end a command in order.
func StopSignals() []os.Signal {
	return []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP}
}
