package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// mux shares one upstream connection among several clients: the sessions of one
// principal or, where the operator says so, of all. Each client sees a
// connection of its own: ids and progress tokens are replaced on the way, and
// what comes back goes to the client it concerns and to no other.
type mux struct {
	conn wire.Conn
	log  *slog.Logger
	// strangers: the clients may be different people. The upstream is then told
	// of no client capability, may ask clients nothing, and its log messages
	// and messages of unknown kind reach nobody: they could be about another.
	strangers bool
	patience  time.Duration // with a client that does not take its messages

	ctx    context.Context
	stop   context.CancelFunc
	reader sync.WaitGroup

	mu      sync.Mutex
	last    int64 // of the ids given to requests
	clients map[*muxClient]struct{}
	calls   map[string]*muxCall   // by the id that the upstream knows
	asked   map[string]*muxClient // who was asked a request of the upstream, by its id
	hello   *handshake
	err     error // why the upstream ended
}

// muxCall is a request of a client that the upstream has not answered.
type muxCall struct {
	client   *muxClient
	id       wire.ID // the client's
	progress wire.ID // the client's token, nil for none
}

// handshake is the one initialize that the upstream gets.
type handshake struct {
	done        chan struct{}
	answer      wire.Frame // the upstream's, under another id
	failed      bool
	initialized bool // notifications/initialized has been forwarded
}

// muxQueue is how many messages may wait for one client.
const muxQueue = 256

// How long a client may leave its queue full before it is cut off, since it
// holds up the others meanwhile: its owner's own, or strangers.
const (
	ownPatience      = 30 * time.Second
	strangerPatience = 2 * time.Second
)

var errStalled = errors.New("the client did not take its messages")

func newMux(conn wire.Conn, strangers bool, log *slog.Logger) *mux {
	m := &mux{
		conn: conn, strangers: strangers, log: log, patience: ownPatience,
		clients: map[*muxClient]struct{}{}, calls: map[string]*muxCall{}, asked: map[string]*muxClient{},
	}
	if strangers {
		m.patience = strangerPatience
	}
	m.ctx, m.stop = context.WithCancel(context.Background())
	m.reader.Go(m.read)
	return m
}

// attach adds a client. It fails once the upstream has ended.
func (m *mux) attach() (*muxClient, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return nil, fmt.Errorf("the upstream has ended: %w", m.err)
	}
	c := &muxClient{
		mux: m, in: make(chan wire.Frame, muxQueue), gone: make(chan struct{}),
		open: map[string]wire.ID{}, subscriptions: map[string]struct{}{},
	}
	m.clients[c] = struct{}{}
	return c, nil
}

// close ends the upstream and waits for it.
func (m *mux) close() error {
	m.stop()
	err := m.conn.Close()
	m.reader.Wait()
	return err
}

// ended is closed when the upstream has.
func (m *mux) ended() <-chan struct{} { return m.ctx.Done() }

