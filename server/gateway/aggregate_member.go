package gateway

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// member is one upstream of an Aggregate.
type member struct {
	agg  *Aggregate
	name string
	dial func(wire.Deliver) (wire.Remote, error)
	turn chan struct{} // holds a token while nobody opens a session

	// Guarded by agg.mu.
	remote       wire.Remote // nil without a connection
	number       int         // of the connection; what older ones deliver is dropped
	turned       chan struct{}
	capabilities []byte // as it told them, nil for unknown
	said         about
	opened       bool  // it had a session before
	fault        error // why there is none
	failures     int
	retry        time.Time           // not before then is it dialled again
	resting      time.Time           // until then lists do without it
	subscribed   map[string]struct{} // URIs
}

func newMember(a *Aggregate, u Named) *member {
	m := &member{agg: a, name: u.Name, dial: u.Dial, turn: make(chan struct{}, 1), turned: make(chan struct{}), subscribed: map[string]struct{}{}}
	m.turn <- struct{}{}
	return m
}

// retire takes the connection away for good or until the next session.
func (m *member) retire() wire.Remote {
	m.agg.mu.Lock()
	defer m.agg.mu.Unlock()
	return m.retireLocked()
}

func (m *member) retireLocked() wire.Remote {
	remote := m.remote
	m.remote = nil
	m.number++
	close(m.turned)
	m.turned = make(chan struct{})
	for key, ask := range m.agg.asked {
		if ask.member == m {
			delete(m.agg.asked, key)
		}
	}
	return remote
}

// connected returns the connection and its number, nil where there is none.
func (m *member) connected() (wire.Remote, int) {
	m.agg.mu.Lock()
	defer m.agg.mu.Unlock()
	return m.remote, m.number
}

// session returns the connection, opened first where there is none. ctx bounds
// the waiting, not the opening: that is everybody's.
func (m *member) session(ctx context.Context) (wire.Remote, int, error) {
	if remote, number := m.connected(); remote != nil {
		return remote, number, nil
	}
	select {
	case <-m.turn:
	case <-ctx.Done():
		return nil, 0, ctx.Err()
	}
	type opened struct {
		remote wire.Remote
		number int
		err    error
	}
	done := make(chan opened, 1)
	begun := m.agg.background(func(context.Context) {
		defer func() { m.turn <- struct{}{} }()
		remote, number, err := m.openUnless(ctx)
		done <- opened{remote, number, err}
	})
	if !begun {
		m.turn <- struct{}{}
		return nil, 0, wire.ErrClosed
	}
	select {
	case o := <-done:
		return o.remote, o.number, o.err
	case <-ctx.Done():
		return nil, 0, ctx.Err()
	}
}

// openUnless opens a session unless there is one, or it is too early to try
// again.
func (m *member) openUnless(ctx context.Context) (wire.Remote, int, error) {
	a := m.agg
	a.mu.Lock()
	remote, number, fault, wait, failures := m.remote, m.number, m.fault, time.Until(m.retry), m.failures
	a.mu.Unlock()
	switch {
	case remote != nil:
		return remote, number, nil
	case fault != nil && wait > 0:
		return nil, 0, fmt.Errorf("upstream %s is tried again in %s: %w", m.name, max(wait.Round(time.Second), time.Second), fault)
	}
	remote, number, err := m.open(ctx)
	if err != nil {
		level := slog.LevelError
		if failures > 0 {
			level = slog.LevelDebug // it has been said
		}
		a.log.Log(ctx, level, "an upstream is left out", "upstream", m.name, "reason", err)
		return nil, 0, fmt.Errorf("opening upstream %s: %w", m.name, err)
	}
	return remote, number, nil
}

