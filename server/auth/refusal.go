package auth

import (
	"cmp"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Rule names what a refused token failed. The names are stable: they appear in
// responses, logs and audit records.
type Rule string

// Rules about where a request comes from, applied before any token is looked at.
const (
	RuleOrigin Rule = "origin" // a web page that nobody listed
	RuleHost   Rule = "host"   // asked for under a name that isn't this server's
)

// Rules about the request that should have carried a token.
const (
	RuleNoToken       Rule = "no-token"
	RuleBearerSyntax  Rule = "bearer-syntax"
	RuleManyTokens    Rule = "many-tokens"
	RuleTokenInQuery  Rule = "token-in-query"
	RuleTokenTooLarge Rule = "token-too-large"
)

// Rules about the form of the token, RFC 7515 and RFC 7519.
const (
	RuleTokenForm     Rule = "token-form"
	RuleTokenSpace    Rule = "token-whitespace"
	RuleEncrypted     Rule = "encrypted-token"
	RuleEncoding      Rule = "base64url"
	RuleHeaderJSON    Rule = "header-json"
	RulePayloadJSON   Rule = "payload-json"
	RuleDuplicateName Rule = "duplicate-name"
	RuleNameCase      Rule = "name-case"
	RuleAlgorithm     Rule = "algorithm"
	RuleCritical      Rule = "critical-header"
	RuleEmbeddedKey   Rule = "embedded-key"
	RuleHeaderParam   Rule = "header-parameter"
	RuleType          Rule = "type"
	RuleKeyID         Rule = "key-id"
	RuleClaimType     Rule = "claim-type"
)

// Rules about what kind of token it is and for whom.
const (
	RuleGraphToken     Rule = "graph-token"
	RuleIDToken        Rule = "id-token"
	RuleBoundToken     Rule = "bound-token"
	RuleVersion        Rule = "version"
	RuleTenantClaim    Rule = "tenant-claim"
	RuleForeignTenant  Rule = "foreign-tenant"
	RuleIssuer         Rule = "issuer"
	RuleIssuerTenant   Rule = "issuer-tenant"
	RuleForeignCloud   Rule = "foreign-cloud"
	RuleB2C            Rule = "b2c-token"
	RuleExternalID     Rule = "external-id-token"
	RulePersonal       Rule = "personal-account"
	RuleAudience       Rule = "audience"
	RuleExpiryClaim    Rule = "expiry-claim"
	RuleNotBeforeClaim Rule = "not-before-claim"
	RuleExpired        Rule = "expired"
	RuleNotYetValid    Rule = "not-yet-valid"
	RuleTimeOrder      Rule = "time-order"
	RuleIssuedInFuture Rule = "issued-in-future"
	RuleObjectID       Rule = "object-id"
	RuleClientID       Rule = "client-id"
)

// Rules about the signature.
const (
	RuleUnknownKey Rule = "unknown-key"
	RuleKeyIssuer  Rule = "key-issuer"
	RuleSignature  Rule = "signature"
)

// Rules about what a proven caller may do; these are answered with 403.
const (
	RuleClientNotAllowed Rule = "client-not-allowed"
	RuleScope            Rule = "scope"
	RuleRole             Rule = "role"
	RuleAppOnly          Rule = "app-only"
	RuleDelegated        Rule = "delegated"
	RuleGroupsOverage    Rule = "groups-overage"
)

// Rules about what a proven caller may have done on their behalf; see
// [NeedClaims] for the first.
const (
	RuleClaims   Rule = "claims"     // the authority wants another sign-in
	RuleDelegate Rule = "on-behalf"  // the authority gives no token on the caller's behalf
	RuleUpstream Rule = "credential" // this server's own credential fails
)

// Rules about how the token says on whose behalf it speaks; these are answered
// with 401, since another token from the same authority would do.
const (
	RuleNoPermission Rule = "no-permission"
	RuleTokenSubject Rule = "token-subject"
)

// OAuth error codes of RFC 6750 section 3.1.
const (
	errInvalidRequest    = "invalid_request"
	errInvalidToken      = "invalid_token"
	errInsufficientScope = "insufficient_scope"
)

// A Refusal says why a request was not let in. It is an error for the caller of
// [Verifier.Verify] and the source of the HTTP answer. Its texts never contain
// the token, and consist of printable ASCII without quotation mark and
// backslash, as RFC 6750 section 3 demands of error_description.
type Refusal struct {
	Rule       Rule
	Status     int    // 401, 403, or 431 for a token above the size limit
	OAuthError string // RFC 6750 error code; empty if no token was sent

	Description string // what happened and why
	Fix         string // what to do about it, where the catalogue's entry for the rule doesn't say

	// OfferScopes says that signing in again for the required scopes can help.
	// It is false where it would only send a client round in circles.
	OfferScopes bool

	// Claims is what a claims challenge asks for, as JSON; see [NeedClaims].
	Claims string
	// RetryAfter is when the same request may succeed; 0 if time alone won't help.
	RetryAfter time.Duration

	// Principal is the caller where the token is proven and only lacks a
	// permission (status 403); otherwise nil.
	Principal *Principal
}

// challenges reports whether the answer has a challenge. 403 without an error
// code has none: signing in again would change nothing.
func (r *Refusal) challenges() bool {
	return r.Status == http.StatusUnauthorized || r.Status == http.StatusForbidden && r.OAuthError != ""
}

// Error implements error.
func (r *Refusal) Error() string {
	return fmt.Sprintf("refusing token (%s): %s", r.Rule, r.Description)
}

// invalid is a 401 for a token that is not good.
func invalid(rule Rule, format string, args ...any) *Refusal {
	return &Refusal{
		Rule:        rule,
		Status:      http.StatusUnauthorized,
		OAuthError:  errInvalidToken,
		Description: printable(fmt.Sprintf(format, args...)),
		OfferScopes: true,
	}
}

// forbidden is a 403 for a good token that does not allow enough.
func forbidden(p *Principal, rule Rule, format string, args ...any) *Refusal {
	return &Refusal{
		Rule:        rule,
		Status:      http.StatusForbidden,
		OAuthError:  errInsufficientScope,
		Description: printable(fmt.Sprintf(format, args...)),
		Principal:   p,
	}
}

// An UnavailableError says that a token could be neither accepted nor refused
// because something that the decision rests on could not be fetched: the
// authority's signing keys, or the caller's groups.
type UnavailableError struct {
	// What could not be fetched; empty is the authority's signing keys.
	What string
	// RetryAfter is when the next attempt makes sense, at least one second.
	RetryAfter time.Duration
	Err        error
}

// Error implements error.
func (e *UnavailableError) Error() string {
	return fmt.Sprintf("fetching %s: %v", e.what(), e.Err)
}

func (e *UnavailableError) what() string { return cmp.Or(e.What, "the authority's signing keys") }

// Unwrap returns the cause of the failed fetch.
func (e *UnavailableError) Unwrap() error { return e.Err }

// maxShown bounds how much of one foreign value is shown or logged, in bytes.
const maxShown = 120

// shorten cuts a foreign value.
func shorten(s string) string {
	if len(s) > maxShown {
		return s[:maxShown] + "..."
	}
	return s
}

// show makes a foreign value fit for a description: quoted, cut, printable.
func show(s string) string { return "'" + printable(shorten(s)) + "'" }

// printable replaces whatever may not stand in an error_description: RFC 6750
// section 3 allows %x20-21 / %x23-5B / %x5D-7E.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '"':
			return '\''
		case r == '\\':
			return '/'
		case r < 0x20 || r > 0x7e:
			return '?'
		}
		return r
	}, s)
}
