package fakeentra

import (
	"crypto/sha256"
	"crypto/subtle"
	"time"
)

// codeGrant is an authorization code from its issue to its use.
type codeGrant struct {
	client      string
	redirectURI string
	challenge   string // PKCE, S256
	nonce       string
	acrs        []string
	oid         string
	issued      time.Time
	used        bool
}

// addCode stores a grant under a new code; s.mu is held. Codes that ran out an
// hour ago are forgotten; until then their owner is told so.
func (s *Server) addCode(g *codeGrant) (string, *Error) {
	limit := s.clock().Add(-time.Hour - s.life.AuthCode)
	for code, old := range s.codes {
		if old.issued.Before(limit) {
			delete(s.codes, code)
		}
	}
	if len(s.codes) >= maxPending {
		return "", errThrottled()
	}
	code := "1." + randomID(64)
	s.codes[code] = g
	return code, nil
}

// redeemAuthorizationCode is RFC 6749 section 4.1.3 with PKCE, RFC 7636.
// Entra wants the scope again here.
func (x *exchange) redeemAuthorizationCode(client *App) (any, *Error) {
	s := x.s
	for _, name := range []string{"code", "redirect_uri"} {
		if x.form.Get(name) == "" {
			return nil, errMissing(name)
		}
	}
	q, refusal := s.checkScope(x, client)
	if refusal != nil {
		return nil, refusal
	}
	proof, refusal := x.authenticate(client)
	if refusal != nil {
		return nil, refusal
	}
	claims, refusal := parseClaims(x.form.Get("claims"))
	if refusal != nil {
		return nil, refusal
	}
	g := s.codes[x.form.Get("code")]
	switch {
	case g == nil || g.client != client.ClientID:
		return nil, errMalformedGrant()
	case g.used:
		return nil, failure("invalid_grant", 54005, "OAuth2 Authorization code was already redeemed, please retry with a new valid code or use an existing refresh token.")
	case x.now.Sub(g.issued) >= s.life.AuthCode:
		return nil, failure("invalid_grant", 70008, "The provided authorization code or refresh token has expired due to inactivity. Send a new interactive authorization request for this user and resource.")
	case g.redirectURI != x.form.Get("redirect_uri"):
		return nil, failure("invalid_grant", 500112, "The reply address '%s' does not match the reply address '%s' provided when requesting Authorization code.",
			x.form.Get("redirect_uri"), g.redirectURI)
	case !verifies(x.form.Get("code_verifier"), g.challenge):
		return nil, failure("invalid_grant", 501481, "The Code_Verifier does not match the code_challenge supplied in the authorization request.")
	}
	p := s.dir.personByOID(g.oid)
	if p == nil {
		return nil, errNoUser(g.oid, s.domain)
	}
	g.used = true
	return x.answer(issue{
		client: client, proof: proof, person: p, q: q, claims: claims,
		acrs: g.acrs, nonce: g.nonce, began: g.issued, refresh: true,
	})
}

func verifies(verifier, challenge string) bool {
	sum := sha256.Sum256([]byte(verifier))
	return subtle.ConstantTimeCompare([]byte(b64(sum[:])), []byte(challenge)) == 1
}
