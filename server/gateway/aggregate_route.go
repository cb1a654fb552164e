package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// named passes a request to the upstream in whose name the value at the path is.
func (a *Aggregate) named(ctx context.Context, f wire.Frame, path ...string) error {
	m, name, err := a.inward(ctx, wire.LookupString(f.Raw, path...))
	if err != nil {
		return a.deliver(ctx, wire.NewError(f.ID, wire.CodeInvalidParams, capital(err.Error()), nil))
	}
	return a.pass(ctx, m, f, changed(f, set(quoted(name), path...)), "")
}

// addressed passes a request to the upstream that has the resource. An address
// that none has listed is tried at one after another.
func (a *Aggregate) addressed(ctx context.Context, f wire.Frame, uri string) error {
	if m := a.ownerOf(uri); m != nil {
		return a.pass(ctx, m, f, f, uri)
	}
	var candidates []*member
	for _, m := range a.members {
		if m.offers("resources") {
			candidates = append(candidates, m)
		}
	}
	switch len(candidates) {
	case 0:
		return a.deliver(ctx, wire.NewError(f.ID, wire.CodeInvalidParams, "None of the servers here has resources", nil))
	case 1:
		return a.pass(ctx, candidates[0], f, f, uri)
	}
	return a.joint(ctx, f, func(ctx context.Context, f wire.Frame) (wire.Frame, error) {
		return a.tryEach(ctx, f, uri, candidates)
	})
}

// tryEach returns the first answer that is no error, else the last.
func (a *Aggregate) tryEach(ctx context.Context, f wire.Frame, uri string, candidates []*member) (wire.Frame, error) {
	var last outcome
	for _, m := range candidates {
		o := m.askWithin(ctx, a.opts.ListTimeout, f.WithID(a.newID()))
		if o.err == nil && !o.answer.Failed {
			defer o.answer.Release()
			m.note(f.Method, uri)
			a.mu.Lock()
			a.resources.add(m, uri)
			a.mu.Unlock()
			return changed(o.answer, set(f.ID, "id")), nil
		}
		if o.err != nil {
			a.log.Warn("an upstream was asked for a resource in vain", "upstream", m.name, "reason", o.err)
		}
		if last.member == nil || o.err == nil {
			last.answer.Release()
			last = o
		}
		if ctx.Err() != nil {
			break
		}
	}
	defer last.answer.Release()
	if last.err != nil {
		return wire.Frame{}, last.err
	}
	return changed(last.answer, set(f.ID, "id")), nil
}

// note keeps the upstream's subscriptions in mind.
func (m *member) note(method, uri string) {
	m.agg.mu.Lock()
	defer m.agg.mu.Unlock()
	switch method {
	case "resources/subscribe":
		if len(m.subscribed) < maxResources {
			m.subscribed[uri] = struct{}{}
		}
	case "resources/unsubscribe":
		delete(m.subscribed, uri)
	}
}

// pass hands a request to one upstream: f as the client sent it, out as the
// upstream gets it. The id stays the client's, as only one upstream sees it.
func (a *Aggregate) pass(ctx context.Context, m *member, f, out wire.Frame, uri string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	key := f.ID.Key()
	r := &routed{
		member: m, ctx: ctx, cancel: cancel, method: f.Method, uri: uri,
		progress: wire.ID(wire.Lookup(f.Raw, "params", "_meta", "progressToken")).Key(),
	}
	if err := a.admit(key, r); err != nil {
		return err
	}
	err := m.use(ctx, func(remote wire.Remote) error { return remote.Exchange(ctx, out) })
	delivered := a.dismiss(key, r)
	switch {
	case delivered:
		return nil
	case err == nil:
		return wire.ErrNoAnswer
	}
	return fmt.Errorf("upstream %s: %w", m.name, err)
}

// unknown passes on what is not of MCP, or newer than this, where it is clear
// to whom.
func (a *Aggregate) unknown(ctx context.Context, f wire.Frame) error {
	a.mu.Lock()
	m := a.taskOwners[wire.LookupString(f.Raw, "params", "taskId")]
	a.mu.Unlock()
	if m == nil {
		m = a.ownerOf(wire.LookupString(f.Raw, "params", "uri"))
	}
	if m == nil && len(a.members) == 1 {
		m = a.members[0]
	}
	if m != nil {
		return a.pass(ctx, m, f, f, "")
	}
	if name := wire.LookupString(f.Raw, "params", "name"); name != "" {
		if _, _, err := a.inward(ctx, name); err == nil {
			return a.named(ctx, f, "params", "name")
		}
	}
	return a.deliver(ctx, wire.NewError(f.ID, wire.CodeMethodNotFound,
		fmt.Sprintf("Method not found: %.100s could be meant for any of the servers here (%s). Call the one that you mean at its own address.", f.Method, a.names()), nil))
}

