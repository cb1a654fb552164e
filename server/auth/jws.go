package auth

import (
	"encoding/base64"
	"errors"
	"strings"
)

// unverified is a token that is well formed; nothing about it is proven.
type unverified struct {
	kid    string
	claims object
}

// base64url is RFC 7515's encoding without padding. Strict matters: a lenient
// decoder gives one signature several spellings.
var base64url = base64.RawURLEncoding.Strict()

// parseCompact reads a token in JWS Compact Serialization (RFC 7515 section
// 7.1) more strictly than a JOSE library does: those drop line breaks, accept
// JSON text loosely, and honour header parameters that have no place in an
// access token of Entra.
func parseCompact(raw string) (*unverified, *Refusal) {
	header, payload, refusal := splitCompact(raw)
	if refusal != nil {
		return nil, refusal
	}
	head, err := parseObject(header)
	if err != nil {
		return nil, jsonRefusal(RuleHeaderJSON, "header", err)
	}
	kid, refusal := checkHeader(head)
	if refusal != nil {
		return nil, refusal
	}
	claims, err := parseObject(payload)
	if err != nil {
		return nil, jsonRefusal(RulePayloadJSON, "payload", err)
	}
	return &unverified{kid: kid, claims: claims}, nil
}

// splitCompact checks the outer form and decodes header and payload.
func splitCompact(raw string) (header, payload []byte, refusal *Refusal) {
	if raw == "" {
		return nil, nil, invalid(RuleTokenForm, "The token is empty.")
	}
	if strings.ContainsAny(raw, " \t\r\n\v\f") {
		return nil, nil, invalid(RuleTokenSpace, "The token contains white space.")
	}
	if raw[0] == '{' {
		return nil, nil, invalid(RuleTokenForm,
			"The token uses JWS JSON Serialization; only the compact form is accepted.")
	}
	parts := strings.SplitN(raw, ".", 7)
	switch len(parts) {
	case 3:
	case 1:
		return nil, nil, invalid(RuleTokenForm,
			"The token is opaque, not a JWT. Microsoft issues such tokens for its own services and for personal accounts.")
	case 5:
		return nil, nil, invalid(RuleEncrypted,
			"The token is encrypted (JWE); this server accepts signed access tokens.")
	default:
		return nil, nil, invalid(RuleTokenForm,
			"A signed JWT has three parts separated by dots; this token has another number.")
	}
	names := [...]string{"header", "payload", "signature"}
	var decoded [3][]byte
	for i, part := range parts {
		if part == "" {
			return nil, nil, invalid(RuleTokenForm, "The token's %s is empty.", names[i])
		}
		b, err := base64url.DecodeString(part)
		if err != nil {
			return nil, nil, invalid(RuleEncoding,
				"The token's %s is not base64url without padding.", names[i])
		}
		decoded[i] = b
	}
	return decoded[0], decoded[1], nil
}

// checkHeader applies the header rules and returns the key id.
func checkHeader(head object) (kid string, refusal *Refusal) {
	if _, ok := head["crit"]; ok {
		return "", invalid(RuleCritical, "The token's header has critical extensions (crit); none is supported.")
	}
	alg, ok := head["alg"].(string)
	if !ok {
		return "", invalid(RuleAlgorithm, "The token's header has no algorithm (alg); only RS256 is accepted.")
	}
	if alg != "RS256" {
		return "", invalid(RuleAlgorithm, "The token is signed with %s; only RS256 is accepted.", show(alg))
	}
	for _, name := range []string{"jku", "jwk", "x5u", "x5c"} {
		if _, ok := head[name]; ok {
			return "", invalid(RuleEmbeddedKey,
				"The token brings or points to its own key (%s); keys are taken only from the tenant's authority.", name)
		}
	}
	for _, name := range []string{"b64", "zip", "enc", "cty", "epk", "apu", "apv", "p2s", "p2c", "iv", "tag"} {
		if _, ok := head[name]; ok {
			return "", invalid(RuleHeaderParam, "The token's header has the parameter %s, which access tokens do not have.", name)
		}
	}
	if typ, present := head["typ"]; present {
		// Media types compare without regard to case (RFC 7515 section 4.1.9).
		// Entra's access tokens say plain JWT, so RFC 9068's at+jwt cannot be asked for.
		if s, ok := typ.(string); !ok || !strings.EqualFold(s, "JWT") {
			return "", invalid(RuleType, "The token's header does not say it is a JWT (typ).")
		}
	}
	if _, ok := head["nonce"]; ok {
		return "", graphRefusal("its header has a nonce, which only Microsoft Graph can undo")
	}
	kid, ok = head["kid"].(string)
	if !ok || kid == "" || len(kid) > 256 {
		return "", invalid(RuleKeyID, "The token's header does not name its signing key (kid).")
	}
	return kid, nil
}

func jsonRefusal(rule Rule, part string, err error) *Refusal {
	var dup *duplicateNameError
	var variant *nameCaseError
	switch {
	case errors.As(err, &dup):
		rule = RuleDuplicateName
	case errors.As(err, &variant):
		rule = RuleNameCase
	}
	return invalid(rule, "The token's %s is refused: %v.", part, err)
}
