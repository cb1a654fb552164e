package fakeentra

import (
	"slices"
	"strings"
)

// oidcScopes are Entra's OpenID Connect scopes; they belong to no resource.
var oidcScopes = []string{"openid", "profile", "email", "offline_access"}

const defaultScope = ".default"

// scopeRequest is a scope parameter taken apart.
type scopeRequest struct {
	oidc     []string // openid, profile, email, offline_access as far as asked for
	api      *App     // the one resource that a token can be for
	audience string   // the API as the client named it: an App ID URI or the GUID
	names    []string // scopes of the API, without .default
	dflt     bool     // .default was asked for
	short    bool     // the scopes came without a resource and were taken for Graph's
	more     bool     // scopes of a second resource were asked for too
}

func (q scopeRequest) wants(oidc string) bool { return slices.Contains(q.oidc, oidc) }

// parseScope resolves a scope parameter in the tenant. A scope without a
// resource is taken for one of Graph's; so is a request for OpenID Connect
// scopes alone, which yields a token for Graph's userinfo.
func (d *directory) parseScope(client *App, tenant, raw string) (scopeRequest, *Error) {
	var q scopeRequest
	for _, scope := range strings.Fields(raw) {
		if slices.Contains(oidcScopes, scope) {
			if !q.wants(scope) {
				q.oidc = append(q.oidc, scope)
			}
			continue
		}
		audience, name := d.splitScope(scope)
		if audience == "" {
			audience, q.short = d.app(GraphClientID).IDURIs[0], true
		}
		api := d.resource(audience)
		if api == nil {
			return q, errUnknownResource(audience, tenant)
		}
		if name != defaultScope && api.scope(name) == nil {
			return q, errUnknownScope(client, name, api.ClientID)
		}
		switch {
		case q.api == nil:
			q.api, q.audience = api, audience
		case q.api != api:
			q.more = true
			continue
		}
		if name == defaultScope {
			q.dflt = true
		} else if !slices.Contains(q.names, name) {
			q.names = append(q.names, name)
		}
	}
	if q.api != nil {
		return q, nil
	}
	if len(q.oidc) == 1 && q.wants("offline_access") {
		return q, failure("invalid_scope", 70011, "The provided value for the input parameter 'scope' is not valid. "+
			"The scope offline_access is not valid. offline_access scope request must include either openid scope or a resource scope.")
	}
	q.api = d.app(GraphClientID)
	q.audience = q.api.IDURIs[0]
	return q, nil
}

// splitScope separates "api://x/Mcp.Access" into resource and name. App ID URIs
// may themselves have a path and a trailing slash, so registered ones are tried
// first, the longest before the others. An unqualified scope has no audience.
func (d *directory) splitScope(scope string) (audience, name string) {
	for _, a := range d.apps {
		for _, uri := range a.IDURIs {
			if rest, ok := strings.CutPrefix(scope, uri+"/"); ok && len(uri) > len(audience) {
				audience, name = uri, rest
			}
		}
	}
	if audience != "" {
		return audience, name
	}
	if i := strings.LastIndexByte(scope, '/'); i >= 0 {
		return scope[:i], scope[i+1:]
	}
	return "", scope
}

// granted lists the scope names that a token for the person may carry, or says
// why there can't be one.
func (d *directory) granted(client *App, p *Person, q scopeRequest) ([]string, *Error) {
	names := slices.Clone(q.names)
	for _, name := range names {
		if !d.consented(client, q.api, p, name) {
			return nil, errConsentRequired(client)
		}
	}
	if q.dflt {
		for _, scope := range q.api.Scopes {
			if !slices.Contains(names, scope.Name) && d.consented(client, q.api, p, scope.Name) {
				names = append(names, scope.Name)
			}
		}
		if len(names) == 0 {
			return nil, errConsentRequired(client)
		}
	}
	if q.api.ClientID == GraphClientID { // Graph's tokens list the OpenID Connect scopes
		for _, name := range q.oidc {
			if name != "offline_access" {
				names = append(names, name)
			}
		}
	}
	return names, nil
}

// interactiveNames lists what a person agrees to when signing in: for
// .default, everything of the API that needs no administrator.
func (q scopeRequest) interactiveNames() []string {
	names := slices.Clone(q.names)
	if q.dflt {
		for _, scope := range q.api.Scopes {
			if !scope.AdminOnly && !slices.Contains(names, scope.Name) {
				names = append(names, scope.Name)
			}
		}
	}
	return names
}

// response is the scope parameter of the token response: scopes qualified the
// way the client did, .default echoed. OpenID Connect scopes appear with Graph only.
func (q scopeRequest) response(granted []string) string {
	out := make([]string, 0, len(granted)+1)
	for _, name := range granted {
		if slices.Contains(oidcScopes, name) || q.short {
			out = append(out, name)
		} else {
			out = append(out, q.audience+"/"+name)
		}
	}
	if q.dflt {
		out = append(out, q.audience+"/"+defaultScope)
	}
	return strings.Join(out, " ")
}
