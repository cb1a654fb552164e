package fakeentra

import (
	"crypto/rsa"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
	"strings"
	"time"
)

// maxGroups is how many groups fit into a JWT before Entra sends the overage
// claims instead.
const maxGroups = 200

// accessToken describes an access token before it is built.
type accessToken struct {
	client   *App
	api      *App
	audience string  // the API as it was named by the client
	person   *Person // nil for an app-only token
	scopes   []string
	roles    []string
	version  int
	proof    string // how the client authenticated: "0" not, "1" secret, "2" certificate
	cae      bool   // the client declared cp1
	acrs     []string
	issued   time.Time
	lifetime time.Duration
}

// claims builds the claims of a v1 or v2 access token. The time of use starts
// five minutes before the issue, as at Entra, to forgive slow clocks.
func (s *Server) claims(t accessToken) map[string]any {
	c := map[string]any{
		"iat": t.issued.Unix(),
		"nbf": t.issued.Add(-5 * time.Minute).Unix(),
		"exp": t.issued.Add(t.lifetime).Unix(),
		"aio": randomID(36),
		"rh":  "1." + randomID(24) + ".",
		"uti": randomID(16),
		"tid": s.tenant,
	}
	if t.version == 2 {
		c["ver"], c["iss"], c["aud"] = "2.0", s.IssuerV2(), t.api.ClientID
		c["azp"], c["azpacr"] = t.client.ClientID, t.proof
	} else {
		c["ver"], c["iss"], c["aud"] = "1.0", s.IssuerV1(), t.audience
		c["appid"], c["appidacr"] = t.client.ClientID, t.proof
	}
	if len(t.roles) > 0 {
		c["roles"] = t.roles
	}
	if t.person == nil {
		oid := servicePrincipal(s.tenant, t.client.ClientID)
		c["oid"], c["sub"] = oid, oid
		c["idtyp"] = "app"
		if t.version == 1 {
			c["idp"] = s.IssuerV1()
		}
	} else {
		s.personClaims(c, t)
	}
	if !t.api.optional("idtyp") {
		delete(c, "idtyp")
	}
	if t.cae && t.api.optional("xms_cc") {
		c["xms_cc"] = []string{"cp1"}
	}
	return c
}

func (s *Server) personClaims(c map[string]any, t accessToken) {
	p := t.person
	c["oid"], c["sub"], c["name"] = p.OID, pairwise(s.tenant, t.api.ClientID, p.OID), p.Name
	c["idtyp"] = "user"
	if len(t.scopes) > 0 {
		c["scp"] = strings.Join(t.scopes, " ")
	}
	if t.version == 2 {
		c["preferred_username"] = p.UPN
		if t.api.optional("upn") {
			c["upn"] = p.UPN
		}
	} else {
		c["unique_name"], c["upn"] = p.UPN, p.UPN
		c["acr"], c["amr"] = "1", []string{"pwd"}
		c["ipaddr"] = "127.0.0.1"
		if given, family, ok := strings.Cut(p.Name, " "); ok {
			c["given_name"], c["family_name"] = given, family
		}
	}
	if t.api.optional("email") {
		c["email"] = p.Mail
	}
	if len(t.acrs) > 0 {
		c["acrs"] = t.acrs
	}
	if t.api.GroupClaims {
		s.groupClaims(c, p)
	}
}

func (s *Server) groupClaims(c map[string]any, p *Person) {
	switch {
	case len(p.Groups) > maxGroups:
		c["_claim_names"] = map[string]string{"groups": "src1"}
		c["_claim_sources"] = map[string]any{"src1": map[string]string{
			"endpoint": "https://graph.windows.net/" + s.tenant + "/users/" + p.OID + "/getMemberObjects",
		}}
	case len(p.Groups) > 0:
		c["groups"] = p.Groups
	}
}

// header is that of Entra's tokens: an access token is typed "JWT", not
// "at+jwt" (RFC 9068).
func (k *signingKey) header() map[string]any {
	return map[string]any{"typ": "JWT", "alg": "RS256", "kid": k.id, "x5t": k.id}
}

// signAccess signs with the current key; s.mu is held. A token for Graph has a
// nonce in its header and is signed over the nonce's hash, so that nobody but
// Graph can verify it; people who send such a token elsewhere see "signature
// invalid" and wonder.
func (s *Server) signAccess(t accessToken) (string, error) {
	key := s.keys[0]
	h, c := key.header(), s.claims(t)
	if t.api.ClientID == GraphClientID {
		return signGraph(h, c, key.key)
	}
	return signJWT(h, c, key.key)
}

func signGraph(header, claims map[string]any, key *rsa.PrivateKey) (string, error) {
	nonce := randomID(32)
	hidden := maps.Clone(header)
	sum := sha256.Sum256([]byte(nonce))
	hidden["nonce"] = b64(sum[:])
	signed, err := signJWT(hidden, claims, key)
	if err != nil {
		return "", err
	}
	header["nonce"] = nonce
	shown, err := signJWT(header, claims, key)
	if err != nil {
		return "", err
	}
	return shown[:strings.LastIndexByte(shown, '.')] + signed[strings.LastIndexByte(signed, '.'):], nil
}

// idClaims are those of an ID token for the client; s.mu is held.
func (s *Server) idClaims(client *App, p *Person, q scopeRequest, nonce string, now time.Time) map[string]any {
	c := map[string]any{
		"ver": "2.0", "iss": s.IssuerV2(), "aud": client.ClientID, "tid": s.tenant,
		"sub": pairwise(s.tenant, client.ClientID, p.OID),
		"iat": now.Unix(), "nbf": now.Add(-5 * time.Minute).Unix(), "exp": now.Add(s.life.IDToken).Unix(),
		"aio": randomID(36), "rh": "1." + randomID(24) + ".", "uti": randomID(16),
	}
	if nonce != "" {
		c["nonce"] = nonce
	}
	if q.wants("profile") {
		c["oid"], c["name"], c["preferred_username"] = p.OID, p.Name, p.UPN
	}
	if q.wants("email") {
		c["email"] = p.Mail
	}
	if roles := p.Roles[client.ClientID]; len(roles) > 0 {
		c["roles"] = roles
	}
	return c
}

// pairwise is the sub of a person at an app: stable there, useless elsewhere.
func pairwise(tenant, app, oid string) string {
	sum := sha256.Sum256([]byte(tenant + "\x00" + app + "\x00" + oid))
	return b64(sum[:])
}

// servicePrincipal is the object id of an app in the tenant.
func servicePrincipal(tenant, clientID string) string {
	sum := sha256.Sum256([]byte("service principal\x00" + tenant + "\x00" + clientID))
	x := hex.EncodeToString(sum[:16])
	return x[:8] + "-" + x[8:12] + "-4" + x[13:16] + "-8" + x[17:20] + "-" + x[20:]
}

// rolesOf are the person's roles at the API that the API really has.
func rolesOf(p *Person, api *App) []string {
	var out []string
	for _, name := range p.Roles[api.ClientID] {
		if slices.ContainsFunc(api.Roles, func(r Role) bool { return r.Name == name }) {
			out = append(out, name)
		}
	}
	return out
}
