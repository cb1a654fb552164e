package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// audience is a subscriptions/listen request of the client and what it has
// become at the upstreams (MCP 2026-07-28, basic/patterns/subscriptions).
type audience struct {
	agg    *Aggregate
	id     wire.ID
	ctx    context.Context //nolint:containedctx // the client's request, whose stream everything goes on
	news   chan news
	wanted map[string]json.RawMessage

	mu   sync.Mutex // held while something is delivered: the stream is one
	open bool       // the client has its acknowledgement
	held []wire.Frame
}

// news is how the first attempt to listen at an upstream went.
type news struct {
	granted []byte // what it agreed to; nil where it did not
	failure outcome
}

// ear is a subscriptions/listen request of our own to one upstream.
type ear struct {
	member   *member
	audience *audience
	granted  func(filter []byte)
	finish   context.CancelFunc
}

// listen listens at every upstream that is concerned, for as long as the client
// does. One that ends or is lost is listened to again.
func (a *Aggregate) listen(ctx context.Context, f wire.Frame) (wire.Frame, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(a.life, cancel)()
	g := &audience{agg: a, id: wire.ID(bytes.Clone(f.ID)), ctx: ctx, news: make(chan news, len(a.members))}
	_ = json.Unmarshal(wire.Lookup(f.Raw, "params", "notifications"), &g.wanted)
	var members []*member
	var requests []wire.Frame
	for _, m := range a.members {
		if request, any := g.request(m, f); any {
			members, requests = append(members, m), append(requests, request)
		}
	}
	var listening sync.WaitGroup
	defer listening.Wait()
	defer cancel()
	for i, m := range members {
		listening.Go(func() { g.run(m, requests[i]) })
	}
	all := make(chan struct{})
	go func() { listening.Wait(); close(all) }()
	granted, failures := g.collect(len(members))
	if granted == nil && len(members) > 0 && len(failures) == len(members) {
		cancel()
		<-all
		defer releaseOutcomes(failures)
		return firstFailure(f, failures)
	}
	releaseOutcomes(failures)
	if err := g.acknowledge(granted); err != nil {
		cancel()
		<-all
		return wire.Frame{}, err
	}
	if len(members) > 0 {
		<-all
	} else {
		<-ctx.Done()
	}
	if ctx.Err() != nil {
		return wire.Frame{}, ctx.Err()
	}
	return wire.Parse([]byte(`{"jsonrpc":"2.0","id":` + string(f.ID) + `,"result":{"resultType":"complete","_meta":{"` + metaSubscription + `":` + string(f.ID) + `}}}`))
}

// request makes the request to one upstream: with the resources that it may
// have. It reports whether anything is left to listen for.
func (g *audience) request(m *member, f wire.Frame) (wire.Frame, bool) {
	concerned := false
	for _, on := range []string{"toolsListChanged", "promptsListChanged", "resourcesListChanged"} {
		concerned = concerned || string(g.wanted[on]) == "true"
	}
	var uris []string
	if json.Unmarshal(g.wanted["resourceSubscriptions"], &uris) != nil || len(uris) == 0 {
		return f.Clone(), concerned
	}
	own := slices.DeleteFunc(slices.Clone(uris), func(uri string) bool {
		owner := g.agg.ownerOf(uri)
		return owner != nil && owner != m
	})
	return changed(f, set(marshal(own), "params", "notifications", "resourceSubscriptions")), concerned || len(own) > 0
}

// run listens at one upstream until the client has gone, the upstream refuses,
// or it ends the subscription after it agreed to nothing: there is nothing to
// hear.
func (g *audience) run(m *member, request wire.Frame) {
	// Guarded by g.mu.
	told, failures := false, 0
	var agreed []byte // in this attempt; nil for not
	tell := func(n news) {
		if told {
			n.failure.answer.Release()
			return
		}
		told = true
		g.news <- n // one from each upstream has room
	}
	for g.ctx.Err() == nil {
		began := time.Now()
		ctx, finish := context.WithCancel(g.ctx)
		o := g.attempt(ctx, finish, m, request, func(filter []byte) {
			agreed = filter
			if told {
				g.catchUp(filter)
			}
			tell(news{granted: filter})
		})
		finish()
		refused := o.err == nil && o.answer.Failed
		graceful := o.err == nil && !refused
		if graceful {
			o.answer.Release() // it may be back soon
			o.answer, o.err = wire.Frame{}, wire.ErrNoAnswer
		}
		g.mu.Lock()
		tell(news{failure: o})
		nothing := graceful && agreed != nil && !promises(agreed)
		if agreed != nil && time.Since(began) >= steadyListen {
			failures = 0
		}
		agreed = nil
		failures++
		wait := min(firstRetry<<min(failures-1, 10), longestRetry)
		g.mu.Unlock()
		if refused || nothing {
			return
		}
		pause(g.ctx, g.agg.life, wait)
	}
}

// steadyListen is how long an upstream has to keep a subscription up for its end
// not to count as one more failure: some agree and end it at once, for ever.
const steadyListen = longestRetry

