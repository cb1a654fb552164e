package auth

import (
	"cmp"
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"
)

// A Verifier decides whether access tokens are good for this server. Its
// methods may be called concurrently. It holds no open resource until the first
// token arrives; an authority that is down does not keep it from being made.
type Verifier struct {
	authority  authority
	tenants    []string // lower-case GUIDs
	audiences  []string // GUIDs in lower case, URIs as configured
	scopes     []string // short names
	roles      []string
	clients    []string // lower-case GUIDs; empty admits all
	needGroups bool
	groups     GroupLookup // nil: groups that a token leaves out are not known
	skew       time.Duration
	maxBytes   int
	observer   Observer
	now        func() time.Time
	log        *slog.Logger

	keys  *keyring
	cache *verdictCache
}

// New returns a verifier, or an error that lists every fault of the options.
// Close it to end its background work.
func New(o Options) (*Verifier, error) {
	v, err := o.settle()
	if err != nil {
		return nil, err
	}
	v.cache = newVerdictCache(cmp.Or(o.CacheSize, DefaultCacheSize))
	v.groups = o.Groups
	v.keys = newKeyring(v.authority, v.tenants, o.HTTPClient, v.now, v.observer, v.log)
	return v, nil
}

// Close cancels fetches that are under way and waits for them. Tokens verified
// afterwards are judged by the keys already here.
func (v *Verifier) Close() error {
	v.keys.close()
	return nil
}

// MaxTokenBytes is the size above which tokens are refused unread.
func (v *Verifier) MaxTokenBytes() int { return v.maxBytes }

// RequiredScopes are the delegated permissions of which a user needs one, by
// short name.
func (v *Verifier) RequiredScopes() []string { return slices.Clone(v.scopes) }

// AuthorizationServers are the issuers to name in the resource metadata, one
// for each admitted tenant.
func (v *Verifier) AuthorizationServers() []string {
	list := make([]string, 0, len(v.tenants))
	for _, tenant := range v.tenants {
		list = append(list, v.authority.issuers(v2, tenant)...)
	}
	return list
}

// Verify judges a token in compact form, without "Bearer ". The error is a
// [*Refusal] if the token is not good enough, an [*UnavailableError] if the
// authority's keys could not be had, or the context's error.
//
// A token seen before costs no signature check until it expires or its key is
// withdrawn. The first token of a tenant, or one with an unknown key, may wait
// for a fetch.
func (v *Verifier) Verify(ctx context.Context, raw string) (*Principal, error) {
	if len(raw) > v.maxBytes {
		return nil, tooLarge(len(raw), v.maxBytes)
	}
	now := v.now()
	sum := sumOf(raw)
	if p := v.cache.get(sum, now); p != nil {
		v.observer.verified("cached")
		return v.withGroups(ctx, p)
	}
	p, key, err := v.verify(ctx, raw, now)
	v.observer.examined(err)
	if err != nil {
		return nil, err
	}
	v.cache.add(sum, p, key)
	return v.withGroups(ctx, p)
}

func tooLarge(size, limit int) *Refusal {
	r := invalid(RuleTokenTooLarge,
		"The token has %d bytes; this server takes %d.", size, limit)
	r.Status = http.StatusRequestHeaderFieldsTooLarge
	r.OfferScopes = false // a new token would be as large
	return r
}

// verify is the whole examination, in the order form, kind, signature,
// permission. The returned key is the one that proved the token.
func (v *Verifier) verify(ctx context.Context, raw string, now time.Time) (*Principal, keyRef, error) {
	token, refusal := parseCompact(raw)
	if refusal != nil {
		return nil, keyRef{}, refusal
	}
	c, refusal := readClaims(token.claims)
	if refusal != nil {
		return nil, keyRef{}, refusal
	}
	version, refusal := v.checkClaims(&c, now)
	if refusal != nil {
		return nil, keyRef{}, refusal
	}
	key, err := v.keys.find(ctx, c.tenant, version, token.kid)
	if errors.Is(err, errUnknownKey) {
		return nil, keyRef{}, invalid(RuleUnknownKey,
			"The token is signed with key %s, which tenant %s does not publish.", show(token.kid), c.tenant)
	} else if err != nil {
		return nil, keyRef{}, err
	}
	if refusal := v.checkKey(key, &c, version); refusal != nil {
		return nil, keyRef{}, refusal
	}
	if err := checkSignature(raw, key.signingKey); err != nil {
		return nil, keyRef{}, invalid(RuleSignature,
			"The token's signature does not match: it was changed, or signed by somebody else.")
	}
	p, refusal := v.permit(&c, version)
	if refusal != nil {
		return nil, keyRef{}, refusal
	}
	return p, key, nil
}

// checkKey binds the key to the token's issuer: a key of the v2 document says
// which issuer may use it. The v1 document states none, and where it repeats
// the v2 issuer of the same tenant that is the same authority.
func (v *Verifier) checkKey(key keyRef, c *claims, version tokenVersion) *Refusal {
	if key.issuer == "" {
		return nil
	}
	issuer := strings.ReplaceAll(key.issuer, "{tenantid}", c.tenant)
	if issuer == c.issuer || version == v1 && slices.Contains(v.authority.issuers(v2, c.tenant), issuer) {
		return nil
	}
	return invalid(RuleKeyIssuer,
		"The token's signing key belongs to issuer %s, not to the token's %s.", show(issuer), show(c.issuer))
}

// checkSignature checks a compact token that parseCompact has passed: its form is
// canonical and its algorithm RS256, the only one Entra ID signs with: RSASSA-PKCS1-v1_5
// with SHA-256 over what stands before the last dot (RFC 7518 §3.3, RFC 7515 §5.2).
func checkSignature(raw string, key *signingKey) error {
	dot := strings.LastIndexByte(raw, '.')
	signature, err := base64url.DecodeString(raw[dot+1:])
	if err != nil {
		return err
	}
	digest := sha256.Sum256([]byte(raw[:dot]))
	return rsa.VerifyPKCS1v15(key.public, crypto.SHA256, digest[:], signature)
}
