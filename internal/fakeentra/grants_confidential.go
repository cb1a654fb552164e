package fakeentra

import (
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// exchangeOnBehalfOf gives a middle tier a token for a further API in the name
// of the person whose token it received.
func (x *exchange) exchangeOnBehalfOf(client *App) (any, *Error) {
	if x.form.Get("assertion") == "" {
		return nil, errMissing("assertion")
	}
	if x.form.Get("requested_token_use") != "on_behalf_of" {
		return nil, errMissing("requested_token_use")
	}
	proof, refusal := x.authenticateConfidential(client)
	if refusal != nil {
		return nil, refusal
	}
	q, refusal := x.s.checkScope(x, client)
	if refusal != nil {
		return nil, refusal
	}
	claims, refusal := parseClaims(x.form.Get("claims"))
	if refusal != nil {
		return nil, refusal
	}
	p, issued, refusal := x.readUserAssertion(client)
	if refusal != nil {
		return nil, refusal
	}
	return x.answer(issue{client: client, proof: proof, person: p, q: q, claims: claims, began: issued, refresh: true})
}

// readUserAssertion verifies the access token that the middle tier received:
// ours, for the middle tier itself, of a person, and still valid.
func (x *exchange) readUserAssertion(client *App) (*Person, time.Time, *Error) {
	s := x.s
	never := time.Time{}
	token, err := jwt.ParseSigned(x.form.Get("assertion"), []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		return nil, never, failure("invalid_request", 50027, "JWT token is invalid or malformed.")
	}
	c, ok := s.verifyOwn(token)
	if !ok {
		return nil, never, failure("invalid_grant", 50013, "Assertion failed signature validation. [Reason - The key was not found.]")
	}
	if s.dir.audienceOf(c.Audience) != client {
		return nil, never, failure("invalid_grant", 500131, "Assertion audience does not match the Client app presenting the assertion. "+
			"The audience in the assertion was '%s' and the expected audience is '%s' or one of the Application Uris of this application with App ID '%s'(%s). "+
			"The downstream client must request a token for the expected audience (the application that made the OBO request) and this application should use that token as the assertion.",
			first(c.Audience), client.ClientID, client.ClientID, client.Name)
	}
	if c.Expiry == nil || c.IssuedAt == nil || c.ValidateWithLeeway(jwt.Expected{Time: x.now}, 0) != nil {
		return nil, never, failure("invalid_grant", 500133, "Assertion is not within its valid time range. Ensure that the access token is not expired before using it for user assertion, or request a new token.")
	}
	if c.Scope == "" {
		return nil, never, failure("invalid_grant", 7000114, "Application '%s' is not allowed to make application on-behalf-of calls.", client.ClientID)
	}
	p := s.dir.personByOID(c.OID)
	if p == nil {
		return nil, never, errNoUser(c.OID, s.domain)
	}
	issued := c.IssuedAt.Time()
	if validFrom, ok := s.dir.revoked[p.OID]; ok && issued.Before(validFrom.Truncate(time.Second)) {
		return nil, never, errRevoked(issued, validFrom)
	}
	return p, issued, nil
}

// grantClientCredentials gives an application a token for itself.
func (x *exchange) grantClientCredentials(client *App) (any, *Error) {
	s := x.s
	proof, refusal := x.authenticateConfidential(client)
	if refusal != nil {
		return nil, refusal
	}
	q, refusal := s.checkScope(x, client)
	if refusal != nil {
		return nil, refusal
	}
	if !q.dflt || len(q.names) > 0 || q.more {
		return nil, failure("invalid_scope", 1002012, "The provided value for scope %s is not valid. Client credential flows must have a scope value with /.default suffixed to the resource identifier (application ID URI).", x.form.Get("scope"))
	}
	if refusal := checkResource(x.form["resource"], q); refusal != nil {
		return nil, refusal
	}
	claims, refusal := parseClaims(x.form.Get("claims"))
	if refusal != nil {
		return nil, refusal
	}
	roles := client.AppPermissions[q.api.ClientID]
	if len(roles) == 0 && q.api.AssignmentRequired {
		return nil, failure("invalid_grant", 501051, "Application '%s'(%s) is not assigned to a role for the application '%s'(%s).",
			client.ClientID, client.Name, q.audience, q.api.Name)
	}
	reply, err := s.accessReply(accessToken{
		client: client, api: q.api, audience: q.audience, roles: roles,
		version: q.api.TokenVersion, proof: proof, cae: claims.cae(), issued: x.now,
	}, "")
	if err != nil {
		return nil, errInternal(err)
	}
	return x.edited(reply), nil
}

// authenticateConfidential demands a credential even of an app that may also
// act as a public client.
func (x *exchange) authenticateConfidential(client *App) (string, *Error) {
	proof, refusal := x.authenticate(client)
	if refusal == nil && proof == proofNone {
		return "", errNoCredential()
	}
	return proof, refusal
}

// audienceOf finds the API that a token is for.
func (d *directory) audienceOf(aud jwt.Audience) *App {
	if len(aud) != 1 {
		return nil
	}
	return d.resource(aud[0])
}

func first(aud jwt.Audience) string {
	if len(aud) == 0 {
		return ""
	}
	return aud[0]
}
