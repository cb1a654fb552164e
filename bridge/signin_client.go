package bridge

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptrace"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// client is what has been learned about the client.
type client struct {
	initialize  *wire.Frame // as it came
	initialized *wire.Frame
	level       *wire.Frame           // the last logging/setLevel answered from here
	subscribed  map[string]wire.Frame // resources/subscribe answered from here, by URI
	listens     map[string]listen     // open subscriptions/listen, by the id's key
	parked      map[string]context.CancelFunc
	local       bool // initialize was answered from here
	established bool // the remote has accepted it
	elicits     bool // it opens pages on request
}

// maxHeld bounds what is remembered for the remote.
const maxHeld = 1000

// remember keeps the client's initialize for the remote, and reads from it
// whether the client opens pages (MCP 2025-11-25, client/elicitation).
func (s *signIn) remember(f wire.Frame) {
	c := f.Clone()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.client = client{
		initialize: &c,
		elicits:    opensPages(wire.Lookup(c.Raw, "params", "capabilities")),
		listens:    s.client.listens,
		parked:     s.client.parked,
	}
}

// metaCapabilities is the member of _meta in which requests of MCP 2026-07-28
// declare what their client can do.
const metaCapabilities = "io.modelcontextprotocol/clientCapabilities"

// opensPages reports a client that declares elicitation in URL mode
// (client/elicitation, Capabilities).
func opensPages(capabilities []byte) bool {
	return bytes.HasPrefix(wire.Lookup(capabilities, "elicitation", "url"), []byte("{"))
}

// accepted takes note of what the remote has agreed to.
func (s *signIn) accepted(f wire.Frame) {
	switch f.Method {
	case "initialize":
		s.mu.Lock()
		s.client.established = true
		s.mu.Unlock()
	case "notifications/initialized":
		s.noted(f)
	}
}

// noted handles a notification that does not go to the remote.
func (s *signIn) noted(f wire.Frame) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch f.Method {
	case "notifications/initialized":
		c := f.Clone()
		s.client.initialized = &c
	case "notifications/cancelled":
		if cancel := s.client.parked[wire.ID(wire.Lookup(f.Raw, "params", "requestId")).Key()]; cancel != nil {
			cancel()
		}
	}
}

// holdFor makes a message cancellable by the client while it waits.
func (s *signIn) holdFor(ctx context.Context, id wire.ID) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	key := id.Key()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client.parked == nil {
		s.client.parked = map[string]context.CancelFunc{}
	}
	s.client.parked[key] = cancel
	return ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.client.parked, key)
		cancel()
	}
}

// clientGone gives up what waits for a person: nobody is there any more to whom
// it matters. It is called once.
func (s *signIn) clientGone() { close(s.gone) }

// markSent says that a request goes no further for now. Notifications about it,
// such as its cancellation, need not wait for it.
func markSent(ctx context.Context) {
	if trace := httptrace.ContextClientTrace(ctx); trace != nil && trace.WroteRequest != nil {
		trace.WroteRequest(httptrace.WroteRequestInfo{})
	}
}

// modern reports a request of MCP 2026-07-28, which names its revision itself.
func (s *signIn) modern(f wire.Frame) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.client.initialize == nil && wire.Lookup(f.Raw, "params", "_meta", wire.MetaProtocol) != nil
}

// ownCalls are requests of our own, in both directions, and who waits for the
// answers.
type ownCalls struct {
	last    atomic.Int64
	mu      sync.Mutex
	waiting map[string]func(wire.Frame)
}

// ownID starts the ids of our requests. No client or server makes such ids.
const ownID = `"mcpctl-signin-`

func (c *ownCalls) ours(id wire.ID) bool { return strings.HasPrefix(string(id), ownID) }

// add registers who takes the answer to the id that it returns.
func (c *ownCalls) add(take func(wire.Frame)) wire.ID {
	id := wire.ID(fmt.Sprintf(`%s%d"`, ownID, c.last.Add(1)))
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiting == nil {
		c.waiting = map[string]func(wire.Frame){}
	}
	c.waiting[id.Key()] = take
	return id
}

// drop reports whether the id still was without an answer.
func (c *ownCalls) drop(id wire.ID) (unanswered bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, unanswered = c.waiting[id.Key()]
	delete(c.waiting, id.Key())
	return unanswered
}

// answered hands an answer to whoever waits for it.
func (c *ownCalls) answered(f wire.Frame) bool {
	if !c.ours(f.ID) {
		return false
	}
	c.mu.Lock()
	take := c.waiting[f.ID.Key()]
	delete(c.waiting, f.ID.Key())
	c.mu.Unlock()
	if take != nil {
		take(f)
	}
	return true
}

// replied takes the client's answer to a request of ours. Answers to requests of
// a remote that is out of reach can't be passed on.
func (s *signIn) replied(f wire.Frame) {
	if !s.private.answered(f) {
		s.log.Debug("an answer to the server was dropped: it is not connected")
	}
}

// fromRemote passes messages on to the client, save for what only we asked for.
func (s *signIn) fromRemote(ctx context.Context, f wire.Frame) error {
	if f.Kind == wire.Response {
		if s.private.answered(f) {
			return nil
		}
		if s.offered.Load() && bytes.Contains(f.Raw, []byte(`"`+toolName+`"`)) {
			s.offered.Store(false) // the remote has such a tool itself
		}
	} else if f.Method == "notifications/subscriptions/acknowledged" && s.acknowledged(f) {
		return nil
	}
	return s.toPeer(ctx, f)
}

// ask sends a request of ours to the remote and waits for its answer.
func (s *signIn) ask(ctx context.Context, f wire.Frame) error {
	var answer wire.Frame
	id := s.private.add(func(f wire.Frame) { answer = f.Clone() })
	defer s.private.drop(id)
	err := s.inner.Exchange(ctx, f.WithID(id))
	switch {
	case err != nil:
		return err
	case answer.Kind != wire.Response:
		return wire.ErrNoAnswer
	case answer.Failed:
		return &refusedError{f.Method, answer}
	}
	return nil
}

// refusedError is the remote's own error to a request that was replayed for the
// client.
type refusedError struct {
	method string
	answer wire.Frame
}

func (e *refusedError) Error() string {
	return fmt.Sprintf("the server answered %s with the error %.200q", e.method, wire.LookupString(e.answer.Raw, "error", "message"))
}

// notification builds a notification of ours.
func notification(method string, params any) wire.Frame {
	return build(struct {
		JSONRPC string `json:"jsonrpc"`
		Method  string `json:"method"`
		Params  any    `json:"params,omitempty"`
	}{"2.0", method, params})
}

// ownRequest builds a request of ours.
func ownRequest(id wire.ID, method string, params any) wire.Frame {
	return build(struct {
		JSONRPC string          `json:"jsonrpc"`
		ID      json.RawMessage `json:"id"`
		Method  string          `json:"method"`
		Params  any             `json:"params"`
	}{"2.0", json.RawMessage(id), method, params})
}

func build(message any) wire.Frame {
	raw, err := json.Marshal(message)
	if err != nil {
		// Only a value that the program itself built wrongly gets here.
		panic("bridge: " + err.Error())
	}
	return wire.MustParse(string(raw))
}
