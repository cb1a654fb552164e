package fakeentra

import (
	"net/url"
	"slices"
	"strings"
)

// clientOf finds the app that sends the request; s.mu is held.
func (s *Server) clientOf(x *exchange) (*App, *Error) {
	id := x.form.Get("client_id")
	if id == "" {
		if user, _, ok := x.r.BasicAuth(); ok {
			id = basicValue(user)
		}
	}
	if id == "" {
		return nil, errMissing("client_id")
	}
	x.entry.ClientID = clip(id)
	if app := s.dir.app(id); app != nil {
		return app, nil
	}
	return nil, errUnknownClient(id, s.tenant)
}

// basicValue decodes half of HTTP Basic credentials, which OAuth clients
// form-encode first: RFC 6749 section 2.3.1. Those who forget to are understood.
func basicValue(s string) string {
	if decoded, err := url.QueryUnescape(s); err == nil {
		return decoded
	}
	return s
}

// checkScope reads the mandatory scope parameter; s.mu is held.
func (s *Server) checkScope(x *exchange, client *App) (scopeRequest, *Error) {
	raw := x.form.Get("scope")
	if strings.TrimSpace(raw) == "" {
		return scopeRequest{}, errMissing("scope")
	}
	return s.dir.parseScope(client, s.tenant, raw)
}

// checkResource compares RFC 8707 resource parameters with the API that the
// scopes belong to, byte by byte as Entra does since 2026: neither case nor a
// trailing slash is forgiven.
func checkResource(resources []string, q scopeRequest) *Error {
	for _, resource := range resources {
		if !slices.Contains(q.api.IDURIs, resource) && resource != q.api.ClientID {
			return failure("invalid_target", 9010010, "The resource parameter provided in the request doesn't match with the requested scopes.")
		}
	}
	return nil
}
