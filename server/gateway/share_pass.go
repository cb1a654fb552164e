package gateway

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// asking is one request that is passed to another replica.
type asking struct {
	mu      sync.Mutex
	answer  []message // what has come and was not written yet: at most a window
	arrived chan struct{}
}

// window is how many pieces of an answer may be under way; a piece has at most
// pieceSize bytes.
const (
	window    = 16
	pieceSize = 64 << 10
)

func (a *asking) add(m message) {
	a.mu.Lock()
	if len(a.answer) < window+2 { // the head and the end; who sends more breaks the rules
		a.answer = append(a.answer, m)
	}
	a.mu.Unlock()
	select {
	case a.arrived <- struct{}{}:
	default:
	}
}

func (a *asking) take() []message {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := a.answer
	a.answer = nil
	return all
}

const (
	// silence ends an exchange of which nothing was heard: fronts send comments
	// on silent streams, four times as often by default.
	silence = time.Minute
	// clientPatience cuts a client that takes nothing for so long.
	clientPatience = 30 * time.Second
	// lastWord bounds telling another replica that an exchange is over.
	lastWord = 5 * time.Second
)

// pass lets another replica answer a request: the one where its session lives.
func (r *Replica) pass(w http.ResponseWriter, req *http.Request, to, scope string) {
	body, err := io.ReadAll(req.Body) // bounded by the front
	if err != nil {
		status := http.StatusBadRequest
		if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
			status = http.StatusRequestEntityTooLarge
		} else if errors.Is(err, os.ErrDeadlineExceeded) {
			status = http.StatusRequestTimeout
		}
		refusePassing(w, status, "the message did not arrive whole, or exceeds the size limit of this server")
		return
	}
	carried, err := r.calls.Carry(req.Context())
	if err != nil {
		r.log.Error("passing a request to another replica", "reason", err)
		refusePassing(w, http.StatusServiceUnavailable, "the replica of this server that has the session can't be told who asks")
		return
	}
	exchange := rand.Text()
	a := &asking{arrived: make(chan struct{}, 1)}
	r.mu.Lock()
	closed := r.closed
	if !closed {
		r.asked[exchange] = a
	}
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		delete(r.asked, exchange)
		r.mu.Unlock()
	}()
	there := false
	if !closed {
		m := message{
			Kind: isRequest, Exchange: exchange, From: r.id, Scope: scope,
			Method: req.Method, Host: passable(req.Host), URI: passable(req.URL.RequestURI()), Header: passedHeader(req.Header),
			body: body,
		}
		m.Caller = r.seal(carried, m)
		there, err = r.send(req.Context(), to, m)
	}
	if err != nil {
		// It may have arrived nevertheless: no answer may invite to send it again.
		r.log.Error("passing a request to another replica", "reason", err)
		refusePassing(w, http.StatusBadGateway, "the replica of this server that has the session did not answer; the work may or may not have been done")
		r.gone(req.Context(), to, exchange)
		return
	}
	if !there {
		refusePassing(w, http.StatusServiceUnavailable, "the replica of this server that has the session can't be reached; try again")
		return
	}
	if over := r.carry(w, req, to, exchange, a); !over {
		r.gone(req.Context(), to, exchange)
	}
}

// gone tells another replica that nobody waits for an answer any more.
func (r *Replica) gone(ctx context.Context, to, exchange string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWord)
	defer cancel()
	_, _ = r.send(ctx, to, message{Kind: isGone, Exchange: exchange}) // it notices in the end
}

// carry writes the answer as it comes. It reports whether that has ended.
func (r *Replica) carry(w http.ResponseWriter, req *http.Request, to, exchange string, a *asking) (over bool) {
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Time{}) // the request has been read; its answer may take long
	quiet := time.NewTimer(silence)
	defer quiet.Stop()
	started := false
	for {
		select {
		case <-a.arrived:
			quiet.Reset(silence)
		case <-req.Context().Done():
			return false
		case <-r.ctx.Done():
			panic(http.ErrAbortHandler)
		case <-quiet.C:
			if !started {
				refusePassing(w, http.StatusGatewayTimeout, "the replica of this server that has the session does not answer; try again")
				return false
			}
			panic(http.ErrAbortHandler) // not an end in order: the client resumes
		}
		for _, m := range a.take() {
			_ = control.SetWriteDeadline(time.Now().Add(clientPatience))
			switch m.Kind {
			case isHead:
				started = true
				for name, values := range m.Header {
					w.Header()[name] = values
				}
				w.WriteHeader(m.Status)
			case isPiece:
				if _, err := w.Write(m.body); err != nil {
					return false
				}
				if control.Flush() != nil {
					return false
				}
				if there, err := r.send(req.Context(), to, message{Kind: isMore, Exchange: exchange}); err != nil || !there {
					return false
				}
			case isEnd:
				return true
			case isBroken:
				panic(http.ErrAbortHandler) // the client resumes
			}
		}
	}
}

// passedHeader is what the front of a session looks at. Credentials stay here.
func passedHeader(h http.Header) http.Header {
	out := http.Header{}
	for _, name := range []string{"Accept", "Content-Type", "Content-Encoding", "Origin", "Last-Event-Id", "Traceparent", "Tracestate", wire.HeaderSession, wire.HeaderProtocol} {
		for _, value := range h.Values(name) {
			out.Add(name, passable(value))
		}
	}
	return out
}

// passable makes a string one that JSON carries as it is.
func passable(s string) string { return strings.ToValidUTF8(s, "\ufffd") }

func refusePassing(w http.ResponseWriter, status int, text string) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	if status == http.StatusServiceUnavailable {
		h.Set("Retry-After", "5")
	}
	w.WriteHeader(status)
	_, _ = w.Write(wire.NewError(nil, wire.CodeInternal, text, nil).Raw) // the client may be gone
}
