package wire

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"slices"
)

// StreamableFront is the server end of Streamable HTTP (MCP 2025-03-26 to
// 2025-11-25, basic/transports): one endpoint for POST, GET and DELETE. Where
// FrontOptions.Stateless is set it takes requests of MCP 2026-07-28 too, which
// come without a session, at the same endpoint and time.
//
// A request is answered with plain JSON if its response is the first message
// that belongs to it, and with an event stream otherwise, or when nothing came
// for FrontOptions.KeepAlive. Events have ids, and a stream that broke can be
// resumed within the bounds of the options. A second GET takes the standalone
// stream over from the first.
type StreamableFront struct{ front *front }

// NewStreamableFront returns a front without sessions. It panics if Serve is
// missing. Call Close when done with it.
func NewStreamableFront(opts FrontOptions) *StreamableFront {
	return &StreamableFront{front: newFront(opts, false)}
}

// Close ends all sessions in order. No new request is taken; open ones get
// until ctx ends to be answered, and are answered with an error then. It
// returns when all goroutines of the front are gone, at the latest ten seconds
// after that, and then with an error. Call it before http.Server.Shutdown, which
// waits for event streams that only Close ends.
func (sf *StreamableFront) Close(ctx context.Context) error { return sf.front.close(ctx) }

func (sf *StreamableFront) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !sf.front.admit(w, r) {
		return
	}
	switch r.Method {
	case http.MethodPost:
		sf.post(w, r)
	case http.MethodGet:
		sf.get(w, r)
	case http.MethodDelete:
		sf.delete(w, r)
	default:
		refuseMethod(w, "GET, POST, DELETE")
	}
}

// session finds the session of a request that must have one, and answers where
// there is none here.
func (sf *StreamableFront) session(w http.ResponseWriter, r *http.Request) *Session {
	id := r.Header.Get(HeaderSession)
	if id == "" {
		refuseText(w, http.StatusBadRequest, CodeInvalidRequest, nil, "Bad request: "+HeaderSession+" is missing")
		return nil
	}
	s := sf.front.lookup(r, id)
	if s == nil && !sf.front.elsewhere(w, r, id) {
		refuseUnknownSession(w)
	}
	return s
}

// version checks the header of GET and DELETE, which carry no message.
func (sf *StreamableFront) version(w http.ResponseWriter, r *http.Request) bool {
	v := r.Header.Get(HeaderProtocol)
	switch {
	case v == "" || slices.Contains(sessionRevisions, v):
		return true
	case sf.front.opts.Stateless != nil && slices.Contains(modernRevisions, v):
		refuseMethod(w, "POST") // this revision has nothing else
	default:
		sf.front.refuseVersion(w, nil, v)
	}
	return false
}

func (sf *StreamableFront) delete(w http.ResponseWriter, r *http.Request) {
	if !sf.version(w, r) {
		return
	}
	if s := sf.session(w, r); s != nil {
		s.end(errDeleted, "the client ended the session")
		w.WriteHeader(http.StatusNoContent)
	}
}

func (sf *StreamableFront) get(w http.ResponseWriter, r *http.Request) {
	if !accepts(r.Header["Accept"], "text/event-stream") {
		refuseText(w, http.StatusNotAcceptable, CodeInvalidRequest, nil, "Not acceptable: GET answers with text/event-stream")
		return
	}
	if !sf.version(w, r) {
		return
	}
	s := sf.session(w, r)
	if s == nil {
		return
	}
	st, rd, err := s.listen(r.Header.Get(headerLastID))
	switch {
	case errors.Is(err, errFinished):
		if !sf.front.replay(w, r, s.id, s.missing) {
			refuseErr(w, nil, errNoStream)
		}
	case errors.Is(err, errNoStream):
		refuseErr(w, nil, err)
	case err != nil:
		refuseUnknownSession(w)
	default:
		sf.carry(w, r, carry{s: s, st: st, rd: rd})
	}
}

