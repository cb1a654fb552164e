package wire

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Header fields of answers that must not be stored or held back on the way.
// X-Accel-Buffering tells nginx and its like to pass events on at once.
func setStreamHeader(h http.Header) {
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-cache, no-store")
	h.Set("X-Accel-Buffering", "no")
}

// eventID names an event over all streams of a session (MCP 2025-11-25,
// basic/transports): stream and place in it.
func appendEventID(b []byte, stream, seq uint64) []byte {
	b = strconv.AppendUint(b, stream, 10)
	b = append(b, '-')
	return strconv.AppendUint(b, seq, 10)
}

func parseEventID(id string) (stream, seq uint64, ok bool) {
	first, second, found := strings.Cut(id, "-")
	if !found {
		return 0, 0, false
	}
	stream, err1 := parseUint(first)
	seq, err2 := parseUint(second)
	return stream, seq, err1 == nil && err2 == nil
}

var errNumber = errors.New("not a number as written here")

// parseUint takes only what AppendUint writes: no sign, no leading zero.
func parseUint(s string) (uint64, error) {
	n, err := strconv.ParseUint(s, 10, 62)
	if err != nil || len(s) > 1 && s[0] == '0' || s[0] == '+' {
		return 0, errNumber
	}
	return n, nil
}

// answerWriter writes one HTTP answer, each piece under a deadline of its own:
// a client may be slow, but not stand still.
type answerWriter struct {
	w        http.ResponseWriter
	control  *http.ResponseController
	timeout  time.Duration
	deadline time.Time
	scratch  []byte
	err      error // the first; nothing is written after it
}

func newAnswerWriter(w http.ResponseWriter, timeout time.Duration) *answerWriter {
	return &answerWriter{w: w, control: http.NewResponseController(w), timeout: timeout}
}

// writePiece is small enough that a link of a few KB/s passes it in time.
const writePiece = 64 << 10

func (a *answerWriter) extend() {
	// Moving a deadline costs more than a small write: not for every one.
	if now := time.Now(); a.deadline.Sub(now) < a.timeout*3/4 {
		a.deadline = now.Add(a.timeout)
		// A writer without deadlines is the caller's choice.
		_ = a.control.SetWriteDeadline(a.deadline)
	}
}

func (a *answerWriter) write(b []byte) {
	for len(b) > 0 && a.err == nil {
		a.extend()
		n := min(len(b), writePiece)
		_, a.err = a.w.Write(b[:n])
		b = b[n:]
	}
}

func (a *answerWriter) flush() {
	if a.err == nil {
		a.extend()
		a.err = a.control.Flush()
	}
}

// comment sends something that event stream readers ignore.
func (a *answerWriter) comment() {
	a.write([]byte(": keep-alive\n\n"))
	a.flush()
}

// plain sends f as the whole answer.
func (a *answerWriter) plain(status int, r *Refusal, f Frame) {
	h := a.w.Header()
	h.Set("Cache-Control", "no-store")
	r.setHeader(h)
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(f.Raw)))
	a.w.WriteHeader(status)
	a.write(f.Raw)
}

// message sends f as an event; seq 0 leaves out the id.
func (a *answerWriter) message(stream, seq uint64, f Frame) {
	b := a.scratch[:0]
	if seq != 0 {
		b = append(b, "id: "...)
		b = appendEventID(b, stream, seq)
		b = append(b, '\n')
	}
	b = append(b, "event: message\ndata: "...)
	a.scratch = b
	raw := compact(f.Raw)
	if len(raw) < 1<<10 {
		b = append(append(b, raw...), "\n\n"...)
		a.scratch = b
		a.write(b)
		return
	}
	a.write(b)
	a.write(raw)
	a.write([]byte("\n\n"))
}

// prime sends an id without a message, so that the client can come back even
// if nothing else arrives (MCP 2025-11-25, basic/transports).
func (a *answerWriter) prime(stream, seq uint64) {
	b := append(a.scratch[:0], "id: "...)
	b = appendEventID(b, stream, seq)
	b = append(b, "\ndata: \n\n"...)
	a.scratch = b
	a.write(b)
}

