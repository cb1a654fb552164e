package wire

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// MetaProtocol is the member of _meta in which messages of MCP 2026-07-28 name
// their revision.
const MetaProtocol = "io.modelcontextprotocol/protocolVersion"

// Errors for requests that are answered without being sent.
var (
	ErrDuplicateID = errors.New("a request with this id is still in flight")
	ErrBusy        = errors.New("too many requests in flight")
	// ErrStopping: the connection is being closed from this side.
	ErrStopping = errors.New("the connection is being closed")
)

// call is one request of the client that has not been answered.
type call struct {
	id     ID
	key    string
	ctx    context.Context
	cancel context.CancelFunc
	// modern: the request is of MCP 2026-07-28, where closing its stream
	// cancels it.
	modern     bool
	initialize bool
	// endless: a subscription (MCP 2026-07-28 subscriptions/listen), which is not
	// work that comes to an end.
	endless bool

	sentOnce, doneOnce sync.Once
	sent               chan struct{} // closed when the request is on its way, or never will be
	done               chan struct{} // closed when its answer has been written
}

// OpensSession reports an initialize. One that names its revision in _meta and
// none of its own is no such request, but one for a method that MCP 2026-07-28
// has no more.
func OpensSession(f Frame) bool {
	if f.Kind != Request || f.Method != "initialize" {
		return false
	}
	params := Lookup(f.Raw, "params")
	return Lookup(params, "_meta", MetaProtocol) == nil || Lookup(params, "protocolVersion") != nil
}

func (c *call) markSent() { c.sentOnce.Do(func() { close(c.sent) }) }
func (c *call) finish()   { c.doneOnce.Do(func() { close(c.done) }) }

// calls holds the requests in flight. Whoever takes a call out owns its one
// answer.
type calls struct {
	mu      sync.Mutex
	limit   int
	open    map[string]*call
	busy    int             // of open, those that come to an end
	waiting []chan struct{} // closed when busy is 0
	legacy  bool            // initialize has been sent
	batches bool            // 2025-03-26 was negotiated
	closed  bool
}

// closedGate lets everything through.
var closedGate = func() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

func (cs *calls) add(ctx context.Context, f Frame) (*call, error) {
	c := &call{
		id: cloneID(f.ID), key: f.ID.Key(),
		sent: make(chan struct{}), done: make(chan struct{}),
		initialize: OpensSession(f), endless: f.Method == "subscriptions/listen",
	}
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if cs.closed {
		return nil, ErrStopping
	}
	if cs.open[c.key] != nil {
		return nil, ErrDuplicateID
	}
	if len(cs.open) >= cs.limit {
		return nil, fmt.Errorf("%w: %d wait for their answers", ErrBusy, cs.limit)
	}
	if cs.open == nil {
		cs.open = map[string]*call{}
	}
	cs.legacy = cs.legacy || c.initialize
	c.modern = !cs.legacy && Lookup(f.Raw, "params", "_meta", MetaProtocol) != nil
	c.ctx, c.cancel = context.WithCancel(ctx)
	cs.open[c.key] = c
	if !c.endless {
		cs.busy++
	}
	return c, nil
}

// remove takes c out; the caller holds the lock.
func (cs *calls) remove(c *call) {
	delete(cs.open, c.key)
	if !c.endless {
		cs.busy--
	}
	if cs.busy == 0 {
		for _, w := range cs.waiting {
			close(w)
		}
		cs.waiting = nil
	}
}

// take reports whether c was still open, and takes it out.
func (cs *calls) take(c *call) bool {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if cs.open[c.key] != c {
		return false
	}
	cs.remove(c)
	return true
}

// answered takes out the call that f answers, nil where there is none.
func (cs *calls) answered(f Frame) *call {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	c := cs.open[f.ID.Key()]
	if c == nil {
		return nil
	}
	if c.initialize && !f.Failed {
		cs.batches = LookupString(f.Raw, "result", "protocolVersion") == "2025-03-26"
	}
	cs.remove(c)
	return c
}

// abandon takes out the call with the id because the client gave it up.
// initialize can't be cancelled (basic/utilities/cancellation).
func (cs *calls) abandon(id ID) *call {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	c := cs.open[id.Key()]
	if c == nil || c.initialize {
		return nil
	}
	cs.remove(c)
	c.finish()
	return c
}

// takeAll takes out every call and lets no further one in.
func (cs *calls) takeAll() []*call {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.closed = true
	var all []*call
	for _, c := range cs.open {
		all = append(all, c)
		cs.remove(c)
	}
	return all
}

// idle returns a channel that is closed once no call is open that comes to an
// end.
func (cs *calls) idle() <-chan struct{} {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if cs.busy == 0 {
		return closedGate
	}
	w := make(chan struct{})
	cs.waiting = append(cs.waiting, w)
	return w
}

func (cs *calls) batchesAllowed() bool {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	return cs.batches
}
