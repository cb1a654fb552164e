package wire

import (
	"context"
	"net/http"
	"net/url"
	"strings"
)

// SSEFront is the server end of HTTP+SSE (MCP 2024-11-05, basic/transports):
// GET opens an event stream, which is the session, and its first event says
// where to POST messages. Nothing can be resumed: the session ends with its
// stream.
//
// Stream and Messages are the two endpoints. ServeHTTP is both, for a mux that
// knows only one handler.
type SSEFront struct {
	front    *front
	messages string
}

// NewSSEFront returns a front that tells clients to POST to messagesPath, a
// path or URL as clients see it. It panics if Serve is missing. Call Close when
// done with it.
func NewSSEFront(opts FrontOptions, messagesPath string) *SSEFront {
	return &SSEFront{front: newFront(opts, true), messages: messagesPath}
}

// Close ends all sessions in order: see [StreamableFront.Close].
func (sf *SSEFront) Close(ctx context.Context) error { return sf.front.close(ctx) }

// ServeHTTP answers POST at the messages path as Messages does, and anything
// else as Stream does.
func (sf *SSEFront) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == sf.messages {
		sf.Messages(w, r)
		return
	}
	sf.Stream(w, r)
}

// sessionQuery is the parameter of the messages URL that names the session.
const sessionQuery = "sessionId"

// Stream opens a session and carries what the server sends on it.
func (sf *SSEFront) Stream(w http.ResponseWriter, r *http.Request) {
	if !sf.front.admit(w, r) {
		return
	}
	if r.Method != http.MethodGet {
		refuseMethod(w, "GET")
		return
	}
	if !accepts(r.Header["Accept"], "text/event-stream") {
		refuseText(w, http.StatusNotAcceptable, CodeInvalidRequest, nil, "Not acceptable: GET answers with text/event-stream")
		return
	}
	s, err := sf.front.open(r)
	if err != nil {
		refuseErr(w, nil, err)
		return
	}
	st, rd, err := s.listen("")
	if err != nil {
		refuseUnknownSession(w)
		return
	}
	c := carry{s: s, st: st, rd: rd, w: newAnswerWriter(w, sf.front.opts.WriteTimeout)}
	c.run(r, []byte("event: endpoint\ndata: "+sf.endpoint(s)+"\n\n"))
	s.end(errStreamGone, "the event stream ended")
}

// endpoint is where the client of s POSTs its messages.
func (sf *SSEFront) endpoint(s *Session) string {
	mark := "?"
	if strings.Contains(sf.messages, mark) {
		mark = "&"
	}
	return sf.messages + mark + sessionQuery + "=" + url.QueryEscape(s.id)
}

// Messages takes what a client POSTs.
func (sf *SSEFront) Messages(w http.ResponseWriter, r *http.Request) {
	if !sf.front.admit(w, r) {
		return
	}
	if r.Method != http.MethodPost {
		refuseMethod(w, "POST")
		return
	}
	if !isJSON(r) {
		refuseText(w, http.StatusUnsupportedMediaType, CodeInvalidRequest, nil, "Unsupported media type: send application/json without content encoding")
		return
	}
	id := r.URL.Query().Get(sessionQuery)
	if id == "" {
		refuseText(w, http.StatusBadRequest, CodeInvalidRequest, nil, "Bad request: "+sessionQuery+" is missing; open an event stream with GET first")
		return
	}
	s := sf.front.lookup(r, id)
	if s == nil {
		if !sf.front.elsewhere(w, r, id) {
			refuseText(w, http.StatusNotFound, codeSession, nil, "Session not found: open a new one with GET")
		}
		return
	}
	f, err := sf.front.body(w, r)
	if err != nil {
		refuseErr(w, nil, err)
		return
	}
	sf.message(w, r, s, f)
}

func (sf *SSEFront) message(w http.ResponseWriter, r *http.Request, s *Session, f Frame) {
	switch f.Kind {
	case Batch:
		refuseText(w, http.StatusBadRequest, CodeInvalidRequest, nil, "Invalid request: this transport takes one message at a time")
		f.Release()
	case Request:
		sf.request(w, r, s, f)
	default:
		if err := s.accept(r, []Frame{f}); err != nil {
			refuseBegin(w, nil, err)
			return
		}
		w.WriteHeader(http.StatusAccepted)
	}
}

func (sf *SSEFront) request(w http.ResponseWriter, r *http.Request, s *Session, f Frame) {
	defer f.Release()
	if sf.front.draining.Load() {
		refuseErr(w, f.ID, errShuttingDown)
		return
	}
	if _, _, err := s.begin([]Frame{f}); err != nil {
		refuseBegin(w, f.ID, err)
		return
	}
	var err error
	if v := mentioned(f).revision(); v != "" && f.Method != "initialize" {
		// Clients of this transport look for answers on the stream only.
		err = s.Write(r.Context(), versionError(f.ID, v, sf.front.revisions()))
	} else {
		err = s.accept(r, []Frame{f.Retain()})
	}
	if err != nil {
		s.withdraw([]Frame{f})
		refuseBegin(w, f.ID, err)
		return
	}
	w.WriteHeader(http.StatusAccepted)
}
