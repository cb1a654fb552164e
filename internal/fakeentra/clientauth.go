package fakeentra

import (
	"crypto/subtle"
	"crypto/x509"
	"net/http"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// The values of appidacr and azpacr: how the client proved who it is.
const (
	proofNone        = "0"
	proofSecret      = "1"
	proofCertificate = "2"
)

const (
	assertionType         = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
	tokenExchangeAudience = "api://AzureADTokenExchange" // #nosec G101 -- an audience, no credential
)

// authenticate checks the client's credential and returns how it proved
// itself: not at all is good enough for public clients. s.mu is held.
func (x *exchange) authenticate(client *App) (string, *Error) {
	secret, assertion := x.form.Get("client_secret"), x.form.Get("client_assertion")
	if _, password, ok := x.r.BasicAuth(); ok && secret == "" {
		secret = basicValue(password)
	}
	switch {
	case secret == "" && assertion == "":
		if !client.PublicClient {
			return "", errNoCredential()
		}
		return proofNone, nil
	case !client.confidential() && client.PublicClient:
		return "", clientError(700025, "Client is public so neither 'client_assertion' nor 'client_secret' should be presented.")
	case assertion != "":
		if x.form.Get("client_assertion_type") != assertionType {
			return "", errMissing("client_assertion_type")
		}
		return x.checkAssertion(client, assertion)
	case client.Secret == "" || subtle.ConstantTimeCompare([]byte(secret), []byte(client.Secret)) != 1:
		return "", clientError(7000215, "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '%s'.", client.ClientID)
	default:
		return proofSecret, nil
	}
}

// checkAssertion verifies a client assertion, RFC 7523 section 3: signed by a
// registered certificate, or a token of this authority that a federated
// credential names.
func (x *exchange) checkAssertion(client *App, assertion string) (string, *Error) {
	token, err := jwt.ParseSigned(assertion, []jose.SignatureAlgorithm{jose.RS256, jose.PS256})
	if err != nil {
		return "", clientError(50027, "JWT token is invalid or malformed.")
	}
	for _, cert := range client.Certificates {
		var c jwt.Claims
		if token.Claims(cert.PublicKey, &c) == nil {
			return proofCertificate, x.checkAssertionClaims(client, cert, c)
		}
	}
	if c, ok := x.s.verifyOwn(token); ok {
		return proofCertificate, x.checkFederated(client, c)
	}
	return "", clientError(700027, "The certificate with identifier used to sign the client assertion is not registered on application. [Reason - The key was not found.] "+
		"Application ID: '%s'.", client.ClientID)
}

func (x *exchange) checkAssertionClaims(client *App, cert *x509.Certificate, c jwt.Claims) *Error {
	switch {
	case x.now.After(cert.NotAfter):
		return clientError(7000222, "The provided client secret keys for app '%s' are expired.", client.ClientID)
	case c.Issuer != client.ClientID || c.Subject != client.ClientID:
		return clientError(700021, "Client assertion application identifier doesn't match 'client_id' parameter.")
	case !slices.ContainsFunc(c.Audience, func(aud string) bool {
		return aud == x.s.Authority()+"/oauth2/v2.0/token" || aud == x.s.IssuerV2() || aud == x.s.IssuerV1()
	}):
		return clientError(700023, "Client assertion audience claim does not match Realm issuer.")
	default:
		return x.checkAssertionTime(c)
	}
}

func (x *exchange) checkFederated(client *App, c ownClaims) *Error {
	for _, f := range client.Federated {
		audience := f.Audience
		if audience == "" {
			audience = tokenExchangeAudience
		}
		if c.Subject == f.Subject && c.Audience.Contains(audience) {
			return x.checkAssertionTime(c.Claims)
		}
	}
	return clientError(700213, "No matching federated identity record found for presented assertion subject '%s'.", c.Subject)
}

func (x *exchange) checkAssertionTime(c jwt.Claims) *Error {
	if c.Expiry == nil || c.ValidateWithLeeway(jwt.Expected{Time: x.now}, 5*time.Minute) != nil {
		return clientError(700024, "Client assertion is not within its valid time range.")
	}
	return nil
}

// ownClaims are the claims that the authority reads from its own tokens.
type ownClaims struct {
	jwt.Claims
	OID     string `json:"oid"`
	Scope   string `json:"scp"`
	Version string `json:"ver"`
}

// verifyOwn reads a token that one of the published keys signed; s.mu is held.
func (s *Server) verifyOwn(token *jwt.JSONWebToken) (ownClaims, bool) {
	for _, k := range s.keys {
		var c ownClaims
		if token.Claims(&k.key.PublicKey, &c) == nil {
			return c, true
		}
	}
	return ownClaims{}, false
}

func errNoCredential() *Error {
	return clientError(7000218, "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.")
}

func clientError(aadsts int, format string, args ...any) *Error {
	e := failure("invalid_client", aadsts, format, args...)
	e.Status = http.StatusUnauthorized
	return e
}
