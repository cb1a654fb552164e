package gateway

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// Why there is no process: all are in use, or all that one caller may have.
var (
	ErrTooManyProcesses = errors.New("too many upstream processes are in use")
	errTooManyOfOwner   = fmt.Errorf("%w by one caller", ErrTooManyProcesses)
)

// errMadeRoom ends the connections to a process that was ended to make room. It
// had nothing to do, so whatever gets this error was not sent.
var errMadeRoom error = &wire.Refusal{
	Status: http.StatusServiceUnavailable,
	Header: http.Header{"Retry-After": {"1"}},
	Answer: wire.NewUndelivered(nil, CodeUpstream, "The MCP server behind this gateway was stopped to make room for others. Try again."),
}

// crowded refuses the request that a process should have been started for.
func crowded(err error) *wire.Refusal {
	status, text := http.StatusServiceUnavailable, "Too many processes of the MCP server behind this gateway are in use. Try again later."
	if errors.Is(err, errTooManyOfOwner) {
		status, text = http.StatusTooManyRequests, "Too many of your own processes of the MCP server behind this gateway are in use. Close other sessions, or wait until their requests are answered."
	}
	return &wire.Refusal{
		Status: status,
		Header: http.Header{"Retry-After": {"5"}},
		Answer: wire.NewUndelivered(nil, CodeLimited, text),
	}
}

// noteCrowded leaves evidence where a request was refused for want of a process.
func noteCrowded(e *Evidence, err error) {
	if errors.Is(err, ErrTooManyProcesses) {
		e.decided(false, "process-limit")
	}
}

// bounds are those in force.
func (p *Processes) bounds() ProcessBounds {
	b := ProcessBounds{}
	if p.opts.Bounds != nil {
		b = p.opts.Bounds()
	}
	if b.All <= 0 {
		b.All = 100
	}
	if b.PerOwner <= 0 {
		b.PerOwner = 10
	}
	return b
}

// makeRoom ends idle processes where one more would be too many; p.mu is held.
func (p *Processes) makeRoom(owner string) error {
	b := p.bounds()
	for p.opts.Process != ProcessShared && owner != "" && p.count(owner) >= b.PerOwner {
		if !p.endIdle(func(proc *process) bool { return proc.owner == owner }) {
			p.opts.Logger.Warn("a process was refused: all that one caller may have are in use", "bound", b.PerOwner, "key", "limits.processes_per_user")
			return errTooManyOfOwner
		}
	}
	for len(p.running) >= b.All {
		if !p.endIdle(func(*process) bool { return true }) {
			p.opts.Logger.Warn("a process was refused: all are in use", "bound", b.All, "key", "limits.processes")
			return ErrTooManyProcesses
		}
	}
	return nil
}

func (p *Processes) count(owner string) (n int) {
	for _, proc := range p.running {
		if proc.owner == owner {
			n++
		}
	}
	return n
}

// endIdle ends the process that was idle longest of those that which accepts,
// and reports whether there was one. One that no session uses goes first; p.mu
// is held.
func (p *Processes) endIdle(which func(*process) bool) bool {
	for {
		var longest *process
		var since time.Time
		for _, proc := range p.running {
			at, idle := proc.idleSince()
			if !idle || !which(proc) {
				continue
			}
			if longest == nil || proc.users == 0 && longest.users > 0 || (proc.users == 0) == (longest.users == 0) && at.Before(since) {
				longest, since = proc, at
			}
		}
		switch {
		case longest == nil:
			return false
		case longest.users == 0 || longest.mux.yield():
			p.opts.Logger.Info("the longest idle upstream process makes room for another", "in_use", longest.users > 0)
			p.end(longest)
			return true
		}
	}
}

// idleSince says whether nobody waits for the process, and since when;
// Processes.mu is held.
func (proc *process) idleSince() (time.Time, bool) {
	if proc.users == 0 {
		return proc.unused, true
	}
	return proc.mux.idleSince()
}

// idleSince says whether nobody waits for anything, and since when.
func (m *mux) idleSince() (time.Time, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.used, len(m.calls) == 0 && len(m.asked) == 0
}

// yield ends the connections of all clients for the sake of others, unless one
// of them waits for something. Nothing is sent to the upstream after that.
func (m *mux) yield() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.calls) > 0 || len(m.asked) > 0 {
		return false
	}
	if m.err == nil {
		m.err = errMadeRoom
	}
	for c := range m.clients {
		c.leave(errMadeRoom)
	}
	return true
}
