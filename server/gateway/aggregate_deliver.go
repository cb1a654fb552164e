package gateway

import (
	"bytes"
	"context"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// fromUpstream takes what an upstream sends over the connection with the number.
func (m *member) fromUpstream(ctx context.Context, number int, f wire.Frame) error {
	a := m.agg
	a.mu.Lock()
	stale := m.number != number
	a.mu.Unlock()
	if stale {
		return wire.ErrClosed
	}
	switch f.Kind {
	case wire.Response:
		return m.response(ctx, f)
	case wire.Request:
		return m.question(ctx, f)
	case wire.Notification:
		return m.notification(ctx, f)
	case wire.Batch, wire.Invalid:
	}
	return nil // remotes take batches apart
}

// response goes to whoever waits for it: the client as it is, or ourselves.
func (m *member) response(ctx context.Context, f wire.Frame) error {
	a := m.agg
	key := f.ID.Key()
	a.mu.Lock()
	if w := a.waiting[key]; w != nil {
		if w.member == m && w.answer.Kind != wire.Response {
			w.answer = f.Retain()
		}
		a.mu.Unlock()
		return nil
	}
	r := a.open[key]
	if r == nil || r.member != m {
		a.mu.Unlock()
		a.log.Debug("a response that nobody waits for was dropped", "upstream", m.name)
		return nil
	}
	r.delivered = true
	delete(a.open, key) // with its answer the client may use the id again
	a.mu.Unlock()
	if !f.Failed {
		m.learn(r, f)
	}
	return a.deliver(ctx, f)
}

// learn remembers what the answer to a routed request shows.
func (m *member) learn(r *routed, f wire.Frame) {
	a := m.agg
	switch r.method {
	case "resources/subscribe", "resources/unsubscribe":
		m.note(r.method, r.uri)
	case "tools/call":
		if !bytes.Contains(f.Raw, []byte("taskId")) {
			return // results are large, and tasks rare
		}
		// Both designs of tasks: 2025-11-25 and the extension of 2026-07-28.
		id := wire.LookupString(f.Raw, "result", "task", "taskId")
		if id == "" {
			id = wire.LookupString(f.Raw, "result", "taskId")
		}
		if id == "" {
			return
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		if len(a.taskOwners) >= maxTaskOwners {
			clear(a.taskOwners)
		}
		a.taskOwners[id] = m
	}
}

// question goes to the client under an id that no other upstream uses. Its
// progress token is replaced by the same.
func (m *member) question(ctx context.Context, f wire.Frame) error {
	a := m.agg
	id := a.newID()
	ask := &memberAsk{member: m, id: wire.ID(bytes.Clone(f.ID))}
	if token := wire.Lookup(f.Raw, "params", "_meta", "progressToken"); token != nil {
		ask.token = wire.ID(bytes.Clone(token))
	}
	a.mu.Lock()
	full := len(a.asked) >= maxAsked
	if !full {
		a.asked[id.Key()] = ask
	}
	a.mu.Unlock()
	if full {
		refusal := wire.NewError(f.ID, CodeUpstream, "Too many requests wait for the client", nil)
		// Not from here: what the upstream's reader waits for may come after.
		a.background(func(ctx context.Context) { _ = m.notify(ctx, refusal) })
		return nil
	}
	err := a.deliver(ctx, changed(f, set(id, "id"), set(id, "params", "_meta", "progressToken")))
	if err != nil {
		a.mu.Lock()
		delete(a.asked, id.Key())
		a.mu.Unlock()
	}
	return err
}

func (m *member) notification(ctx context.Context, f wire.Frame) error {
	a := m.agg
	if id := wire.ID(wire.Lookup(f.Raw, "params", "_meta", metaSubscription)); id != nil {
		a.mu.Lock()
		e := a.listening[id.Key()]
		a.mu.Unlock()
		if e == nil || e.member != m {
			return nil // of a subscription that has ended
		}
		return e.hear(ctx, f)
	}
	switch f.Method {
	case "notifications/progress":
		r := m.progressing(wire.ID(wire.Lookup(f.Raw, "params", "progressToken")))
		if r == nil {
			return nil
		}
		// It goes where the request's answer goes, and the request's end is no
		// fault of the upstream's.
		if err := a.deliver(r.ctx, f); err != nil && r.ctx.Err() == nil {
			return err
		}
		return nil
	case "notifications/cancelled":
		return m.takesBack(ctx, f)
	case "notifications/message":
		f = m.signed(f)
	case "notifications/tools/list_changed", "notifications/prompts/list_changed", "notifications/resources/list_changed":
		a.mu.Lock()
		early := a.hello != nil && !a.greeted
		a.mu.Unlock()
		if early {
			return nil // the client has not listed anything yet
		}
	}
	return a.deliver(ctx, f)
}

// progressing returns the request with the token that this upstream works on,
// nil where there is none.
func (m *member) progressing(token wire.ID) *routed {
	key := token.Key()
	m.agg.mu.Lock()
	defer m.agg.mu.Unlock()
	for _, r := range m.agg.open {
		if r.member == m && r.progress == key && key != "" {
			return r
		}
	}
	return nil
}

// takesBack passes on that the upstream cancels a request of its own, or ends a
// subscription.
func (m *member) takesBack(ctx context.Context, f wire.Frame) error {
	a := m.agg
	key := wire.ID(wire.Lookup(f.Raw, "params", "requestId")).Key()
	a.mu.Lock()
	var outer string
	for id, ask := range a.asked {
		if ask.member == m && ask.id.Key() == key {
			outer = id
			delete(a.asked, id)
		}
	}
	e := a.listening[key]
	a.mu.Unlock()
	switch {
	case outer != "":
		return a.deliver(ctx, changed(f, set([]byte(outer), "params", "requestId")))
	case e != nil && e.member == m:
		e.finish()
	}
	return nil
}

// signed puts the upstream's name before that of the logger.
func (m *member) signed(f wire.Frame) wire.Frame {
	if logger := wire.LookupString(f.Raw, "params", "logger"); logger != "" {
		return changed(f, set(quoted(m.name+"/"+logger), "params", "logger"))
	}
	return inserted(f, "logger", quoted(m.name), "params")
}
