package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// check asks the token source once, and connects the remote when there is a
// token. Checks run one after another.
func (s *signIn) check() {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-s.ctx.Done():
		return
	}
	if s.open.Load() {
		return
	}
	stamp := s.stampNow()
	ctx, cancel := context.WithTimeout(s.ctx, lookLimit)
	_, _, err := s.tokens.Token(ctx)
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		err = fmt.Errorf("the token store did not answer within %v: %w", lookLimit, err)
	}
	cancel()
	s.mu.Lock()
	s.stamp = stamp
	if err != nil {
		s.out(&signInError{err})
		s.mu.Unlock()
		return
	}
	s.enter(phaseConnecting, nil)
	s.mu.Unlock()
	s.connect()
}

func (s *signIn) stampNow() string {
	if s.signer == nil {
		return ""
	}
	return s.signer.Stamp()
}

// out notes that there is no connection and why, and looks out for the end of
// that. The caller holds the lock.
func (s *signIn) out(reason error) {
	if s.phase != phaseOut || !errors.Is(s.reason, ErrSignInNeeded) {
		s.log.Info("not connected to the server", "reason", reason)
	}
	s.enter(phaseOut, reason)
	if !s.watching {
		s.watching = s.startLocked(s.watch)
	}
}

// connect gives the remote the handshake that the client has had with us, and
// opens the way.
func (s *signIn) connect() {
	ctx, cancel := context.WithTimeout(s.ctx, connectLimit)
	defer cancel()
	s.mu.Lock()
	c := s.client
	c.subscribed = maps.Clone(c.subscribed) // it can still grow
	s.mu.Unlock()
	if err := s.handshake(ctx, c); err != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.out(err)
		return
	}
	s.announce(ctx, c.initialize != nil) // first, so that it is known before any answer
	s.mu.Lock()
	s.client.established = s.client.established || c.local
	waiting := s.pendingLocked() // one that begins later is for more permissions
	s.enter(phaseOpen, nil)
	s.mu.Unlock()
	s.log.Info("connected to the server")
	if waiting != nil {
		waiting.cancel(errElseway)
	}
}

// handshake does nothing for a client whose handshake the remote has seen, or
// will see, itself.
func (s *signIn) handshake(ctx context.Context, c client) error {
	if !c.local || c.established {
		return nil
	}
	if err := s.ask(ctx, *c.initialize); err != nil {
		return err
	}
	if c.initialized == nil {
		return nil // the client's own goes straight through
	}
	if err := s.inner.Exchange(ctx, *c.initialized); err != nil {
		return err
	}
	var later []wire.Frame
	if c.level != nil {
		later = append(later, *c.level)
	}
	for _, f := range c.subscribed {
		later = append(later, f)
	}
	for _, f := range later {
		if err := s.ask(ctx, f); err != nil {
			s.log.Warn("the server lacks something that the client has set", "method", f.Method, "reason", err)
		}
	}
	return nil
}

// lists are what changes when the remote takes our place.
var lists = []string{"tools", "resources", "prompts"}

// announce tells the client to ask for its lists again.
func (s *signIn) announce(ctx context.Context, legacy bool) {
	s.mu.Lock()
	ready := s.client.initialized != nil
	listens := make([]listen, 0, len(s.client.listens))
	for _, l := range s.client.listens {
		listens = append(listens, l)
	}
	s.mu.Unlock()
	if legacy && !ready {
		return // it has not asked for anything yet
	}
	var notes []wire.Frame
	for _, list := range lists {
		method := "notifications/" + list + "/list_changed"
		if legacy {
			notes = append(notes, notification(method, nil))
		}
		for _, l := range listens {
			if l.lists[list] {
				notes = append(notes, notification(method, map[string]any{"_meta": l.meta()}))
			}
		}
	}
	for _, n := range notes {
		if err := s.toPeer(ctx, n); err != nil {
			s.log.Debug("the client was not told of new lists", "reason", err)
			return
		}
	}
}

