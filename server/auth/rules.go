package auth

import (
	"net/url"
	"slices"
	"strings"
	"time"
)

// graphRefusal names a token for Microsoft Graph, the commonest wrong one: Graph
// is what Entra assumes when a client asks for a scope without its resource.
func graphRefusal(how string) *Refusal {
	return invalid(RuleGraphToken,
		"The token is for Microsoft Graph: %s.", how)
}

// checkClaims applies the rules that need neither key nor network. They come
// before the signature, so that a token of the wrong kind is told apart from a
// forged one, and so that only plausible tokens can cause keys to be fetched.
func (v *Verifier) checkClaims(c *claims, now time.Time) (tokenVersion, *Refusal) {
	if isGraph(c.audience) {
		return 0, graphRefusal("its audience is " + show(c.audience))
	}
	if c.idToken {
		return 0, invalid(RuleIDToken,
			"This is an ID token (it has nonce, at_hash or c_hash), which proves a sign-in to the client; a server needs an access token.")
	}
	if c.bound {
		return 0, invalid(RuleBoundToken,
			"The token is bound to a key of the client (cnf) and was sent as a plain bearer token; bound tokens are not supported.")
	}
	version, ok := parseVersion(c.version)
	if !ok {
		return 0, invalid(RuleVersion, "The token's version (ver) is %s; Entra issues 1.0 and 2.0.", show(c.version))
	}
	for _, check := range []func(*claims, tokenVersion, time.Time) *Refusal{
		v.checkIssuer, v.checkAudience, v.checkTimes, v.checkIdentity,
	} {
		if refusal := check(c, version, now); refusal != nil {
			return 0, refusal
		}
	}
	return version, nil
}

// checkIssuer ties version, issuer and tenant together, each exactly.
func (v *Verifier) checkIssuer(c *claims, version tokenVersion, _ time.Time) *Refusal {
	if c.issuer == "" {
		return invalid(RuleIssuer, "The token does not say who issued it (iss).")
	}
	if r := foreignKind(c.issuer); r != nil {
		return r
	}
	if c.tenant == personalTenant {
		return invalid(RulePersonal, "The token is of a personal Microsoft account; this server admits work accounts of its own tenants.")
	}
	if !isGUID(c.tenant) {
		return invalid(RuleTenantClaim, "The token's tenant (tid) is %s, which is no tenant id.", show(c.tenant))
	}
	if !slices.Contains(v.tenants, c.tenant) {
		return invalid(RuleForeignTenant, "The token is from tenant %s, which this server does not admit.", c.tenant)
	}
	if slices.Contains(v.authority.issuers(version, c.tenant), c.issuer) {
		return nil
	}
	if other, ok := v.authority.otherCloud(c.issuer); ok {
		return invalid(RuleForeignCloud, "The token is from Microsoft's %s cloud; this server belongs to another.", other)
	}
	if tenant := issuerTenant(c.issuer); isGUID(tenant) && tenant != c.tenant {
		return invalid(RuleIssuerTenant,
			"The token contradicts itself: its issuer is of tenant %s, its tenant (tid) is %s.", tenant, c.tenant)
	}
	return invalid(RuleIssuer, "The token's issuer %s is not the one that issues version %s tokens for tenant %s.",
		show(c.issuer), version, c.tenant)
}

// foreignKind names the products that issue similar tokens by other rules.
func foreignKind(issuer string) *Refusal {
	u := issuerURL(issuer)
	host := strings.ToLower(u.Hostname())
	switch {
	case strings.HasSuffix(host, ".b2clogin.com"), strings.HasPrefix(u.Path, "/tfp/"):
		return invalid(RuleB2C,
			"The token is from Azure AD B2C, which this server does not support.")
	case strings.HasSuffix(host, ".ciamlogin.com"):
		return invalid(RuleExternalID,
			"The token is from Entra External ID, which this server does not support.")
	}
	return nil
}

// otherCloud names the cloud of an issuer that is not of this authority.
func (a authority) otherCloud(issuer string) (string, bool) {
	u := issuerURL(issuer)
	if slices.Contains(a.v1Origins, "https://"+u.Host) {
		return "", false
	}
	for _, c := range clouds {
		if c.name != a.cloud.name && (u.Host == c.host || u.Host == c.stsHost) {
			return c.title, true
		}
	}
	return "", false
}

// issuerTenant is the first path segment of an issuer.
func issuerTenant(issuer string) string {
	tenant, _, _ := strings.Cut(strings.TrimPrefix(issuerURL(issuer).Path, "/"), "/")
	return tenant
}

// issuerURL takes a foreign issuer apart, to explain a refusal only: what is
// accepted is compared as text.
func issuerURL(issuer string) *url.URL {
	if u, err := url.Parse(issuer); err == nil {
		return u
	}
	return &url.URL{}
}

// checkAudience compares the whole audience. A v2 token names the API by its
// client id only; a v1 token by that or by whichever App ID URI was asked for.
func (v *Verifier) checkAudience(c *claims, version tokenVersion, _ time.Time) *Refusal {
	if slices.Contains(v.audiences, c.audience) && (version == v1 || isGUID(c.audience)) {
		return nil
	}
	if c.audience == "" {
		return invalid(RuleAudience, "The token does not say for whom it is (aud).")
	}
	if version == v2 && slices.Contains(v.audiences, c.audience) {
		return invalid(RuleAudience, "A version 2.0 token names its audience by client id, but this one says %s.", show(c.audience))
	}
	return invalid(RuleAudience, "The token is for another service: its audience is %s.", show(c.audience))
}

func (v *Verifier) checkTimes(c *claims, _ tokenVersion, now time.Time) *Refusal {
	switch {
	case c.expires.IsZero():
		return invalid(RuleExpiryClaim, "The token does not say when it expires (exp).")
	case c.notBefore.IsZero():
		return invalid(RuleNotBeforeClaim, "The token does not say from when it is valid (nbf).")
	case !c.expires.After(c.notBefore), c.issued.After(c.expires):
		return invalid(RuleTimeOrder, "The token expires before it becomes valid.")
	case !now.Before(c.expires.Add(v.skew)):
		return invalid(RuleExpired,
			"The token expired at %s; it is now %s.", stamp(c.expires), stamp(now))
	case c.notBefore.After(now.Add(v.skew)):
		return invalid(RuleNotYetValid, "The token is valid only from %s; it is now %s.", stamp(c.notBefore), stamp(now))
	case c.issued.After(now.Add(v.skew)):
		return invalid(RuleIssuedInFuture, "The token was issued at %s; it is now %s.", stamp(c.issued), stamp(now))
	}
	return nil
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// checkIdentity asks for the ids that name caller and client. Entra always
// writes them, and sessions and audit records stand on them.
func (v *Verifier) checkIdentity(c *claims, version tokenVersion, _ time.Time) *Refusal {
	if !isGUID(c.objectID) {
		return invalid(RuleObjectID, "The token does not name its subject by object id (oid).")
	}
	if c.client(version) == "" && c.scope == "" && c.idtyp == "" {
		return invalid(RuleIDToken,
			"This looks like an ID token: it names neither a client (azp or appid) nor a permission (scp); a server needs an access token.")
	}
	if !isGUID(c.client(version)) {
		return invalid(RuleClientID, "The token does not name the client application that asked for it (azp or appid).")
	}
	return nil
}
