package obo

import (
	"errors"
	"net/http"

	"github.com/mcpctl/mcpctl/server/auth"
)

// Refusal is what to tell the caller of a request that ended with err; nil
// where err is not about credentials. A caller who can sign in again gets 401
// with a challenge, see [auth.NeedClaims]; where time helps it is 503; all else
// is 403 with words only, as nothing that the client could do would change it.
func Refusal(p *auth.Principal, err error) *auth.Refusal {
	var e *Error
	if !errors.As(err, &e) || p == nil {
		return nil
	}
	r := &auth.Refusal{Rule: auth.RuleDelegate, Status: http.StatusForbidden, Description: e.Text, Fix: e.Fix, Principal: p}
	switch e.Reason {
	case ReasonClaims:
		return auth.NeedClaims(p, e.Claims, e.Text)
	case ReasonSignIn:
		return auth.NeedSignIn(p, e.Text, e.Fix)
	case ReasonUnavailable:
		r.Status, r.RetryAfter = http.StatusServiceUnavailable, e.RetryAfter
	case ReasonCredential, ReasonNoCaller:
		r.Rule = auth.RuleUpstream
	case ReasonConsent, ReasonBlocked, ReasonAppOnly:
	}
	return r
}

// Explain is what a person is told about err; "" where err is not about
// credentials.
func Explain(err error) string {
	var e *Error
	if !errors.As(err, &e) {
		return ""
	}
	return e.Text + " " + e.Fix
}