// open makes a connection and, for a client that has initialized, opens a
// session like the client's. It does not end with the request that needed it
// first, but has the values of its context.
func (m *member) open(ctx context.Context) (wire.Remote, int, error) {
	a := m.agg
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), a.opts.HelloTimeout)
	defer cancel()
	defer context.AfterFunc(a.life, cancel)()
	a.mu.Lock()
	m.number++
	number, hello, again := m.number, a.hello, m.opened
	a.mu.Unlock()
	remote, err := m.dial(func(ctx context.Context, f wire.Frame) error { return m.fromUpstream(ctx, number, f) })
	ready := false // notifications/initialized has been sent
	if err == nil {
		if hello != nil {
			ready, err = m.greet(ctx, remote, *hello, again)
		}
		if err != nil {
			m.end(remote)
		}
	}
	a.mu.Lock()
	if err != nil || a.life.Err() != nil {
		if err == nil {
			err = wire.ErrClosed
			defer m.end(remote)
		}
		m.fault = err
		m.failures++
		m.retry = time.Now().Add(min(firstRetry<<min(m.failures-1, 10), longestRetry))
		a.mu.Unlock()
		return nil, 0, err
	}
	comesLate := hello != nil && a.greeted
	m.remote, m.fault, m.failures, m.opened = remote, nil, 0, true
	close(m.turned)
	m.turned = make(chan struct{})
	initialized := a.initialized
	a.mu.Unlock()
	if hello != nil && !ready && initialized != nil { // the client's came meanwhile
		_ = m.notify(ctx, *initialized)
	}
	if comesLate {
		a.log.Info("an upstream is there", "upstream", m.name)
		m.announce()
	}
	return remote, number, nil
}

// greet opens a session. One that replaces another gets what that had. It
// reports whether the upstream has been told that the client is ready.
func (m *member) greet(ctx context.Context, remote wire.Remote, hello wire.Frame, again bool) (ready bool, err error) {
	a := m.agg
	answer, err := m.ask(ctx, remote, hello.WithID(a.newID()))
	if err != nil {
		return false, err
	}
	defer answer.Release()
	if answer.Failed {
		return false, fmt.Errorf("initialize was refused: %.200s", wire.LookupString(answer.Raw, "error", "message"))
	}
	a.mu.Lock()
	m.capabilities = bytes.Clone(wire.Lookup(answer.Raw, "result", "capabilities"))
	m.helloResult(answer)
	initialized, level := a.initialized, a.level
	uris := make([]string, 0, len(m.subscribed))
	for uri := range m.subscribed {
		uris = append(uris, uri)
	}
	a.mu.Unlock()
	if initialized == nil {
		return false, nil // the client's own will come
	}
	if err := remote.Exchange(ctx, *initialized); err != nil {
		return false, err
	}
	if level != nil && m.offers("logging") {
		m.tell(ctx, remote, level.WithID(a.newID()))
	}
	if again {
		for _, uri := range uris {
			m.tell(ctx, remote, wire.MustParse(`{"jsonrpc":"2.0","id":`+string(a.newID())+`,"method":"resources/subscribe","params":{"uri":`+string(quoted(uri))+`}}`))
		}
	}
	return true, nil
}

// tell makes a request whose failure changes nothing.
func (m *member) tell(ctx context.Context, remote wire.Remote, f wire.Frame) {
	answer, err := m.ask(ctx, remote, f)
	if err != nil || answer.Failed {
		m.agg.log.Warn("an upstream's session could not be restored whole", "upstream", m.name, "method", f.Method, "reason", err)
	}
	answer.Release()
}

// announce has the client list anew what an upstream that comes late brings.
func (m *member) announce() {
	m.agg.background(func(ctx context.Context) {
		for _, kind := range []string{"tools", "prompts", "resources"} {
			if m.offers(kind) {
				_ = m.agg.deliver(ctx, wire.MustParse(`{"jsonrpc":"2.0","method":"notifications/`+kind+`/list_changed"}`))
			}
		}
	})
}

// offers reports whether the upstream may have a capability: it said so, or
// has not been asked.
func (m *member) offers(capability string) bool {
	m.agg.mu.Lock()
	defer m.agg.mu.Unlock()
	return m.capabilities == nil || wire.Lookup(m.capabilities, capability) != nil
}
