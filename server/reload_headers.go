package server

import (
	"net/http"
	"sync/atomic"
)

// liveHeaders adds an upstream's header fields as the configuration in force
// has them.
type liveHeaders struct {
	fields atomic.Pointer[map[string]string]
	next   http.RoundTripper
}

// withHeaders returns next with the headers of an upstream, which may change.
func (s *Server) withHeaders(up Upstream, next http.RoundTripper) http.RoundTripper {
	l := withFields(up.Headers, next)
	s.onReload([]string{"upstreams[].headers"}, func(_, changed Config) (func(), error) {
		return func() {
			for _, u := range changed.Upstreams {
				if u.Name == up.Name {
					l.fields.Store(&u.Headers)
				}
			}
		}, nil
	})
	return l
}

func withFields(fields map[string]string, next http.RoundTripper) *liveHeaders {
	l := &liveHeaders{next: next}
	l.fields.Store(&fields)
	return l
}

// RoundTrip implements http.RoundTripper.
func (l *liveHeaders) RoundTrip(r *http.Request) (*http.Response, error) {
	if fields := *l.fields.Load(); len(fields) > 0 {
		r = r.Clone(r.Context()) // a round tripper must not modify the request
		for name, value := range fields {
			r.Header.Set(name, value)
		}
	}
	return l.next.RoundTrip(r)
}
