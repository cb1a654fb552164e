package fakeentra

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// authorizeRequest is a request to the authorization endpoint, filled in as
// far as it was found to be right.
type authorizeRequest struct {
	client      *App
	redirect    *url.URL // nil until it is known where an answer may be sent
	redirectURI string   // as the client wrote it
	mode        string   // query, fragment, form_post
	q           scopeRequest
	claims      claimsRequest
}

// authorize is the authorization endpoint: a GET shows the sign-in page, a POST
// to the same address carries the person's choice. The request stands in the
// query both times and is checked both times, so there is no session to keep.
func (x *exchange) authorize() *Error {
	if err := x.sameOrigin(); err != nil {
		return err
	}
	chosen := x.r.Method == http.MethodPost
	a, page, code, refusal := x.readAndDecide(chosen)
	switch {
	case refusal != nil && (a.redirect == nil || shownOnPage(refusal.AADSTS)):
		return refusal
	case refusal != nil:
		x.entry.AADSTS = refusal.AADSTS
		return x.sendBack(a, x.errorParams(refusal))
	case chosen:
		return x.sendBack(a, url.Values{"code": {code}, "session_state": {newGUID()}})
	default:
		return x.writePage(http.StatusOK, page, redirectOrigin(a.redirect))
	}
}

// readAndDecide is the part of authorize that runs under s.mu. It returns the
// page to show or, if the person has chosen, the code to send.
func (x *exchange) readAndDecide(chosen bool) (a authorizeRequest, page signInPage, code string, refusal *Error) {
	x.s.mu.Lock()
	defer x.s.mu.Unlock()
	if refusal = x.readAuthorize(&a); refusal != nil {
		return a, page, "", refusal
	}
	if chosen {
		code, refusal = x.decide(a)
		return a, page, code, refusal
	}
	return a, x.signInPage(a), "", nil
}

// shownOnPage tells which refusals Entra shows to the person although it knows
// where to send the app its error.
func shownOnPage(aadsts int) bool {
	return slices.Contains([]int{900144, 50034, 50105, 90094}, aadsts)
}

// readAuthorize checks the request: first who asks and where to answer, since
// until both are right nothing may be sent anywhere. s.mu is held.
func (x *exchange) readAuthorize(a *authorizeRequest) *Error {
	for name, values := range x.form {
		if len(values) > 1 && name != "resource" {
			return failure("invalid_request", 9000411, "The request is not properly formatted. The parameter '%s' is duplicated.", name)
		}
	}
	var refusal *Error
	if a.client, refusal = x.s.clientOf(x); refusal != nil {
		return refusal
	}
	redirectURI := x.form.Get("redirect_uri")
	if redirectURI == "" && len(a.client.RedirectURIs) > 0 {
		redirectURI = a.client.RedirectURIs[0]
	}
	redirect, err := url.Parse(redirectURI)
	if err != nil || !a.client.allowsRedirect(redirectURI, redirect) {
		return failure("invalid_request", 50011, "The redirect URI '%s' specified in the request does not match the redirect URIs configured for the application '%s'. "+
			"Make sure the redirect URI sent in the request matches one added to your application in the Azure portal. "+
			"Navigate to https://aka.ms/redirectUriMismatchError to learn more about how to troubleshoot this error.", redirectURI, a.client.ClientID)
	}
	a.redirect, a.redirectURI, a.mode = redirect, redirectURI, "query"

	switch mode := x.form.Get("response_mode"); mode {
	case "":
	case "query", "fragment", "form_post":
		a.mode = mode
	default:
		return failure("invalid_request", 70007, "'%s' is not a supported value of 'response_mode' when requesting a token.", mode)
	}
	if a.q, refusal = x.s.checkScope(x, a.client); refusal != nil {
		return refusal
	}
	if refusal = checkResource(x.form["resource"], a.q); refusal != nil {
		return refusal
	}
	if a.claims, refusal = parseClaims(x.form.Get("claims")); refusal != nil {
		return refusal
	}
	return x.checkCodeRequest()
}

