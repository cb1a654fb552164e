package fakeentra_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/mcpctl/mcpctl/internal/fakeentra"
)

func wantAADSTS(t *testing.T, err error, code int) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("AADSTS%d:", code)) {
		t.Errorf("error is %v, want AADSTS%d", err, code)
	}
}

// refused checks the whole of an error body.
func refused(t *testing.T, r reply, status int, code string, aadsts int) {
	t.Helper()
	if r.status != status || r.Error != code || !slices.Equal(r.Codes, []int{aadsts}) {
		t.Fatalf("got %d %s %v %q, want %d %s %d", r.status, r.Error, r.Codes, r.Description, status, code, aadsts)
	}
	want := fmt.Sprintf(" Trace ID: %s Correlation ID: %s Timestamp: %s", r.TraceID, r.CorrelationID, r.Timestamp)
	if !strings.HasPrefix(r.Description, fmt.Sprintf("AADSTS%d: ", aadsts)) || !strings.HasSuffix(r.Description, want) {
		t.Errorf("description is %q", r.Description)
	}
	if !strings.HasSuffix(r.URI, fmt.Sprintf("/error?code=%d", aadsts)) || r.TraceID == "" || r.CorrelationID == "" {
		t.Errorf("body is %+v", r)
	}
}

func TestTokenEndpointRefusals(t *testing.T) {
	srv, sample := start(t, fakeentra.Options{})
	web := register(t, srv, fakeentra.App{Name: "Web", Secret: "s3cret"})
	self := register(t, srv, fakeentra.App{Name: "Self", PublicClient: true, Scopes: []fakeentra.Scope{{Name: "Do"}}})
	other := register(t, srv, fakeentra.App{Name: "Other API", Scopes: []fakeentra.Scope{{Name: "Do"}}})
	daemon := register(t, srv, fakeentra.App{Name: "Daemon", Secret: "s3cret"})
	mine := signIn(t, srv, sample.Client.ClientID, sample.Scope()+" offline_access", sample.Ada.UPN)
	selfToken := signIn(t, srv, self.ClientID, self.IDURIs[0]+"/Do offline_access", sample.Ada.UPN)

	device := params("client_id", sample.Client.ClientID, "grant_type", "device_code", "device_code", "x")
	refresh := params("client_id", sample.Client.ClientID, "grant_type", "refresh_token", "refresh_token", mine.RefreshToken, "scope", sample.Scope())
	creds := params("client_id", daemon.ClientID, "client_secret", "s3cret", "grant_type", "client_credentials", "scope", other.IDURIs[0]+"/.default")
	code := params("client_id", sample.Client.ClientID, "grant_type", "authorization_code", "code", "x", "redirect_uri", "http://localhost", "scope", sample.Scope())
	obo := params("client_id", daemon.ClientID, "client_secret", "s3cret", "grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer",
		"requested_token_use", "on_behalf_of", "assertion", mine.AccessToken, "scope", other.IDURIs[0]+"/Do")

	for _, tc := range []struct {
		name   string
		form   url.Values
		status int
		code   string
		aadsts int
	}{
		{"no client id", params("grant_type", "device_code"), 400, "invalid_request", 900144},
		{"unknown client", with(device, "client_id", "11111111-2222-3333-4444-555555555555"), 400, "unauthorized_client", 700016},
		{"no grant type", with(device, "grant_type", ""), 400, "invalid_request", 900144},
		{"unknown grant type", with(device, "grant_type", "password"), 400, "unsupported_grant_type", 70003},
		{"unknown device code", device, 400, "bad_verification_code", 70018},
		{"public flows off", with(device, "client_id", web.ClientID), 401, "invalid_client", 7000218},
		{"wrong secret", with(device, "client_id", web.ClientID, "client_secret", "no"), 401, "invalid_client", 7000215},
		{"secret from a public client", with(device, "client_secret", "no"), 401, "invalid_client", 700025},
		{"assertion without its type", with(device, "client_id", web.ClientID, "client_assertion", "x.y.z"), 400, "invalid_request", 900144},
		{"assertion that is no JWT", with(device, "client_id", web.ClientID, "client_assertion", "x.y.z",
			"client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"), 401, "invalid_client", 50027},
		{"made-up refresh token", with(refresh, "refresh_token", "1.x"), 400, "invalid_grant", 9002313},
		{"refresh token of another client", with(refresh, "client_id", self.ClientID), 400, "invalid_grant", 9002313},
		{"resource of another app", with(refresh, "resource", "https://mcp.example/"), 400, "invalid_target", 9010010},
		{"resource with a slash too many", with(refresh, "resource", sample.API.IDURIs[0]+"/"), 400, "invalid_target", 9010010},
		{"short scope", with(refresh, "scope", fakeentra.SampleScope), 400, "invalid_client", 650053},
		{"unknown scope of the API", with(refresh, "scope", sample.API.IDURIs[0]+"/Nope"), 400, "invalid_client", 650053},
		{"unknown API", with(refresh, "scope", "api://nobody/Do"), 400, "invalid_resource", 500011},
		{"offline_access alone", with(refresh, "scope", "offline_access"), 400, "invalid_scope", 70011},
		{"scopes of two APIs", with(refresh, "scope", sample.Scope()+" "+other.IDURIs[0]+"/Do"), 400, "invalid_request", 28000},
		{"no consent", with(refresh, "scope", other.IDURIs[0]+"/Do"), 400, "invalid_grant", 65001},
		{"no consent for anything", with(refresh, "scope", other.IDURIs[0]+"/.default"), 400, "invalid_grant", 65001},
		{"claims that are no JSON", with(refresh, "claims", "{"), 400, "invalid_request", 901001},
		{"step-up that a refresh can't do", with(refresh, "claims", `{"access_token":{"acrs":{"essential":true,"value":"c1"}}}`), 400, "interaction_required", 50076},
		{"scopeless refresh where client and API are one", params("client_id", self.ClientID, "grant_type", "refresh_token",
			"refresh_token", selfToken.RefreshToken), 400, "invalid_request", 90009},
		{"no scope with a code", with(code, "scope", ""), 400, "invalid_request", 900144},
		{"made-up code", code, 400, "invalid_grant", 9002313},
		{"client credentials without scope", with(creds, "scope", ""), 400, "invalid_request", 900144},
		{"client credentials for a delegated scope", with(creds, "scope", other.IDURIs[0]+"/Do"), 400, "invalid_scope", 1002012},
		{"client credentials without credentials", with(creds, "client_secret", ""), 401, "invalid_client", 7000218},
		{"client credentials of a public client", with(creds, "client_id", sample.Client.ClientID, "client_secret", ""), 401, "invalid_client", 7000218},
		{"application not assigned", with(creds, "scope", sample.API.IDURIs[0]+"/.default"), 400, "invalid_grant", 501051},
		{"assertion for another API", obo, 400, "invalid_grant", 500131},
		{"assertion that is no token", with(obo, "assertion", "x.y.z"), 400, "invalid_request", 50027},
		{"no assertion", with(obo, "assertion", ""), 400, "invalid_request", 900144},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := post(t, srv, "token", tc.form)
			refused(t, r, tc.status, tc.code, tc.aadsts)
			if log := srv.Requests(); log[len(log)-1].AADSTS != tc.aadsts || log[len(log)-1].Status != tc.status {
				t.Errorf("logged as %+v", log[len(log)-1])
			}
		})
	}
}

