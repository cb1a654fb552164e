package fakeentra_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mcpctl/mcpctl/internal/fakeentra"
)

// clock is a clock that a test sets.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func TestDiscoveryDocuments(t *testing.T) {
	srv, _ := start(t, fakeentra.Options{})
	for path, want := range map[string]map[string]string{
		"/" + srv.TenantID() + "/v2.0/.well-known/openid-configuration": {
			"issuer": srv.IssuerV2(), "jwks_uri": srv.Authority() + "/discovery/v2.0/keys",
			"token_endpoint": srv.Authority() + "/oauth2/v2.0/token"},
		"/" + srv.TenantID() + "/.well-known/openid-configuration": {
			"issuer": srv.IssuerV1(), "jwks_uri": srv.Authority() + "/discovery/keys"},
		"/contoso.example/v2.0/.well-known/openid-configuration": {"issuer": srv.IssuerV2()},
		"/common/v2.0/.well-known/openid-configuration": {
			"issuer": srv.BaseURL() + "/{tenantid}/v2.0", "jwks_uri": srv.BaseURL() + "/common/discovery/v2.0/keys"},
		"/common/discovery/instance": {"tenant_discovery_endpoint": srv.Authority() + "/v2.0/.well-known/openid-configuration"},
	} {
		_, body := send(t, srv, http.MethodGet, srv.BaseURL()+path, nil)
		var doc map[string]any
		if err := json.Unmarshal([]byte(body), &doc); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		for field, value := range want {
			if doc[field] != value {
				t.Errorf("%s: %s is %v, want %s", path, field, doc[field], value)
			}
		}
	}
}

func TestKeysNameTheirIssuer(t *testing.T) {
	srv, _ := start(t, fakeentra.Options{})
	for path, want := range map[string]any{
		"/" + srv.TenantID() + "/discovery/v2.0/keys": srv.IssuerV2(),
		"/" + srv.TenantID() + "/discovery/keys":      nil,
		"/common/discovery/v2.0/keys":                 srv.BaseURL() + "/{tenantid}/v2.0",
	} {
		_, body := send(t, srv, http.MethodGet, srv.BaseURL()+path, nil)
		var set struct{ Keys []map[string]any }
		if err := json.Unmarshal([]byte(body), &set); err != nil {
			t.Fatal(err)
		}
		if len(set.Keys) != 1 || set.Keys[0]["issuer"] != want || set.Keys[0]["kid"] != srv.SigningKeyID() {
			t.Errorf("%s: %s", path, body)
		}
	}
}

func TestDeviceCodeFromPendingToUsed(t *testing.T) {
	c := newClock()
	srv, sample := start(t, fakeentra.Options{Now: c.Now})
	ask := params("client_id", sample.Client.ClientID, "scope", sample.Scope()+" openid profile offline_access")
	dc := post(t, srv, "devicecode", ask)
	poll := params("client_id", sample.Client.ClientID, "grant_type", "urn:ietf:params:oauth:grant-type:device_code", "device_code", dc.DeviceCode)
	refused(t, post(t, srv, "token", poll), 400, "authorization_pending", 70016)
	if got := srv.PendingUserCodes(); !slices.Equal(got, []string{dc.UserCode}) {
		t.Errorf("pending codes %v, want %s", got, dc.UserCode)
	}

	wantAADSTS(t, srv.ApproveDevice("WRONGCODE", sample.Ada.UPN), 70018)
	wantAADSTS(t, srv.ApproveDevice(dc.UserCode, sample.Alan.UPN), 50105)
	refused(t, post(t, srv, "token", poll), 400, "authorization_pending", 70016)

	if err := srv.ApproveDevice(strings.ToLower(dc.UserCode), sample.Ada.UPN); err != nil { // people type as they like
		t.Fatal(err)
	}
	r := post(t, srv, "token", poll)
	if r.AccessToken == "" || r.RefreshToken == "" || r.IDToken == "" || r.Scope != sample.Scope() {
		t.Errorf("token response %+v", r)
	}
	refused(t, post(t, srv, "token", poll), 400, "bad_verification_code", 70018)

	declined := post(t, srv, "devicecode", ask)
	if err := srv.DeclineDevice(declined.UserCode); err != nil {
		t.Fatal(err)
	}
	refused(t, post(t, srv, "token", with(poll, "device_code", declined.DeviceCode)), 400, "authorization_declined", 70017)

	expired := post(t, srv, "devicecode", ask)
	c.advance(15 * time.Minute)
	refused(t, post(t, srv, "token", with(poll, "device_code", expired.DeviceCode)), 400, "expired_token", 70019)
	wantAADSTS(t, srv.ApproveDevice(expired.UserCode, sample.Ada.UPN), 70018)
}

