package recovery

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// sessionMemory is what a new session needs to be like the lost one.
type sessionMemory struct {
	mu            sync.Mutex
	initialize    *wire.Frame
	initialized   *wire.Frame
	level         *wire.Frame
	subscriptions map[string]wire.Frame // by URI
	size          int                   // of the subscriptions, in bytes
	limit         int                   // of that
	done          bool                  // the handshake has been accepted once
}

// sending remembers the handshake as the client spoke it.
func (s *sessionMemory) sending(f wire.Frame) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch f.Method {
	case "initialize":
		c := f.Clone()
		s.initialize, s.initialized, s.level, s.subscriptions, s.size, s.done = &c, nil, nil, nil, 0, false
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
		uri := wire.LookupString(f.Raw, "params", "uri")
		s.forget(uri)
		if cost := subscriptionCost + len(f.Raw); s.size+cost <= s.limit {
			s.subscriptions[uri] = f.Clone()
			s.size += cost
		}
	case "resources/unsubscribe":
		s.forget(wire.LookupString(f.Raw, "params", "uri"))
	}
}

// subscriptionCost is about what remembering one takes besides its message.
const subscriptionCost = 200

// forget drops a subscription. The caller holds the lock.
func (s *sessionMemory) forget(uri string) {
	if f, ok := s.subscriptions[uri]; ok {
		s.size -= subscriptionCost + len(f.Raw)
		delete(s.subscriptions, uri)
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

// privateCalls are requests of our own, whose answers the client does
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
