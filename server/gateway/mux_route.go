package gateway

import (
	"bytes"
	"strings"
	"time"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// response goes to whoever asked, under the id that was used for asking.
func (m *mux) response(f wire.Frame) {
	m.mu.Lock()
	key := f.ID.Key()
	call := m.calls[key]
	m.used = time.Now()
	if f.ID.Null() && len(m.calls) == 1 {
		// An error whose request the upstream could not tell: there is one.
		for key, call = range m.calls {
		}
	}
	m.forget(key, call)
	if m.strangers && call != nil && call.client != nil {
		m.learn(call, f)
	}
	if call != nil && call.added != "" && f.Failed {
		delete(call.client.subscriptions, call.added)
	}
	m.mu.Unlock()
	switch {
	case call == nil:
		m.log.Debug("a late response from the upstream was dropped")
	case call.client == nil:
		m.greet(f)
	case call.method == "subscriptions/listen":
		f = f.WithID(call.id)
		call.client.push(changed(f, set(call.id, "result", "_meta", metaSubscription)))
	default:
		call.client.push(f.WithID(call.id))
	}
}

// forget ends a call; m.mu is held.
func (m *mux) forget(key string, call *muxCall) {
	if call == nil {
		return
	}
	delete(m.calls, key)
	if call.client != nil {
		delete(call.client.open, call.id.Key())
	}
}

// question goes to the client that it most likely concerns.
func (m *mux) question(f wire.Frame) error {
	m.mu.Lock()
	client := m.addressee()
	key := f.ID.Key()
	_, twice := m.asked[key]
	busy := len(m.asked) >= maxQuestions
	if client != nil && !twice && !busy {
		m.asked[key] = question{client, wire.ID(bytes.Clone(f.ID))}
	}
	m.mu.Unlock()
	switch {
	case f.Method == "ping" && client == nil:
		return m.answer(wire.NewResult(f.ID, struct{}{}))
	case client == nil:
		return m.answer(wire.NewError(f.ID, wire.CodeMethodNotFound, "No client of this gateway can answer "+f.Method, nil))
	case twice:
		return m.answer(wire.NewError(f.ID, wire.CodeInvalidRequest, "Invalid request: a request with this id is still in flight", nil))
	case busy:
		return m.answer(wire.NewError(f.ID, CodeUpstream, "Too many requests wait for clients", nil))
	}
	client.push(f)
	return nil
}

// addressee guesses whom a request of the upstream concerns, since on stdio
// nothing says so: the client with the newest call that may need its help, or
// else the client that wrote last. m.mu is held.
func (m *mux) addressee() *muxClient {
	if m.strangers {
		return nil
	}
	var newest *muxCall
	for _, call := range m.calls {
		if call.client != nil && mayAsk(call.method) && (newest == nil || call.number > newest.number) {
			newest = call
		}
	}
	if newest != nil {
		return newest.client
	}
	return m.recent
}

// mayAsk reports methods in the course of which servers ask clients something.
func mayAsk(method string) bool {
	switch method {
	case "ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe", "subscriptions/listen", "server/discover":
		return false
	}
	return !strings.HasSuffix(method, "/list")
}

// notification goes to the clients it concerns.
func (m *mux) notification(f wire.Frame) {
	if id := wire.ID(wire.Lookup(f.Raw, "params", "_meta", metaSubscription)); id != nil {
		m.toListener(f, id)
		return
	}
	switch f.Method {
	case "notifications/progress":
		token := wire.ID(wire.Lookup(f.Raw, "params", "progressToken"))
		m.mu.Lock()
		call := m.calls[token.Key()]
		m.mu.Unlock()
		if call != nil && call.progress != nil {
			call.client.push(changed(f, set(call.progress, "params", "progressToken")))
		}
	case "notifications/cancelled":
		m.cancelled(f)
	case "notifications/resources/updated":
		uri := wire.LookupString(f.Raw, "params", "uri")
		m.each(f, func(c *muxClient) bool { return c.subscribed(uri) })
	case "notifications/tools/list_changed", "notifications/resources/list_changed", "notifications/prompts/list_changed":
		m.each(f, func(*muxClient) bool { return true })
	case "notifications/message":
		level := wire.LookupString(f.Raw, "params", "level")
		m.each(f, func(c *muxClient) bool { return !m.strangers && c.wants(level) })
	case "notifications/tasks/status", "notifications/tasks":
		task := taskOf(wire.LookupString(f.Raw, "params", "taskId"))
		m.each(f, func(c *muxClient) bool {
			owner, _ := m.theirs.owner(task, time.Now())
			return !m.strangers || owner == c.owner
		})
	default:
		m.each(f, func(*muxClient) bool { return !m.strangers })
	}
}

// toListener passes on what belongs to a subscriptions/listen request.
func (m *mux) toListener(f wire.Frame, id wire.ID) {
	m.mu.Lock()
	call := m.calls[id.Key()]
	m.mu.Unlock()
	if call == nil || call.method != "subscriptions/listen" {
		m.log.Debug("a notification of a subscription that nobody has was dropped", "method", f.Method)
		return
	}
	call.client.push(changed(f, set(call.id, "params", "_meta", metaSubscription)))
}

// cancelled: the upstream takes a request of its own back or, in 2026-07-28,
// ends a subscription.
func (m *mux) cancelled(f wire.Frame) {
	id := wire.ID(wire.Lookup(f.Raw, "params", "requestId"))
	m.mu.Lock()
	q, own := m.asked[id.Key()]
	delete(m.asked, id.Key())
	call := m.calls[id.Key()]
	if own || call != nil && call.method != "subscriptions/listen" {
		call = nil
	}
	m.forget(id.Key(), call)
	m.mu.Unlock()
	switch {
	case own:
		q.client.push(f)
	case call != nil:
		call.client.push(changed(f, set(call.id, "params", "requestId")))
	}
}

// each passes f to every client that has been greeted and that which, called
// with m.mu held, accepts.
func (m *mux) each(f wire.Frame, which func(*muxClient) bool) {
	m.mu.Lock()
	var to []*muxClient
	for c := range m.clients {
		if c.greeted && which(c) {
			to = append(to, c)
		}
	}
	m.mu.Unlock()
	for _, c := range to {
		c.push(f)
	}
}
