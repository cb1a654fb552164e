package era

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// parkedQuestion is a request of the remote that the client has not answered.
type parkedQuestion struct {
	key    string // in inputRequests
	id     wire.ID
	method string
	params []byte
}

// question takes a request of the remote. It becomes part of the result of the
// call that it came with, or of the newest that can carry it.
func (m *modernClient) question(ctx context.Context, f wire.Frame) error {
	switch f.Method {
	case "ping":
		return m.reply(ctx, resultFrame(f.ID, []byte("{}")))
	case "sampling/createMessage", "elicitation/create", "roots/list":
	default:
		return m.reply(ctx, wire.NewError(f.ID, wire.CodeMethodNotFound, "Method not found", nil))
	}
	c := callOf(ctx)
	if c == nil || !mayAskForInput(c.method) {
		c = m.carrier()
	}
	if c == nil {
		return m.reply(ctx, wire.NewError(f.ID, wire.CodeInternal, "The client can be asked only while it waits for a tool, a prompt or a resource", nil))
	}
	if reason := c.ask(f, m.t.opts.Limits.Asks); reason != "" {
		return m.reply(ctx, wire.NewError(f.ID, wire.CodeMethodNotFound, reason, nil))
	}
	return nil
}

// carrier returns the newest call that may carry a question.
func (m *modernClient) carrier() *modernCall {
	for _, c := range slices.Backward(m.inOrder()) {
		if mayAskForInput(c.method) {
			return c
		}
	}
	return nil
}

// ask adds a question, or says why the client can't be asked.
func (c *modernCall) ask(f wire.Frame, limit int) (reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	q := &parkedQuestion{id: append(wire.ID(nil), f.ID...), method: f.Method}
	if params := wire.Lookup(f.Raw, "params"); params != nil {
		q.params = append([]byte(nil), params...)
	}
	form, url := elicitationModes(c.declared)
	can := isObject(wire.Lookup(c.declared, "sampling"))
	switch f.Method {
	case "roots/list":
		can = isObject(wire.Lookup(c.declared, "roots"))
	case "elicitation/create":
		if can = form; wire.LookupString(q.params, "mode") == "url" {
			can = url
		}
	}
	if !can {
		return "Method not found: the client has not declared that it can be asked for this"
	}
	if len(c.questions) >= limit {
		return errAsksFull.Error()
	}
	c.lastKey++
	q.key = "q" + strconv.Itoa(c.lastKey)
	c.questions = append(c.questions, q)
	c.signal()
	return ""
}

// questionTakenBack drops a question that the remote does not wait for any more.
func (m *modernClient) questionTakenBack(id wire.ID) {
	for _, c := range m.inOrder() {
		c.settled(id)
	}
}

// settled drops a question.
func (c *modernCall) settled(id wire.ID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, q := range c.questions {
		if q.id.Key() == id.Key() {
			c.questions = append(c.questions[:i:i], c.questions[i+1:]...)
			return
		}
	}
}

func (c *modernCall) openQuestions() []*parkedQuestion {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]*parkedQuestion(nil), c.questions...)
}

// refuseAll answers the remote's questions with an error.
func (m *modernClient) refuseAll(ctx context.Context, c *modernCall, why string) {
	for _, q := range c.openQuestions() {
		c.settled(q.id)
		if m.reply(ctx, wire.NewError(q.id, wire.CodeInternal, why, nil)) != nil {
			return
		}
	}
}

var (
	errParkedFull   = errors.New("too many calls wait for their client")
	errUnknownState = errors.New("requestState is not known, has been used or has expired; send the request again without it")
	errOtherTarget  = errors.New("requestState belongs to another request")
)

// park sets a call aside until the client brings the answers to its questions.
// It returns the result that asks for them, nil where there is none open. The
// state in it is 260 random bits that work once.
func (m *modernClient) park(c *modernCall) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.questions) == 0 {
		return nil, nil
	}
	state := rand.Text() + rand.Text()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ending || len(m.parked) >= m.t.opts.Limits.Parked {
		return nil, errParkedFull
	}
	m.parked[state] = c
	c.front = nil
	c.expiry = time.AfterFunc(m.t.opts.Limits.ParkTTL, func() { m.expire(state, c) })

	requests := newSplice([]byte("{}"))
	for _, q := range c.questions {
		request := newSplice([]byte("{}"))
		request.set("method", quote(q.method))
		if q.params != nil {
			request.set("params", q.params)
		}
		requests.set(q.key, request.bytes())
	}
	result := newSplice([]byte("{}"))
	result.set("resultType", []byte(`"input_required"`))
	result.set("inputRequests", requests.bytes())
	result.set("requestState", quote(state))
	return result.bytes(), nil
}

// expire gives up a call whose client has not come back.
func (m *modernClient) expire(state string, c *modernCall) {
	m.mu.Lock()
	mine := m.parked[state] == c
	delete(m.parked, state)
	m.mu.Unlock()
	if mine {
		m.t.opts.Logger.Info("a call was given up: its client did not bring what the server asked for")
		m.abandon(m.life, c)
	}
}

// resume takes a parked call up again and hands the remote the client's answers.
// Questions without one are asked again.
func (m *modernClient) resume(ctx context.Context, f wire.Frame, who identity) (*modernCall, error) {
	state := wire.LookupString(f.Raw, "params", "requestState")
	m.mu.Lock()
	c := m.parked[state]
	if c != nil && c.target != targetOf(f) {
		m.mu.Unlock()
		return nil, errOtherTarget
	}
	delete(m.parked, state)
	m.mu.Unlock()
	if c == nil {
		return nil, errUnknownState
	}
	c.expiry.Stop()
	c.attach(ctx, f, who)
	responses := wire.Lookup(f.Raw, "params", "inputResponses")
	for _, q := range c.openQuestions() {
		answer := wire.Lookup(responses, q.key)
		if !isObject(answer) {
			c.signal()
			continue
		}
		c.settled(q.id)
		m.answer(ctx, resultFrame(q.id, answer))
	}
	return c, nil
}

// pageRequired turns the error with which 2025-11-25 wants a page to be visited
// first (client/elicitation, URLElicitationRequiredError) into a result that
// asks for it. Nothing is parked: the retry is a new call.
func pageRequired(f wire.Frame, c *modernCall) wire.Frame {
	c.mu.Lock()
	_, url := elicitationModes(c.declared)
	c.mu.Unlock()
	requests := newSplice([]byte("{}"))
	n := 0
	for page := range elements(wire.Lookup(c.answer.Raw, "error", "data", "elicitations")) {
		params := newSplice(page)
		params.drop("elicitationId")
		request := newSplice([]byte("{}"))
		request.set("method", quote("elicitation/create"))
		request.set("params", params.bytes())
		n++
		requests.set("q"+strconv.Itoa(n), request.bytes())
	}
	if !url || n == 0 {
		var data any
		if !url {
			data = map[string]any{"requiredCapabilities": json.RawMessage(`{"elicitation":{"url":{}}}`)}
		}
		return wire.NewError(f.ID, codeMissingCapability, wire.LookupString(c.answer.Raw, "error", "message"), data)
	}
	result := newSplice([]byte("{}"))
	result.set("resultType", []byte(`"input_required"`))
	result.set("inputRequests", requests.bytes())
	return resultFrame(f.ID, result.bytes())
}
