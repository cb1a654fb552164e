package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// Command is an upstream that is started as a child process for each session
// and spoken to on its standard input and output. Let [Processes] start it
// where sessions may share one.
type Command struct {
	Args []string          // the program and its arguments
	Dir  string            // working directory; "" is the gateway's own
	Env  map[string]string // added to the few variables that are passed on
	// Limits bound each process, and each one that it starts.
	Limits ResourceLimits
	// MaxMessage is the size cap of one message in bytes; 0 is the default.
	MaxMessage int
	Logger     *slog.Logger
}

// Open implements [Upstream].
func (c Command) Open(context.Context) (wire.Conn, error) { return c.Start() }

// Start starts the process.
func (c Command) Start() (wire.Conn, error) {
	log := c.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	if len(c.Args) > 0 {
		log = log.With("command", c.Args[0])
	}
	conn := &commandConn{}
	child, err := wire.StartChild(wire.ChildOptions{
		Command:    c.Args,
		Dir:        c.Dir,
		Env:        childEnv(os.Environ(), c.Env),
		MaxMessage: c.MaxMessage,
		Logger:     log,
		Stderr: func(line string) {
			conn.keep(line)
			log.Info("upstream wrote", "stderr", line)
		},
	})
	if err != nil {
		return nil, err
	}
	conn.Child = child
	if err := c.Limits.apply(child.PID()); err != nil {
		return nil, errors.Join(fmt.Errorf("limiting the resources of %q: %w", c.Args[0], err), child.Close())
	}
	return conn, nil
}

// commandConn is a child that remembers what it said last on standard error.
type commandConn struct {
	*wire.Child

	mu   sync.Mutex
	last []string
}

// lastLines is how many lines are remembered, and lineWidth how many bytes of each.
const (
	lastLines = 5
	lineWidth = 300
)

func (c *commandConn) keep(line string) {
	if len(line) > lineWidth {
		line = strings.ToValidUTF8(line[:lineWidth], "") + "…"
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last = append(c.last, line); len(c.last) > lastLines {
		c.last = slices.Delete(c.last, 0, 1)
	}
}

// LastWords returns the last lines of standard error, the oldest first.
func (c *commandConn) LastWords() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.last)
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
