package bridge

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// maxSubscriptions bounds what is remembered for a new session.
const maxSubscriptions = 10000

// sessionMemory is what a new session needs to be like the lost one.
type sessionMemory struct {
	mu            sync.Mutex
	initialize    *wire.Frame
	initialized   *wire.Frame
	level         *wire.Frame
	subscriptions map[string]wire.Frame // by URI
	done          bool                  // the handshake has been accepted once
}

// sending remembers the handshake as the client spoke it.
func (s *sessionMemory) sending(f wire.Frame) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch f.Method {
	case "initialize":
		c := f.Clone()
		s.initialize, s.initialized, s.level, s.subscriptions, s.done = &c, nil, nil, nil, false
	case "notifications/initialized":
		c := f.Clone()
		s.initialized = &c
	}
}

// accepted remembers what the server has agreed to.
func (s *sessionMemory) accepted(f wire.Frame) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch f.Method {
	case "initialize":
		s.done = true
	case "logging/setLevel":
		c := f.Clone()
		s.level = &c
	case "resources/subscribe":
		if s.subscriptions == nil {
			s.subscriptions = map[string]wire.Frame{}
		}
		if len(s.subscriptions) < maxSubscriptions {
			s.subscriptions[wire.LookupString(f.Raw, "params", "uri")] = f.Clone()
		}
	case "resources/unsubscribe":
		delete(s.subscriptions, wire.LookupString(f.Raw, "params", "uri"))
	}
}

// established reports whether there was a session that f could miss.
func (s *sessionMemory) established(f wire.Frame) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.done && f.Method != "initialize"
}

// replay is the handshake and what follows it, in order.
func (s *sessionMemory) replay() (initialize wire.Frame, then []wire.Frame, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.initialize == nil {
		return wire.Frame{}, nil, false
	}
	if s.initialized != nil {
		then = append(then, *s.initialized)
	}
	if s.level != nil {
		then = append(then, *s.level)
	}
	for _, f := range s.subscriptions {
		then = append(then, f)
	}
	return *s.initialize, then, true
}

// privateCalls are requests of the bridge's own, whose answers the client does
// not see.
type privateCalls struct {
	last    atomic.Int64
	mu      sync.Mutex
	pending map[string]*wire.Frame // by id key; filled in by the answer
}

// add returns f under an id of its own. Ids of the client are JSON tokens that
// it chose; this one is not to be met by chance.
func (p *privateCalls) add(f wire.Frame) wire.Frame {
	id := wire.ID(fmt.Sprintf(`"mcpctl-own-%d-6d637063"`, p.last.Add(1)))
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pending == nil {
		p.pending = map[string]*wire.Frame{}
	}
	p.pending[id.Key()] = nil
	return f.WithID(id)
}

// answered takes f if it answers a private call.
func (p *privateCalls) answered(f wire.Frame) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	key := f.ID.Key()
	if _, ok := p.pending[key]; !ok {
		return false
	}
	c := f.Clone()
	p.pending[key] = &c
	return true
}

func (p *privateCalls) take(id wire.ID) *wire.Frame {
	p.mu.Lock()
	defer p.mu.Unlock()
	answer := p.pending[id.Key()]
	delete(p.pending, id.Key())
	return answer
}

// ask sends a request of the bridge's own and returns its answer.
func (r *recovery) ask(ctx context.Context, f wire.Frame) (wire.Frame, error) {
	f = r.private.add(f)
	err := r.remote.Exchange(ctx, f)
	answer := r.private.take(f.ID)
	switch {
	case err != nil:
		return wire.Frame{}, err
	case answer == nil:
		return wire.Frame{}, wire.ErrNoAnswer
	case answer.Failed:
		return *answer, fmt.Errorf("the server answered %s with the error %.200q", f.Method, wire.LookupString(answer.Raw, "error", "message"))
	}
	return *answer, nil
}

// handshake replays the client's handshake, log level and subscriptions, and
// tells the client that lists may have changed. It is tried while patience
// lasts.
func (r *recovery) handshake(ctx context.Context) error {
	initialize, then, ok := r.session.replay()
	if !ok {
		return errors.New("the client has not sent initialize")
	}
	attempt := newAttempts(r.patience)
	always := func(wire.Frame) bool { return true }
	for {
		answer, err := r.ask(ctx, initialize)
		if err == nil {
			return r.resume(ctx, answer, then)
		}
		again, after := attempt.judge(initialize, err, always)
		if !again || attempt.next(ctx, after) != nil {
			return err
		}
	}
}

func (r *recovery) resume(ctx context.Context, answer wire.Frame, then []wire.Frame) error {
	for _, f := range then {
		var err error
		if f.Kind == wire.Request {
			_, err = r.ask(ctx, f)
		} else {
			err = r.remote.Exchange(ctx, f)
		}
		if err != nil && f.Method == "notifications/initialized" {
			return err
		}
		if err != nil {
			r.log.Warn("the new session lacks something of the old", "method", f.Method, "reason", err)
		}
	}
	for _, list := range []string{"tools", "resources", "prompts"} {
		if wire.Lookup(answer.Raw, "result", "capabilities", list) == nil {
			continue
		}
		note := wire.MustParse(`{"jsonrpc":"2.0","method":"notifications/` + list + `/list_changed"}`)
		if err := r.deliver(ctx, note); err != nil {
			return err
		}
	}
	return nil
}
