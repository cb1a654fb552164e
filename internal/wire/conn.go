package wire

import (
	"context"
	"errors"
	"io"
	"sync"
)

// DefaultMaxMessage is the size cap of one message in bytes unless options say
// otherwise: 64 MiB.
const DefaultMaxMessage = 64 << 20

// ErrClosed is returned by a connection that was closed on this side.
var ErrClosed = errors.New("connection closed")

// Conn is one bidirectional connection that carries whole messages.
//
// Read is called by one goroutine at a time. It returns io.EOF when the peer
// has ended the stream, ErrClosed after Close, ctx.Err when ctx ends first, and
// a *FrameError for a message that can't be relayed: then the stream goes on
// and Read may be called again. The caller owns the frame and releases it.
//
// Write may be called from several goroutines; what one goroutine writes
// arrives in its order. It waits while the peer does not read (back-pressure)
// until ctx ends, and borrows f: the caller still releases it. A nil error
// means queued for the peer, not read by it.
//
// Close ends the connection and waits, within bounds, for what was queued and
// for the goroutines behind it. It is safe to call twice and from anywhere.
type Conn interface {
	Read(ctx context.Context) (Frame, error)
	Write(ctx context.Context, f Frame) error
	Close() error
}

// Pipe returns two ends of a connection inside the process. Each direction
// holds up to depth messages before Write waits.
func Pipe(depth int) (Conn, Conn) {
	ab, ba := make(chan Frame, depth), make(chan Frame, depth)
	a := &pipeEnd{in: ba, out: ab, done: make(chan struct{})}
	b := &pipeEnd{in: ab, out: ba, done: make(chan struct{})}
	a.peer, b.peer = b, a
	return a, b
}

type pipeEnd struct {
	in   <-chan Frame
	out  chan<- Frame
	done chan struct{}
	once sync.Once
	peer *pipeEnd
}

func (p *pipeEnd) Read(ctx context.Context) (Frame, error) {
	select {
	case <-p.done:
		return Frame{}, ErrClosed
	default:
	}
	select {
	case f := <-p.in:
		return f, nil
	default:
	}
	select {
	case f := <-p.in:
		return f, nil
	case <-p.done:
		return Frame{}, ErrClosed
	case <-p.peer.done:
		// What the peer wrote before it closed still counts.
		select {
		case f := <-p.in:
			return f, nil
		default:
			return Frame{}, io.EOF
		}
	case <-ctx.Done():
		return Frame{}, ctx.Err()
	}
}

func (p *pipeEnd) Write(ctx context.Context, f Frame) error {
	select {
	case <-p.done:
		return ErrClosed
	case <-p.peer.done:
		return io.ErrClosedPipe
	default:
	}
	f.Retain()
	select {
	case p.out <- f:
		return nil
	case <-p.done:
		f.Release()
		return ErrClosed
	case <-p.peer.done:
		f.Release()
		return io.ErrClosedPipe
	case <-ctx.Done():
		f.Release()
		return ctx.Err()
	}
}

func (p *pipeEnd) Close() error {
	p.once.Do(func() { close(p.done) })
	return nil
}
