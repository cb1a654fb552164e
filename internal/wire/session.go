package wire

import (
	"container/list"
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"
)

// Session is the server's end of one client's session: a [Conn] whose messages
// travel in HTTP requests and answers of that client.
//
// Messages to the client go where the transport wants them. Over Streamable
// HTTP a response goes on the stream of its request and so does what
// WriteRelated names; anything else goes on the stream that the client opened
// with GET. While the client has none open such messages wait in a bounded
// queue. A client that never opened one, or left one closed until the queue
// was full, gets them on its oldest open POST stream instead, until that ends:
// nothing is lost, and nothing waits for a stream that may never come. They
// leave in the order they were written. Over HTTP+SSE there is one stream and
// everything goes on it in that order.
//
// A client that disconnects cancels nothing: it may come back and resume.
//
// A client that is connected and does not read makes writers wait, those of its
// other streams too where one goroutine writes them all, until it is cut after
// FrontOptions.WriteTimeout. Other sessions are not touched.
type Session struct {
	id, owner string
	front     *front
	unended   context.Context // has the values of ctx and no end
	ctx       context.Context
	cancel    context.CancelFunc
	in        chan Incoming
	done      chan struct{} // closed when the session has ended
	quiet     chan struct{} // closed when, after that, no client is connected

	mu        sync.Mutex
	cause     error // why the session ended; nil while it lives
	protocol  string
	refused   bool // initialize was answered with an error
	pending   map[string]*pendingRequest
	streams   map[uint64]*outStream // without those that are done with
	general   *outStream            // the standalone stream
	standIn   *outStream            // a connected POST stream that carries its messages
	lastNum   uint64
	listened  bool      // the client has opened the standalone stream before
	posts     list.List // of *outStream: POST streams with a client, oldest first
	finished  []finishedStream
	connected int // HTTP answers that carry a stream now
	used      time.Time
	opened    time.Time // never changes
	// registered is when FrontOptions.Registry heard of the session last.
	registered time.Time
	renewAt    time.Time // when it should hear of it again
}

// maxInward bounds the messages that wait for Receive. Whoever POSTs more waits
// with them; a longer queue would only cost memory in every idle session.
const maxInward = 16

// pendingRequest is a client's request that has no answer yet.
type pendingRequest struct {
	id        ID
	stream    *outStream
	opening   bool      // it is initialize
	cancelled time.Time // when the client cancelled it
}

// cancelGrace is how long a cancelled request may still be answered by the
// server before it is answered here: most servers never do (MCP 2025-11-25,
// basic/utilities/cancellation), and its stream must end some time.
const cancelGrace = 10 * time.Second

// Incoming is a message from the client.
type Incoming struct {
	Frame
	// Request carries the values of the HTTP request the message came in. It
	// does not end with that request.
	Request context.Context //nolint:containedctx // it is the message's, not the struct's
}

// Errors that end a session, and errors of writing to one.
var (
	// ErrNoRequest: a response answers no request of the client, or one that was
	// answered already. The session goes on.
	ErrNoRequest = errors.New("the response answers no open request")

	errNeverOpened = errors.New("the client went away before the session was open")
	errRefused     = errors.New("initialize was refused")
	errDeleted     = errors.New("the client ended the session")
	errEvicted     = errors.New("the session was ended to make room")
	errStreamGone  = errors.New("the event stream ended")
	errIdle        = errors.New("the session was idle for too long")
	errElsewhere   = errors.New("the session is not registered here any more")
)

func newSession(f *front, r *http.Request, id, owner string) *Session {
	s := &Session{
		id:      id,
		owner:   owner,
		front:   f,
		in:      make(chan Incoming, min(f.opts.Queue, maxInward)),
		done:    make(chan struct{}),
		quiet:   make(chan struct{}),
		pending: map[string]*pendingRequest{},
		streams: map[uint64]*outStream{},
		general: newOutStream(0),
		used:    f.opts.Now(),
	}
	s.opened, s.registered = s.used, s.used
	s.renewAt = s.used.Add(f.bounds().IdleTTL / 4)
	s.unended = context.WithoutCancel(r.Context())
	s.ctx, s.cancel = context.WithCancel(s.unended)
	s.streams[0] = s.general
	return s
}

// ID is the session id the client knows. Knowing it is not proof of anything.
func (s *Session) ID() string { return s.id }

// Owner is the key that FrontOptions.Owner gave for the opening request.
func (s *Session) Owner() string { return s.owner }

// Protocol is the negotiated MCP revision, "" until initialize was answered.
func (s *Session) Protocol() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.protocol
}

// Read returns the next message of the client: see [Conn]. Messages that came
// in one POST, or in POSTs one after another, come in that order.
func (s *Session) Read(ctx context.Context) (Frame, error) {
	in, err := s.Receive(ctx)
	return in.Frame, err
}

