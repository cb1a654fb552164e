package wire

import (
	"context"
	"errors"
	"fmt"
	"net/http"
)

// Deliver takes messages that come from a remote. It is called by one
// goroutine per stream, in the stream's order, and by several streams at once.
// It borrows the frame and may wait: that is how back-pressure reaches the
// server. An error ends the stream it came on.
type Deliver func(ctx context.Context, f Frame) error

// Remote is the client end of an HTTP transport. Messages from the server go to
// the Deliver function the remote was made with.
//
// Exchange sends one message and, for a request, returns when its response has
// been delivered, after everything the server sent before it on that stream.
// An error means that no response was or will be delivered: the caller answers
// the request. It may be called concurrently; ending ctx aborts the exchange.
// It never retries on its own what the server may have seen.
//
// Listen keeps the stream for messages that belong to no request open until
// ctx ends or the server can't or won't have it.
//
// End tells the server that the session is over.
type Remote interface {
	Exchange(ctx context.Context, f Frame) error
	Listen(ctx context.Context) error
	End(ctx context.Context) error
}

// Errors that Exchange and Listen return, in chains, beside *StatusError.
var (
	// ErrNoAnswer: the server accepted the request but its response can't come
	// any more. Whether the work was done is unknown.
	ErrNoAnswer = errors.New("the server ended the exchange without answering")
	// ErrNoListen: the server offers no stream outside of requests.
	ErrNoListen = errors.New("the server offers no stream for its own messages")
	// ErrNotSent: the request did not reach the server; it may be repeated.
	ErrNotSent = errors.New("the server could not be reached")
	// ErrSessionLost: the server no longer knows the session.
	ErrSessionLost = errors.New("the server no longer knows this session")
	// ErrStreamEnded: the one stream of an HTTP+SSE session has ended, and the
	// session with it.
	ErrStreamEnded = errors.New("the server's event stream has ended")
)

// ContentError is an answer of success that is neither a message nor a stream of
// them, such as a web page. It matches ErrNoAnswer.
type ContentError struct {
	Status int
	Type   string // the answer's Content-Type
}

func (e *ContentError) Error() string {
	return fmt.Sprintf("%v (HTTP %d with a body of type %.100q)", ErrNoAnswer, e.Status, e.Type)
}

func (e *ContentError) Unwrap() error { return ErrNoAnswer }

// StatusError is an HTTP answer that carries no usable message.
type StatusError struct {
	Status int
	Header http.Header
	// Body is the start of the answer's body, at most 64 KiB.
	Body []byte
	// Answer is the JSON-RPC error in the body where there was one; the zero
	// Frame otherwise. Its id may be null.
	Answer Frame
}

func (e *StatusError) Error() string {
	return fmt.Sprintf("the server answered HTTP %d %s", e.Status, http.StatusText(e.Status))
}
