package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// muxClient is one client's connection to a shared upstream. It implements
// wire.Conn.
type muxClient struct {
	mux  *mux
	in   chan wire.Frame
	gone chan struct{} // closed by leave
	once sync.Once
	err  error // set before gone is closed

	// Guarded by mux.mu.
	open          map[string]wire.ID // the upstream's ids of requests in flight, by the client's id key
	subscriptions map[string]struct{}
	level         int // of log messages; index into levels
}

// Read implements wire.Conn.
func (c *muxClient) Read(ctx context.Context) (wire.Frame, error) {
	select {
	case f := <-c.in:
		return f, nil
	default:
	}
	select {
	case f := <-c.in:
		return f, nil
	case <-c.gone:
		select {
		case f := <-c.in:
			return f, nil
		default:
			return wire.Frame{}, c.err
		}
	case <-ctx.Done():
		return wire.Frame{}, ctx.Err()
	}
}

// push hands a message to the client, waiting for it within bounds.
func (c *muxClient) push(f wire.Frame) {
	f.Retain()
	select {
	case c.in <- f:
		return
	default:
	}
	t := time.NewTimer(c.mux.patience)
	defer t.Stop()
	select {
	case c.in <- f:
		return
	case <-c.gone:
	case <-c.mux.ctx.Done():
	case <-t.C:
		c.mux.log.Warn("a client was cut off", "reason", errStalled)
		c.mux.mu.Lock()
		c.leave(errStalled)
		c.mux.mu.Unlock()
	}
	f.Release()
}

// leave ends the client's part; mux.mu is held.
func (c *muxClient) leave(err error) {
	c.once.Do(func() {
		c.err = err
		close(c.gone)
		delete(c.mux.clients, c)
		for key, call := range c.mux.calls {
			if call.client == c {
				delete(c.mux.calls, key)
			}
		}
		for key, client := range c.mux.asked {
			if client == c {
				delete(c.mux.asked, key)
			}
		}
	})
}

