package wire

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"sync"
	"time"
)

// outbox is a queue of frames that one goroutine empties in batches. It holds
// at most max frames and, beyond the first, maxBytes bytes.
type outbox struct {
	max, maxBytes int
	ready         chan struct{} // holds a token when there is something to look at

	mu      sync.Mutex
	pending []Frame
	spare   []Frame
	bytes   int
	room    chan struct{} // closed when waiting writers should look again
	err     error         // why nothing can be added
	broken  error         // why nothing more can be delivered
}

func newOutbox(max, maxBytes int) *outbox {
	return &outbox{max: max, maxBytes: maxBytes, ready: make(chan struct{}, 1)}
}

// put adds an owner to f and queues it, waiting for room until ctx ends.
func (o *outbox) put(ctx context.Context, f Frame) error {
	for {
		o.mu.Lock()
		if o.err != nil {
			defer o.mu.Unlock()
			return o.err
		}
		if len(o.pending) == 0 || len(o.pending) < o.max && o.bytes+len(f.Raw) <= o.maxBytes {
			o.pending = append(o.pending, f.Retain())
			o.bytes += len(f.Raw)
			o.mu.Unlock()
			o.wake()
			return nil
		}
		if o.room == nil {
			o.room = make(chan struct{})
		}
		room := o.room
		o.mu.Unlock()
		select {
		case <-room:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (o *outbox) wake() {
	select {
	case o.ready <- struct{}{}:
	default:
	}
}

func (o *outbox) makeRoom() {
	if o.room != nil {
		close(o.room)
		o.room = nil
	}
}

// take returns everything queued. The batch is valid until the next call.
// more is false when nothing will follow.
func (o *outbox) take() (batch []Frame, more bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	batch = o.pending
	o.pending, o.spare, o.bytes = o.spare[:0], batch, 0
	o.makeRoom()
	return batch, len(batch) > 0 || o.err == nil
}

// close refuses further frames with ErrClosed; queued ones are still taken.
func (o *outbox) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err == nil {
		o.err = ErrClosed
	}
	o.makeRoom()
	o.wake()
}

// fail drops what is queued and refuses further frames with err.
func (o *outbox) fail(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.broken == nil {
		o.broken = err
	}
	if o.err == nil {
		o.err = err
	}
	for _, f := range o.pending {
		f.Release()
	}
	clear(o.pending)
	o.pending, o.bytes = o.pending[:0], 0
	o.makeRoom()
	o.wake()
}

func (o *outbox) failure() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.broken
}

// writeLoop batches: frames are collected as long as more are queued, and
// leave when the queue is empty or the buffer full.
func (s *Stream) writeLoop() {
	defer close(s.writeDone)
	bw := bufio.NewWriterSize(withDeadline(s.w, s.opts.WriteTimeout), chunkSize)
	for {
		batch, more := s.out.take()
		if len(batch) == 0 {
			if err := bw.Flush(); err != nil {
				s.out.fail(fmt.Errorf("writing to the peer: %w", err))
				return
			}
			if !more {
				return
			}
			<-s.out.ready
			continue
		}
		var err error
		for _, f := range batch {
			if err == nil {
				err = writeLine(bw, f.Raw)
			}
			f.Release()
		}
		clear(batch) // an idle stream holds on to nothing
		if err != nil {
			s.out.fail(fmt.Errorf("writing to the peer: %w", err))
			return
		}
	}
}

// writeLine writes raw and a line end. What is larger than bw's buffer goes
// out without being copied.
func writeLine(bw *bufio.Writer, raw []byte) error {
	if bytes.IndexByte(raw, '\n') >= 0 || bytes.IndexByte(raw, '\r') >= 0 {
		buf := newBuffer(len(raw))
		defer buf.release()
		buf.b = appendCompact(buf.b, raw)
		raw = buf.b
	}
	if len(raw) >= bw.Size() {
		// Else bufio would fill its buffer with the start of raw first.
		if err := bw.Flush(); err != nil {
			return err
		}
	}
	if _, err := bw.Write(raw); err != nil {
		return err
	}
	return bw.WriteByte('\n')
}

// deadlineWriter gives each chunk of a write its own deadline: a slow peer that
// makes progress is never cut off, however large the message.
type deadlineWriter struct {
	w       io.Writer
	set     func(time.Time) error
	timeout time.Duration
}

// withDeadline returns w itself where it can't have or needs no deadline.
func withDeadline(w io.Writer, timeout time.Duration) io.Writer {
	d, ok := w.(interface{ SetWriteDeadline(time.Time) error })
	if !ok || timeout <= 0 || d.SetWriteDeadline(time.Time{}) != nil {
		return w
	}
	return &deadlineWriter{w, d.SetWriteDeadline, timeout}
}

func (d *deadlineWriter) Write(p []byte) (n int, err error) {
	for n < len(p) {
		if err := d.set(time.Now().Add(d.timeout)); err != nil {
			return n, err
		}
		end := min(n+chunkSize, len(p))
		m, err := d.w.Write(p[n:end])
		n += m
		if err != nil {
			return n, err
		}
	}
	return n, nil
}