// setLevel sets the log level everywhere.
func (a *Aggregate) setLevel(ctx context.Context, f wire.Frame) (wire.Frame, error) {
	var loggers []*member
	for _, m := range a.members {
		if m.offers("logging") {
			loggers = append(loggers, m)
		}
	}
	kept := f.Clone()
	a.mu.Lock()
	a.level = &kept
	a.mu.Unlock()
	all := a.each(ctx, loggers, a.opts.ListTimeout, func(*member) wire.Frame { return f.WithID(a.newID()) })
	defer releaseOutcomes(all)
	if len(all) == 0 {
		return wire.NewError(f.ID, wire.CodeMethodNotFound, "Method not found: none of the servers here logs", nil), nil
	}
	var first *outcome
	for i, o := range all {
		if o.err == nil && !o.answer.Failed {
			return wire.NewResult(f.ID, struct{}{}), nil
		}
		if first == nil || first.err != nil {
			first = &all[i]
		}
	}
	if first.err != nil {
		return wire.Frame{}, first.err
	}
	return changed(first.answer, set(f.ID, "id")), nil
}

// notify passes on a notification of the client.
func (a *Aggregate) notify(ctx context.Context, f wire.Frame) error {
	switch f.Method {
	case "notifications/cancelled":
		return a.cancelled(ctx, f)
	case "notifications/progress":
		a.mu.Lock()
		ask := a.asked[wire.ID(wire.Lookup(f.Raw, "params", "progressToken")).Key()]
		a.mu.Unlock()
		if ask == nil || ask.token == nil {
			return nil // of nothing that is asked
		}
		return ask.member.notify(ctx, changed(f, set(ask.token, "params", "progressToken")))
	case "notifications/initialized":
		kept := f.Clone()
		a.mu.Lock()
		a.initialized = &kept
		a.mu.Unlock()
	}
	return a.tellAll(ctx, f)
}

// tellAll passes a notification to all that are there. One that hangs holds up
// neither the others nor, beyond a bound, what comes after.
func (a *Aggregate) tellAll(ctx context.Context, f wire.Frame) error {
	ctx, cancel := context.WithTimeout(ctx, a.opts.ListTimeout)
	defer cancel()
	faults := make(chan error, len(a.members))
	for _, m := range a.members {
		go func() { faults <- m.notify(ctx, f) }()
	}
	var failed []error
	for range a.members {
		if err := <-faults; err != nil {
			failed = append(failed, err)
		}
	}
	if len(failed) == len(a.members) {
		return errors.Join(failed...)
	}
	return nil
}

// notify sends the upstream a message that needs no answer, if it is there.
func (m *member) notify(ctx context.Context, f wire.Frame) error {
	remote, number := m.connected()
	if remote == nil {
		return nil // it learns what it needs when it comes
	}
	err := remote.Exchange(ctx, f)
	if err != nil {
		m.failed(number, err)
		m.agg.log.Warn("a message to an upstream was lost", "upstream", m.name, "reason", err)
	}
	return err
}

// cancelled passes the cancellation of a request to the upstream that works on
// it. What several work on is cancelled here.
func (a *Aggregate) cancelled(ctx context.Context, f wire.Frame) error {
	a.mu.Lock()
	r := a.open[wire.ID(wire.Lookup(f.Raw, "params", "requestId")).Key()]
	a.mu.Unlock()
	switch {
	case r == nil || r.method == "initialize":
		return nil
	case r.member == nil:
		r.cancel()
		return nil
	}
	return r.member.notify(ctx, f)
}

// answered passes the client's answer to the upstream that asked.
func (a *Aggregate) answered(ctx context.Context, f wire.Frame) error {
	a.mu.Lock()
	ask := a.asked[f.ID.Key()]
	delete(a.asked, f.ID.Key())
	a.mu.Unlock()
	if ask == nil {
		a.log.Debug("an answer to a question that nobody asks any more was dropped")
		return nil
	}
	return ask.member.notify(ctx, f.WithID(ask.id))
}

func capital(text string) string {
	b := []byte(text)
	if len(b) > 0 {
		b[0] = bytes.ToUpper(b[:1])[0]
	}
	return string(b)
}