func TestDeviceEndpointRefusals(t *testing.T) {
	srv, sample := start(t, fakeentra.Options{})
	form := params("client_id", sample.Client.ClientID, "scope", sample.Scope())
	for _, tc := range []struct {
		name   string
		form   url.Values
		code   string
		aadsts int
	}{
		{"no scope", with(form, "scope", ""), "invalid_request", 900144},
		{"unknown client", with(form, "client_id", "nobody"), "unauthorized_client", 700016},
		{"short scope", with(form, "scope", "Mcp.Access"), "invalid_client", 650053},
		{"foreign resource", with(form, "resource", "https://elsewhere.example"), "invalid_target", 9010010},
	} {
		t.Run(tc.name, func(t *testing.T) {
			refused(t, post(t, srv, "devicecode", tc.form), 400, tc.code, tc.aadsts)
		})
	}
	if r := post(t, srv, "devicecode", with(form, "resource", sample.API.IDURIs[0])); r.Error != "" {
		t.Errorf("the API's own App ID URI as resource: %s", r.Description)
	}
}

func TestTenantAndMethodRefusals(t *testing.T) {
	srv, _ := start(t, fakeentra.Options{})
	for _, tc := range []struct {
		method, path, code string
		aadsts             int
	}{
		{http.MethodGet, "/11111111-2222-3333-4444-555555555555/v2.0/.well-known/openid-configuration", "invalid_tenant", 90002},
		{http.MethodGet, "/fabrikam.example/v2.0/.well-known/openid-configuration", "invalid_tenant", 90002},
		{http.MethodGet, "/nonsense/v2.0/.well-known/openid-configuration", "invalid_request", 900023},
		{http.MethodGet, "/" + srv.TenantID() + "/oauth2/v2.0/token", "invalid_request", 900561},
		{http.MethodGet, "/" + srv.TenantID() + "/oauth2/v2.0/devicecode", "invalid_request", 900561},
	} {
		resp, body := send(t, srv, tc.method, srv.BaseURL()+tc.path, nil)
		refused(t, decode(t, resp, body), 400, tc.code, tc.aadsts)
	}
}

func TestBodiesAreBounded(t *testing.T) {
	srv, sample := start(t, fakeentra.Options{})
	r := post(t, srv, "token", params("client_id", sample.Client.ClientID, "grant_type", "refresh_token", "refresh_token", strings.Repeat("x", 1<<20)))
	refused(t, r, http.StatusRequestEntityTooLarge, "invalid_request", 9002313)
}

func TestCorrelationIDIsEchoed(t *testing.T) {
	srv, _ := start(t, fakeentra.Options{})
	const id = "12345678-1234-4234-8234-123456789012"
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.Authority()+"/oauth2/v2.0/token", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("client-request-id", id)
	resp, err := srv.HTTPClient().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if got := resp.Header.Get("client-request-id"); got != id {
		t.Errorf("correlation id %q", got)
	}
}