func TestRefreshTokens(t *testing.T) {
	for _, oneTime := range []bool{false, true} {
		t.Run(fmt.Sprintf("one-time %v", oneTime), func(t *testing.T) {
			c := newClock()
			srv, sample := start(t, fakeentra.Options{Now: c.Now, OneTimeRefreshTokens: oneTime})
			first := signIn(t, srv, sample.Client.ClientID, sample.Scope()+" offline_access", sample.Ada.UPN)
			form := params("client_id", sample.Client.ClientID, "grant_type", "refresh_token", "refresh_token", first.RefreshToken)
			second := post(t, srv, "token", form)
			if second.AccessToken == "" || second.RefreshToken == "" || second.RefreshToken == first.RefreshToken {
				t.Fatalf("refreshing: %+v", second)
			}
			if again := post(t, srv, "token", form); oneTime {
				refused(t, again, 400, "invalid_grant", 9002313)
			} else if again.AccessToken == "" {
				t.Errorf("the used token was refused: %s", again.Description)
			}

			form.Set("refresh_token", second.RefreshToken)
			c.advance(90 * 24 * time.Hour)
			refused(t, post(t, srv, "token", form), 400, "invalid_grant", 700082)
		})
	}
}

func TestRevokeEndsSessionsFromBefore(t *testing.T) {
	c := newClock()
	srv, sample := start(t, fakeentra.Options{Now: c.Now})
	before := signIn(t, srv, sample.Client.ClientID, sample.Scope()+" offline_access", sample.Ada.UPN)
	others := signIn(t, srv, sample.Client.ClientID, sample.Scope()+" offline_access", sample.Grace.UPN)
	if err := srv.Revoke(sample.Ada.UPN); err != nil {
		t.Fatal(err)
	}
	after := signIn(t, srv, sample.Client.ClientID, sample.Scope()+" offline_access", sample.Ada.UPN)
	form := params("client_id", sample.Client.ClientID, "grant_type", "refresh_token", "scope", sample.Scope())
	r := post(t, srv, "token", with(form, "refresh_token", before.RefreshToken))
	refused(t, r, 400, "invalid_grant", 50173)
	if r.SubError != "bad_token" {
		t.Errorf("suberror %q", r.SubError)
	}
	for _, good := range []reply{others, after} {
		if r := post(t, srv, "token", with(form, "refresh_token", good.RefreshToken)); r.Error != "" {
			t.Error(r.Description)
		}
	}
	if srv.Revoke("nobody@contoso.example") == nil {
		t.Error("revoking nobody's sessions succeeded")
	}
}

const verifier = "a-verifier-that-is-long-enough-for-rfc-7636-0123"

func authorizeURL(srv *fakeentra.Server, sample fakeentra.Sample, pairs ...string) string {
	sum := sha256.Sum256([]byte(verifier))
	q := params("client_id", sample.Client.ClientID, "response_type", "code", "redirect_uri", "http://localhost:4711/", "scope", sample.Scope()+" openid offline_access",
		"state", "st&te", "nonce", "n-1", "code_challenge", base64.RawURLEncoding.EncodeToString(sum[:]), "code_challenge_method", "S256")
	return srv.Authority() + "/oauth2/v2.0/authorize?" + with(q, pairs...).Encode()
}

