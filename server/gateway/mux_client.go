package gateway

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strconv"
	"sync"
	"time"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// muxClient is one client's connection to a shared upstream. It implements
// wire.Conn.
type muxClient struct {
	mux *mux
	// owner is the principal; of clients that are nobody's, each is its own.
	owner string
	in    *queue
	gone  chan struct{} // closed by leave
	once  sync.Once
	err   error // set before gone is closed

	// Guarded by mux.mu.
	greeted       bool               // initialize was answered, or the client needs none
	open          map[string]wire.ID // the upstream's ids of requests in flight, by the client's id key
	subscriptions map[string]struct{}
	level         int // of log messages; index into levels, or levelUnset
}

// Read implements wire.Conn.
func (c *muxClient) Read(ctx context.Context) (wire.Frame, error) {
	for {
		if f, ok := c.in.take(); ok {
			return f, nil
		}
		select {
		case <-c.in.ready:
		case <-c.gone:
			if f, ok := c.in.take(); ok {
				return f, nil
			}
			return wire.Frame{}, c.err
		case <-ctx.Done():
			return wire.Frame{}, ctx.Err()
		}
	}
}

// push hands a message to the client, waiting for it within bounds. It borrows f.
func (c *muxClient) push(f wire.Frame) {
	f.Retain()
	room := c.in.offer(f)
	if room == nil {
		return
	}
	patience := time.NewTimer(c.mux.patience)
	defer patience.Stop()
	for room != nil {
		select {
		case <-room:
			room = c.in.offer(f)
			continue
		case <-c.gone:
		case <-c.mux.ctx.Done():
		case <-patience.C:
			c.mux.log.Warn("a client was cut off", "reason", errStalled)
			c.mux.mu.Lock()
			c.leave(errStalled)
			c.mux.mu.Unlock()
		}
		f.Release()
		return
	}
}

// leave ends the client's part; mux.mu is held. Whatever the upstream still
// asks it is answered for it.
func (c *muxClient) leave(err error) {
	c.once.Do(func() {
		m := c.mux
		c.err = err
		close(c.gone)
		delete(m.clients, c)
		if m.recent == c {
			m.recent = nil
		}
		for key, call := range m.calls {
			if call.client == c {
				delete(m.calls, key)
			}
		}
		for key, q := range m.asked {
			if q.client != c {
				continue
			}
			delete(m.asked, key)
			if m.answer(wire.NewError(q.id, CodeUpstream, "The client has gone", nil)) != nil {
				m.stop() // it reads nothing
			}
		}
	})
}

// closePatience is how long an upstream is waited for that has to be told of
// what a client leaves behind.
const closePatience = 5 * time.Second

