package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/mcpctl/mcpctl/internal/era"
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

// failed drops a connection that an exchange has found to be of no use any more.
func (m *member) failed(number int, err error) {
	if !lost(err) {
		return
	}
	a := m.agg
	a.mu.Lock()
	if m.number != number || m.remote == nil {
		a.mu.Unlock()
		return
	}
	m.fault, m.retry = err, time.Time{} // at once: it may have been restarted
	remote := m.retireLocked()
	a.mu.Unlock()
	a.log.Warn("an upstream was lost", "upstream", m.name, "reason", err)
	m.end(remote)
}

// end ends a connection, apart from whoever found it broken.
func (m *member) end(remote wire.Remote) {
	end := func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endPatience)
		defer cancel()
		if err := remote.End(ctx); err != nil {
			m.agg.log.Debug("ending an upstream", "upstream", m.name, "reason", err)
		}
	}
	if !m.agg.background(end) {
		end(m.agg.life)
	}
}

// errSlow: an upstream was given up on for one request.
var errSlow = errors.New("it did not answer in time")

// lost reports errors after which a connection is of no use.
func lost(err error) bool {
	for _, end := range []error{era.ErrGone, wire.ErrSessionLost, wire.ErrStreamEnded, wire.ErrClosed, io.EOF, io.ErrClosedPipe} {
		if errors.Is(err, end) {
			return true
		}
	}
	return false
}

// keepListening keeps the upstream's own stream open, and opens its session anew
// where that was lost, until ctx ends.
func (m *member) keepListening(ctx context.Context) {
	life := m.agg.life
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(life, cancel)()
	for failures := 0; ctx.Err() == nil; {
		m.agg.mu.Lock()
		remote, number, turned := m.remote, m.number, m.turned
		m.agg.mu.Unlock()
		var err error
		if remote == nil {
			_, _, err = m.session(ctx)
		} else {
			err = remote.Listen(ctx)
			m.failed(number, err)
		}
		switch {
		case remote != nil && (err == nil || errors.Is(err, wire.ErrNoListen)): // there is nothing to hear
			failures = 0
			select {
			case <-turned:
			case <-ctx.Done():
			}
		case err != nil && ctx.Err() == nil:
			m.agg.log.Debug("an upstream's stream is not there", "upstream", m.name, "reason", err)
			failures++
			pause(ctx, life, min(firstRetry<<min(failures-1, 10), longestRetry))
		default:
			failures = 0
		}
	}
}

func pause(ctx, life context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	case <-life.Done():
	}
}

// ask exchanges a request of our own and returns its response, which the
// caller releases.
func (m *member) ask(ctx context.Context, remote wire.Remote, f wire.Frame) (wire.Frame, error) {
	a := m.agg
	key := f.ID.Key()
	slot := &awaited{member: m}
	a.mu.Lock()
	a.waiting[key] = slot
	a.mu.Unlock()
	err := remote.Exchange(ctx, f)
	a.mu.Lock()
	delete(a.waiting, key)
	a.mu.Unlock()
	if slot.answer.Kind == wire.Response {
		return slot.answer, nil
	}
	if err == nil {
		err = wire.ErrNoAnswer
	}
	return wire.Frame{}, err
}

// awaited is the answer to a request of our own.
type awaited struct {
	member *member
	answer wire.Frame
}

// outcome is what one upstream made of a request to several.
type outcome struct {
	member *member
	answer wire.Frame // the caller releases it
	err    error
}

func releaseOutcomes(all []outcome) {
	for _, o := range all {
		o.answer.Release()
	}
}

// each asks several upstreams at once, each within the timeout, and returns what
// came of it in their order. request makes the request to one.
func (a *Aggregate) each(ctx context.Context, members []*member, timeout time.Duration, request func(*member) wire.Frame) []outcome {
	all := make([]outcome, len(members))
	done := make(chan struct{}, len(members))
	for i, m := range members {
		go func() {
			defer func() { done <- struct{}{} }()
			all[i] = m.askWithin(ctx, timeout, request(m))
		}()
	}
	for range members {
		<-done
	}
	return all
}

func (m *member) askWithin(ctx context.Context, timeout time.Duration, f wire.Frame) outcome {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	remote, number, err := m.session(ctx)
	if err != nil {
		return outcome{member: m, err: err}
	}
	answer, err := m.ask(ctx, remote, f)
	if err != nil {
		m.failed(number, err)
		if ctx.Err() != nil && context.Cause(ctx) == context.DeadlineExceeded { //nolint:errorlint // the cause itself
			err = fmt.Errorf("%w: none within %s", errSlow, timeout)
		}
	}
	return outcome{m, answer, err}
}
