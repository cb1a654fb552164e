package wire

import (
	"errors"
	"net/http"
	"os"
	"strconv"
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
	case errors.Is(err, os.ErrDeadlineExceeded):
		refuseText(w, http.StatusRequestTimeout, CodeInvalidRequest, id, "Invalid request: the rest of the message did not arrive in time")
	case errors.Is(err, errDuplicateID):
		refuseText(w, http.StatusBadRequest, CodeInvalidRequest, id, "Invalid request: "+err.Error())
	case errors.Is(err, errNoStream):
		refuseText(w, http.StatusBadRequest, CodeInvalidRequest, id, "Invalid request: "+err.Error())
	case errors.Is(err, errTooManyPending), errors.Is(err, ErrTooManySessions), errors.Is(err, errTooManyCalls), errors.Is(err, errTooManySubs):
		w.Header().Set("Retry-After", "5")
		refuseText(w, http.StatusTooManyRequests, CodeInternal, id, "Too many requests: "+err.Error())
	case errors.Is(err, errShuttingDown), errors.Is(err, errUnregistered):
		w.Header().Set("Retry-After", "5")
		refuseText(w, http.StatusServiceUnavailable, CodeInternal, id, "Unavailable: "+err.Error())
	default:
		refuseText(w, http.StatusBadRequest, CodeInvalidRequest, id, "Invalid request: the message did not arrive whole")
	}
}