func (sf *StreamableFront) carry(w http.ResponseWriter, r *http.Request, c carry) {
	c.w = newAnswerWriter(w, sf.front.opts.WriteTimeout)
	c.run(r, nil)
}

func (sf *StreamableFront) post(w http.ResponseWriter, r *http.Request) {
	if !isJSON(r) {
		refuseText(w, http.StatusUnsupportedMediaType, CodeInvalidRequest, nil, "Unsupported media type: send application/json without content encoding")
		return
	}
	accept := r.Header["Accept"]
	if !accepts(accept, "application/json") || !accepts(accept, "text/event-stream") {
		refuseText(w, http.StatusNotAcceptable, CodeInvalidRequest, nil, "Not acceptable: accept both application/json and text/event-stream")
		return
	}
	version := r.Header.Get(HeaderProtocol)
	known := version == "" || slices.Contains(sessionRevisions, version)
	var s *Session
	if id := r.Header.Get(HeaderSession); id != "" && known {
		if s = sf.session(w, r); s == nil {
			return
		}
	}
	f, err := sf.front.body(w, r)
	if err != nil {
		refuseErr(w, nil, err)
		return
	}
	meta := mentioned(f)
	if own := meta.revision(); sf.isStateless(f, version, own) {
		if sf.front.opts.Stateless != nil {
			sf.stateless(w, r, f, meta, version)
			return
		}
		if own != "" {
			version = own
		}
		sf.front.refuseVersion(w, f.ID, version)
		f.Release()
		return
	}
	switch {
	case f.Kind == Batch:
		sf.batch(w, r, s, f)
	case f.Method == "initialize" && f.Kind == Request:
		sf.initialize(w, r, s, f)
	case s == nil:
		refuseText(w, http.StatusBadRequest, CodeInvalidRequest, f.ID, "Bad request: "+HeaderSession+" is missing")
		f.Release()
	case f.Kind == Request:
		sf.request(w, r, s, f)
	default:
		sf.accept(w, r, s, []Frame{f})
	}
}

// isStateless reports whether a message is of a revision without sessions, going
// by its header field and what it says itself, "" for neither. An initialize
// opens a session unless both say otherwise (MCP 2026-07-28, basic/versioning).
func (sf *StreamableFront) isStateless(f Frame, version, own string) bool {
	known := version == "" || slices.Contains(sessionRevisions, version)
	if f.Kind == Request && f.Method == "initialize" && own != version {
		return !known && (sf.front.opts.Stateless == nil || own != "" || !slices.Contains(modernRevisions, version))
	}
	return !known || own != ""
}

func (sf *StreamableFront) initialize(w http.ResponseWriter, r *http.Request, s *Session, f Frame) {
	if s != nil {
		refuseText(w, http.StatusBadRequest, CodeInvalidRequest, f.ID, "Invalid request: this session is initialized already")
		f.Release()
		return
	}
	s, err := sf.front.open(r)
	if err != nil {
		refuseErr(w, f.ID, err)
		f.Release()
		return
	}
	w.Header().Set(HeaderSession, s.id)
	sf.request(w, r, s, f)
}

func (sf *StreamableFront) request(w http.ResponseWriter, r *http.Request, s *Session, f Frame) {
	if sf.front.draining.Load() {
		refuseErr(w, f.ID, errShuttingDown)
		f.Release()
		return
	}
	st, rd, err := s.begin([]Frame{f})
	if err != nil {
		refuseBegin(w, f.ID, err)
		f.Release()
		return
	}
	id := ID(bytes.Clone(f.ID))
	if err := s.push(r.Context(), incoming(r, f)); err != nil {
		s.withdraw([]Frame{f})
		f.Release()
		s.detach(st, rd, nil)
		if st.opening {
			s.end(errNeverOpened, "the client went away before the session was open")
		}
		refuseBegin(w, id, err)
		return
	}
	sf.carry(w, r, carry{s: s, st: st, rd: rd, whole: true})
}
