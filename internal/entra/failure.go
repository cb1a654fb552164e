package entra

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// explain turns what ex recorded into an [Error]. err is MSAL's error; it
// decides nothing but the rare cases in which no request was made, and its
// text goes nowhere.
//
// ctx is the caller's, so that its end is told apart from our own time limits.
func (ex *exchange) explain(ctx context.Context, op string, f flow, scopes []string, err error) *Error {
	answer, transport, cacheErr := ex.snapshot()
	e := &Error{Op: op}
	var own *Error
	switch {
	case ctx.Err() != nil:
		e.Kind, e.cause = KindCanceled, ctx.Err()
	case errors.As(cacheErr, &own):
		return own // the lock, described already
	case cacheErr != nil:
		e.Kind, e.cause = KindStore, cacheErr
	case transport != nil:
		e.fillTransport(transport)
	case answer == nil && errors.Is(err, errNoRequest):
		e.Kind, e.Description = KindSignInRequired, "the stored sign-in has to be renewed"
		e.Hint = kindHints[KindSignInRequired]
	case answer == nil:
		// MSAL found nothing to redeem, and says so only in words.
		e.Kind, e.Description = KindSignInRequired, "nobody is signed in"
		e.Hint = kindHints[KindSignInRequired]
	case answer.status != 200 || answer.oauth.Error != "":
		e.fillAnswer(f, answer)
	default:
		e.fillUnusable(answer, scopes)
	}
	return e
}

// fillTransport describes a request that got no answer.
func (e *Error) fillTransport(err error) {
	var untrusted *untrustedError
	if errors.As(err, &untrusted) {
		e.Kind, e.cause = KindUntrusted, untrusted
		return
	}
	e.Kind, e.Hint = KindNetwork, kindHints[KindNetwork]
	var cert *tls.CertificateVerificationError
	if errors.As(err, &cert) {
		e.Kind = KindUntrusted
		e.Hint = "Something in between may be intercepting the connection: have its certificate authority added to this machine's trust store, and check the clock"
	}
	var u *url.Error
	if errors.As(err, &u) {
		// The address can carry a query; the host says enough.
		host := ""
		if parsed, perr := url.Parse(u.URL); perr == nil {
			host = parsed.Host
		}
		e.cause = fmt.Errorf("reaching %s: %w", host, u.Err)
		return
	}
	e.cause = err
}

// fillAnswer describes an error answer.
func (e *Error) fillAnswer(f flow, a *answer) {
	e.fill(f, a.status, a.oauth)
	e.RetryAfter = a.retryAfter
	switch {
	case a.location != "":
		e.Kind = KindUntrusted
		e.Description = fmt.Sprintf("the authority answered HTTP %d, a redirect to %s, which is not followed", a.status, clip(a.location))
		e.Hint = "A proxy or captive portal may be in between: check the network"
	case a.oauth.Error == "" && a.status < 500 && a.status != 429:
		e.Description = fmt.Sprintf("the authority answered HTTP %d without an OAuth error", a.status)
	}
}

// fillUnusable describes a 200 that MSAL did not accept as a token.
func (e *Error) fillUnusable(a *answer, scopes []string) {
	e.Status = a.status
	switch missing := declined(scopes, a.granted); {
	case !a.json:
		e.Kind, e.Hint = KindOutage, kindHints[KindOutage]
		e.Description = "the authority answered 200 with something other than JSON"
	case a.hasToken && !a.hasExpiry:
		e.Kind = KindOutage
		e.Description = "the authority gave a token without saying when it expires"
	case a.hasToken && len(missing) > 0:
		e.Kind = KindConsentRequired
		e.Description = "the authority granted less than was asked for; missing: " + clip(strings.Join(missing, " "))
		e.Hint = "Ask for exactly the scopes that the API offers (--scope), or have the missing ones granted"
	default:
		e.Kind, e.Hint = KindOutage, kindHints[KindOutage]
		e.Description = "the authority's answer is not a usable token response"
	}
}

// declined returns the scopes that were asked for and not granted, by MSAL's
// rule: no scope in the answer means all of them.
func declined(asked, granted []string) []string {
	if len(granted) == 0 {
		return nil
	}
	var missing []string
	for _, scope := range asked {
		found := false
		for _, g := range granted {
			found = found || strings.EqualFold(g, scope)
		}
		if !found {
			missing = append(missing, scope)
		}
	}
	return missing
}