// Close implements wire.Conn: the client's requests are cancelled and its
// subscriptions given up; the upstream goes on for others.
func (c *muxClient) Close() error {
	m := c.mux
	ctx, cancel := context.WithTimeout(m.ctx, closePatience)
	defer cancel()
	c.in.close()
	m.mu.Lock()
	c.leave(wire.ErrClosed)
	ended := m.err != nil
	var ids []wire.ID
	for _, id := range c.open {
		ids = append(ids, id)
	}
	clear(c.open)
	m.mu.Unlock()
	if ended {
		return nil
	}
	var faults []error
	for _, id := range ids {
		faults = append(faults, m.conn.Write(ctx, wire.MustParse(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":`+string(id)+`}}`)))
	}
	faults = append(faults, c.giveUpSubscriptions(ctx))
	if m.ctx.Err() != nil {
		return nil // it has ended meanwhile
	}
	return errors.Join(faults...)
}

// Write implements wire.Conn.
func (c *muxClient) Write(ctx context.Context, f wire.Frame) error {
	m := c.mux
	select {
	case <-c.gone:
		if errors.Is(c.err, wire.ErrClosed) || errors.Is(c.err, errMadeRoom) {
			return c.err
		}
		return io.ErrClosedPipe
	default:
	}
	m.mu.Lock()
	if _, here := m.clients[c]; here {
		m.recent = c
	}
	m.mu.Unlock()
	switch f.Kind {
	case wire.Request:
		return c.request(ctx, f)
	case wire.Notification:
		return c.notify(ctx, f)
	case wire.Response:
		m.mu.Lock()
		key := f.ID.Key()
		mine := m.asked[key].client == c
		if mine {
			delete(m.asked, key)
		}
		m.mu.Unlock()
		if !mine {
			m.log.Debug("an answer to nothing that this client was asked was dropped")
			return nil
		}
		return m.conn.Write(ctx, f)
	case wire.Batch, wire.Invalid:
	}
	return errors.New("gateway: only single messages can be passed to an upstream")
}

func (c *muxClient) request(ctx context.Context, f wire.Frame) error {
	if c.mux.strangers {
		if refusal, refused := c.refuseStranger(f); refused {
			c.push(refusal)
			return nil
		}
	}
	switch f.Method {
	case "initialize":
		return c.initialize(ctx, f)
	case "resources/subscribe", "resources/unsubscribe":
		return c.subscription(ctx, f)
	case "logging/setLevel":
		if c.mux.strangers { // none of them decides for the others
			c.push(wire.NewResult(f.ID, struct{}{}))
			return nil
		}
		f = c.setLevel(f)
	}
	return c.send(ctx, f, "")
}

// refuseStranger keeps clients that don't trust each other apart.
func (c *muxClient) refuseStranger(f wire.Frame) (wire.Frame, bool) {
	if f.Method == "tasks/list" {
		return wire.NewError(f.ID, wire.CodeMethodNotFound, "Method not found: the upstream is shared, so tasks are not listed", nil), true
	}
	if err := unclear(f.Raw); err != nil {
		return wire.NewError(f.ID, wire.CodeInvalidRequest, "Invalid request: "+err.Error(), nil), true
	}
	return c.refuseForeign(f)
}

// send passes a request on under an id of the mux's own. added is the URI that
// it adds to the client's subscriptions, if any.
func (c *muxClient) send(ctx context.Context, f wire.Frame, added string) error {
	m := c.mux
	call := &muxCall{client: c, id: wire.ID(bytes.Clone(f.ID)), method: f.Method, added: added, task: wire.LookupString(f.Raw, "params", "taskId")}
	if token := wire.Lookup(f.Raw, "params", "_meta", "progressToken"); token != nil {
		call.progress = wire.ID(bytes.Clone(token))
	}
	id, refusal := c.register(call)
	if refusal != nil {
		select {
		case <-c.gone:
			if errors.Is(c.err, errMadeRoom) {
				return c.err
			}
		default:
		}
		c.push(*refusal)
		return nil
	}
	err := m.conn.Write(ctx, changed(f, set(id, "id"), set(id, "params", "_meta", "progressToken")))
	if err != nil {
		m.mu.Lock()
		m.forget(string(id), call)
		m.mu.Unlock()
	}
	return err
}

// register gives a call its id, or says why it can't be made.
func (c *muxClient) register(call *muxCall) (wire.ID, *wire.Frame) {
	m := c.mux
	m.mu.Lock()
	defer m.mu.Unlock()
	key := call.id.Key()
	refuse := func(code int, text string) (wire.ID, *wire.Frame) {
		f := wire.NewError(call.id, code, text, nil)
		return nil, &f
	}
	if _, taken := c.open[key]; taken {
		return refuse(wire.CodeInvalidRequest, "Invalid request: a request with this id is still in flight")
	}
	if len(c.open) >= maxOpenCalls {
		return refuse(CodeUpstream, "Too many requests are in flight. Wait for answers before sending more.")
	}
	if _, here := m.clients[c]; !here {
		return refuse(CodeUpstream, "The MCP server behind this gateway has ended.")
	}
	c.greeted = true // clients of 2026-07-28 open without initialize
	id := m.nextID()
	call.number, m.used = m.last, time.Now()
	c.open[key] = id
	m.calls[string(id)] = call
	return id, nil
}

// nextID returns an id for a request to the upstream; m.mu is held.
func (m *mux) nextID() wire.ID {
	m.last++
	return strconv.AppendInt(nil, m.last, 10)
}

func (c *muxClient) notify(ctx context.Context, f wire.Frame) error {
	m := c.mux
	if m.strangers {
		if _, foreign := c.refuseForeign(f); foreign || unclear(f.Raw) != nil {
			return nil //nolint:nilerr // it could be taken for another's, and nobody waits for an answer
		}
	}
	switch f.Method {
	case "notifications/initialized":
		m.mu.Lock()
		forward := m.hello != nil && !m.hello.initialized
		if forward {
			m.hello.initialized = true
		}
		m.mu.Unlock()
		if !forward {
			return nil
		}
	case "notifications/cancelled":
		key := wire.ID(wire.Lookup(f.Raw, "params", "requestId")).Key()
		m.mu.Lock()
		id, mine := c.open[key]
		m.forget(string(id), m.calls[string(id)])
		m.mu.Unlock()
		if !mine {
			return nil // somebody else's, or answered already
		}
		return m.conn.Write(ctx, changed(f, set(id, "params", "requestId")))
	default:
		if m.strangers && (f.Method == "notifications/progress" || f.Method == "notifications/roots/list_changed") {
			return nil // strangers are asked nothing and have told of no roots
		}
	}
	return m.conn.Write(ctx, f)
}
