package fakeentra

import (
	"encoding/json"
	"net/url"
	"strings"
	"time"
)

// Names of the grants in [Request] and [Fault].
const (
	GrantDeviceCode        = "device_code"
	GrantRefreshToken      = "refresh_token"
	GrantAuthorizationCode = "authorization_code"
	GrantOnBehalfOf        = "on_behalf_of"
	GrantClientCredentials = "client_credentials"
)

// grantOf names the grant that a token request asks for; unknown ones keep
// their name.
func grantOf(form url.Values) string {
	switch g := form.Get("grant_type"); g {
	case "urn:ietf:params:oauth:grant-type:device_code": // RFC 8628; MSAL sends the short form
		return GrantDeviceCode
	case "urn:ietf:params:oauth:grant-type:jwt-bearer":
		return GrantOnBehalfOf
	default:
		return g
	}
}

// token is the token endpoint.
func (x *exchange) token() (any, *Error) {
	if err := x.post(); err != nil {
		return nil, err
	}
	client, err := x.s.clientOf(x)
	if err != nil {
		return nil, err
	}
	switch x.entry.Grant {
	case "":
		return nil, errMissing("grant_type")
	case GrantDeviceCode:
		return x.redeemDeviceCode(client)
	case GrantRefreshToken:
		return x.redeemRefreshToken(client)
	case GrantAuthorizationCode:
		return x.redeemAuthorizationCode(client)
	case GrantOnBehalfOf:
		return x.exchangeOnBehalfOf(client)
	case GrantClientCredentials:
		return x.grantClientCredentials(client)
	default:
		return nil, failure("unsupported_grant_type", 70003, "The app requested an unsupported grant type '%s'.", x.entry.Grant)
	}
}

// issue is what a grant decided; answer turns it into tokens.
type issue struct {
	client  *App
	proof   string
	person  *Person // nil: app-only
	q       scopeRequest
	claims  claimsRequest
	acrs    []string
	nonce   string
	began   time.Time // start of the session
	refresh bool      // a refresh token may be issued
}

// answer builds the token response for a person; s.mu is held. It checks the
// rules that hold for every grant: one resource, assignment, consent.
func (x *exchange) answer(i issue) (any, *Error) {
	s := x.s
	if i.q.more {
		return nil, failure("invalid_request", 28000, "Provided value for the input parameter scope is not valid because it contains more than one resource. "+
			"Scope %s is not valid.", x.form.Get("scope"))
	}
	if err := checkResource(x.form["resource"], i.q); err != nil {
		return nil, err
	}
	if !i.person.assigned(i.q.api) {
		return nil, errNotAssigned(i.q.api, i.person)
	}
	names, refusal := s.dir.granted(i.client, i.person, i.q)
	if refusal != nil {
		return nil, refusal
	}
	t := accessToken{
		client: i.client, api: i.q.api, audience: i.q.audience, person: i.person,
		scopes: names, roles: rolesOf(i.person, i.q.api), version: i.q.api.TokenVersion,
		proof: i.proof, cae: i.claims.cae(), acrs: i.acrs, issued: x.now,
	}
	reply, err := s.accessReply(t, i.q.response(names))
	if err != nil {
		return nil, errInternal(err)
	}
	if i.refresh && i.q.wants("offline_access") {
		reply["refresh_token"] = s.refresh.add(refreshToken{issued: x.now, session: session{
			client: i.client.ClientID, oid: i.person.OID, scope: x.sessionScope(i.q), acrs: i.acrs, began: i.began,
		}})
	}
	if i.q.wants("openid") {
		key := s.keys[0]
		id, err := signJWT(key.header(), s.idClaims(i.client, i.person, i.q, i.nonce, x.now), key.key)
		if err != nil {
			return nil, errInternal(err)
		}
		reply["id_token"] = id
		if x.form.Get("client_info") == "1" {
			reply["client_info"] = s.clientInfo(i.person)
		}
	}
	return x.edited(reply), nil
}

// accessReply is the part of the response that every grant has; s.mu is held.
func (s *Server) accessReply(t accessToken, scope string) (map[string]any, error) {
	t.lifetime = s.life.AccessToken
	if t.cae && t.api.optional("xms_cc") {
		t.lifetime = s.life.CAEAccessToken
	}
	access, err := s.signAccess(t)
	if err != nil {
		return nil, err
	}
	reply := map[string]any{
		"token_type":     "Bearer",
		"expires_in":     seconds(t.lifetime),
		"ext_expires_in": seconds(t.lifetime),
		"access_token":   access,
	}
	if scope != "" {
		reply["scope"] = scope
	}
	if in := s.life.refreshIn(t.lifetime); in > 0 {
		reply["refresh_in"] = seconds(in)
	}
	return reply, nil
}

// sessionScope is what a later refresh without scope asks for.
func (x *exchange) sessionScope(q scopeRequest) string {
	return strings.TrimSpace(strings.Join(q.oidc, " ") + " " + q.response(q.names))
}

// clientInfo identifies the account to MSAL: object and tenant.
func (s *Server) clientInfo(p *Person) string {
	b, err := json.Marshal(map[string]string{"uid": p.OID, "utid": s.tenant})
	if err != nil {
		panic(err) // strings always marshal
	}
	return b64(b)
}