// promises reports whether an upstream that agreed to the filter will tell of
// anything.
func promises(filter []byte) bool {
	var members map[string]json.RawMessage
	if json.Unmarshal(filter, &members) != nil {
		return true // who knows
	}
	for _, value := range members {
		switch string(value) {
		case "false", "null", "[]", "{}":
		default:
			return true
		}
	}
	return false
}

// attempt listens at one upstream once, until that ends.
func (g *audience) attempt(ctx context.Context, finish context.CancelFunc, m *member, request wire.Frame, granted func([]byte)) outcome {
	a := g.agg
	remote, number, err := m.session(ctx)
	if err != nil {
		return outcome{member: m, err: err}
	}
	id := a.newID()
	e := &ear{member: m, audience: g, granted: granted, finish: finish}
	a.mu.Lock()
	a.listening[id.Key()] = e
	a.mu.Unlock()
	answer, err := m.ask(ctx, remote, request.WithID(id))
	a.mu.Lock()
	delete(a.listening, id.Key())
	a.mu.Unlock()
	if err != nil {
		m.failed(number, err)
	}
	return outcome{m, answer, err}
}

// collect waits until each upstream has agreed or failed, or for long enough.
// What they agreed to is merged; nil where none has.
func (g *audience) collect(n int) (granted json.RawMessage, failures []outcome) {
	patience, cancel := context.WithTimeout(g.ctx, g.agg.opts.ListTimeout)
	defer cancel()
	for range n {
		select {
		case one := <-g.news:
			switch {
			case one.granted == nil:
				failures = append(failures, one.failure)
				g.agg.log.Warn("an upstream is not listened to", "upstream", one.failure.member.name, "reason", one.failure.err)
			case granted == nil:
				granted = one.granted
			default:
				granted = mergeFilters(granted, one.granted)
			}
		case <-patience.Done():
			return granted, failures
		}
	}
	return granted, failures
}

// mergeFilters joins what two upstreams agreed to.
func mergeFilters(a, b json.RawMessage) json.RawMessage {
	merged := mergeJSON(a, b)
	var x, y struct {
		URIs []string `json:"resourceSubscriptions"`
	}
	if json.Unmarshal(a, &x) != nil || json.Unmarshal(b, &y) != nil || len(y.URIs) == 0 {
		return merged
	}
	for _, uri := range y.URIs {
		if !slices.Contains(x.URIs, uri) {
			x.URIs = append(x.URIs, uri)
		}
	}
	var all map[string]json.RawMessage
	if json.Unmarshal(merged, &all) != nil {
		return merged
	}
	all["resourceSubscriptions"] = marshal(x.URIs)
	return marshal(all)
}

// acknowledge tells the client, and then what was held back until then.
func (g *audience) acknowledge(granted json.RawMessage) error {
	if granted == nil {
		granted = json.RawMessage(`{}`)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	err := g.agg.deliver(g.ctx, g.notification("subscriptions/acknowledged", `,"notifications":`+string(granted)))
	for _, f := range g.held {
		if err == nil {
			err = g.agg.deliver(g.ctx, f)
		}
	}
	g.held, g.open = nil, true
	return err
}

func (g *audience) notification(method, members string) wire.Frame {
	return wire.MustParse(`{"jsonrpc":"2.0","method":"notifications/` + method + `","params":{"_meta":{"` + metaSubscription + `":` + string(g.id) + `}` + members + `}}`)
}

// hear takes what an upstream sends for the subscription. An end of the
// client's request is no fault of the upstream's.
func (e *ear) hear(_ context.Context, f wire.Frame) error {
	g := e.audience
	g.mu.Lock()
	defer g.mu.Unlock()
	if f.Method == "notifications/subscriptions/acknowledged" {
		filter := wire.Lookup(f.Raw, "params", "notifications")
		if filter == nil {
			filter = []byte(`{}`)
		}
		e.granted(bytes.Clone(filter))
		return nil
	}
	return g.sendLocked(changed(f, set(g.id, "params", "_meta", metaSubscription)))
}

func (g *audience) sendLocked(f wire.Frame) error {
	if !g.open {
		same := func(other wire.Frame) bool { return bytes.Equal(other.Raw, f.Raw) }
		switch {
		case slices.ContainsFunc(g.held, same):
		case len(g.held) >= maxHeld:
			return errors.New("too many notifications before a subscription was acknowledged")
		default:
			g.held = append(g.held, f.Clone())
		}
		return nil
	}
	if err := g.agg.deliver(g.ctx, f); err != nil && g.ctx.Err() == nil {
		return err
	}
	return nil
}

// catchUp has the client list anew what may have changed while an upstream was
// not listened to, of what it tells of. g.mu is held.
func (g *audience) catchUp(agreed []byte) {
	for on, method := range map[string]string{
		"toolsListChanged": "tools/list_changed", "promptsListChanged": "prompts/list_changed", "resourcesListChanged": "resources/list_changed",
	} {
		if string(g.wanted[on]) == "true" && string(wire.Lookup(agreed, on)) == "true" {
			_ = g.sendLocked(g.notification(method, ""))
		}
	}
}
