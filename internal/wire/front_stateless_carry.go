package wire

import (
	"net/http"
	"time"
)

// callCarrier is the HTTP answer to a [Call].
type callCarrier struct {
	c       *Call
	w       *answerWriter
	started bool // as an event stream
	waiting int  // events that were written but not flushed
}

// carry sends what is written to the call until that has ended or the client is
// gone.
func (c *Call) carry(w http.ResponseWriter, r *http.Request) {
	k := callCarrier{c: c, w: newAnswerWriter(w, c.front.opts.WriteTimeout)}
	if k.run(r) {
		c.close(errAnswered)
	} else {
		c.close(ErrDisconnected)
	}
}

// run reports whether the call came to its end.
func (k *callCarrier) run(r *http.Request) bool {
	keepAlive := k.c.front.opts.KeepAlive
	silence := time.NewTimer(keepAlive)
	defer silence.Stop()
	for k.w.err == nil {
		if m, ok := k.c.take(); ok {
			last := k.send(m)
			m.frame.Release()
			if last {
				return k.w.err == nil
			}
			if k.waiting < flushAfter {
				continue
			}
		} else if k.accepted() {
			return true
		}
		if k.waiting > 0 {
			k.w.flush()
			k.waiting = 0
			silence.Reset(keepAlive)
			continue // more may have come meanwhile
		}
		select {
		case <-k.c.wake:
		case <-silence.C:
			if k.c.id != nil { // nobody reads events after a notification
				k.start()
				k.w.comment()
			}
			silence.Reset(keepAlive)
		case <-r.Context().Done():
			return false
		}
	}
	return false
}

// send writes m and reports whether it was the last.
func (k *callCarrier) send(m outgoing) bool {
	last := m.frame.Kind == Response
	if last && !k.started {
		status := statelessStatus(m)
		if k.c.id == nil {
			status = max(status, http.StatusBadRequest) // 200 is no answer to a notification
		}
		k.w.plain(status, m.refusal, m.frame)
		return true
	}
	k.start()
	k.w.message(0, 0, m.frame)
	k.waiting++
	if last {
		k.w.flush()
	}
	return last
}

// accepted answers a notification that was worked on.
func (k *callCarrier) accepted() bool {
	if k.c.id != nil {
		return false
	}
	k.c.mu.Lock()
	defer k.c.mu.Unlock()
	if !k.c.answered {
		return false
	}
	k.w.w.WriteHeader(http.StatusAccepted)
	return true
}

func (k *callCarrier) start() {
	if k.started {
		return
	}
	k.started = true
	setStreamHeader(k.w.w.Header())
	k.w.w.WriteHeader(http.StatusOK)
}

// statelessStatus is the HTTP status of an answer that is not an event stream
// (MCP 2026-07-28, basic/transports/streamable-http and basic/index).
func statelessStatus(m outgoing) int {
	if m.refusal != nil && m.refusal.Status != 0 || !m.frame.Failed {
		return m.refusal.status()
	}
	switch string(Lookup(m.frame.Raw, "error", "code")) {
	case "-32601": // unknown method
		return http.StatusNotFound
	case "-32602", "-32020", "-32021", "-32022":
		return http.StatusBadRequest
	}
	return http.StatusOK
}
