package gateway

import (
	"context"
	"log/slog"
	"os"
	"strings"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// Command is an upstream that is started as a child process for each session
// and spoken to on its standard input and output.
type Command struct {
	Args []string          // the program and its arguments
	Dir  string            // working directory; "" is the gateway's own
	Env  map[string]string // added to the few variables that are passed on
	// MaxMessage is the size cap of one message in bytes; 0 is the default.
	MaxMessage int
	Logger     *slog.Logger
}

// Open implements [Upstream].
func (c Command) Open(context.Context) (wire.Conn, error) {
	return wire.StartChild(wire.ChildOptions{
		Command:    c.Args,
		Dir:        c.Dir,
		Env:        childEnv(os.Environ(), c.Env),
		MaxMessage: c.MaxMessage,
		Logger:     c.Logger,
	})
}

// passedOn are the variables a program needs to find itself and others. The
// rest of the gateway's environment may hold secrets and stays here; what an
// upstream needs beyond these is named in the configuration.
var passedOn = map[string]bool{
	"PATH": true, "HOME": true, "USER": true, "LOGNAME": true, "SHELL": true, "LANG": true, "TZ": true, "TMPDIR": true,
	"SYSTEMROOT": true, "SYSTEMDRIVE": true, "WINDIR": true, "COMSPEC": true, "PATHEXT": true, "TEMP": true, "TMP": true,
	"USERPROFILE": true, "USERNAME": true, "APPDATA": true, "LOCALAPPDATA": true, "PROGRAMFILES": true, "PROGRAMDATA": true,
	"HOMEDRIVE": true, "HOMEPATH": true, "PROCESSOR_ARCHITECTURE": true, "NUMBER_OF_PROCESSORS": true,
}

func childEnv(own []string, extra map[string]string) []string {
	var env []string
	for _, entry := range own {
		name, _, _ := strings.Cut(entry, "=")
		if passedOn[strings.ToUpper(name)] || strings.HasPrefix(name, "LC_") {
			env = append(env, entry)
		}
	}
	for name, value := range extra {
		env = append(env, name+"="+value)
	}
	return env
}
