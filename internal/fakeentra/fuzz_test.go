package fakeentra_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/mcpctl/mcpctl/internal/fakeentra"
)

// call hands a form to the authority without a network.
func call(srv *fakeentra.Server, method, target, form string) (*http.Response, string) {
	req := httptest.NewRequest(method, target, strings.NewReader(form))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	rec := httptest.NewRecorder()
	srv.Handler().ServeHTTP(rec, req)
	return rec.Result(), rec.Body.String()
}

// FuzzTokenForm: no body brings the token endpoint down, and none but a right
// one gets a token.
func FuzzTokenForm(f *testing.F) {
	srv, sample := start(f, fakeentra.Options{})
	for _, grant := range []string{"device_code", "refresh_token", "authorization_code", "client_credentials", "urn:ietf:params:oauth:grant-type:jwt-bearer"} {
		f.Add(params("client_id", sample.Client.ClientID, "grant_type", grant, "scope", sample.Scope(), "code", "x", "device_code", "x",
			"refresh_token", "x", "redirect_uri", "http://localhost", "assertion", "e30.e30.", "client_secret", "x").Encode())
	}
	f.Add("client_id=%zz;&&==")
	f.Fuzz(func(t *testing.T, body string) {
		resp, answer := call(srv, http.MethodPost, srv.Authority()+"/oauth2/v2.0/token", body)
		if r := decode(t, resp, answer); r.Error == "" || r.AccessToken != "" {
			t.Errorf("body %q brought %+v", body, r)
		}
	})
}

// FuzzAssertion: no string but a real token is exchanged on behalf of somebody.
func FuzzAssertion(f *testing.F) {
	srv, sample := start(f, fakeentra.Options{})
	api := register(f, srv, fakeentra.App{Name: "Middle tier", Secret: "s", Scopes: []fakeentra.Scope{{Name: "Access"}}})
	mint := func(spec fakeentra.TokenSpec) string {
		token, err := srv.MintToken(spec)
		if err != nil {
			f.Fatal(err)
		}
		return token
	}
	spec := fakeentra.TokenSpec{API: api.ClientID, Person: sample.Ada.UPN, Scopes: []string{"Access"}}
	good := mint(spec)
	spec.Header = map[string]any{"alg": "none"}
	f.Add(mint(spec))
	f.Add(good[:len(good)-4])
	f.Add(`{"payload":"e30","signatures":[]}`)
	f.Fuzz(func(t *testing.T, assertion string) {
		resp, answer := call(srv, http.MethodPost, srv.Authority()+"/oauth2/v2.0/token", params("client_id", api.ClientID, "client_secret", "s", "scope", "https://graph.microsoft.com/User.Read", "assertion", assertion,
			"grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer", "requested_token_use", "on_behalf_of").Encode())
		if r := decode(t, resp, answer); r.Error == "" {
			t.Errorf("assertion %q was accepted", assertion)
		}
	})
}

// FuzzAuthorize: whatever the query, the browser is sent to registered
// redirect URIs only.
func FuzzAuthorize(f *testing.F) {
	srv, sample := start(f, fakeentra.Options{})
	for _, redirect := range []string{"http://localhost:1/", "http://localhost@evil.example", "//evil.example", "http://localhost:1/?x=%zz", "javascript:alert(1)"} {
		f.Add(redirect, sample.Scope(), "query", `{"access_token":{"acrs":{"value":"c1"}}}`)
	}
	f.Fuzz(func(t *testing.T, redirect, scope, mode, claims string) {
		target := authorizeURL(srv, sample, "redirect_uri", redirect, "scope", scope, "response_mode", mode, "claims", claims)
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			resp, _ := call(srv, method, target, params("person", sample.Ada.UPN).Encode())
			if resp.StatusCode >= 500 {
				t.Errorf("status %d for %s", resp.StatusCode, target)
			}
			if resp.StatusCode != http.StatusFound {
				continue
			}
			to, err := url.Parse(resp.Header.Get("Location"))
			if err != nil || to.Scheme != "http" || to.Hostname() != "localhost" && to.Hostname() != "127.0.0.1" {
				t.Errorf("sent to %q", resp.Header.Get("Location"))
			}
		}
	})
}
