package gateway

import (
	"sync"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// What may wait for one client: messages, and bytes beyond the first message.
const (
	queueMessages = 1024
	queueBytes    = 16 << 20
)

// queue holds messages for one reader within bounds. It owns them.
type queue struct {
	ready chan struct{} // holds a token when there is something to take

	mu     sync.Mutex
	frames []wire.Frame
	bytes  int
	room   chan struct{} // closed when those that wait for room should look again
	closed bool
}

func newQueue() *queue { return &queue{ready: make(chan struct{}, 1)} }

// offer takes a message over. Where there is no room it returns a channel that
// is closed when there may be.
func (q *queue) offer(f wire.Frame) (room <-chan struct{}) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		f.Release()
		return nil
	}
	if n := len(q.frames); n >= queueMessages || n > 0 && q.bytes+len(f.Raw) > queueBytes {
		if q.room == nil {
			q.room = make(chan struct{})
		}
		return q.room
	}
	q.frames = append(q.frames, f)
	q.bytes += len(f.Raw)
	q.wake()
	return nil
}

func (q *queue) wake() {
	select {
	case q.ready <- struct{}{}:
	default:
	}
}

// take returns the oldest message, which the caller then owns.
func (q *queue) take() (wire.Frame, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.frames) == 0 {
		return wire.Frame{}, false
	}
	f := q.frames[0]
	q.frames[0] = wire.Frame{}
	if q.frames = q.frames[1:]; len(q.frames) == 0 {
		q.frames = nil // lets go of the array
	} else {
		q.wake()
	}
	q.bytes -= len(f.Raw)
	q.makeRoom()
	return f, true
}

func (q *queue) makeRoom() {
	if q.room != nil {
		close(q.room)
		q.room = nil
	}
}

// close lets go of what is left and of what still comes.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	for _, f := range q.frames {
		f.Release()
	}
	q.frames, q.bytes = nil, 0
	q.makeRoom()
}
