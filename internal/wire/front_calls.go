package wire

import (
	"bytes"
	"context"
	"net/http"
)

// openCalls are the messages without a session that are worked on. The front's
// lock guards them.
type openCalls struct {
	all    map[*Call]struct{}
	owners map[string]*ownerCalls
}

// ownerCalls counts what one owner has open.
type ownerCalls struct{ requests, listens int }

func (o *ownerCalls) of(c *Call) *int {
	if c.listen {
		return &o.listens
	}
	return &o.requests
}

// openCall registers a message, within the bounds of its owner. Each goroutine
// that works on it calls leave; the caller is the first.
func (f *front) openCall(r *http.Request, m Frame, version string) (*Call, error) {
	c := &Call{
		Frame: m, Version: version, front: f, owner: f.opts.Owner(r),
		listen: m.Kind == Request && m.Method == listenMethod,
		wake:   make(chan struct{}, 1),
	}
	if m.Kind == Request {
		c.id = ID(bytes.Clone(m.ID))
		c.key = c.id.Key()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.draining.Load() {
		return nil, errShuttingDown
	}
	mine := f.calls.owners[c.owner]
	if mine == nil {
		mine = &ownerCalls{}
	}
	var bound error
	switch {
	case len(f.calls.all) >= f.opts.MaxCalls:
		bound = errTooManyCalls
	case c.listen && mine.listens >= f.opts.MaxListensPerOwner:
		bound = errTooManySubs
	case !c.listen && mine.requests >= f.opts.MaxCallsPerOwner:
		bound = errTooManyCalls
	}
	if bound != nil {
		f.refused++
		return nil, bound
	}
	c.ctx, c.cancel = context.WithCancelCause(context.WithoutCancel(r.Context()))
	*mine.of(c)++
	f.calls.owners[c.owner] = mine
	f.calls.all[c] = struct{}{}
	c.users.Store(1)
	f.running.Add(1)
	if c.id != nil && !c.listen {
		f.pending.Add(1)
	}
	return c, nil
}

// leave says that one of the goroutines of the call has ended. The call counts
// against the bounds until all have: also what nobody waits for any more is work.
func (c *Call) leave() {
	if c.users.Add(-1) > 0 {
		return
	}
	f := c.front
	f.mu.Lock()
	delete(f.calls.all, c)
	mine := f.calls.owners[c.owner]
	if *mine.of(c)--; *mine == (ownerCalls{}) {
		delete(f.calls.owners, c.owner)
	}
	f.mu.Unlock()
	f.running.Done()
}

// callsOf returns the open calls that which selects.
func (f *front) callsOf(which func(*Call) bool) []*Call {
	f.mu.Lock()
	defer f.mu.Unlock()
	var list []*Call
	for c := range f.calls.all {
		if which(c) {
			list = append(list, c)
		}
	}
	return list
}

// endListens ends the subscriptions, which no client ends for the server's sake.
func (f *front) endListens() {
	for _, c := range f.callsOf(func(c *Call) bool { return c.listen }) {
		c.end(errShuttingDown, "the server is shutting down")
	}
}