// chooses posts the person's choice and returns where the answer went.
func chooses(t *testing.T, srv *fakeentra.Server, target, person string) *url.URL {
	t.Helper()
	resp, body := send(t, srv, http.MethodPost, target, params("person", person))
	if resp.StatusCode != http.StatusFound {
		t.Fatalf("status %d: %s", resp.StatusCode, body)
	}
	u, err := url.Parse(resp.Header.Get("Location"))
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestAuthorizationCode(t *testing.T) {
	c := newClock()
	srv, sample := start(t, fakeentra.Options{Now: c.Now})
	newCode := func() string {
		back := chooses(t, srv, authorizeURL(srv, sample), sample.Grace.UPN)
		if back.Host != "localhost:4711" || back.Query().Get("state") != "st&te" {
			t.Fatalf("sent back to %s", back)
		}
		return back.Query().Get("code")
	}
	code := newCode()
	redeem := params("client_id", sample.Client.ClientID, "grant_type", "authorization_code", "code", code,
		"redirect_uri", "http://localhost:4711/", "code_verifier", verifier, "scope", sample.Scope()+" openid offline_access", "client_info", "1")
	for _, tc := range []struct {
		field, value string
		aadsts       int
	}{
		{"code_verifier", "another-verifier-that-is-long-enough-0123456789", 501481},
		{"code_verifier", "", 501481},
		{"redirect_uri", "http://localhost:4712/", 500112},
	} {
		refused(t, post(t, srv, "token", with(redeem, tc.field, tc.value)), 400, "invalid_grant", tc.aadsts)
	}
	r := post(t, srv, "token", redeem)
	if r.Error != "" {
		t.Fatal(r.Description)
	}
	_, id := verify(t, srv, r.IDToken)
	if id["nonce"] != "n-1" || id["aud"] != sample.Client.ClientID || id["ver"] != "2.0" {
		t.Errorf("ID token %v", id)
	}
	refused(t, post(t, srv, "token", redeem), 400, "invalid_grant", 54005)

	late := newCode()
	c.advance(10 * time.Minute)
	refused(t, post(t, srv, "token", with(redeem, "code", late)), 400, "invalid_grant", 70008)
}

func TestResponseModes(t *testing.T) {
	srv, sample := start(t, fakeentra.Options{})
	if back := chooses(t, srv, authorizeURL(srv, sample, "response_mode", "query"), sample.Ada.UPN); back.Query().Get("code") == "" {
		t.Errorf("query: %s", back)
	}
	back := chooses(t, srv, authorizeURL(srv, sample, "response_mode", "fragment"), sample.Ada.UPN)
	if fragment, err := url.ParseQuery(back.EscapedFragment()); err != nil || fragment.Get("code") == "" || fragment.Get("state") != "st&te" || back.RawQuery != "" {
		t.Errorf("fragment: %s", back)
	}
	resp, body := send(t, srv, http.MethodPost, authorizeURL(srv, sample, "response_mode", "form_post"), params("person", sample.Ada.UPN))
	if !strings.Contains(body, `action="http://localhost:4711/"`) || !strings.Contains(body, `name="state" value="st&amp;te"`) {
		t.Errorf("form_post: %s", body)
	}
	if csp := resp.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "form-action 'self' http://localhost:4711;") {
		t.Errorf("policy %q", csp)
	}
}

