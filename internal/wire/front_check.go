package wire

import (
	"bytes"
	"errors"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// MCP revisions that the fronts of this package carry. Which of them a session
// speaks is negotiated by whoever answers initialize.
const (
	revision20250326 = "2025-03-26"
	revision20260728 = "2026-07-28"
)

var (
	sessionRevisions = []string{"2025-11-25", "2025-06-18", revision20250326, "2024-11-05"}
)

// Error codes beside those of JSON-RPC.
const (
	// codeSession: no such session. MCP names no code; this one is what the
	// official SDKs send.
	codeSession = -32001
	// codeVersion: unsupported protocol version (MCP 2026-07-28, basic/versioning).
	codeVersion = -32022
)

// refuse answers with a JSON-RPC error.
func refuse(w http.ResponseWriter, status int, f Frame) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", strconv.Itoa(len(f.Raw)))
	w.WriteHeader(status)
	_, _ = w.Write(f.Raw) // the client may be gone: nothing to be done
}

func refuseText(w http.ResponseWriter, status, code int, id ID, text string) {
	refuse(w, status, NewError(id, code, text, nil))
}

func refuseMethod(w http.ResponseWriter, allow string) {
	w.Header().Set("Allow", allow)
	refuseText(w, http.StatusMethodNotAllowed, CodeInvalidRequest, nil, "Method not allowed: use "+allow)
}

func refuseUnknownSession(w http.ResponseWriter) {
	refuseText(w, http.StatusNotFound, codeSession, nil, "Session not found: open a new one with initialize")
}

// refuseErr answers with what err, from this package, means to the client.
func refuseErr(w http.ResponseWriter, id ID, err error) {
	var bad *FrameError
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &bad):
		refuse(w, http.StatusBadRequest, bad.Answer())
	case errors.Is(err, errTooLarge), errors.As(err, &tooLarge):
		refuseText(w, http.StatusRequestEntityTooLarge, CodeInvalidRequest, id, "Invalid request: the message exceeds the size limit of this server")
	case errors.Is(err, errDuplicateID):
		refuseText(w, http.StatusBadRequest, CodeInvalidRequest, id, "Invalid request: "+err.Error())
	case errors.Is(err, errNoStream):
		refuseText(w, http.StatusBadRequest, CodeInvalidRequest, id, "Invalid request: "+err.Error())
	case errors.Is(err, errTooManyPending), errors.Is(err, errTooManySessions):
		w.Header().Set("Retry-After", "5")
		refuseText(w, http.StatusTooManyRequests, CodeInternal, id, "Too many requests: "+err.Error())
	case errors.Is(err, errShuttingDown):
		w.Header().Set("Retry-After", "5")
		refuseText(w, http.StatusServiceUnavailable, CodeInternal, id, "Unavailable: "+err.Error())
	default:
		refuseText(w, http.StatusBadRequest, CodeInvalidRequest, id, "Invalid request: the message did not arrive whole")
	}
}

// admit makes the checks that every verb shares and answers where one fails.
func (f *front) admit(w http.ResponseWriter, r *http.Request) bool {
	if f.opts.LoopbackHost && !loopbackHost(r.Host) {
		refuseText(w, http.StatusForbidden, CodeInvalidRequest, nil, "Forbidden: Host is not a loopback address")
		return false
	}
	if !f.originAllowed(r) {
		refuseText(w, http.StatusForbidden, CodeInvalidRequest, nil, "Forbidden: this Origin is not allowed")
		return false
	}
	return true
}

// originAllowed keeps web pages out that nobody listed (MCP 2025-11-25,
// basic/transports, "Security Warning").
func (f *front) originAllowed(r *http.Request) bool {
	origins, present := r.Header["Origin"]
	if !present {
		return true
	}
	if len(origins) != 1 {
		return false
	}
	if f.opts.CheckOrigin != nil {
		return f.opts.CheckOrigin(r, origins[0])
	}
	return slices.ContainsFunc(f.opts.AllowedOrigins, func(allowed string) bool {
		return allowed == "*" || strings.EqualFold(allowed, origins[0])
	})
}