// lose takes the remote's place again after a sign-in has ended.
func (s *signIn) lose(err error) {
	s.mu.Lock()
	if s.phase != phaseOpen {
		s.mu.Unlock()
		return
	}
	if s.pendingLocked() == nil {
		s.flow = nil // how it ended is no news any more; one under way serves for this, too
	}
	s.stamp = "" // somebody may have signed in since the rejected request: look once
	s.out(err)
	legacy := s.client.initialize != nil
	asked := !legacy || s.client.initialized != nil
	s.mu.Unlock()
	if asked {
		s.start(func() { s.announce(s.ctx, legacy) })
	}
}

// Pauses between looks at what may have changed.
const (
	watchPause = time.Second
	// After watchEager a look every watchLazy will do.
	watchEager = 5 * time.Minute
	watchLazy  = 3 * time.Second
	// What fails without a person's part in it is tried again on its own.
	maxRetryPause = 30 * time.Second
)

// watch looks out for a sign-in that happens elsewhere, and for the end of what
// keeps a token away. It looks at the stamp and asks for a token only when that
// has changed.
func (s *signIn) watch() {
	began, retry := time.Now(), 2*time.Second
	next := began.Add(retry)
	for {
		pause := watchPause
		if s.pending() == nil && time.Since(began) > watchEager {
			pause = watchLazy
		}
		if !pauseFor(s.ctx, pause) {
			return
		}
		s.mu.Lock()
		if s.phase == phaseOpen {
			s.watching = false
			s.mu.Unlock()
			return
		}
		reason, seen := s.reason, s.stamp
		s.mu.Unlock()
		now := s.stampNow()
		failing := s.signer == nil || !errors.Is(reason, ErrSignInNeeded)
		if now == seen && (!failing || time.Now().Before(next)) {
			continue
		}
		s.check()
		retry = min(2*retry, maxRetryPause)
		next = time.Now().Add(retry)
	}
}

// listen is an open subscriptions/listen (MCP 2026-07-28) of a client that is
// told of changed lists by it.
type listen struct {
	id    json.RawMessage
	lists map[string]bool
	asked json.RawMessage // the filter
	acked bool            // by us
}

func (l listen) meta() map[string]any {
	return map[string]any{"io.modelcontextprotocol/subscriptionId": l.id}
}

// listening remembers a stream while it is open.
func (s *signIn) listening(f wire.Frame) (forget func()) {
	asked := wire.Lookup(f.Raw, "params", "notifications")
	l := listen{id: json.RawMessage(string(f.ID)), asked: json.RawMessage(string(asked)), lists: map[string]bool{}}
	for _, list := range lists {
		l.lists[list] = string(wire.Lookup(asked, list+"ListChanged")) == "true"
	}
	key := f.ID.Key()
	s.mu.Lock()
	defer s.mu.Unlock()
	if old, ok := s.client.listens[key]; ok {
		l.acked = old.acked
	}
	if s.client.listens == nil {
		s.client.listens = map[string]listen{}
	}
	s.client.listens[key] = l
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.client.listens, key)
	}
}

// awaitListen acknowledges a stream at once and hands it to the remote when
// there is one.
func (s *signIn) awaitListen(ctx context.Context, f wire.Frame) error {
	defer s.listening(f)()
	key := f.ID.Key()
	s.mu.Lock()
	l := s.client.listens[key]
	first := !l.acked
	l.acked = true
	s.client.listens[key] = l
	s.mu.Unlock()
	if first {
		filter := l.asked
		if len(filter) == 0 {
			filter = json.RawMessage("{}")
		}
		ack := notification("notifications/subscriptions/acknowledged", map[string]any{"notifications": filter, "_meta": l.meta()})
		if err := s.toPeer(ctx, ack); err != nil {
			return err
		}
	}
	if err := s.awaitOpen(ctx); err != nil {
		return err
	}
	return s.pass(ctx, f)
}

// acknowledged reports an acknowledgement that the client has had from us.
func (s *signIn) acknowledged(f wire.Frame) bool {
	key := wire.ID(wire.Lookup(f.Raw, "params", "_meta", "io.modelcontextprotocol/subscriptionId")).Key()
	s.mu.Lock()
	defer s.mu.Unlock()
	l, ok := s.client.listens[key]
	return ok && l.acked
}

// pauseFor waits; false: ctx has ended.
func pauseFor(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
