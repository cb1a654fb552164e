package server

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/mcpctl/mcpctl/internal/wire"
	"github.com/mcpctl/mcpctl/server/auth"
)

// pages keeps web pages out that nobody listed, before anything else looks at
// their requests, and lets browsers hand answers to those that are listed (MCP
// 2025-11-25, basic/transports, "Security Warning"; Fetch, CORS protocol).
type pages struct {
	origins atomic.Pointer[[]string]
	// local: the server is for this machine alone, so that a request for another
	// host comes from a page whose name was made to lead here (DNS rebinding).
	local  bool
	refuse func(http.ResponseWriter, *http.Request, *auth.Refusal)
}

func newPages(origins []string, local bool, refuse func(http.ResponseWriter, *http.Request, *auth.Refusal)) *pages {
	p := &pages{local: local, refuse: refuse}
	p.origins.Store(&origins)
	return p
}

// reload lets other pages in from the next request on.
func (p *pages) reload(_, next Config) (func(), error) {
	origins := next.origins()
	return func() { p.origins.Store(&origins) }, nil
}

// hosted returns next for requests to a host that is this server's.
func (p *pages) hosted(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p.local && !isLocal(r.Host) {
			p.refuse(w, r, &auth.Refusal{
				Rule: auth.RuleHost, Status: http.StatusForbidden,
				Description: "This server is for its own machine, and the request names another host.",
			})
			return
		}
		next.ServeHTTP(w, r)
	})
}

// known returns next for requests that come from no web page or from a listed
// one, which it tells browsers.
func (p *pages) known(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Also on answers to others: a cache must not hand those to a page.
		w.Header().Add("Vary", "Origin")
		origins, fromPage := r.Header["Origin"]
		if !fromPage {
			next.ServeHTTP(w, r)
			return
		}
		if len(origins) != 1 || !p.lists(origins[0]) {
			p.refuse(w, r, &auth.Refusal{
				Rule: auth.RuleOrigin, Status: http.StatusForbidden,
				Description: "The request comes from a web page that this server does not know.",
			})
			return
		}
		h := w.Header()
		h.Set("Access-Control-Allow-Origin", origins[0])
		if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
			h.Set("Access-Control-Allow-Methods", "GET, POST, DELETE")
			h.Set("Access-Control-Allow-Headers", asked(r))
			h.Set("Access-Control-Max-Age", "600")
			w.WriteHeader(http.StatusNoContent)
			return
		}
		h.Set("Access-Control-Expose-Headers", strings.Join([]string{wire.HeaderSession, wire.HeaderProtocol, "WWW-Authenticate", "Retry-After"}, ", "))
		next.ServeHTTP(w, r)
	})
}

func (p *pages) lists(origin string) bool {
	return slices.ContainsFunc(*p.origins.Load(), func(listed string) bool {
		return listed == "*" || strings.EqualFold(listed, origin)
	})
}

// asked are the header fields that a listed page wants to send: which those are
// differs by revision and by tool (Mcp-Param-*).
func asked(r *http.Request) string {
	if fields := r.Header.Get("Access-Control-Request-Headers"); fields != "" {
		return fields
	}
	return "Authorization, Content-Type"
}

// isLocal reports whether a Host header names this machine.
func isLocal(hostport string) bool {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	host = strings.ToLower(strings.TrimSuffix(strings.TrimSuffix(strings.TrimPrefix(host, "["), "]"), "."))
	if host == "localhost" || strings.HasSuffix(host, ".localhost") { // RFC 6761 §6.3
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}
