package auth

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
)

// maxClaimsChallenge bounds claims that are passed on, in bytes. Entra's have a
// few hundred; header fields of 8 KiB get through every proxy.
const maxClaimsChallenge = 4 << 10

// errInsufficientClaims is Entra's error code for a claims challenge, "Claims
// challenges, claims requests and client capabilities".
const errInsufficientClaims = "insufficient_claims"

// TakesClaimsChallenges reports whether the caller's client has declared that
// it understands claims challenges (capability cp1 in xms_cc).
func (p *Principal) TakesClaimsChallenges() bool {
	return slices.ContainsFunc(p.ClientCapabilities, func(c string) bool { return strings.EqualFold(c, "cp1") })
}

// NeedClaims is the refusal of a caller who is admitted, but has to sign in
// again in another way (claims, a JSON object, as Entra's error says it) before
// the authority gives a token that the request needs. reason says why, in words.
//
// A client that declared cp1 gets 401 with the challenge, and signs in anew by
// itself. Any other would take that for an expired token, refresh and come back
// with the same for ever: it gets 403 and no challenge.
func NeedClaims(p *Principal, claims, reason string) *Refusal {
	r := &Refusal{
		Rule: RuleClaims, Status: http.StatusForbidden, Principal: p,
		Description: printable(reason),
		Fix:         "Sign in again and complete what is asked for. This client can't do so by itself: with mcpctl, run 'mcpctl login' with this server's address.",
	}
	if len(claims) > maxClaimsChallenge || !isJSONObject(claims) {
		return r
	}
	if !p.TakesClaimsChallenges() {
		return r
	}
	r.Status, r.OAuthError, r.OfferScopes = http.StatusUnauthorized, errInsufficientClaims, true
	r.Claims = claims
	r.Fix = "Sign in again with the claims of the challenge."
	return r
}

// NeedSignIn is the refusal of a caller whose token was good to come in, but
// which the authority no longer exchanges: 401, so that the client gets another.
func NeedSignIn(p *Principal, reason, fix string) *Refusal {
	r := invalid(RuleDelegate, "%s", reason)
	r.Fix, r.Principal = fix, p
	return r
}

func isJSONObject(s string) bool {
	var object map[string]json.RawMessage
	return json.Unmarshal([]byte(s), &object) == nil && object != nil
}

// claimsParameter is how a challenge carries claims: in base64.
func claimsParameter(claims string) string {
	if claims == "" {
		return ""
	}
	return base64.StdEncoding.EncodeToString([]byte(claims))
}

// Answer is the HTTP side of a refusal of a request for the endpoint at path:
// the status and the header fields, for those who write the answer themselves.
func (m *Metadata) Answer(path string, r *Refusal) (status int, header http.Header) {
	header = http.Header{}
	if r.challenges() {
		header.Set("WWW-Authenticate", m.challenge(path, r))
	}
	if r.RetryAfter > 0 {
		header.Set("Retry-After", seconds(r.RetryAfter))
	}
	return r.Status, header
}