// Close implements wire.Conn: the client's requests are cancelled and its
// subscriptions given up; the upstream goes on for others.
func (c *muxClient) Close() error {
	c.mux.mu.Lock()
	var ids []wire.ID
	for _, id := range c.open {
		ids = append(ids, id)
	}
	var abandoned []string
	for uri := range c.subscriptions {
		if !c.mux.othersSubscribe(c, uri) {
			abandoned = append(abandoned, uri)
		}
	}
	ended := c.mux.err != nil
	c.leave(wire.ErrClosed)
	c.mux.mu.Unlock()
	if ended {
		return nil
	}
	ctx, cancel := context.WithTimeout(c.mux.ctx, 5*time.Second)
	defer cancel()
	var faults []error
	for _, id := range ids {
		faults = append(faults, c.mux.conn.Write(ctx, wire.MustParse(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":`+string(id)+`}}`)))
	}
	for _, uri := range abandoned {
		faults = append(faults, c.mux.unsubscribe(ctx, uri))
	}
	return errors.Join(faults...)
}

// Write implements wire.Conn.
func (c *muxClient) Write(ctx context.Context, f wire.Frame) error {
	select {
	case <-c.gone:
		if errors.Is(c.err, wire.ErrClosed) {
			return wire.ErrClosed
		}
		return io.ErrClosedPipe
	default:
	}
	switch f.Kind {
	case wire.Request:
		return c.request(ctx, f)
	case wire.Notification:
		return c.notify(ctx, f)
	case wire.Response:
		c.mux.mu.Lock()
		mine := c.mux.asked[f.ID.Key()] == c
		if mine {
			delete(c.mux.asked, f.ID.Key())
		}
		c.mux.mu.Unlock()
		if !mine {
			return nil // it answers nothing that this client was asked
		}
		return c.mux.conn.Write(ctx, f)
	case wire.Batch, wire.Invalid:
	}
	return errors.New("gateway: only single messages can be passed to an upstream")
}

func (c *muxClient) request(ctx context.Context, f wire.Frame) error {
	switch f.Method {
	case "initialize":
		return c.initialize(ctx, f)
	case "resources/unsubscribe":
		if c.keepSubscription(wire.LookupString(f.Raw, "params", "uri")) {
			c.push(wire.NewResult(f.ID, struct{}{}))
			return nil
		}
	case "resources/subscribe":
		c.mux.mu.Lock()
		c.subscriptions[wire.LookupString(f.Raw, "params", "uri")] = struct{}{}
		c.mux.mu.Unlock()
	case "logging/setLevel":
		c.setLevel(wire.LookupString(f.Raw, "params", "level"))
	}
	c.mux.mu.Lock()
	key := f.ID.Key()
	if _, taken := c.open[key]; taken {
		c.mux.mu.Unlock()
		c.push(wire.NewError(f.ID, wire.CodeInvalidRequest, "Invalid request: a request with this id is still in flight", nil))
		return nil
	}
	c.mux.last++
	id := wire.ID(strconv.FormatInt(c.mux.last, 10))
	call := &muxCall{client: c, id: wire.ID(bytes.Clone(f.ID))}
	if token := wire.Lookup(f.Raw, "params", "_meta", "progressToken"); token != nil {
		call.progress = wire.ID(bytes.Clone(token))
	}
	c.open[key] = id
	c.mux.calls[string(id)] = call
	c.mux.mu.Unlock()

	out := f.WithID(id)
	if call.progress != nil {
		out = splice(out, id, "params", "_meta", "progressToken")
	}
	return c.mux.conn.Write(ctx, out)
}

func (c *muxClient) notify(ctx context.Context, f wire.Frame) error {
	switch f.Method {
	case "notifications/initialized":
		c.mux.mu.Lock()
		hello := c.mux.hello
		forward := hello != nil && !hello.initialized
		if forward {
			hello.initialized = true
		}
		c.mux.mu.Unlock()
		if !forward {
			return nil
		}
	case "notifications/cancelled":
		key := wire.ID(wire.Lookup(f.Raw, "params", "requestId")).Key()
		c.mux.mu.Lock()
		id, mine := c.open[key]
		if mine {
			delete(c.open, key)
			delete(c.mux.calls, string(id))
		}
		c.mux.mu.Unlock()
		if !mine {
			return nil // somebody else's, or answered already
		}
		return c.mux.conn.Write(ctx, splice(f, id, "params", "requestId"))
	case "notifications/progress":
		// Of a request of the upstream: its token is the upstream's own.
	}
	return c.mux.conn.Write(ctx, f)
}

// initialize sends the first client's handshake and answers later ones from
// its result: an upstream on stdio takes one only.
func (c *muxClient) initialize(ctx context.Context, f wire.Frame) error {
	c.mux.mu.Lock()
	hello := c.mux.hello
	first := hello == nil
	if first {
		hello = &handshake{done: make(chan struct{})}
		c.mux.hello = hello
		c.mux.last++
		id := wire.ID(strconv.FormatInt(c.mux.last, 10))
		c.mux.calls[string(id)] = &muxCall{}
		f = f.Clone()
		out := f.WithID(id)
		if c.mux.strangers {
			out = splice(out, []byte("{}"), "params", "capabilities")
		}
		c.mux.mu.Unlock()
		if err := c.mux.conn.Write(ctx, out); err != nil {
			return err
		}
	} else {
		f = f.Clone()
		c.mux.mu.Unlock()
	}
	c.mux.reader.Go(func() {
		select {
		case <-hello.done:
		case <-c.gone:
			return
		case <-c.mux.ctx.Done():
			return
		}
		if hello.answer.Kind == wire.Response {
			c.push(hello.answer.WithID(f.ID))
		}
	})
	return nil
}

// keepSubscription forgets the client's subscription and reports whether the
// upstream's has to stay for another client.
func (c *muxClient) keepSubscription(uri string) bool {
	c.mux.mu.Lock()
	defer c.mux.mu.Unlock()
	delete(c.subscriptions, uri)
	return c.mux.othersSubscribe(c, uri)
}

// othersSubscribe reports whether another client than c has subscribed; mux.mu is held.
func (m *mux) othersSubscribe(c *muxClient, uri string) bool {
	for other := range m.clients {
		if _, ok := other.subscriptions[uri]; ok && other != c {
			return true
		}
	}
	return false
}

// unsubscribe gives up a subscription that nobody wants any more; its answer
// goes nowhere.
func (m *mux) unsubscribe(ctx context.Context, uri string) error {
	m.mu.Lock()
	m.last++
	id := m.last
	m.mu.Unlock()
	f := wire.MustParse(`{"jsonrpc":"2.0","id":` + strconv.FormatInt(id, 10) + `,"method":"resources/unsubscribe","params":{"uri":""}}`)
	quoted, err := json.Marshal(uri)
	if err != nil {
		return err
	}
	return m.conn.Write(ctx, splice(f, quoted, "params", "uri"))
}

// subscribed reports whether an update of uri concerns the client; mux.mu is
// held. A server may name a part of what was subscribed to (MCP 2025-11-25,
// server/resources: "a sub-resource of the one that the client subscribed to").
func (c *muxClient) subscribed(uri string) bool {
	for sub := range c.subscriptions {
		if uri == sub || strings.HasPrefix(uri, strings.TrimSuffix(sub, "/")+"/") {
			return true
		}
	}
	return false
}

// levels of log messages from the least to the most severe (RFC 5424).
var levels = []string{"debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"}

func levelIndex(name string) int {
	for i, l := range levels {
		if l == name {
			return i
		}
	}
	return 0
}

func (c *muxClient) setLevel(name string) {
	c.mux.mu.Lock()
	defer c.mux.mu.Unlock()
	c.level = levelIndex(name)
}

// wants reports whether the client asked for messages of the level; mux.mu is held.
func (c *muxClient) wants(level string) bool { return levelIndex(level) >= c.level }
