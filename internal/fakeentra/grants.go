package fakeentra

import "slices"

// redeemDeviceCode polls for a device code, RFC 8628 section 3.4.
func (x *exchange) redeemDeviceCode(client *App) (any, *Error) {
	s := x.s
	code := x.form.Get("device_code")
	if code == "" {
		return nil, errMissing("device_code")
	}
	proof, refusal := x.authenticate(client)
	if refusal != nil {
		return nil, refusal
	}
	g := s.devices[code]
	switch {
	case g == nil || g.client != client.ClientID:
		return nil, errUserCode()
	case g.declined:
		return nil, errDeclined()
	case !x.now.Before(g.expires):
		return nil, errCodeExpired()
	case g.pending():
		return nil, failure("authorization_pending", 70016, "OAuth 2.0 device flow error. Authorization is pending. Continue polling.")
	}
	p := s.dir.personByOID(g.person)
	if p == nil {
		return nil, errNoUser(g.person, s.domain)
	}
	scope := x.form.Get("scope")
	if scope == "" {
		scope = g.scope
	}
	q, refusal := s.dir.parseScope(client, s.tenant, scope)
	if refusal != nil {
		return nil, refusal
	}
	claims, refusal := parseClaims(x.form.Get("claims"))
	if refusal != nil {
		return nil, refusal
	}
	reply, refusal := x.answer(issue{
		client: client, proof: proof, person: p, q: q, claims: claims, acrs: claims.acrs(), began: x.now, refresh: true,
	})
	if refusal == nil {
		delete(s.devices, code) // a code works once
	}
	return reply, refusal
}

// redeemRefreshToken redeems a refresh token, which is bound to person and client
// but to no resource.
func (x *exchange) redeemRefreshToken(client *App) (any, *Error) {
	s := x.s
	token := x.form.Get("refresh_token")
	if token == "" {
		return nil, errMissing("refresh_token")
	}
	proof, refusal := x.authenticate(client)
	if refusal != nil {
		return nil, refusal
	}
	t := s.refresh.get(token)
	if t == nil || t.client != client.ClientID {
		return nil, errMalformedGrant()
	}
	if t.used && s.oneTime {
		return nil, errMalformedGrant()
	}
	if age := x.now.Sub(t.issued); age >= s.life.RefreshToken {
		return nil, errInactive(t.issued, s.life.RefreshToken)
	}
	if !t.revoked.IsZero() {
		return nil, errRevoked(t.began, t.revoked)
	}
	p := s.dir.personByOID(t.oid)
	if p == nil {
		return nil, errNoUser(t.oid, s.domain)
	}
	scope := x.form.Get("scope")
	silent := scope == ""
	if silent {
		scope = t.scope
	}
	q, refusal := s.dir.parseScope(client, s.tenant, scope)
	if refusal != nil {
		return nil, refusal
	}
	if silent && q.api == client && q.audience != client.ClientID {
		return nil, errSelfToken(client)
	}
	claims, refusal := parseClaims(x.form.Get("claims"))
	if refusal != nil {
		return nil, refusal
	}
	for _, acr := range claims.acrs() {
		if !slices.Contains(t.acrs, acr) {
			return nil, errStepUp(claims.acrs())
		}
	}
	// Entra returns a new refresh token and an ID token whatever the scopes say.
	for _, name := range []string{"openid", "profile", "offline_access"} {
		if !q.wants(name) {
			q.oidc = append(q.oidc, name)
		}
	}
	reply, refusal := x.answer(issue{
		client: client, proof: proof, person: p, q: q, claims: claims, acrs: t.acrs, began: t.began, refresh: true,
	})
	if refusal == nil {
		t.used = true
	}
	return reply, refusal
}

func errMalformedGrant() *Error {
	return failure("invalid_grant", 9002313, "Invalid request. Request is malformed or invalid.")
}

func errNoUser(oid, domain string) *Error {
	return failure("invalid_grant", 50034, "The user account %s does not exist in the %s directory. To sign into this application, the account must be added to the directory.", oid, domain)
}

func errStepUp(acrs []string) *Error {
	e := failure("interaction_required", 50076, "Due to a configuration change made by your administrator, or because you moved to a new location, "+
		"you must use multi-factor authentication to access the resource.")
	e.SubError, e.Claims = "basic_action", acrsChallenge(acrs)
	return e
}

func errDeclined() *Error {
	return failure("authorization_declined", 70017, "The user declined the authorization request.")
}

func errCodeExpired() *Error {
	return failure("expired_token", 70019, "Verification code expired. Have the user retry the sign-in.")
}