// Receive is Read with the values of the HTTP request the message came in.
func (s *Session) Receive(ctx context.Context) (Incoming, error) {
	select {
	case in := <-s.in:
		return in, nil
	default:
	}
	select {
	case in := <-s.in:
		return in, nil
	case <-s.done:
	case <-ctx.Done():
		// ctx is often the session's own: its end is the better news.
		select {
		case <-s.done:
		default:
			return Incoming{}, ctx.Err()
		}
	}
	select {
	case in := <-s.in: // it came before the end
		return in, nil
	default:
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if errors.Is(s.cause, ErrClosed) {
		return Incoming{}, ErrClosed
	}
	return Incoming{}, io.EOF
}

// Write sends f to the client: see [Conn] and, for the way it takes, [Session].
// It returns ErrNoRequest for a response that nobody waits for, and
// io.ErrClosedPipe when the client or the front has ended the session.
func (s *Session) Write(ctx context.Context, f Frame) error {
	return s.send(ctx, outgoing{frame: f})
}

// WriteRelated sends a notification or a request that belongs to the client's
// request with the id to, on that request's stream. When that request is no
// longer open it is as Write.
func (s *Session) WriteRelated(ctx context.Context, f Frame, to ID) error {
	return s.send(ctx, outgoing{frame: f, to: to})
}

// Refuse answers the client's request with the id as r says: see [Refusal] and,
// for its errors, [Session.Write].
func (s *Session) Refuse(ctx context.Context, id ID, r Refusal) error {
	return s.send(ctx, outgoing{frame: r.answer(id), refusal: &r})
}

// Close ends the session from the server's side. Open requests are answered
// with an error; what was written before still goes out to connected clients,
// and Close waits for that within FrontOptions.WriteTimeout.
func (s *Session) Close() error {
	s.end(ErrClosed, "the session ended before the request was answered")
	waitFor(s.quiet, s.front.opts.WriteTimeout)
	return nil
}

// CloseRefusing is Close without the wait; open requests are answered as r says.
// Requests that come later are told, like any of a session that is over, to open
// a new one.
func (s *Session) CloseRefusing(r Refusal) {
	s.endWith(ErrClosed, func(id ID) outgoing { return outgoing{frame: r.answer(id), refusal: &r} })
}

// end closes the session for cause, once. Open requests are answered with the
// given text.
func (s *Session) end(cause error, text string) {
	s.endWith(cause, func(id ID) outgoing { return outgoing{frame: NewError(id, CodeInternal, text, nil)} })
}

func (s *Session) endWith(cause error, answer func(id ID) outgoing) {
	s.mu.Lock()
	if s.cause != nil {
		s.mu.Unlock()
		return
	}
	open := s.pending
	s.pending = map[string]*pendingRequest{}
	for _, p := range open {
		s.finish(p, answer(p.id))
	}
	s.cause = cause
	close(s.done)
	for _, st := range s.streams {
		st.wakeReader()
	}
	if s.connected == 0 {
		s.letGo()
	}
	s.mu.Unlock()
	s.front.answered(len(open))
	s.front.forget(s)
	s.cancel()
	s.front.unregister(s, cause)
}

// letGo releases all that was kept, once the session has ended and no client
// is connected any more.
func (s *Session) letGo() {
	for _, st := range s.streams {
		for _, e := range st.clear() {
			e.frame.Release()
		}
	}
	s.streams, s.finished = nil, nil
	close(s.quiet)
}

func (s *Session) touch() {
	s.mu.Lock()
	s.used = s.front.opts.Now()
	s.mu.Unlock()
}

// aloneSince says whether no client is connected, and since when.
func (s *Session) aloneSince() (time.Time, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.used, s.connected == 0
}

// idleSince says whether nothing at all goes on, and since when.
func (s *Session) idleSince() (time.Time, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.used, s.connected == 0 && len(s.pending) == 0
}

// sweep answers requests that were cancelled long enough ago.
func (s *Session) sweep(now time.Time) {
	s.mu.Lock()
	answered := 0
	for key, p := range s.pending {
		if p.cancelled.IsZero() || now.Sub(p.cancelled) < cancelGrace || s.cause != nil {
			continue
		}
		delete(s.pending, key)
		answered++
		s.finish(p, outgoing{frame: NewError(p.id, CodeInternal, "the request was cancelled", nil)})
	}
	s.mu.Unlock()
	s.front.answered(answered)
}

// push hands a message to the reader of the session. It waits while the
// reader's queue is full.
func (s *Session) push(ctx context.Context, in Incoming) error {
	select {
	case <-s.done:
		return io.EOF
	default:
	}
	select {
	case s.in <- in:
		return nil
	case <-s.done:
		return io.EOF
	case <-ctx.Done():
		return ctx.Err()
	}
}
