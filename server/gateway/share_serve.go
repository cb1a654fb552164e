package gateway

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"sync"
	"time"
)

// maxServing bounds the requests of other replicas that are worked on.
const maxServing = 20_000

// serving is one request of another replica's client. It is the
// http.ResponseWriter that the answer is written to.
type serving struct {
	replica      *Replica
	to, exchange string
	ctx          context.Context // ends when the client leaves
	cancel       context.CancelFunc
	more         chan struct{} // one entry for each piece that may be sent

	header http.Header
	wrote  bool
	buffer []byte
	err    error

	mu       sync.Mutex
	deadline time.Time
}

// receive takes a message of another replica. It must not wait: all exchanges
// go through it.
func (r *Replica) receive(data []byte) {
	m, err := decodeMessage(data)
	if err != nil {
		r.log.Error("listening to other replicas", "reason", err)
		return
	}
	r.mu.Lock()
	a, s := r.asked[m.Exchange], r.serving[m.Exchange]
	r.mu.Unlock()
	switch m.Kind {
	case isRequest:
		r.serve(m)
	case isHead, isPiece, isEnd, isBroken:
		if a != nil {
			a.add(m)
		}
	case isMore:
		if s != nil {
			select {
			case s.more <- struct{}{}:
			default: // a window is all there is
			}
		}
	case isGone:
		if s != nil {
			s.cancel()
		}
	}
}

// serve starts working on a request of another replica.
func (r *Replica) serve(m message) {
	s := &serving{replica: r, to: m.From, exchange: m.Exchange, more: make(chan struct{}, window), header: http.Header{}}
	s.ctx, s.cancel = context.WithCancel(r.ctx)
	for range window {
		s.more <- struct{}{}
	}
	r.mu.Lock()
	front := r.fronts[m.Scope]
	refused := r.closed || len(r.serving) >= maxServing || r.serving[m.Exchange] != nil
	if !refused {
		r.serving[m.Exchange] = s
		r.running.Add(1)
	}
	r.mu.Unlock()
	if refused {
		s.cancel()
		return // the other replica waits a while, and says so
	}
	go func() {
		defer r.running.Done()
		s.run(m, front)
		s.cancel()
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.serving, m.Exchange)
	}()
}

func (s *serving) run(m message, front http.Handler) {
	carried, err := s.replica.open(m)
	ctx := s.ctx
	if err == nil {
		ctx, err = s.replica.calls.Restore(ctx, carried)
	}
	req, requestErr := http.NewRequestWithContext(ctx, m.Method, m.URI, io.NopCloser(bytes.NewReader(m.body)))
	switch {
	case err != nil:
		s.replica.log.Error("a request that another replica passed on is not believed: do all have the same key?", "reason", err)
		refusePassing(s, http.StatusServiceUnavailable, "the replica of this server that has the session does not believe who asks")
	case requestErr != nil || front == nil:
		refusePassing(s, http.StatusNotFound, "the replica of this server that has the session does not serve this address")
	default:
		req.Host, req.Header, req.ContentLength = m.Host, m.Header, int64(len(m.body))
		if req.Header == nil {
			req.Header = http.Header{}
		}
		s.handle(front, req)
	}
	if s.FlushError() == nil {
		s.send(message{Kind: isEnd})
	}
	if s.err != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), lastWord)
		defer cancel()
		_, _ = s.replica.send(ctx, s.to, message{Kind: isBroken, Exchange: s.exchange}) // it notices in the end
	}
}

// handle calls the front as net/http would.
func (s *serving) handle(front http.Handler, req *http.Request) {
	defer func() {
		if v := recover(); v != nil {
			if v != http.ErrAbortHandler { //nolint:errorlint,err113 // that is how net/http compares
				s.replica.log.Error("serving a request of another replica", "panic", v)
			}
			s.err = http.ErrAbortHandler // no end: the client resumes
		}
	}()
	front.ServeHTTP(s, req)
}

// Header implements http.ResponseWriter.
func (s *serving) Header() http.Header { return s.header }

// WriteHeader implements http.ResponseWriter.
func (s *serving) WriteHeader(status int) {
	if s.wrote || status < http.StatusOK {
		return
	}
	s.wrote = true
	s.send(message{Kind: isHead, Status: status, Header: s.header})
}

// Write implements http.ResponseWriter.
func (s *serving) Write(p []byte) (int, error) {
	s.WriteHeader(http.StatusOK)
	for rest := p; len(rest) > 0 && s.err == nil; {
		n := min(len(rest), pieceSize-len(s.buffer))
		s.buffer, rest = append(s.buffer, rest[:n]...), rest[n:]
		if len(s.buffer) == pieceSize {
			s.piece()
		}
	}
	if s.err != nil {
		return 0, s.err
	}
	return len(p), nil
}

// FlushError is for http.ResponseController.
func (s *serving) FlushError() error {
	s.WriteHeader(http.StatusOK)
	if len(s.buffer) > 0 {
		s.piece()
	}
	return s.err
}

// SetReadDeadline is for http.ResponseController: the request has been read.
func (s *serving) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline is for http.ResponseController.
func (s *serving) SetWriteDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deadline = t
	return nil
}

// piece sends what is buffered, once the client's replica takes it.
func (s *serving) piece() {
	if s.err != nil {
		return
	}
	select {
	case <-s.more:
	default:
		s.mu.Lock()
		left := clientPatience
		if !s.deadline.IsZero() {
			left = time.Until(s.deadline)
		}
		s.mu.Unlock()
		late := time.NewTimer(left)
		defer late.Stop()
		select {
		case <-s.more:
		case <-late.C:
			s.err = os.ErrDeadlineExceeded
			return
		case <-s.ctx.Done():
			s.err = s.ctx.Err()
			return
		}
	}
	s.send(message{Kind: isPiece, body: s.buffer})
	s.buffer = s.buffer[:0]
}

func (s *serving) send(m message) {
	if s.err != nil {
		return
	}
	m.Exchange = s.exchange
	there, err := s.replica.send(s.ctx, s.to, m)
	if err == nil && !there {
		err = io.ErrClosedPipe
	}
	s.err = err
}