// carry is one HTTP answer that carries a stream to the client.
type carry struct {
	s  *Session
	st *outStream
	rd *reader
	w  *answerWriter
	// whole: a response that comes first may be the answer as plain JSON.
	whole bool

	started bool
	unsure  []taken // events that were written but not flushed
	bytes   int     // of unsure
}

// flushAfter and flushBytes bound the events that are sent without being flushed
// while more of them wait.
const (
	flushAfter = 32
	flushBytes = 64 << 10
)

// unflushed are slices for carry.unsure. An idle stream holds none.
var unflushed = sync.Pool{New: func() any { return make([]taken, 0, flushAfter) }}

// run carries the stream until it ends, another connection takes it over, or
// the client goes away. preamble, if any, starts the event stream.
func (c *carry) run(r *http.Request, preamble []byte) {
	defer func() { c.s.detach(c.st, c.rd, c.unsure) }()
	silence := time.NewTimer(c.s.front.opts.KeepAlive)
	defer silence.Stop()
	if !c.whole {
		// Reading the request is over; that must not end the stream one day.
		_ = c.w.control.SetReadDeadline(time.Time{})
		c.start(preamble)
		c.w.flush()
	}
	for c.w.err == nil {
		step, t := c.s.take(c.st, c.rd, c.whole && !c.started)
		switch step {
		case stepPlain:
			c.plain(t)
			t.frame.Release()
			return
		case stepReplay:
			c.replay(r, t.place)
			continue
		case stepSend:
			kept := c.s.keep(c.st, c.rd, t)
			if c.unsure == nil {
				c.unsure, _ = unflushed.Get().([]taken)
			}
			c.unsure = append(c.unsure, t)
			c.bytes += len(t.frame.Raw)
			c.event(t, kept)
			if len(c.unsure) < flushAfter && c.bytes < flushBytes {
				continue
			}
		case stepEnd, stepLeave:
			// A stream without any event still is an answer.
			c.start(nil)
			c.flush()
			return
		case stepWait:
		}
		if len(c.unsure) > 0 {
			if !c.flush() {
				return
			}
			silence.Reset(c.s.front.opts.KeepAlive)
			if step == stepSend {
				continue
			}
		}
		select {
		case <-c.rd.wake:
		case <-silence.C:
			c.start(nil)
			c.w.comment()
			silence.Reset(c.s.front.opts.KeepAlive)
		case <-r.Context().Done():
			return
		}
	}
}

// flush reports whether all that was written has left.
func (c *carry) flush() bool {
	c.w.flush()
	if c.w.err != nil {
		return false
	}
	for i, t := range c.unsure {
		t.frame.Release()
		c.unsure[i] = taken{}
	}
	if c.unsure != nil {
		unflushed.Put(c.unsure[:0]) //nolint:staticcheck // a header of three words, once a flush
	}
	c.unsure, c.bytes = nil, 0
	return true
}

func (c *carry) start(preamble []byte) {
	if c.started {
		return
	}
	c.started = true
	setStreamHeader(c.w.w.Header())
	c.w.w.WriteHeader(http.StatusOK)
	c.w.write(preamble)
	// Older clients take an empty event for a broken message.
	if c.rd.withIDs && c.s.Protocol() >= revision20251125 {
		after := c.s.primed(c.st, c.rd)
		if len(c.unsure) > 0 {
			after = c.unsure[0].place - 1 // the event that made the stream start comes yet
		}
		c.w.prime(c.st.num, after)
	}
}

func (c *carry) event(t taken, withID bool) {
	c.start(nil)
	place := t.place
	if !withID {
		place = 0
	}
	c.w.message(c.st.num, place, t.frame)
}

func (c *carry) plain(t taken) {
	if t.refuse != nil {
		c.w.w.Header().Del(HeaderSession) // a session that is not opened
	}
	c.w.plain(t.refuse.status(), t.refuse, t.frame)
}
