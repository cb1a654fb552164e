package gateway

import (
	"context"
	"sync"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// processConn is a session's connection to a process that its first message
// chooses.
type processConn struct {
	processes *Processes
	owner     string

	mu     sync.Mutex
	proc   *process
	client *muxClient
	ready  chan struct{} // closed once client is set
	gone   chan struct{} // closed by Close
	closed bool
}

// Write implements wire.Conn.
func (c *processConn) Write(ctx context.Context, f wire.Frame) error {
	client, err := c.choose(f)
	if err != nil {
		return err
	}
	return client.Write(ctx, f)
}

func (c *processConn) choose(f wire.Frame) (*muxClient, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed:
		return nil, wire.ErrClosed
	case c.client != nil:
		return c.client, nil
	}
	proc, client, err := c.processes.acquire(c.owner, f)
	if err != nil {
		return nil, err
	}
	c.proc, c.client = proc, client
	close(c.ready)
	return client, nil
}

// Read implements wire.Conn.
func (c *processConn) Read(ctx context.Context) (wire.Frame, error) {
	select {
	case <-c.ready:
	case <-c.gone:
		return wire.Frame{}, wire.ErrClosed
	case <-ctx.Done():
		return wire.Frame{}, ctx.Err()
	}
	f, err := c.client.Read(ctx)
	if err != nil && ctx.Err() == nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.closed {
			return wire.Frame{}, wire.ErrClosed
		}
	}
	return f, err
}

// Close implements wire.Conn.
func (c *processConn) Close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil
	}
	c.closed = true
	close(c.gone)
	proc, client := c.proc, c.client
	c.mu.Unlock()
	if proc != nil {
		c.processes.release(proc, client)
	}
	return nil
}
