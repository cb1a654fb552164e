package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/mcpctl/mcpctl/server/auth"
)

// Paths of the HTTP+SSE transport (MCP 2024-11-05) and of health checks.
const (
	ssePath      = "/sse"
	messagesPath = "/messages"
	healthPath   = "/healthz"
)

// routes puts the fronts behind the guard. The resource metadata is open to every
// web page, as clients in browsers need it; all else to those that are listed.
func (s *Server) routes(guard *auth.Guard) http.Handler {
	pages := newPages(s.cfg.origins(), loopbackAddr(s.cfg.Listen) && publicIsLoopback(s.cfg.PublicURL),
		func(w http.ResponseWriter, r *http.Request, refusal *auth.Refusal) { guard.Refuse(w, r, refusal) })
	s.onReload([]string{"allowed_origins"}, pages.reload)
	mux := http.NewServeMux()
	handle := func(pattern string, next http.Handler) { mux.Handle(pattern, pages.known(next)) }
	for _, pattern := range s.metadata.Patterns() {
		mux.Handle(pattern, s.metadata)
	}
	for _, ep := range s.endpoints.all {
		handle(exact(ep.path), guard.Handler(s.audited(ep.streams)))
	}
	if s.cfg.Diagnosis != noDiagnosis {
		handle(strings.TrimSuffix(s.cfg.endpointPath(), "/")+diagnosisPath, guard.Handler(s.audited(http.HandlerFunc(s.diagnose))))
	}
	handle(ssePath, guard.Handler(http.HandlerFunc(s.sse.Stream)))
	handle(messagesPath, guard.Handler(s.audited(http.HandlerFunc(s.sse.Messages))))
	handle("GET "+healthPath, http.HandlerFunc(healthz))
	handle("GET /{$}", s.landing)
	handle("/", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusNotFound)
		_ = json.NewEncoder(w).Encode(map[string]string{
			"error": "not_found", "error_description": "The MCP endpoint of this server is " + s.cfg.endpointPath(),
		})
	}))
	return pages.hosted(mux)
}

// bodyTimeout is how long a client may take to begin sending a message.
const bodyTimeout = 30 * time.Second

// limitBody bounds the wait for a request's body. The fronts move the deadline
// on while a body comes in; it is for requests that are refused unread, whose
// body net/http waits for before it sends the answer.
func limitBody(timeout time.Duration, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body != http.NoBody {
			// A writer without deadlines is the caller's choice.
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(timeout))
		}
		next.ServeHTTP(w, r)
	})
}

// exact is the pattern that matches path and nothing below it.
func exact(path string) string {
	if strings.HasSuffix(path, "/") {
		return path + "{$}"
	}
	return path
}

func sseURL(public string) string {
	u, err := url.Parse(public)
	if err != nil {
		return ""
	}
	u.Path = ssePath
	return u.String()
}

func publicIsLoopback(public string) bool {
	u, err := url.Parse(public)
	if err != nil {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}

func hostOf(public string) string {
	u, err := url.Parse(public)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// metadataURL is where RFC 9728 §3.1 has the metadata of a resource.
func metadataURL(public string) (string, error) {
	u, err := url.Parse(public)
	if err != nil {
		return "", fmt.Errorf("reading the public URL: %w", err)
	}
	u.Path = "/.well-known/oauth-protected-resource" + u.Path
	return u.String(), nil
}

// rootCause is the innermost error: what is around repeats addresses.
func rootCause(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}
