package fakeentra

import (
	"fmt"
	"maps"
	"time"
)

// TokenSpec describes a token for [Server.MintToken]. Zero fields take what the
// authority itself would have put there.
type TokenSpec struct {
	API     string // the API by App ID URI or client id; required. It is the aud of a v1 token
	Client  string // the calling app's client id; made up if empty
	Person  string // UPN; empty makes an app-only token
	Version int    // 1 or 2; 0 is the API's own choice
	Scopes  []string
	Roles   []string // nil takes the person's, or the client's AppPermissions
	CAE     bool     // the client declared cp1
	ID      bool     // an ID token for Client instead of an access token for API

	IssuedAt time.Time     // now
	Lifetime time.Duration // may be negative for a token that has expired

	// Claims and Header are laid over the usual ones; a nil value removes. The
	// header's "alg" chooses the algorithm: RS256, PS256, ES256, HS256 or none.
	Claims map[string]any
	Header map[string]any
	// Key signs instead of the authority's key: a *rsa.PrivateKey, an
	// *ecdsa.PrivateKey or, for HS256, bytes.
	Key any
}

// MintToken signs a token without a flow, for tests of whoever verifies it. It
// checks no rule: the point is to make tokens that must be refused, too.
func (s *Server) MintToken(spec TokenSpec) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()

	api := s.dir.resource(spec.API)
	if api == nil {
		return "", fmt.Errorf("minting a token: no app has the App ID URI or client id %q", spec.API)
	}
	var person *Person
	if spec.Person != "" {
		if person = s.dir.person(spec.Person); person == nil {
			return "", fmt.Errorf("minting a token: nobody is called %q", spec.Person)
		}
	}
	client := s.dir.app(spec.Client)
	if client == nil {
		client = &App{ClientID: spec.Client}
		if client.ClientID == "" {
			client.ClientID = newGUID()
		}
	}
	if spec.IssuedAt.IsZero() {
		spec.IssuedAt = s.clock()
	}

	key := s.keys[0]
	header := key.header()
	var claims map[string]any
	if spec.ID {
		if person == nil {
			return "", fmt.Errorf("minting an ID token: it needs a person")
		}
		claims = s.idClaims(client, person, scopeRequest{oidc: oidcScopes}, "", spec.IssuedAt)
		if spec.Lifetime != 0 {
			claims["exp"] = spec.IssuedAt.Add(spec.Lifetime).Unix()
		}
	} else {
		claims = s.claims(mintedAccess(spec, client, api, person, s.life))
	}
	overlay(claims, spec.Claims)
	overlay(header, spec.Header)
	if spec.Key == nil {
		spec.Key = key.key
		if api.ClientID == GraphClientID && !spec.ID && spec.Header == nil {
			return signGraph(header, claims, key.key)
		}
	}
	return signJWT(header, claims, spec.Key)
}

func mintedAccess(spec TokenSpec, client, api *App, person *Person, life Lifetimes) accessToken {
	t := accessToken{
		client: client, api: api, audience: spec.API, person: person,
		scopes: spec.Scopes, roles: spec.Roles, version: spec.Version, proof: "0", cae: spec.CAE,
		issued: spec.IssuedAt, lifetime: spec.Lifetime,
	}
	if t.version == 0 {
		t.version = api.TokenVersion
	}
	if t.lifetime == 0 {
		t.lifetime = life.AccessToken
	}
	switch {
	case person == nil:
		t.proof = "1"
		if t.roles == nil {
			t.roles = client.AppPermissions[api.ClientID]
		}
	case t.roles == nil:
		t.roles = rolesOf(person, api)
	}
	return t
}

func overlay(dst, changes map[string]any) {
	maps.Copy(dst, changes)
	maps.DeleteFunc(dst, func(_ string, v any) bool { return v == nil })
}
