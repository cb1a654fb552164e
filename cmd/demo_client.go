package cmd

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// demoClient is the smallest MCP client that tells the story: one request at a
// time over a connection.
type demoClient struct {
	conn    wire.Conn
	last    int
	updates []string // resources whose update was announced
}

// call sends a request and returns its result.
func (c *demoClient) call(ctx context.Context, method string, params any) (json.RawMessage, error) {
	c.last++
	if err := c.send(ctx, map[string]any{"jsonrpc": "2.0", "id": c.last, "method": method, "params": params}); err != nil {
		return nil, err
	}
	id := fmt.Sprint(c.last)
	for {
		f, err := c.conn.Read(ctx)
		if err != nil {
			return nil, fmt.Errorf("waiting for the answer to %s: %w", method, err)
		}
		if f.Kind != wire.Response || f.ID.Key() != id {
			c.note(f)
			f.Release()
			continue
		}
		defer f.Release()
		if f.Failed {
			return nil, fmt.Errorf("%s: %s", method, wire.LookupString(f.Raw, "error", "message"))
		}
		return json.RawMessage(append([]byte(nil), wire.Lookup(f.Raw, "result")...)), nil
	}
}

func (c *demoClient) notify(ctx context.Context, method string) error {
	return c.send(ctx, map[string]any{"jsonrpc": "2.0", "method": method})
}

func (c *demoClient) send(ctx context.Context, message map[string]any) error {
	if message["params"] == nil {
		delete(message, "params")
	}
	raw, err := json.Marshal(message)
	if err != nil {
		return err
	}
	f, err := wire.Parse(raw)
	if err != nil {
		return err
	}
	return c.conn.Write(ctx, f)
}

func (c *demoClient) note(f wire.Frame) {
	if f.Method == "notifications/resources/updated" {
		c.updates = append(c.updates, wire.LookupString(f.Raw, "params", "uri"))
	}
}

// nextUpdate waits for the next announced update of a resource.
func (c *demoClient) nextUpdate(ctx context.Context) (string, error) {
	for len(c.updates) == 0 {
		f, err := c.conn.Read(ctx)
		if err != nil {
			return "", fmt.Errorf("waiting for an update: %w", err)
		}
		c.note(f)
		f.Release()
	}
	uri := c.updates[0]
	c.updates = c.updates[1:]
	return uri, nil
}
