package gateway

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// processConn is a session's connection to a process that its first message
// chooses, and initialize again.
type processConn struct {
	processes *Processes
	owner     string

	mu      sync.Mutex
	proc    *process
	client  *muxClient
	refusal *wire.Frame // the answer to an initialize that got no process
	err     error       // why there is no process
	closed  bool
	turn    chan struct{} // closed, and made anew, when anything above changes
}

// Write implements wire.Conn.
func (c *processConn) Write(ctx context.Context, f wire.Frame) error {
	client, left, err := c.choose(f)
	if left != nil {
		left()
	}
	if f.Method == "initialize" && errors.Is(err, errRefusedStart) && !errors.Is(err, ErrTooManyProcesses) {
		return nil // it has its answer
	}
	if err != nil {
		return err
	}
	return client.Write(ctx, f)
}

// errRefusedStart: there is no process, and the client is told why.
var errRefusedStart = errors.New("the upstream was not started")

// choose returns the client for a message. left, if not nil, gives up the one
// before.
func (c *processConn) choose(f wire.Frame) (client *muxClient, left func(), err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed:
		return nil, nil, wire.ErrClosed
	case c.err != nil:
		return nil, nil, c.err
	case c.client != nil && (f.Method != "initialize" || c.processes.opts.Process != ProcessPerUser):
		return c.client, nil, nil
	}
	proc := c.proc
	if proc == nil {
		proc, client, err = c.processes.acquire(c.owner, f)
	} else {
		proc, client, err = c.processes.move(proc, f)
		if err == nil && client == nil {
			return c.client, nil, nil // the same one
		}
	}
	defer c.changedLocked()
	if err != nil {
		c.err = fmt.Errorf("%w: %w", errRefusedStart, err)
		if errors.Is(err, ErrTooManyProcesses) {
			c.err = fmt.Errorf("%w: %w", c.err, crowded(err))
		} else if f.Method == "initialize" {
			answer := wire.NewError(f.ID, CodeUpstream, explainStart(err), nil)
			c.refusal = &answer
		}
		return nil, nil, c.err
	}
	if old, oldClient := c.proc, c.client; old != nil {
		left = func() { c.processes.release(old, oldClient) }
	}
	c.proc, c.client = proc, client
	return client, left, nil
}

// explainStart says why there is no process in words for those who call.
func explainStart(err error) string {
	var delay *delayError
	if errors.As(err, &delay) {
		return fmt.Sprintf("The MCP server behind this gateway keeps ending right after its start. It is tried again in %s. Its operator finds the reason in the gateway's log.", delay.wait)
	}
	return "The MCP server behind this gateway could not be started. Its operator finds the reason in the gateway's log."
}

func (c *processConn) changedLocked() {
	close(c.turn)
	c.turn = make(chan struct{})
}

// Read implements wire.Conn.
func (c *processConn) Read(ctx context.Context) (wire.Frame, error) {
	for {
		c.mu.Lock()
		client, turn, closed, refusal, err := c.client, c.turn, c.closed, c.refusal, c.err
		c.refusal = nil
		c.mu.Unlock()
		switch {
		case closed:
			return wire.Frame{}, wire.ErrClosed
		case refusal != nil:
			return *refusal, nil
		case err != nil:
			return wire.Frame{}, err
		case client == nil:
			select {
			case <-turn:
				continue
			case <-ctx.Done():
				return wire.Frame{}, ctx.Err()
			}
		}
		f, err := client.Read(ctx)
		if err == nil || ctx.Err() != nil {
			return f, err
		}
		c.mu.Lock()
		another := c.client != client || c.closed || c.err != nil
		c.mu.Unlock()
		if !another {
			return wire.Frame{}, err
		}
	}
}

// Close implements wire.Conn.
func (c *processConn) Close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil
	}
	c.closed = true
	c.changedLocked()
	proc, client := c.proc, c.client
	c.mu.Unlock()
	if proc != nil {
		c.processes.release(proc, client)
	}
	return nil
}
