package cmd

import (
	"io"
	"os"
	"time"

	"github.com/mcpctl/mcpctl/internal/netconf"
)

// Deps is what commands use of the outside world. Tests bring their own.
type Deps struct {
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
	// Getenv reads the environment.
	Getenv func(string) string
	// Executable returns the path of this program, for entries in other
	// programs' configuration and for child processes.
	Executable func() (string, error)
	// Now is the clock.
	Now func() time.Time
	// Network is what flags say about reaching servers; it goes before what
	// profiles say.
	Network netconf.Settings
}

// SystemDeps are the streams, environment and clock of the process.
func SystemDeps() Deps {
	return Deps{
		Stdin:      os.Stdin,
		Stdout:     os.Stdout,
		Stderr:     os.Stderr,
		Getenv:     os.Getenv,
		Executable: os.Executable,
		Now:        time.Now,
	}
}
