package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"
)

// StreamOptions sets the limits of a [Stream]. The zero value is usable.
type StreamOptions struct {
	// MaxMessage is the largest message taken from the peer, in bytes without
	// its line end; 0 means DefaultMaxMessage.
	MaxMessage int
	// Queue is how many messages may wait for the peer before Write waits, 0
	// means 64. Their bytes together are bounded by MaxMessage as well, save
	// for one message that may be larger.
	Queue int
	// WriteTimeout is how long the peer may leave a write without progress
	// before the stream counts as broken; 0 means no limit. It takes effect
	// only where the writer has SetWriteDeadline and honours it.
	WriteTimeout time.Duration
	// CloseTimeout bounds how long Close waits for queued messages to reach
	// the peer; 0 means 5 s.
	CloseTimeout time.Duration
	// Logger is told of discarded messages and stuck peers; nil discards.
	Logger *slog.Logger
}

func (o StreamOptions) withDefaults() StreamOptions {
	if o.MaxMessage <= 0 {
		o.MaxMessage = DefaultMaxMessage
	}
	if o.Queue <= 0 {
		o.Queue = 64
	}
	if o.CloseTimeout <= 0 {
		o.CloseTimeout = 5 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

var errEmptyFrame = errors.New("writing to the peer: the frame holds no message")

// Stream is a [Conn] of newline-delimited JSON (MCP basic/transports, "stdio").
//
// It reads one message a line: LF or CRLF, blank lines ignored, a UTF-8 byte
// order mark at the start tolerated, the last line complete without its LF. A
// line above MaxMessage is discarded as it arrives and answered for by a
// [FrameError]; the stream goes on after it.
//
// What is queued at one time leaves in one write.
type Stream struct {
	opts StreamOptions
	r    io.Reader
	w    io.Writer

	in       chan inbound
	readDone chan struct{} // closed when the reader has ended, after readErr was set
	readErr  error

	out       *outbox
	writeDone chan struct{}

	closing   chan struct{} // Close has begun
	closed    chan struct{} // Close is through: the reader may go
	beginOnce sync.Once
	closeOnce sync.Once
	closeErr  error
	writeOnce sync.Once
	writeErr  error
}

// inbound is what the reader hands to Read: a frame or a *FrameError.
type inbound struct {
	frame Frame
	err   error
}

// NewStream returns a running connection that reads from r and writes to w. It
// owns both: Close closes each of them that is an io.Closer.
//
// A read or write that the operating system doesn't interrupt, as with a
// terminal or an inherited pipe, keeps its goroutine until it returns; Close
// does not wait for it.
func NewStream(r io.Reader, w io.Writer, o StreamOptions) *Stream {
	o = o.withDefaults()
	s := &Stream{
		opts:      o,
		r:         r,
		w:         w,
		in:        make(chan inbound),
		readDone:  make(chan struct{}),
		out:       newOutbox(o.Queue, o.MaxMessage),
		writeDone: make(chan struct{}),
		closing:   make(chan struct{}),
		closed:    make(chan struct{}),
	}
	go s.readLoop()
	go s.writeLoop()
	return s
}

// Read returns the next message; see [Conn].
func (s *Stream) Read(ctx context.Context) (Frame, error) {
	if isClosed(s.closing) {
		return Frame{}, ErrClosed
	}
	select {
	case next := <-s.in:
		return next.frame, next.err
	case <-s.readDone:
		return Frame{}, s.readErr
	case <-s.closing:
		return Frame{}, ErrClosed
	case <-ctx.Done():
		return Frame{}, ctx.Err()
	}
}

func (s *Stream) readLoop() {
	defer close(s.readDone)
	lines := newLineReader(s.r, s.opts.MaxMessage)
	for {
		f, err := lines.next()
		if err != nil {
			bad, ok := errors.AsType[*FrameError](err)
			if !ok {
				if !errors.Is(err, io.EOF) {
					err = fmt.Errorf("reading from the peer: %w", err)
				}
				s.readErr = err
				return
			}
			s.opts.Logger.Debug("message not relayed", "reason", bad.Reason)
		}
		select {
		case s.in <- inbound{f, err}:
		case <-s.closing:
			f.Release()
			s.readErr = lines.discard(s.closed)
			return
		}
	}
}

// Write queues one message; see [Conn]. With room in the queue it succeeds
// even when ctx has ended.
func (s *Stream) Write(ctx context.Context, f Frame) error {
	if len(f.Raw) == 0 {
		return errEmptyFrame
	}
	return s.out.put(ctx, f)
}

// Close ends the connection; see [Conn]. The error tells that queued messages
// did not reach the peer.
func (s *Stream) Close() error {
	s.closeOnce.Do(func() {
		s.beginClose()
		s.closeErr = s.closeWrite(s.opts.CloseTimeout)
		close(s.closed)
		if interruptRead(s.r) {
			waitFor(s.readDone, s.opts.CloseTimeout)
		}
		closeIfCloser(s.r)
	})
	return s.closeErr
}

// beginClose ends Read and lets what the peer still sends fall to the ground: a
// peer that can't write won't read either, and what is queued for it would
// never leave.
func (s *Stream) beginClose() { s.beginOnce.Do(func() { close(s.closing) }) }

// closeWrite waits until the queue has reached the peer, for timeout at most,
// and closes the writer. Reading goes on.
func (s *Stream) closeWrite(timeout time.Duration) error {
	s.writeOnce.Do(func() {
		s.out.close()
		if !waitFor(s.writeDone, timeout) {
			s.opts.Logger.Warn("the peer does not read what is queued for it; giving up", "after", timeout)
			s.out.fail(fmt.Errorf("writing to the peer: it did not read within %v of closing", timeout))
			if interruptWrite(s.w) {
				waitFor(s.writeDone, time.Second)
			}
		}
		closeIfCloser(s.w)
		s.writeErr = s.out.failure()
	})
	return s.writeErr
}

// waitFor reports whether done was closed before the timeout.
func waitFor(done <-chan struct{}, timeout time.Duration) bool {
	if isClosed(done) {
		return true
	}
	t := time.NewTimer(timeout)
	defer t.Stop()
	select {
	case <-done:
		return true
	case <-t.C:
		return false
	}
}

func isClosed(done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
		return false
	}
}

// interruptRead makes a pending Read return and reports whether it can.
func interruptRead(r io.Reader) bool {
	if d, ok := r.(interface{ SetReadDeadline(time.Time) error }); ok && d.SetReadDeadline(time.Unix(1, 0)) == nil {
		return true
	}
	return closeIfCloser(r)
}

// interruptWrite makes a pending Write return and reports whether it can.
func interruptWrite(w io.Writer) bool {
	if d, ok := w.(interface{ SetWriteDeadline(time.Time) error }); ok && d.SetWriteDeadline(time.Unix(1, 0)) == nil {
		return true
	}
	return closeIfCloser(w)
}

func closeIfCloser(v any) bool {
	c, ok := v.(io.Closer)
	if ok {
		_ = c.Close() // the messages are through or lost by now
	}
	return ok
}