// checkCodeRequest checks what concerns the code. PKCE is mandatory here, which
// is stricter than Entra and what MCP demands of clients.
func (x *exchange) checkCodeRequest() *Error {
	challenge := x.form.Get("code_challenge")
	switch {
	case x.form.Get("response_type") == "":
		return errMissing("response_type")
	case x.form.Get("response_type") != "code":
		return failure("unsupported_response_type", 700054, "response_type '%s' is not enabled for the application.", x.form.Get("response_type"))
	case challenge == "":
		return failure("invalid_request", 9002325, "Proof Key for Code Exchange is required for cross-origin authorization code redemption.")
	case x.form.Get("code_challenge_method") != "S256":
		return failure("invalid_request", 50149, "Invalid Code_Challenge_method parameter.")
	case len(challenge) != 43: // SHA-256 in base64url
		return failure("invalid_request", 501491, "Invalid size of Code_Challenge parameter.")
	case x.form.Get("prompt") == "none":
		return failure("login_required", 50058, "A silent sign-in request was sent but no user is signed in.")
	}
	return nil
}

// decide carries out what the person chose on the page; s.mu is held.
func (x *exchange) decide(a authorizeRequest) (string, *Error) {
	if x.r.PostForm.Get("action") == "cancel" {
		return "", failure("access_denied", 65004, "User declined to consent to access the app.")
	}
	p := x.s.dir.person(x.r.PostForm.Get("person"))
	if p == nil {
		return "", errNoUser(x.r.PostForm.Get("person"), x.s.domain)
	}
	if refusal := x.s.agree(a.client, p, a.q); refusal != nil {
		return "", refusal
	}
	return x.s.addCode(&codeGrant{
		client: a.client.ClientID, redirectURI: a.redirectURI, challenge: x.form.Get("code_challenge"),
		nonce: x.form.Get("nonce"), acrs: a.claims.acrs(), oid: p.OID, issued: x.now,
	})
}

// errorParams is an error as it travels through the browser.
func (x *exchange) errorParams(e *Error) url.Values {
	v := url.Values{
		"error":             {e.Code},
		"error_description": {x.errorBody(e).Description},
		"error_uri":         {x.errorBody(e).URI},
	}
	if e.AADSTS == 65004 {
		v.Set("error_subcode", "cancel")
	}
	if e.Claims != "" {
		v.Set("claims", e.Claims)
	}
	return v
}

// sendBack delivers parameters to the app in the response mode it asked for.
func (x *exchange) sendBack(a authorizeRequest, params url.Values) *Error {
	if state := x.form.Get("state"); state != "" {
		params.Set("state", state)
	}
	to := *a.redirect
	switch a.mode {
	case "form_post":
		return x.writePage(http.StatusOK, formPostPage{Action: a.redirectURI, Params: params}, redirectOrigin(a.redirect))
	case "fragment":
		to.Fragment, to.RawFragment = "", ""
		x.redirect(to.String() + "#" + params.Encode())
	default:
		query := to.Query()
		for name, values := range params {
			query[name] = values
		}
		to.RawQuery = query.Encode()
		x.redirect(to.String())
	}
	return nil
}

func (x *exchange) redirect(to string) {
	x.w.Header().Set("Location", to)
	x.write(http.StatusFound, "", nil)
}

// allowsRedirect compares as Entra does: exactly, except that the port of a
// loopback address doesn't count (RFC 8252 section 7.3) and that a missing path
// is "/".
func (a *App) allowsRedirect(raw string, u *url.URL) bool {
	if slices.Contains(a.RedirectURIs, raw) {
		return u.IsAbs() && u.Fragment == ""
	}
	if u.Scheme != "http" || !loopbackName(u.Hostname()) || u.User != nil || u.Fragment != "" {
		return false
	}
	return slices.ContainsFunc(a.RedirectURIs, func(registered string) bool {
		r, err := url.Parse(registered)
		return err == nil && r.Scheme == "http" && r.Hostname() == u.Hostname() && r.RawQuery == u.RawQuery &&
			strings.TrimSuffix(r.Path, "/") == strings.TrimSuffix(u.Path, "/")
	})
}

func loopbackName(host string) bool { return host == "localhost" || host == "127.0.0.1" }
