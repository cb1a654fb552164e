package era

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// modernCall is one request of the client on its way through the remote. While
// the remote works on it, the client may come and go: each time it brings
// answers, another request of it is served.
type modernCall struct {
	id      wire.ID // towards the remote; its progress token there, too
	method  string
	target  [sha256.Size]byte // what the client asked for
	cancel  context.CancelFunc
	expiry  *time.Timer // while parked
	wake    chan struct{}
	done    chan struct{} // closed when answer and err are there
	answer  wire.Frame
	err     error
	session *session

	mu        sync.Mutex
	front     *front // nil while parked
	declared  []byte // the client's capabilities in its last request
	questions []*parkedQuestion
	lastKey   int
}

// front is the client's request that a call is answered to at the moment.
type front struct {
	ctx   context.Context
	token []byte // its progress token, nil where it has none
	level string // its log level, "" for no messages
}

type callKey struct{}

// callOf returns the call whose stream a message came on, nil where that can't
// be told.
func callOf(ctx context.Context) *modernCall {
	c, _ := ctx.Value(callKey{}).(*modernCall)
	return c
}

func (c *modernCall) served() *front {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.front
}

// attach makes f the request that the call is answered to.
func (c *modernCall) attach(ctx context.Context, f wire.Frame, who identity) {
	token := append([]byte(nil), wire.Lookup(f.Raw, "params", "_meta", "progressToken")...)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.front = &front{ctx: ctx, token: token, level: who.level}
	c.declared = append([]byte(nil), who.capabilities...)
}

func (c *modernCall) signal() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// call serves a request: a new one, or one that brings a parked call what it
// waits for.
func (m *modernClient) call(ctx context.Context, f wire.Frame, who identity) error {
	if mayAskForInput(f.Method) && wire.Lookup(f.Raw, "params", "requestState") != nil {
		c, err := m.resume(ctx, f, who)
		if err != nil {
			return m.t.opts.Deliver(ctx, wire.NewError(f.ID, wire.CodeInvalidParams, "Invalid params: "+err.Error(), nil))
		}
		return m.attend(ctx, f, c)
	}
	c, err := m.begin(ctx, f, who)
	if err != nil {
		return m.pass(ctx, f, err)
	}
	err = m.attend(ctx, f, c)
	if errors.Is(err, wire.ErrSessionLost) && ctx.Err() == nil {
		m.forget(c.session)
		if c, err = m.begin(ctx, f, who); err != nil {
			return m.pass(ctx, f, err)
		}
		return m.attend(ctx, f, c)
	}
	return err
}

// begin sends a request to the remote.
func (m *modernClient) begin(ctx context.Context, f wire.Frame, who identity) (*modernCall, error) {
	s, err := m.enter(ctx, who)
	if err != nil {
		return nil, err
	}
	if wire.Lookup(s.answer, "capabilities", "logging") != nil {
		m.talkative(ctx, who.level)
	}
	c := &modernCall{
		id: m.t.newID(), method: f.Method, target: targetOf(f), session: s,
		wake: make(chan struct{}, 1), done: make(chan struct{}),
	}
	c.attach(ctx, f, who)
	ctx, c.cancel = m.detached(context.WithValue(ctx, callKey{}, c), 0)
	request := legacyRequest(f, c.id)
	m.mu.Lock()
	m.calls[c.id.Key()] = c
	m.newest = append(m.newest, c)
	m.mu.Unlock()
	started := m.start(func() {
		// The call is not in flight any more when its answer goes out: what the
		// client sends next may need another session.
		defer close(c.done)
		defer m.leave()
		defer m.remove(c)
		defer c.cancel()
		c.answer, c.err = m.t.ask(ctx, request)
	})
	if !started {
		c.cancel()
		m.remove(c)
		m.leave()
		return nil, wire.ErrStopping
	}
	return c, nil
}

func (m *modernClient) remove(c *modernCall) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.calls, c.id.Key())
	if i := slices.Index(m.newest, c); i >= 0 {
		m.newest = slices.Delete(m.newest, i, i+1)
	}
}

// legacyRequest takes out of a request what the modern era puts in each.
func legacyRequest(f wire.Frame, id wire.ID) wire.Frame {
	s := newSplice(f.Raw)
	s.set("id", id)
	if params := s.in("params"); params != nil {
		if mayAskForInput(f.Method) {
			params.drop("inputResponses")
			params.drop("requestState")
		}
		if meta := params.in("_meta"); meta != nil {
			for _, name := range []string{metaVersion, metaClientInfo, metaCapabilities, metaLogLevel} {
				meta.drop(name)
			}
			if meta.get("progressToken") != nil {
				meta.set("progressToken", id)
			}
			if meta.empty() {
				params.drop("_meta")
			}
		}
	}
	return s.frame(f)
}