// loopbackHost reports whether a Host header names this machine.
func loopbackHost(hostport string) bool {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	} else {
		host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	}
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if host == "localhost" || strings.HasSuffix(host, ".localhost") { // RFC 6761 §6.3
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}

// accepts reports whether an Accept header allows the media type (RFC 9110
// §12.5.1). No header at all allows everything.
func accepts(header []string, mediaType string) bool {
	if len(header) == 0 {
		return true
	}
	mainType, _, _ := strings.Cut(mediaType, "/")
	best, allowed := 0, false // the most specific range decides
	for _, line := range header {
		for part := range strings.SplitSeq(line, ",") {
			name, params, _ := strings.Cut(part, ";")
			name = strings.ToLower(strings.TrimSpace(name))
			specific := 0
			switch name {
			case mediaType:
				specific = 3
			case mainType + "/*":
				specific = 2
			case "*/*", "*": // the bare star is not in the RFC, but is sent
				specific = 1
			}
			if specific > 0 && specific >= best {
				ok := !zeroQuality(params)
				allowed = ok || allowed && specific == best
				best = specific
			}
		}
	}
	return allowed
}

// zeroQuality reports q=0: "not acceptable".
func zeroQuality(params string) bool {
	for p := range strings.SplitSeq(params, ";") {
		name, value, _ := strings.Cut(p, "=")
		if strings.EqualFold(strings.TrimSpace(name), "q") {
			q, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			return err == nil && q == 0
		}
	}
	return false
}

func isJSON(r *http.Request) bool {
	if enc := r.Header.Get("Content-Encoding"); enc != "" && !strings.EqualFold(enc, "identity") {
		return false
	}
	header := r.Header.Get("Content-Type")
	if header == "application/json" {
		return true
	}
	mediaType, _, err := mime.ParseMediaType(header)
	return err == nil && mediaType == "application/json"
}

// largestHint bounds the memory that a Content-Length alone can claim.
const largestHint = 1 << 20

// body reads the message of a POST into a pooled buffer.
func (f *front) body(w http.ResponseWriter, r *http.Request) (Frame, error) {
	if r.ContentLength > int64(f.opts.MaxMessage) {
		return Frame{}, errTooLarge
	}
	control := http.NewResponseController(w)
	in := &patientReader{r: r.Body, control: control, timeout: f.opts.ReadTimeout}
	buf, err := readBody(in, min(r.ContentLength, largestHint), f.opts.MaxMessage)
	in.done()
	if err != nil {
		return Frame{}, err
	}
	return parseBuffer(buf)
}

// patientReader lets a body take its time as long as it makes progress.
type patientReader struct {
	r       interface{ Read([]byte) (int, error) }
	control *http.ResponseController
	timeout time.Duration
	until   time.Time
}

func (p *patientReader) Read(b []byte) (int, error) {
	if now := time.Now(); p.until.Sub(now) < p.timeout*3/4 {
		p.until = now.Add(p.timeout)
		_ = p.control.SetReadDeadline(p.until) // not every writer has deadlines
	}
	return p.r.Read(b)
}

// done lifts the deadline: from now on the connection is read only to notice
// that the client has gone.
func (p *patientReader) done() { _ = p.control.SetReadDeadline(time.Time{}) }

var versionMember = []byte("protocolVersion")

// modernVersion returns the protocol version that a message of MCP 2026-07-28
// or later carries in itself, "" for a message of an older revision.
func modernVersion(f Frame) string {
	// Nearly all messages are spared the search below.
	if f.Kind != Request || f.Method == "initialize" || !bytes.Contains(f.Raw, versionMember) {
		return ""
	}
	return LookupString(f.Raw, "params", "_meta", "io.modelcontextprotocol/protocolVersion")
}

// refuseVersion answers a message of a revision that has no sessions.
func refuseVersion(w http.ResponseWriter, id ID, requested string) {
	refuse(w, http.StatusBadRequest, versionError(id, requested))
}

func versionError(id ID, requested string) Frame {
	return NewError(id, codeVersion, "Unsupported protocol version", struct {
		Supported []string `json:"supported"`
		Requested string   `json:"requested"`
	}{sessionRevisions, requested})
}