func TestAuthorizeRefusals(t *testing.T) {
	srv, sample := start(t, fakeentra.Options{})
	register(t, srv, fakeentra.App{Name: "Strict", ClientID: "99999999-9999-4999-8999-999999999999", PublicClient: true,
		Scopes: []fakeentra.Scope{{Name: "Admin", AdminOnly: true}}, RedirectURIs: []string{"https://app.example/cb", "http://localhost/cb"}})
	const strict = "99999999-9999-4999-8999-999999999999"

	t.Run("shown to the person", func(t *testing.T) {
		for _, tc := range []struct {
			name   string
			url    string
			aadsts int
		}{
			{"unknown client", authorizeURL(srv, sample, "client_id", "11111111-2222-3333-4444-555555555555"), 700016},
			{"no client", authorizeURL(srv, sample, "client_id", ""), 900144},
			{"foreign redirect", authorizeURL(srv, sample, "redirect_uri", "https://evil.example/"), 50011},
			{"loopback name as a user", authorizeURL(srv, sample, "redirect_uri", "http://localhost@evil.example/"), 50011},
			{"loopback name as a prefix", authorizeURL(srv, sample, "redirect_uri", "http://localhost.evil.example/"), 50011},
			{"another path on loopback", authorizeURL(srv, sample, "redirect_uri", "http://localhost:4711/callback"), 50011},
			{"https on loopback", authorizeURL(srv, sample, "redirect_uri", "https://localhost:4711/"), 50011},
			{"fragment in the redirect", authorizeURL(srv, sample, "redirect_uri", "http://localhost:4711/#x"), 50011},
			{"no scope", authorizeURL(srv, sample, "scope", ""), 900144},
			{"prompt twice", authorizeURL(srv, sample) + "&prompt=login&prompt=consent", 9000411},
		} {
			t.Run(tc.name, func(t *testing.T) {
				resp, body := send(t, srv, http.MethodGet, tc.url, nil)
				if resp.StatusCode != 400 || !strings.Contains(body, fmt.Sprintf("AADSTS%d:", tc.aadsts)) {
					t.Errorf("status %d, %s", resp.StatusCode, body)
				}
			})
		}
	})
	t.Run("sent to the app", func(t *testing.T) {
		for _, tc := range []struct {
			name  string
			pairs []string
			code  string
			desc  string
		}{
			{"short scope", []string{"scope", "Mcp.Access"}, "invalid_client", "AADSTS650053:"},
			{"unknown API", []string{"scope", "api://nobody/Do"}, "invalid_resource", "AADSTS500011:"},
			{"foreign resource", []string{"resource", "https://mcp.example/mcp"}, "invalid_target", "AADSTS9010010:"},
			{"no PKCE", []string{"code_challenge", ""}, "invalid_request", "AADSTS9002325:"},
			{"plain PKCE", []string{"code_challenge_method", "plain"}, "invalid_request", "AADSTS50149:"},
			{"short challenge", []string{"code_challenge", "abc"}, "invalid_request", "AADSTS501491:"},
			{"implicit flow", []string{"response_type", "token"}, "unsupported_response_type", "AADSTS700054:"},
			{"no response type", []string{"response_type", ""}, "invalid_request", "AADSTS900144:"},
			{"silent", []string{"prompt", "none"}, "login_required", "AADSTS50058:"},
			{"unknown response mode", []string{"response_mode", "pigeon"}, "invalid_request", "AADSTS70007:"},
		} {
			t.Run(tc.name, func(t *testing.T) {
				resp, body := send(t, srv, http.MethodGet, authorizeURL(srv, sample, tc.pairs...), nil)
				back, err := url.Parse(resp.Header.Get("Location"))
				if tc.name == "no response type" { // a missing parameter is the page's matter
					if resp.StatusCode != 400 || !strings.Contains(body, tc.desc) {
						t.Errorf("status %d, %s", resp.StatusCode, body)
					}
					return
				}
				if err != nil || resp.StatusCode != http.StatusFound {
					t.Fatalf("status %d, %v, %s", resp.StatusCode, err, body)
				}
				if q := back.Query(); q.Get("error") != tc.code || !strings.HasPrefix(q.Get("error_description"), tc.desc) || q.Get("state") != "st&te" {
					t.Errorf("sent back %v", q)
				}
			})
		}
	})
	t.Run("after the choice", func(t *testing.T) {
		resp, body := send(t, srv, http.MethodPost, authorizeURL(srv, sample), params("person", sample.Alan.UPN))
		if resp.StatusCode != 400 || !strings.Contains(body, "AADSTS50105:") {
			t.Errorf("not assigned: status %d, %s", resp.StatusCode, body)
		}
		resp, body = send(t, srv, http.MethodPost, authorizeURL(srv, sample, "client_id", strict, "redirect_uri", "http://localhost:1/cb", "scope", "https://graph.microsoft.com/GroupMember.Read.All"), params("person", sample.Ada.UPN))
		if resp.StatusCode != 400 || !strings.Contains(body, "AADSTS90094:") {
			t.Errorf("administrator's consent: status %d, %s", resp.StatusCode, body)
		}
		resp, _ = send(t, srv, http.MethodPost, authorizeURL(srv, sample), params("action", "cancel"))
		back, err := url.Parse(resp.Header.Get("Location"))
		if err != nil || back.Query().Get("error") != "access_denied" || back.Query().Get("error_subcode") != "cancel" {
			t.Errorf("cancelled: %s", back)
		}
	})
	t.Run("allowed redirects", func(t *testing.T) {
		for _, uri := range []string{"http://localhost:1/cb", "http://localhost/cb", "https://app.example/cb"} {
			resp, body := send(t, srv, http.MethodGet, authorizeURL(srv, sample, "client_id", strict, "redirect_uri", uri), nil)
			if resp.StatusCode != 200 {
				t.Errorf("%s: %s", uri, body)
			}
		}
	})
}

func TestAnotherSiteCannotChooseForThePerson(t *testing.T) {
	srv, sample := start(t, fakeentra.Options{})
	dc := post(t, srv, "devicecode", params("client_id", sample.Client.ClientID, "scope", sample.Scope()))
	for target, form := range map[string]url.Values{
		srv.BaseURL() + "/devicelogin": params("user_code", dc.UserCode, "person", sample.Ada.UPN),
		authorizeURL(srv, sample):      params("person", sample.Ada.UPN),
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, target, strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Origin", "https://evil.example")
		resp, err := srv.HTTPClient().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusForbidden {
			t.Errorf("status %d", resp.StatusCode)
		}
	}
	if len(srv.PendingUserCodes()) != 1 {
		t.Error("the code was approved")
	}
}
