package gateway

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// subscription passes resources/subscribe and resources/unsubscribe on. One at
// a time: the order in which the upstream sees them has to be the one in which
// they were counted.
func (c *muxClient) subscription(ctx context.Context, f wire.Frame) error {
	m := c.mux
	select {
	case <-m.subscribing:
		defer func() { m.subscribing <- struct{}{} }()
	case <-m.ctx.Done():
		return wire.ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	uri := wire.LookupString(f.Raw, "params", "uri")
	m.mu.Lock()
	_, had := c.subscriptions[uri]
	full := len(c.subscriptions) >= maxSubscriptions
	var kept bool
	if f.Method == "resources/unsubscribe" {
		delete(c.subscriptions, uri)
		kept = m.othersSubscribe(c, uri)
	} else if !had && !full {
		c.subscriptions[uri] = struct{}{}
	}
	m.mu.Unlock()
	switch {
	case f.Method == "resources/unsubscribe" && kept:
		c.push(wire.NewResult(f.ID, struct{}{})) // the upstream's is for others now
		return nil
	case f.Method == "resources/unsubscribe":
		return c.send(ctx, f, "")
	case full && !had:
		c.push(wire.NewError(f.ID, CodeUpstream, "Too many subscriptions. Give up others first.", nil))
		return nil
	case had:
		uri = ""
	}
	return c.send(ctx, f, uri)
}

// giveUpSubscriptions ends those that only a client that has left had.
func (c *muxClient) giveUpSubscriptions(ctx context.Context) error {
	m := c.mux
	select {
	case <-m.subscribing:
		defer func() { m.subscribing <- struct{}{} }()
	case <-ctx.Done():
		return ctx.Err()
	}
	type give struct {
		id  wire.ID
		uri string
	}
	var abandoned []give
	m.mu.Lock()
	for uri := range c.subscriptions {
		if !m.othersSubscribe(c, uri) {
			abandoned = append(abandoned, give{m.nextID(), uri}) // the answer goes nowhere
		}
	}
	clear(c.subscriptions)
	m.mu.Unlock()
	var faults []error
	for _, g := range abandoned {
		faults = append(faults, m.conn.Write(ctx, wire.MustParse(`{"jsonrpc":"2.0","id":`+string(g.id)+`,"method":"resources/unsubscribe","params":{"uri":`+string(quoted(g.uri))+`}}`)))
	}
	return errors.Join(faults...)
}

// othersSubscribe reports whether another client than c has subscribed; m.mu is held.
func (m *mux) othersSubscribe(c *muxClient, uri string) bool {
	for other := range m.clients {
		if _, ok := other.subscriptions[uri]; ok && other != c {
			return true
		}
	}
	return false
}

// subscribed reports whether an update of uri concerns the client; mux.mu is
// held. A server may name a part of what was subscribed to (MCP 2025-11-25,
// schema, ResourceUpdatedNotification: "might be a sub-resource").
func (c *muxClient) subscribed(uri string) bool {
	if _, ok := c.subscriptions[uri]; ok {
		return true
	}
	for sub := range c.subscriptions {
		if sub != "" && strings.HasPrefix(uri, strings.TrimSuffix(sub, "/")+"/") {
			return true
		}
	}
	return false
}

// levels of log messages from the least to the most severe (RFC 5424 §6.2.1).
var levels = []string{"debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"}

const (
	levelUnset = -1
	levelInfo  = 1 // what a client gets that has asked for nothing, once others have
)

// setLevel notes which log messages the client wants. The upstream has one
// level for all: the one of the client that wants most.
func (c *muxClient) setLevel(f wire.Frame) wire.Frame {
	own := slices.Index(levels, wire.LookupString(f.Raw, "params", "level"))
	if own < 0 {
		return f // the upstream will say what is wrong with it
	}
	m := c.mux
	m.mu.Lock()
	c.level = own
	least := own
	for other := range m.clients {
		least = min(least, other.wanted())
	}
	m.mu.Unlock()
	if least == own {
		return f
	}
	return changed(f, set(quoted(levels[least]), "params", "level"))
}

func (c *muxClient) wanted() int {
	if c.level == levelUnset {
		return levelInfo
	}
	return c.level
}

// wants reports whether a log message of the level is for the client; mux.mu
// is held. While no client has set a level, the upstream decides.
func (c *muxClient) wants(level string) bool {
	index := slices.Index(levels, level)
	if c.level == levelUnset {
		for other := range c.mux.clients {
			if other.level != levelUnset {
				return index < 0 || index >= levelInfo
			}
		}
		return true
	}
	return index < 0 || index >= c.level
}
