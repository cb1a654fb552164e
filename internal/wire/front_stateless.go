package wire

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
)

// Call is one message of a client that has no session (MCP 2026-07-28): a
// request, whose HTTP answer is all that goes back to the client, or a
// notification, for which nothing does.
//
// Write and Refuse may be called from any goroutine, also after
// FrontOptions.Stateless has returned; then they report that there is no
// request to answer any more.
type Call struct {
	// Frame is valid until FrontOptions.Stateless returns; whoever outlives it
	// retains the frame.
	Frame Frame
	// Version is the revision that the client speaks.
	Version string

	front  *front
	owner  string
	id     ID     // a copy, to outlive Frame
	key    string // of id
	listen bool
	ctx    context.Context // Stateless's
	cancel context.CancelCauseFunc
	users  atomic.Int32  // goroutines that work on it
	wake   chan struct{} // capacity 1: there is something to send

	mu       sync.Mutex
	queue    []outgoing // what waits to be sent, its frames retained
	unsent   int        // bytes of it
	acked    bool       // of a listen: its acknowledgement was written
	answered bool       // the response was written, or never will be
	gone     bool       // nobody takes what is written
	room     chan struct{}
}

// ErrDisconnected is the cause of a [Call]'s context when the client has gone
// away, which cancels the request (MCP 2026-07-28, basic/patterns/cancellation).
var ErrDisconnected = errors.New("the client disconnected")

var (
	errAnswered     = errors.New("the request was answered")
	errNotRelated   = errors.New("only notifications and the response can be sent on a request's answer (MCP 2026-07-28)")
	errNoAck        = errors.New("too many notifications before the subscription was acknowledged")
	errTooManyCalls = errors.New("too many requests are unanswered; try again later")
	errTooManySubs  = errors.New("too many subscriptions are open; close one, or try again later")
)

const (
	listenMethod = "subscriptions/listen"
	ackMethod    = "notifications/subscriptions/acknowledged"
	// metaSubscription names a subscription by the id of its listen request.
	metaSubscription = "io.modelcontextprotocol/subscriptionId"
)

// Owner is the key that FrontOptions.Owner gave for the call's HTTP request.
func (c *Call) Owner() string { return c.owner }

// Write sends a notification that belongs to the request, or its response,
// which ends the call. The client gets the response as plain JSON if it comes
// first, and an event stream otherwise. Write waits while the client does not
// read, until ctx ends, and borrows f.
//
// Of a subscriptions/listen the acknowledgement goes out first, whatever was
// written before it (MCP 2026-07-28, basic/patterns/subscriptions).
//
// The error is io.ErrClosedPipe when the client is gone, and ErrNoRequest when
// the request was answered before or f is the response to another one.
func (c *Call) Write(ctx context.Context, f Frame) error {
	return c.send(ctx, outgoing{frame: f})
}

// Refuse answers the call as r says: see [Refusal] and, for its errors, Write.
func (c *Call) Refuse(ctx context.Context, r Refusal) error {
	return c.send(ctx, outgoing{frame: r.answer(c.id), refusal: &r})
}

