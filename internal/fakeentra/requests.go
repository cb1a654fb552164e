package fakeentra

import (
	"log/slog"
	"slices"
	"time"
)

// Request is an entry of the log that [Server.Requests] returns. It holds no
// secret.
type Request struct {
	Time          time.Time // by the authority's clock
	Method        string
	Endpoint      Endpoint
	Grant         string // at the token endpoint: one of the Grant… names
	ClientID      string
	Status        int    // 0 if the connection was dropped
	AADSTS        int    // the error sent, or 0
	Fault         string // the name of the fault that answered or edited the answer
	CorrelationID string
}

// Requests returns the log, oldest first. It keeps the latest 2,000 entries.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// CountRequests counts the logged requests to an endpoint, at the token
// endpoint with one grant only unless grant is empty.
func (s *Server) CountRequests(endpoint Endpoint, grant string) int {
	n := 0
	for _, r := range s.Requests() {
		if r.Endpoint == endpoint && (grant == "" || r.Grant == grant) {
			n++
		}
	}
	return n
}

// clip bounds what a client may put into the log.
func clip(s string) string { return s[:min(len(s), 100)] }

// record logs the exchange once, with the status that it is answered with.
func (x *exchange) record(status int) {
	if x.logged {
		return
	}
	x.logged = true
	x.entry.Status = status
	s, e := x.s, x.entry
	s.mu.Lock()
	if len(s.requests) >= maxRequestLog {
		s.requests = slices.Delete(s.requests, 0, maxRequestLog/10)
	}
	s.requests = append(s.requests, e)
	s.mu.Unlock()
	s.log.LogAttrs(x.r.Context(), slog.LevelDebug, "authority request",
		slog.String("endpoint", string(e.Endpoint)), slog.String("method", e.Method), slog.String("grant", e.Grant),
		slog.String("client_id", e.ClientID), slog.Int("status", status), slog.Int("aadsts", e.AADSTS), slog.String("fault", e.Fault))
}