// siblings is how long further questions are waited for after the first: a
// server that asks several things at once gets them answered at once.
const siblings = 10 * time.Millisecond

// attend serves the client's request until the remote answers or asks.
func (m *modernClient) attend(ctx context.Context, f wire.Frame, c *modernCall) error {
	for {
		select {
		case <-c.done:
			return m.finish(ctx, f, c)
		case <-ctx.Done():
			m.abandon(ctx, c)
			return ctx.Err()
		case <-c.wake:
		}
		pause := time.NewTimer(siblings)
		select {
		case <-c.done:
			pause.Stop()
			continue
		case <-ctx.Done():
			pause.Stop()
			continue
		case <-pause.C:
		}
		asked, err := m.park(c)
		switch {
		case err != nil:
			m.t.opts.Logger.Warn("the server's questions were refused", "reason", err)
			m.refuseAll(ctx, c, err.Error())
		case asked != nil:
			return m.t.opts.Deliver(ctx, resultFrame(f.ID, asked))
		}
	}
}

// finish hands the client the remote's answer.
func (m *modernClient) finish(ctx context.Context, f wire.Frame, c *modernCall) error {
	if c.err != nil {
		if errors.Is(c.err, wire.ErrSessionLost) {
			return c.err
		}
		return m.pass(ctx, f, c.err)
	}
	defer c.answer.Release()
	if code := errorCode(c.answer); code == codeURLElicitation && mayAskForInput(f.Method) {
		return m.t.opts.Deliver(ctx, pageRequired(f, c))
	}
	return m.t.opts.Deliver(ctx, modernAnswer(f, c.answer))
}

// abandon ends a call whose client has gone. In the legacy era a notification
// says so; closing the stream would not (MCP 2025-11-25 basic/transports).
func (m *modernClient) abandon(ctx context.Context, c *modernCall) {
	c.mu.Lock()
	c.front = nil
	c.mu.Unlock()
	ctx, cancel := m.detached(ctx, cancelPatience)
	m.start(func() {
		defer cancel()
		defer c.cancel()
		m.answer(ctx, cancelFrame(c.id, "the client does not wait for the answer any more"))
	})
}

// progress gives a progress notification the token of the request that the call
// is answered to, and its stream.
func (m *modernClient) progress(f wire.Frame) error {
	token := wire.ID(wire.Lookup(f.Raw, "params", "progressToken"))
	m.mu.Lock()
	c := m.calls[token.Key()]
	m.mu.Unlock()
	if c == nil {
		return nil
	}
	front := c.served()
	if front == nil || len(front.token) == 0 {
		return nil
	}
	s := newSplice(f.Raw)
	s.in("params").set("progressToken", front.token)
	return m.deliverOn(front, s.frame(f))
}

// logMessage passes a log message on where a request has asked for it.
func (m *modernClient) logMessage(ctx context.Context, f wire.Frame) error {
	severity := slices.Index(logLevels, wire.LookupString(f.Raw, "params", "level"))
	wants := func(c *modernCall) *front {
		front := c.served()
		if front == nil || front.level == "" || severity < slices.Index(logLevels, front.level) {
			return nil
		}
		return front
	}
	if c := callOf(ctx); c != nil {
		if front := wants(c); front != nil {
			return m.deliverOn(front, f)
		}
		return nil
	}
	for _, c := range slices.Backward(m.inOrder()) {
		if front := wants(c); front != nil {
			return m.deliverOn(front, f)
		}
	}
	return nil
}

// deliverOn delivers on a request's stream. That the request has ended is no
// fault of the stream that the message came on.
func (m *modernClient) deliverOn(front *front, f wire.Frame) error {
	if err := m.t.opts.Deliver(front.ctx, f); err != nil && front.ctx.Err() == nil {
		return err
	}
	return nil
}

// inOrder lists the calls in flight, oldest first.
func (m *modernClient) inOrder() []*modernCall {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.newest)
}

// targetOf condenses what a request asks for: a state that was given out for one
// thing brings nothing else.
func targetOf(f wire.Frame) [sha256.Size]byte {
	var all strings.Builder
	all.WriteString(f.Method)
	for _, name := range []string{"name", "uri", "arguments"} {
		all.WriteByte(0)
		all.Write(canonical(wire.Lookup(f.Raw, "params", name)))
	}
	return sha256.Sum256([]byte(all.String()))
}

// canonical writes a JSON value independently of white space and the order of
// members, since a client may write its retry anew.
func canonical(value []byte) []byte {
	dec := json.NewDecoder(strings.NewReader(string(value)))
	dec.UseNumber()
	var v any
	if len(value) == 0 || dec.Decode(&v) != nil {
		return value
	}
	out, err := json.Marshal(v)
	if err != nil {
		return value
	}
	return out
}
