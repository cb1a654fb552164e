package fakeentra_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/mcpctl/mcpctl/internal/fakeentra"
)

func TestDevicePageForScripts(t *testing.T) {
	srv, sample := start(t, fakeentra.Options{})
	ask := params("client_id", sample.Client.ClientID, "scope", sample.Scope())
	page := srv.Authority() + "/oauth2/deviceauth"
	dc := post(t, srv, "devicecode", ask)

	for _, tc := range []struct {
		name, method, target string
		form                 []string
		status               int
		holds                string
	}{
		{"empty", http.MethodGet, page, nil, 200, "Enter the code"},
		{"short address", http.MethodGet, srv.BaseURL() + "/devicelogin", nil, 200, "Enter the code"},
		{"code in the link", http.MethodGet, page + "?user_code=" + dc.UserCode, nil, 200, "Grace Hopper"},
		{"code in a link as Microsoft's", http.MethodGet, page + "?otc=" + dc.UserCode, nil, 200, "Grace Hopper"},
		{"wrong code", http.MethodGet, page + "?user_code=<b>", nil, 400, "&lt;b&gt;"},
		{"nobody chosen", http.MethodPost, page, []string{"user_code", dc.UserCode}, 200, "Grace Hopper"},
		{"unknown person", http.MethodPost, page, []string{"user_code", dc.UserCode, "person", "eve@contoso.example"}, 400, "AADSTS50034:"},
		{"approval", http.MethodPost, page, []string{"user_code", dc.UserCode, "person", sample.Grace.UPN}, 200, "You have signed in"},
		{"approval of a used code", http.MethodPost, page, []string{"user_code", dc.UserCode, "person", sample.Grace.UPN}, 400, "That code didn"},
		{"declining a used code", http.MethodPost, page, []string{"user_code", dc.UserCode, "action", "decline"}, 400, "That code didn"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			form := params(tc.form...)
			if tc.form == nil {
				form = nil
			}
			resp, body := send(t, srv, tc.method, tc.target, form)
			if resp.StatusCode != tc.status || !strings.Contains(body, tc.holds) {
				t.Errorf("status %d, %s", resp.StatusCode, body)
			}
			if csp := resp.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || !strings.Contains(csp, "form-action 'self';") {
				t.Errorf("policy %q", csp)
			}
		})
	}
	r := post(t, srv, "token", params("client_id", sample.Client.ClientID, "grant_type", "device_code", "device_code", dc.DeviceCode))
	if r.AccessToken == "" {
		t.Error(r.Description)
	}
}

func TestErrorAndHomePages(t *testing.T) {
	srv, _ := start(t, fakeentra.Options{})
	for path, want := range map[string]string{
		"/":                         "/devicelogin",
		"/error?code=50011":         "login.microsoftonline.com/error?code=50011",
		"/error?code=1%3Cscript%3E": "Which error?",
	} {
		if _, body := send(t, srv, http.MethodGet, srv.BaseURL()+path, nil); !strings.Contains(body, want) {
			t.Errorf("%s: %s", path, body)
		}
	}
}

func TestSignInReportsRefusals(t *testing.T) {
	srv, sample := start(t, fakeentra.Options{})
	wantAADSTS(t, srv.SignIn(t.Context(), authorizeURL(srv, sample), sample.Alan.UPN), 50105)
	wantAADSTS(t, srv.SignIn(t.Context(), authorizeURL(srv, sample, "redirect_uri", "https://evil.example"), sample.Ada.UPN), 50011)
	err := srv.SignIn(t.Context(), authorizeURL(srv, sample, "redirect_uri", "http://127.0.0.1:1/"), sample.Ada.UPN) // nobody listens there
	if err == nil || strings.Contains(err.Error(), "code=") {
		t.Errorf("error %v", err)
	}
}
