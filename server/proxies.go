package server

import (
	"fmt"
	"net/http"
	"sync/atomic"

	"github.com/mcpctl/mcpctl/server/auth"
)

// behindProxies returns next for requests as the outermost trusted reverse proxy
// got them. Which proxies are trusted may change.
func (s *Server) behindProxies(next http.Handler) (http.Handler, error) {
	var live atomic.Pointer[auth.Forwarded]
	trust := func(_, c Config) (func(), error) {
		f, err := auth.NewForwarded(auth.ForwardedOptions{Trusted: c.trustedProxies(), PublicURL: c.PublicURL, Logger: s.log})
		if err != nil {
			return nil, fmt.Errorf("preparing for reverse proxies: %w", err)
		}
		return func() { live.Store(f) }, nil
	}
	first, err := trust(s.cfg, s.cfg)
	if err != nil {
		return nil, err
	}
	first()
	s.onReload([]string{"trusted_proxies"}, func(old, next Config) (func(), error) {
		if sameStrings(old.TrustedProxies, next.TrustedProxies) {
			return nil, nil // what has been said about them stays said
		}
		return trust(old, next)
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { next.ServeHTTP(w, live.Load().Settle(r)) }), nil
}