func (c *Call) send(ctx context.Context, m outgoing) error {
	for {
		c.mu.Lock()
		room, err := c.place(m)
		c.mu.Unlock()
		if !errors.Is(err, errWait) {
			return err
		}
		select {
		case <-room:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// place puts m in the queue. Where there is no room it returns errWait and a
// channel that is closed when there may be.
func (c *Call) place(m outgoing) (<-chan struct{}, error) {
	switch {
	case c.gone:
		return nil, io.ErrClosedPipe
	case c.answered:
		return nil, ErrNoRequest
	case m.frame.Kind == Response && c.answers(m):
		c.settle()
		if c.listen && !c.acked {
			c.drop() // nothing may come before an acknowledgement
		}
		c.append(m)
		return nil, nil
	case m.frame.Kind == Response || c.Frame.Kind != Request:
		return nil, ErrNoRequest
	case m.frame.Kind != Notification:
		return nil, errNotRelated
	case c.listen && !c.acked && m.frame.Method == ackMethod:
		c.acked = true
		c.append(m)
		copy(c.queue[1:], c.queue)
		c.queue[0] = m
		return nil, nil
	case len(c.queue) < c.front.opts.Queue && (c.unsent < windowBytes || len(c.queue) == 0):
		c.append(m)
		return nil, nil
	case c.listen && !c.acked:
		return nil, errNoAck
	}
	if c.room == nil {
		c.room = make(chan struct{})
	}
	return c.room, errWait
}

// answers reports whether m answers the call. A notification can be refused,
// but not answered.
func (c *Call) answers(m outgoing) bool {
	if c.id == nil {
		return m.refusal != nil
	}
	return bytes.Equal(m.frame.ID, c.id) || m.frame.ID.Key() == c.key
}

func (c *Call) append(m outgoing) {
	m.frame.Retain()
	c.queue = append(c.queue, m)
	c.unsent += len(m.frame.Raw)
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// settle notes that the request has its answer or never gets one.
func (c *Call) settle() {
	if !c.answered && !c.listen && c.id != nil {
		c.front.answered(1)
	}
	c.answered = true
}

func (c *Call) drop() {
	for _, m := range c.queue {
		m.frame.Release()
	}
	c.queue, c.unsent = nil, 0
}

// take removes what is to be sent next; the caller releases its frame.
func (c *Call) take() (m outgoing, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.queue) == 0 || c.listen && !c.acked && !c.answered {
		return outgoing{}, false
	}
	m = c.queue[0]
	c.queue[0] = outgoing{}
	c.queue = c.queue[1:]
	c.unsent -= len(m.frame.Raw)
	c.wakeWriters()
	return m, true
}

func (c *Call) wakeWriters() {
	if c.room != nil {
		close(c.room)
		c.room = nil
	}
}

// close ends the call on the client's side: nothing more can be sent.
func (c *Call) close(cause error) {
	c.mu.Lock()
	c.gone = true
	c.settle()
	c.drop()
	c.wakeWriters()
	c.mu.Unlock()
	c.cancel(cause)
}

// end answers the call, if nothing else has, and cancels it for cause.
func (c *Call) end(cause error, text string) {
	c.mu.Lock()
	if c.id != nil && !c.answered {
		answer := closedSubscription
		if !c.acked {
			answer = func(id ID) Frame { return NewError(id, CodeInternal, text, nil) }
		}
		_, _ = c.place(outgoing{frame: answer(c.id)}) // a response never waits
	}
	c.cancel(cause) // before the answer can leave, which is the end for another cause
	c.mu.Unlock()
}

// closedSubscription tells the client that its subscription ended in order
// (MCP 2026-07-28, basic/patterns/subscriptions, Graceful Closure).
func closedSubscription(id ID) Frame {
	return MustParse(`{"jsonrpc":"2.0","id":` + string(id) + `,"result":{"resultType":"complete","_meta":{"` + metaSubscription + `":` + string(id) + `}}}`)
}

// stateless takes a message of a client without a session. version is what its
// header says, meta what it says itself if that was read; it owns f.
func (sf *StreamableFront) stateless(w http.ResponseWriter, r *http.Request, f Frame, meta *metadata, version string) {
	if refusal := sf.front.checkStateless(r, f, meta, version); refusal != nil {
		id := f.ID
		if f.Kind != Request {
			id = nil
		}
		refusal.setHeader(w.Header())
		refuse(w, refusal.status(), refusal.answer(id))
		f.Release()
		return
	}
	if f.Kind == Notification && f.Method == "notifications/cancelled" {
		// Closing the stream of a request is what cancels it; ids of requests of
		// different clients can't be told apart.
		f.Release()
		w.WriteHeader(http.StatusAccepted)
		return
	}
	c, err := sf.front.openCall(r, f, version)
	if err != nil {
		refuseErr(w, f.ID, err)
		f.Release()
		return
	}
	defer c.leave()
	c.users.Add(1)
	go func() {
		defer c.leave()
		sf.front.opts.Stateless(c.ctx, c)
		c.returned()
		f.Release()
	}()
	c.carry(w, r)
}

// returned is told that FrontOptions.Stateless has nothing more to say.
func (c *Call) returned() {
	if c.id != nil {
		c.end(errAnswered, "the server ended the request without answering it")
		return
	}
	c.mu.Lock()
	c.answered = true
	c.mu.Unlock()
	select {
	case c.wake <- struct{}{}:
	default:
	}
}
