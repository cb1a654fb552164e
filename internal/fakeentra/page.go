package fakeentra

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"strings"
)

//go:embed pages/*.html
var pageFiles embed.FS

var pageTemplates = template.Must(template.New("").Funcs(template.FuncMap{
	"title": func(title string, v view) view { v.Title = title; return v },
	// The registered redirect URIs were compared; html/template would refuse a
	// private scheme such as cursor:.
	"redirectURL": func(u string) template.URL { return template.URL(u) }, // #nosec G203
}).ParseFS(pageFiles, "pages/*.html"))

// view is what every template gets.
type view struct {
	Title, Nonce, Domain string
	Page                 any
}

// Each page type is the data of the template in its name.
type (
	signInPage struct {
		App    string
		Scopes []string // what signing in allows the app to do
		People []Person
		Hint   string // UPN that the app expects
	}
	formPostPage struct {
		Action string
		Params url.Values
	}
	devicePage struct {
		UserCode string // what was typed, or came with the link
		Wrong    bool   // it isn't pending
		Found    *signInPage
	}
	donePage struct {
		Heading, Text string
	}
	errorPage struct {
		What  string // the description without the ids, which are listed below it
		Error errorBody
	}
)

func (signInPage) template() string   { return "signin.html" }
func (formPostPage) template() string { return "formpost.html" }
func (devicePage) template() string   { return "device.html" }
func (donePage) template() string     { return "done.html" }
func (errorPage) template() string    { return "error.html" }

// writePage renders a page. Its policy allows its own style and script by
// nonce, nothing from elsewhere, and forms to itself and formTo: browsers hold
// the redirect after a form to the same list.
func (x *exchange) writePage(status int, page interface{ template() string }, formTo string) *Error {
	nonce := randomID(18)
	var b bytes.Buffer
	if err := pageTemplates.ExecuteTemplate(&b, page.template(), view{Nonce: nonce, Domain: x.s.domain, Page: page}); err != nil {
		return errInternal(err)
	}
	script := "'none'"
	if _, ok := page.(formPostPage); ok {
		script = "'nonce-" + nonce + "'"
	}
	h := x.w.Header()
	h.Set("Content-Security-Policy", fmt.Sprintf("default-src 'none'; img-src data:; style-src 'nonce-%s'; script-src %s; form-action %s; base-uri 'none'; frame-ancestors 'none'",
		nonce, script, strings.TrimSpace("'self' "+formTo)))
	h.Set("X-Frame-Options", "DENY")
	x.write(status, "text/html; charset=utf-8", b.Bytes())
	return nil
}

// redirectOrigin names a redirect URI in a form-action list: an origin, or the
// scheme alone where it isn't http.
func redirectOrigin(u *url.URL) string {
	if u.Scheme == "http" || u.Scheme == "https" {
		return u.Scheme + "://" + u.Host
	}
	return u.Scheme + ":"
}

// sameOrigin refuses forms that another site sent. The pages have no session to
// abuse, but a site must not approve a code in the person's name either.
func (x *exchange) sameOrigin() *Error {
	if err := http.NewCrossOriginProtection().Check(x.r); err != nil {
		e := failure("invalid_request", 90102, "The request came from another site.")
		e.Status = http.StatusForbidden
		return e
	}
	return nil
}

// signInPage shows who asks for what; s.mu is held.
func (x *exchange) signInPage(a authorizeRequest) signInPage {
	page := x.s.consentPage(a.client, a.q)
	page.Hint = x.form.Get("login_hint")
	return page
}

// consentPage lists what signing in allows the client to do; s.mu is held.
func (s *Server) consentPage(client *App, q scopeRequest) signInPage {
	page := signInPage{App: client.Name}
	for _, name := range q.interactiveNames() {
		text := q.api.scope(name).Description
		if text == "" {
			text = name
		}
		page.Scopes = append(page.Scopes, text+" ("+q.api.Name+")")
	}
	for _, p := range s.dir.people {
		page.People = append(page.People, *p)
	}
	return page
}

// writeErrorPage shows an error to a person.
func (x *exchange) writeErrorPage(e *Error) {
	x.entry.AADSTS = e.AADSTS
	if err := x.writePage(e.status(), errorPage{What: e.Error(), Error: x.errorBody(e)}, ""); err != nil {
		x.writeError(err)
	}
}

// explain is where error_uri points.
func (x *exchange) explain() *Error {
	code := x.form.Get("code")
	if code == "" || strings.Trim(code, "0123456789") != "" || len(code) > 12 {
		return x.writePage(http.StatusBadRequest, donePage{Heading: "Which error?", Text: "Add ?code= and the digits after AADSTS to the address."}, "")
	}
	return x.writePage(http.StatusOK, donePage{Heading: "AADSTS" + code,
		Text: "Microsoft explains it at https://login.microsoftonline.com/error?code=" + code}, "")
}

// home greets whoever opens the bare address.
func (x *exchange) home() *Error {
	return x.writePage(http.StatusOK, donePage{Heading: "mcpctl development authority",
		Text: "It stands in for Microsoft Entra ID on this machine. To enter a code, open " + x.s.base + "/devicelogin"}, "")
}
