package fakeentra

import (
	"context"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

// SignIn plays a person at a browser: it opens the authorization URL, chooses
// the person with that UPN and carries the answer to the app's redirect URI.
// With MSAL:
//
//	public.WithOpenURL(func(u string) error { return srv.SignIn(ctx, u, upn) })
//
// It fails if the sign-in page refuses or the redirect URI can't be reached.
func (s *Server) SignIn(ctx context.Context, authorizeURL, upn string) error {
	b := browser{ctx: ctx, client: &http.Client{
		Transport:     s.client.Transport,
		Timeout:       s.client.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	if _, err := b.open(authorizeURL, nil); err != nil {
		return fmt.Errorf("opening the sign-in page: %w", err)
	}
	answer, err := b.open(authorizeURL, url.Values{"person": {upn}})
	if err != nil {
		return fmt.Errorf("signing in as %s: %w", upn, err)
	}
	if answer.location != "" { // response_mode query
		_, err = b.open(answer.location, nil)
	} else {
		action, fields, perr := parseFormPost(answer.body)
		if perr != nil {
			return fmt.Errorf("signing in as %s: %w", upn, perr)
		}
		_, err = b.open(action, fields)
	}
	if err != nil {
		return fmt.Errorf("returning to the app: %w", withoutURL(err))
	}
	return nil
}

// browser is as much of one as signing in takes.
type browser struct {
	ctx    context.Context
	client *http.Client
}

type opened struct{ location, body string }

// open gets a URL, or posts the form to it if there is one.
func (b browser) open(to string, form url.Values) (opened, error) {
	method, body := http.MethodGet, io.Reader(nil)
	if form != nil {
		method, body = http.MethodPost, strings.NewReader(form.Encode())
	}
	req, err := http.NewRequestWithContext(b.ctx, method, to, body)
	if err != nil {
		return opened{}, withoutURL(err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := b.client.Do(req)
	if err != nil {
		return opened{}, withoutURL(err)
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return opened{}, err
	}
	if resp.StatusCode >= 400 {
		return opened{}, fmt.Errorf("status %d: %s", resp.StatusCode, aadstsIn(string(page)))
	}
	return opened{location: resp.Header.Get("Location"), body: string(page)}, nil
}

// withoutURL drops the URL from a *url.Error: it may hold a code.
func withoutURL(err error) error {
	if ue, ok := errors.AsType[*url.Error](err); ok {
		return ue.Err
	}
	return err
}

var (
	actionPattern = regexp.MustCompile(`<form id="answer" method="post" action="([^"]*)">`)
	fieldPattern  = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)
	aadstsPattern = regexp.MustCompile(`AADSTS\d+: [^<]*?(Trace ID|<)`)
)

// parseFormPost reads the page of response_mode=form_post, our own.
func parseFormPost(page string) (action string, fields url.Values, err error) {
	m := actionPattern.FindStringSubmatch(page)
	if m == nil {
		return "", nil, errors.New("the answer is no form")
	}
	fields = url.Values{}
	for _, f := range fieldPattern.FindAllStringSubmatch(page, -1) {
		fields.Add(html.UnescapeString(f[1]), html.UnescapeString(f[2]))
	}
	return html.UnescapeString(m[1]), fields, nil
}

// aadstsIn finds the error on an error page.
func aadstsIn(page string) string {
	return strings.TrimSpace(strings.TrimSuffix(html.UnescapeString(aadstsPattern.FindString(page)), "Trace ID"))
}
