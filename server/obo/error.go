package obo

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/mcpctl/mcpctl/internal/catalogue"
	"github.com/mcpctl/mcpctl/internal/memo"
)

// A Reason says why there is no credential for a request. Reasons are stable:
// they appear in logs and audit records.
type Reason string

// The reasons.
const (
	ReasonClaims      Reason = "claims"      // the caller has to sign in again, in the way that the claims say
	ReasonSignIn      Reason = "sign-in"     // the caller has to sign in again
	ReasonConsent     Reason = "consent"     // nobody has agreed that this server may use the upstream's API
	ReasonBlocked     Reason = "blocked"     // a policy forbids it, or the caller isn't assigned
	ReasonAppOnly     Reason = "app-only"    // the caller is an application, not a person
	ReasonNoCaller    Reason = "no-caller"   // the request belongs to nobody
	ReasonCredential  Reason = "credential"  // this server's own credential or registration is at fault
	ReasonUnavailable Reason = "unavailable" // the authority is out of reach or asks to wait
)

// An Error is a credential that can't be had. Its texts hold no secret.
type Error struct {
	Reason Reason
	Text   string // what happened, for the caller
	Fix    string // what to do about it
	// Claims is what the caller has to sign in with, as JSON; with ReasonClaims.
	Claims     string
	RetryAfter time.Duration // with ReasonUnavailable
	err        error         // for the operator's log
}

// Error is for the operator's log.
func (e *Error) Error() string {
	if e.err == nil {
		return fmt.Sprintf("no credential for the upstream (%s): %s", e.Reason, e.Text)
	}
	return fmt.Sprintf("no credential for the upstream (%s): %v", e.Reason, e.err)
}

// Lasting reports that sending the request again brings no credential: who may
// and when is said to the caller, or is the operator's to mend.
func (e *Error) Lasting() bool { return true }

// Unwrap returns the authority's error.
func (e *Error) Unwrap() error { return e.err }

// Numbers by which Entra says what matters here (Microsoft Entra authentication
// and authorization error codes).
var (
	consentCodes = []int{65001, 65004, 90094, 90095}
	blockedCodes = []int{50105, 50057, 53003, 53004, 530032, 530034, 530084, 501051, 501341}
	appOnlyCodes = []int{7000114}
	// The assertion is not one that can be exchanged, or no longer.
	assertionCodes = []int{500133, 50173, 50058, 70043, 50132, 50133, 700082}
	// The token is for another application than the one whose credential is used.
	audienceCodes = []int{500131, 50013, 50027}
)

// terms are what the explanation of a failure needs to know.
type terms struct {
	what   string // "a token for the upstream's API on your behalf"
	origin string // of the authority; empty makes no links
	client string // this server's client id
	tenant string // of the caller
}

// explain turns an authority's error into an Error. The context's own errors
// are handed on as they are.
func (t terms) explain(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	e := &Error{Reason: ReasonCredential, err: err}
	var f Failure
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled), errors.Is(err, memo.ErrClosed):
		e.unavailable(0)
		return e
	case !errors.As(err, &f):
		e.Text = "This server could not get " + t.what + "."
		e.Fix = operator
		return e
	case f.Temporary():
		e.unavailable(f.RetryAfter())
		return e
	}
	code := f.AADSTS()
	switch {
	case slices.Contains(appOnlyCodes, code):
		return errAppOnly(err)
	case slices.Contains(consentCodes, code) || f.OAuth() == "consent_required":
		e.Reason = ReasonConsent
		e.Text = "Nobody has agreed that this server may get " + t.what + details(f)
		e.Fix = "Have an administrator grant the API permissions of this server's application" + t.consentLink()
	case f.Claims() != "":
		e.Reason, e.Claims = ReasonClaims, f.Claims()
		e.Text = "The organisation's policies ask for more before this server may get " + t.what + details(f)
		e.Fix = "Sign in again and complete what is asked for."
	case slices.Contains(blockedCodes, code):
		e.Reason = ReasonBlocked
		e.Text = "The organisation's policies forbid this server to get " + t.what + details(f)
		e.Fix = "Ask an Entra administrator, naming the code and the correlation id: the sign-in log shows which policy or assignment it is."
	case slices.Contains(assertionCodes, code) || f.OAuth() == "interaction_required" || f.OAuth() == "login_required":
		e.Reason = ReasonSignIn
		e.Text = "The sign-in is no longer good enough to get " + t.what + details(f)
		e.Fix = "Sign in again."
	default:
		e.Text = "This server is not set up well enough to get " + t.what + details(f)
		e.Fix = operator
		if entry, ok := catalogue.Lookup(fmt.Sprintf("AADSTS%d", code)); ok {
			e.Fix += " What to do about it says: mcpctl explain " + entry.Code
		}
		if slices.Contains(audienceCodes, code) {
			e.Fix = "Its operator has to use the credential of the application that the tokens are for (entra.client_id)."
		}
	}
	return e
}

const operator = "Its operator finds the reason in the server's log."

func (e *Error) unavailable(wait time.Duration) {
	e.Reason = ReasonUnavailable
	e.RetryAfter = min(max(wait, minFailure), maxFailure)
	e.Text = "The sign-in authority does not answer at the moment, or asks to wait."
	e.Fix = "Try again shortly."
}

// details ends a sentence with what an administrator can look up.
func details(f Failure) string {
	var known []string
	if f.AADSTS() != 0 {
		known = append(known, fmt.Sprintf("AADSTS%d", f.AADSTS()))
	} else if f.OAuth() != "" {
		known = append(known, f.OAuth())
	}
	if f.CorrelationID() != "" {
		known = append(known, "correlation id "+f.CorrelationID())
	}
	text := "."
	if len(known) > 0 {
		text = " (" + strings.Join(known, ", ") + ")."
	}
	if d := f.Description(); d != "" {
		text += " Entra says: " + d
	}
	return text
}

// consentLink is where an administrator consents for a whole tenant (Microsoft
// identity platform, "Admin consent").
func (t terms) consentLink() string {
	if t.origin == "" || t.tenant == "" {
		return "."
	}
	return ": " + t.origin + "/" + url.PathEscape(t.tenant) + "/adminconsent?client_id=" + url.QueryEscape(t.client)
}

func errAppOnly(err error) *Error {
	return &Error{
		Reason: ReasonAppOnly, err: err,
		Text: "The upstream is used on behalf of people, and the caller is an application on its own: Entra gives no token for that (AADSTS7000114).",
		Fix:  "Call with a person's token, or have the operator give this upstream a credential of the server's own (client_credentials).",
	}
}

func errNoCaller() *Error {
	return &Error{
		Reason: ReasonNoCaller,
		Text:   "The upstream is used on behalf of people, and nobody is known to have made this request.",
		Fix:    operator,
	}
}

func errAssertionGone() *Error {
	return &Error{
		Reason: ReasonSignIn,
		Text:   "The access token of this request has expired meanwhile, so that nothing more can be done on its behalf.",
		Fix:    "Send the request again with a fresh token.",
	}
}
