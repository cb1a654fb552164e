package fakeentra

import (
	"encoding/json"
	"slices"
)

// Authentication contexts are named c1 to c99.
const maxACRs, maxACR = 99, 8

// claimsRequest is the claims parameter, OpenID Connect Core section 5.5, as
// far as Entra's clients use it: capabilities and authentication contexts.
type claimsRequest struct {
	AccessToken map[string]*struct {
		Value  string   `json:"value"`
		Values []string `json:"values"`
	} `json:"access_token"`
}

// parseClaims reads the parameter; an empty one asks for nothing.
func parseClaims(raw string) (claimsRequest, *Error) {
	var c claimsRequest
	if raw == "" {
		return c, nil
	}
	if err := json.Unmarshal([]byte(raw), &c); err != nil {
		return c, failure("invalid_request", 901001, "The request parameter 'claims' is not valid JSON.")
	}
	acrs := c.acrs()
	if len(acrs) > maxACRs || slices.ContainsFunc(acrs, func(v string) bool { return len(v) > maxACR }) {
		return c, failure("invalid_request", 901001, "The request parameter 'claims' asks for too much.")
	}
	return c, nil
}

// cae tells whether the client declares that it handles claims challenges.
func (c claimsRequest) cae() bool {
	cc := c.AccessToken["xms_cc"]
	return cc != nil && slices.ContainsFunc(append(cc.Values, cc.Value), func(v string) bool { return v == "cp1" || v == "CP1" })
}

// acrs are the authentication contexts that the token must attest.
func (c claimsRequest) acrs() []string {
	a := c.AccessToken["acrs"]
	switch {
	case a == nil:
		return nil
	case a.Value != "":
		return append([]string{a.Value}, a.Values...)
	default:
		return a.Values
	}
}

// acrsChallenge asks for authentication contexts, as Entra's errors do.
func acrsChallenge(acrs []string) string {
	b, err := json.Marshal(map[string]any{"access_token": map[string]any{
		"acrs": map[string]any{"essential": true, "values": acrs},
	}})
	if err != nil {
		panic(err) // strings always marshal
	}
	return string(b)
}
