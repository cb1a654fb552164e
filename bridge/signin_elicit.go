package bridge

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// declinePause is how long a person who has declined is not asked again for
// requests that happen to need the remote.
const declinePause = time.Minute

// recheck looks once more whether the remote can be connected.
func (s *signIn) recheck(ctx context.Context) {
	done := make(chan struct{})
	if !s.start(func() { defer close(done); s.check() }) {
		return
	}
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// verdict returns why there is no connection, nil once there is one. What a
// person can't help is looked at once more.
func (s *signIn) verdict(ctx context.Context) (reason, err error) {
	for tried := false; ; {
		if err := s.settle(ctx, false); err != nil {
			return nil, err
		}
		s.mu.Lock()
		now, reason := s.phase, s.reason
		s.mu.Unlock()
		switch {
		case now == phaseOpen:
			return nil, nil
		case now != phaseOut:
			continue // it has just changed
		case tried || needsPerson(reason):
			return reason, nil
		}
		tried = true
		s.recheck(ctx)
	}
}

// needRemote handles a request that only the remote can answer.
func (s *signIn) needRemote(ctx context.Context, f wire.Frame) error {
	ctx, release := s.holdFor(ctx, f.ID)
	defer release()
	reason, err := s.verdict(ctx)
	var refused *refusedError
	switch {
	case err != nil:
		return err
	case reason == nil:
		return s.pass(ctx, f)
	case errors.As(reason, &refused):
		return s.toPeer(ctx, refused.answer.WithID(f.ID))
	case !needsPerson(reason):
		return reason
	case s.canAsk(f):
		return s.askPerson(ctx, f, reason, s.pass)
	}
	return &signInError{s.advice(reason)}
}

// advice says what a model can do about a call that needs a sign-in.
func (s *signIn) advice(reason error) error {
	if fl := s.pending(); fl != nil {
		s.mu.Lock()
		p, has := fl.prompt, fl.number > 0
		s.mu.Unlock()
		if has {
			return fmt.Errorf("%w: a sign-in to %s is waiting for the user. %s Then call %s to wait for it, and try again", ErrSignInNeeded, s.url, p.say(), toolName)
		}
	}
	if !s.able() {
		return reason // says what to run
	}
	if strings.Contains(reason.Error(), "mcpctl login ") {
		return fmt.Errorf("%w. Or call the tool %s, which tells the user where to sign in", reason, toolName)
	}
	return fmt.Errorf("nobody is signed in to %s: %w. Call the tool %s, which tells the user where to sign in, or run: mcpctl login %s", s.url, reason, toolName, s.url)
}

// canAsk reports whether the client can be asked to open a page for this
// request.
func (s *signIn) canAsk(f wire.Frame) bool {
	if !s.able() {
		return false
	}
	modern := s.modern(f)
	s.mu.Lock()
	defer s.mu.Unlock()
	opens := s.client.elicits
	if modern {
		opens = mayAsk(f.Method) && opensPages(wire.Lookup(f.Raw, "params", "_meta", metaCapabilities))
	}
	return opens && time.Now().After(s.spareUntil)
}

// askPerson has the person sign in with the client's help, and goes on with the request
// when that is done.
func (s *signIn) askPerson(ctx context.Context, f wire.Frame, reason error, then func(context.Context, wire.Frame) error) error {
	if s.modern(f) {
		return s.askBack(ctx, f, reason, then)
	}
	return s.park(ctx, f, then)
}

// park keeps a request until the sign-in it waits for is over.
func (s *signIn) park(ctx context.Context, f wire.Frame, then func(context.Context, wire.Frame) error) error {
	fl, err := s.begins(ctx)
	if err != nil {
		return &signInError{err}
	}
	s.showIn(fl)
	tick := s.ticker(f)
	defer tick.stop()
	for {
		select {
		case <-fl.done:
			if err := s.outcome(fl); err != nil {
				return &signInError{err}
			}
			return then(ctx, f)
		case <-tick.c:
			if !s.canAsk(f) { // the client could not, after all
				return &signInError{s.advice(ErrSignInNeeded)}
			}
			tick.tell(ctx, "Waiting for the sign-in")
		case <-s.gone:
			return wire.ErrStopping
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// showIn has the client show the pages of a sign-in.
func (s *signIn) showIn(fl *flow) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !fl.asking {
		fl.asking = s.startLocked(func() { s.elicit(fl) })
	}
}

// elicit asks the client to open the page of a sign-in (MCP 2025-11-25,
// client/elicitation, URL mode), anew when the page or the code changes, and
// tells it when that is over.
func (s *signIn) elicit(fl *flow) {
	var id wire.ID
	var elicitation string
	var shown Prompt
	withdraw := func(completed bool) {
		if id == nil {
			return
		}
		if s.private.drop(id) {
			_ = s.toPeer(s.ctx, notification("notifications/cancelled", map[string]any{"requestId": json.RawMessage(id), "reason": "the page is out of date"}))
		}
		if completed {
			_ = s.toPeer(s.ctx, notification("notifications/elicitation/complete", map[string]any{"elicitationId": elicitation}))
		}
	}
	for {
		s.mu.Lock()
		p, has, changed := fl.prompt, fl.number > 0, fl.changed
		s.mu.Unlock()
		if has && p.Code == "" && id == nil {
			fl.agreed() // no page to ask with: the request itself has to do
		}
		if has && p.Code != "" && p.key() != shown.key() {
			withdraw(false)
			shown, elicitation = p, rand.Text()
			id = s.private.add(func(answer wire.Frame) { s.decided(fl, answer) })
			err := s.toPeer(s.ctx, ownRequest(id, "elicitation/create", map[string]any{
				"mode": "url", "elicitationId": elicitation, "url": p.URL,
				"message": p.ask(s.host()),
			}))
			if err != nil {
				return
			}
		}
		select {
		case <-changed:
		case <-fl.done:
			withdraw(s.outcome(fl) == nil)
			return
		case <-s.ctx.Done():
			return
		}
	}
}

// decided takes the client's answer to an elicitation.
func (s *signIn) decided(fl *flow, answer wire.Frame) {
	switch action := wire.LookupString(answer.Raw, "result", "action"); {
	case answer.Failed:
		s.log.Warn("the client can't open pages, though it said so", "error", wire.LookupString(answer.Raw, "error", "message"))
		s.mu.Lock()
		s.client.elicits = false
		s.mu.Unlock()
	case action == "accept":
		fl.agreed()
	default:
		_ = s.declined(fl) // whoever waits for it is told
	}
}

// declined ends a sign-in that the person does not want, nil where there is none
// to end, and returns what to tell.
func (s *signIn) declined(fl *flow) error {
	s.mu.Lock()
	s.spareUntil = time.Now().Add(declinePause)
	s.mu.Unlock()
	err := fmt.Errorf("%w. Call the tool %s to try again, or run: mcpctl login %s", errDeclined, toolName, s.url)
	if fl != nil {
		fl.cancel(err)
	}
	return err
}

// stepUp handles a request for which the sign-in does not suffice; all others
// go on. Calls are explicit enough to begin a sign-in for more.
func (s *signIn) stepUp(ctx context.Context, f wire.Frame, reason error) error {
	if s.signer == nil {
		return reason
	}
	if s.canAsk(f) {
		return s.awaitMore(ctx, f, reason)
	}
	ctx, release := s.holdFor(ctx, f.ID)
	defer release()
	fl, err := s.begins(ctx)
	if err != nil {
		return &signInError{err}
	}
	fl.agreed()
	p, ok := s.ready(ctx, fl)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case ok:
		return &signInError{fmt.Errorf("%w. %s Then repeat this request", reason, p.say())}
	}
	if err := s.outcome(fl); err != nil {
		return &signInError{err}
	}
	return &signInError{fmt.Errorf("%w. The sign-in page did not answer: try again", reason)}
}

// awaitMore has the client ask for a sign-in for more, and repeats the request
// when that is done.
func (s *signIn) awaitMore(ctx context.Context, f wire.Frame, reason error) error {
	ctx, release := s.holdFor(ctx, f.ID)
	defer release()
	return s.askPerson(ctx, f, reason, s.inner.Exchange)
}
