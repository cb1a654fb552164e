package wire

import (
	"math"
	"net/http"
)

// replayPage is how many events are read from the store at a time.
const replayPage = 64

// replay answers a client that resumes a stream on which nothing can come any
// more with what is stored of it, and reports whether there was anything to say.
// missing is Session.missing, nil for a session that lived elsewhere.
func (f *front) replay(w http.ResponseWriter, r *http.Request, session string, missing func(num, after, before uint64) []ID) bool {
	num, place, ok := parseEventID(r.Header.Get(headerLastID))
	if !ok || f.opts.Events == nil {
		return false
	}
	events, gap, err := f.opts.Events.EventsAfter(r.Context(), session, num, place, replayPage)
	if err != nil {
		f.opts.Logger.Error("stored events could not be read", "reason", err)
		refuseErr(w, nil, errUnregistered)
		return true
	}
	known := missing != nil
	if !known {
		missing = func(uint64, uint64, uint64) []ID { return nil }
	}
	// Something has come on a stream that has ended: where nothing is behind its
	// beginning, it is not kept any more.
	lost := gap || place == 0
	if len(events) == 0 && (!known || lost && missing(num, place, math.MaxUint64) == nil) {
		return false
	}
	a := newAnswerWriter(w, f.opts.WriteTimeout)
	setStreamHeader(w.Header())
	w.WriteHeader(http.StatusOK)
	for len(events) > 0 && a.err == nil {
		place = a.stored(num, place, events, missing)
		if events, _, err = f.opts.Events.EventsAfter(r.Context(), session, num, place, replayPage); err != nil {
			f.opts.Logger.Error("stored events could not be read", "reason", err)
			return true // the client resumes behind what it got
		}
	}
	a.notKept(missing(num, place, math.MaxUint64))
	a.flush()
	return true
}

// stored sends events from the store that follow a place, and returns the place
// of the last.
func (a *answerWriter) stored(num, place uint64, events []StoredEvent, missing func(num, after, before uint64) []ID) uint64 {
	for _, e := range events {
		if e.Place != place+1 {
			a.notKept(missing(num, place, e.Place))
		}
		a.message(num, e.Place, Frame{Raw: e.Data})
		place = e.Place
	}
	a.flush()
	return place
}

// notKept answers requests in place of their responses.
func (a *answerWriter) notKept(ids []ID) {
	for _, id := range ids {
		a.message(0, 0, NewError(id, CodeInternal, "the response was kept for resumption but had to make room for newer messages", nil))
	}
}

// replay sends what the stream's client missed of what was sent or stored
// before the place until.
func (c *carry) replay(r *http.Request, until uint64) {
	place := c.rd.after
	for place+1 < until && c.w.err == nil {
		limit := int(min(replayPage, until-1-place))
		events, _, err := c.s.front.opts.Events.EventsAfter(r.Context(), c.s.id, c.st.num, place, limit)
		if err != nil {
			c.s.front.opts.Logger.Error("stored events could not be read", "reason", err)
			c.w.err = err // what comes later must not go out before it: the client resumes
			return
		}
		for len(events) > 0 && events[len(events)-1].Place >= until {
			events = events[:len(events)-1]
		}
		if len(events) == 0 {
			break
		}
		place = c.w.stored(c.st.num, place, events, c.s.missing)
	}
	c.w.notKept(c.s.missing(c.st.num, place, until))
}