// read passes on what the upstream says until it ends.
func (m *mux) read() {
	var err error
	for err == nil {
		var f wire.Frame
		f, err = m.conn.Read(m.ctx)
		var bad *wire.FrameError
		if errors.As(err, &bad) {
			m.malformed(bad)
			err = nil
			continue
		}
		if err == nil {
			m.fromUpstream(f)
			f.Release()
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ctx.Err() != nil {
		err = wire.ErrClosed
	}
	m.err = err
	if m.hello != nil {
		m.hello.end(wire.Frame{}, true)
	}
	for c := range m.clients {
		c.leave(err)
	}
	m.stop()
}

func (m *mux) malformed(bad *wire.FrameError) {
	m.log.Warn("a message from the upstream was dropped", "reason", bad.Reason)
	switch {
	case bad.ID == nil:
	case bad.Request:
		_ = m.conn.Write(m.ctx, bad.Answer())
	default:
		m.fromUpstream(wire.NewError(bad.ID, CodeUpstream, "The answer of the MCP server behind this gateway can't be passed on: "+bad.Reason, nil))
	}
}

func (m *mux) fromUpstream(f wire.Frame) {
	switch f.Kind {
	case wire.Response:
		m.response(f)
	case wire.Request:
		m.question(f)
	case wire.Notification:
		m.notification(f)
	case wire.Batch:
		members, errs := f.Split()
		for i, member := range members {
			if errs[i] == nil {
				m.fromUpstream(member)
			}
		}
	case wire.Invalid:
	}
}

// response goes to whoever asked, under the id that was used for asking.
func (m *mux) response(f wire.Frame) {
	m.mu.Lock()
	key := f.ID.Key()
	call := m.calls[key]
	delete(m.calls, key)
	if call != nil && call.client != nil {
		delete(call.client.open, call.id.Key())
	}
	hello := m.hello
	m.mu.Unlock()
	switch {
	case call == nil:
		m.log.Debug("a late response from the upstream was dropped")
	case call.client == nil:
		hello.end(f.Clone(), f.Failed)
	default:
		call.client.push(f.WithID(call.id))
	}
}

// question is a request of the upstream. It goes to the client that has a call
// open: while several have, to the one that called last.
func (m *mux) question(f wire.Frame) {
	m.mu.Lock()
	var client *muxClient
	var newest int64
	for key, call := range m.calls {
		if n, err := strconv.ParseInt(key, 10, 64); err == nil && call.client != nil && n > newest {
			newest, client = n, call.client
		}
	}
	if client == nil && len(m.clients) == 1 {
		for only := range m.clients {
			client = only
		}
	}
	if m.strangers {
		client = nil
	}
	if client != nil {
		m.asked[f.ID.Key()] = client
	}
	m.mu.Unlock()
	switch {
	case f.Method == "ping" && client == nil:
		_ = m.conn.Write(m.ctx, wire.NewResult(f.ID, struct{}{}))
	case client == nil:
		_ = m.conn.Write(m.ctx, wire.NewError(f.ID, wire.CodeMethodNotFound, "No client of this gateway can answer "+f.Method, nil))
	default:
		client.push(f)
	}
}

// notification goes to the clients it concerns.
func (m *mux) notification(f wire.Frame) {
	switch f.Method {
	case "notifications/progress":
		token := wire.ID(wire.Lookup(f.Raw, "params", "progressToken"))
		m.mu.Lock()
		call := m.calls[token.Key()]
		m.mu.Unlock()
		if call != nil && call.client != nil && call.progress != nil {
			call.client.push(splice(f, call.progress, "params", "progressToken"))
		}
	case "notifications/cancelled":
		id := wire.ID(wire.Lookup(f.Raw, "params", "requestId"))
		m.mu.Lock()
		client := m.asked[id.Key()]
		delete(m.asked, id.Key())
		m.mu.Unlock()
		if client != nil {
			client.push(f)
		}
	case "notifications/resources/updated":
		uri := wire.LookupString(f.Raw, "params", "uri")
		m.each(func(c *muxClient) bool { return c.subscribed(uri) }, f)
	case "notifications/tools/list_changed", "notifications/resources/list_changed", "notifications/prompts/list_changed":
		m.each(nil, f)
	case "notifications/message":
		m.each(func(c *muxClient) bool { return !m.strangers && c.wants(wire.LookupString(f.Raw, "params", "level")) }, f)
	default:
		m.each(func(*muxClient) bool { return !m.strangers }, f)
	}
}

// each passes f to every client that which accepts; nil accepts all.
func (m *mux) each(which func(*muxClient) bool, f wire.Frame) {
	m.mu.Lock()
	var to []*muxClient
	for c := range m.clients {
		if which == nil || which(c) {
			to = append(to, c)
		}
	}
	m.mu.Unlock()
	for _, c := range to {
		c.push(f)
	}
}

func (h *handshake) end(answer wire.Frame, failed bool) {
	select {
	case <-h.done:
	default:
		h.answer, h.failed = answer, failed
		close(h.done)
	}
}

// splice returns f with the value at the path replaced.
func splice(f wire.Frame, value []byte, path ...string) wire.Frame {
	start, end, ok := wire.Find(f.Raw, path...)
	if !ok {
		return f.Clone()
	}
	raw := make([]byte, 0, len(f.Raw)+len(value))
	raw = append(raw, f.Raw[:start]...)
	raw = append(raw, value...)
	raw = append(raw, f.Raw[end:]...)
	out, err := wire.Parse(raw)
	if err != nil {
		return f.Clone() // value is JSON, so this can't be
	}
	return out
}
