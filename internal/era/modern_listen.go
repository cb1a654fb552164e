package era

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// modernListen is one subscriptions/listen of the client.
type modernListen struct {
	id  wire.ID
	ctx context.Context

	mu      sync.Mutex // held while something is delivered: the acknowledgement is first
	granted filter
	acked   bool
	early   []wire.Frame // came before the acknowledgement
}

// maxEarly bounds what is kept until the acknowledgement. What is beyond it
// repeats what is kept, more likely than not.
const maxEarly = 100

// maxListens bounds the streams of one client.
const maxListens = 100

var errListensFull = errors.New("too many subscriptions are open")

// listen serves subscriptions/listen: lists that change are told of by the
// session's messages, resources are subscribed to one by one.
func (m *modernClient) listen(ctx context.Context, f wire.Frame, who identity) error {
	s, err := m.enter(ctx, who)
	if err != nil {
		return m.pass(ctx, f, err)
	}
	l := &modernListen{id: bytes.Clone(f.ID), ctx: ctx}
	if err := m.register(l); err != nil {
		m.leave()
		return m.t.opts.Deliver(ctx, wire.NewError(f.ID, wire.CodeInternal, err.Error(), nil))
	}
	defer m.unregister(l)
	var want filter
	if json.Unmarshal(wire.Lookup(f.Raw, "params", "notifications"), &want) != nil {
		want = filter{}
	}
	granted := m.grant(ctx, s, want)
	m.leave()
	if err := l.acknowledge(granted, m.t.opts.Deliver); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-m.life.Done():
		result := newSplice([]byte(`{"resultType":"complete"}`))
		result.set("_meta", append(append([]byte(`{"`+metaSubscription+`":`), l.id...), '}'))
		return m.t.opts.Deliver(ctx, resultFrame(l.id, result.bytes()))
	}
}

// grant finds out which of what the client wants the remote can tell of.
func (m *modernClient) grant(ctx context.Context, s *session, want filter) filter {
	can := func(path ...string) bool {
		return string(wire.Lookup(s.answer, append([]string{"capabilities"}, path...)...)) == "true"
	}
	granted := filter{
		Tools:     want.Tools && can("tools", "listChanged"),
		Prompts:   want.Prompts && can("prompts", "listChanged"),
		Resources: want.Resources && can("resources", "listChanged"),
	}
	if can("resources", "subscribe") {
		granted.URIs = m.follow(ctx, want.URIs)
	}
	return granted
}

// acknowledge sends the stream's first message (MCP 2026-07-28
// basic/patterns/subscriptions), and then what has come meanwhile.
func (l *modernListen) acknowledge(granted filter, deliver wire.Deliver) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.granted = granted
	notifications, err := json.Marshal(granted)
	if err != nil {
		panic("era: " + err.Error()) // booleans and strings
	}
	params := newSplice([]byte("{}"))
	params.set("_meta", append(append([]byte(`{"`+metaSubscription+`":`), l.id...), '}'))
	params.set("notifications", notifications)
	err = deliver(l.ctx, noteFrame("notifications/subscriptions/acknowledged", params.bytes()))
	for _, f := range l.early {
		if err == nil && l.wants(f) {
			err = l.deliver(f, deliver)
		}
	}
	l.acked, l.early = true, nil
	return err
}

func (m *modernClient) register(l *modernListen) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.listens) >= maxListens {
		return errListensFull
	}
	m.listens = append(m.listens, l)
	return nil
}

func (m *modernClient) unregister(l *modernListen) {
	l.mu.Lock()
	uris := l.granted.URIs
	l.mu.Unlock()
	m.mu.Lock()
	m.listens = slices.DeleteFunc(slices.Clone(m.listens), func(other *modernListen) bool { return other == l })
	var last []string
	for _, uri := range uris {
		if m.followers[uri]--; m.followers[uri] <= 0 {
			delete(m.followers, uri)
			last = append(last, uri)
		}
	}
	m.mu.Unlock()
	if len(last) == 0 {
		return
	}
	ctx, cancel := m.detached(l.ctx, m.t.opts.Limits.Settle)
	started := m.start(func() {
		defer cancel()
		for _, uri := range last {
			if err := m.subscription(ctx, "resources/unsubscribe", uri); err != nil {
				m.t.opts.Logger.Debug("a subscription could not be ended", "reason", err)
			}
		}
	})
	if !started {
		cancel()
	}
}

// follow subscribes to resources and returns those that the remote agreed to.
func (m *modernClient) follow(ctx context.Context, uris []string) []string {
	var agreed []string
	for _, uri := range slices.Compact(slices.Sorted(slices.Values(uris))) {
		m.mu.Lock()
		known := m.followers[uri] > 0
		full := len(m.followers) >= m.t.opts.Limits.Subscriptions
		m.mu.Unlock()
		if !known {
			if full {
				m.t.opts.Logger.Warn("a subscription was refused: too many are open")
				continue
			}
			if err := m.subscription(ctx, "resources/subscribe", uri); err != nil {
				m.t.opts.Logger.Info("the server refused a subscription", "reason", err)
				continue
			}
		}
		m.mu.Lock()
		m.followers[uri]++
		m.mu.Unlock()
		agreed = append(agreed, uri)
	}
	return agreed
}

func (m *modernClient) subscription(ctx context.Context, method, uri string) error {
	params := newSplice([]byte("{}"))
	params.set("uri", quote(uri))
	answer, err := m.t.ask(ctx, requestFrame(m.t.newID(), method, params.bytes()))
	defer answer.Release()
	if err == nil && answer.Failed {
		err = errors.New(wire.LookupString(answer.Raw, "error", "message"))
	}
	return err
}

// tell passes a change on to the streams that asked for it.
func (m *modernClient) tell(f wire.Frame) error {
	m.mu.Lock()
	listens := m.listens
	m.mu.Unlock()
	for _, l := range listens {
		if err := l.tell(f, m.t.opts.Deliver); err != nil && l.ctx.Err() == nil {
			return err
		}
	}
	return nil
}

func (l *modernListen) tell(f wire.Frame, deliver wire.Deliver) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case !l.acked && len(l.early) < maxEarly:
		l.early = append(l.early, f.Clone())
		return nil
	case !l.acked || !l.wants(f):
		return nil
	}
	return l.deliver(f, deliver)
}

// deliver tags a notification with the stream it belongs to.
func (l *modernListen) deliver(f wire.Frame, deliver wire.Deliver) error {
	s := newSplice(f.Raw)
	tag := append(append([]byte(`{"`+metaSubscription+`":`), l.id...), '}')
	params := s.in("params")
	switch {
	case params == nil:
		s.set("params", append(append([]byte(`{"_meta":`), tag...), '}'))
	case params.in("_meta") == nil:
		params.set("_meta", tag)
	default:
		params.in("_meta").set(metaSubscription, l.id)
	}
	return deliver(l.ctx, s.frame(f))
}

func (l *modernListen) wants(f wire.Frame) bool {
	switch f.Method {
	case "notifications/tools/list_changed":
		return l.granted.Tools
	case "notifications/prompts/list_changed":
		return l.granted.Prompts
	case "notifications/resources/list_changed":
		return l.granted.Resources
	}
	// It may name a part of what was subscribed to (MCP 2025-11-25 schema,
	// ResourceUpdatedNotification).
	uri := wire.LookupString(f.Raw, "params", "uri")
	return slices.ContainsFunc(l.granted.URIs, func(whole string) bool {
		return uri == whole || strings.HasPrefix(uri, strings.TrimSuffix(whole, "/")+"/")
	})
}
