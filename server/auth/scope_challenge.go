package auth

import "net/http"

// ScopeChallenge is the WWW-Authenticate field that asks a proven caller of the
// endpoint at path to come back with all of the given scopes, short or in full
// (RFC 6750 section 3.1; MCP 2025-11-25, basic/authorization, "Scope Challenge
// Handling").
func (m *Metadata) ScopeChallenge(path string, scopes []string, description string) string {
	full := make([]string, len(scopes))
	for i, scope := range scopes {
		full[i] = scopeURI(m.appIDURI, scope)
	}
	wanting := *m
	wanting.scopes = full
	return wanting.challenge(path, &Refusal{
		Status: http.StatusForbidden, OAuthError: "insufficient_scope", Description: description, OfferScopes: true,
	})
}
