package fakeentra_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mcpctl/mcpctl/internal/fakeentra"
)

// What a client sees of each fault at the token endpoint.
func TestFaultsAtTheTokenEndpoint(t *testing.T) {
	srv, sample := start(t, fakeentra.Options{})
	rt := signIn(t, srv, sample.Client.ClientID, sample.Scope()+" offline_access", sample.Ada.UPN).RefreshToken
	refresh := params("client_id", sample.Client.ClientID, "grant_type", "refresh_token", "refresh_token", rt, "scope", sample.Scope())
	device := params("client_id", sample.Client.ClientID, "grant_type", "device_code", "device_code", "x")

	blocked := func(form fakeentra.BlockForm) fakeentra.Fault { return fakeentra.FaultDeviceCodeBlocked(form)[1] }
	for _, tc := range []struct {
		fault  fakeentra.Fault
		status int
		code   string
		sub    string
		aadsts int
		claims bool
	}{
		{fakeentra.FaultPending(), 400, "authorization_pending", "", 70016, false},
		{fakeentra.FaultSlowDown(), 400, "slow_down", "", 70016, false},
		{fakeentra.FaultDeclined(), 400, "authorization_declined", "", 70017, false},
		{fakeentra.FaultCodeExpired(), 400, "expired_token", "", 70019, false},
		{fakeentra.FaultBadCode(), 400, "bad_verification_code", "", 70018, false},
		{fakeentra.FaultPublicFlowsOff(), 401, "invalid_client", "", 7000218, false},
		{blocked(fakeentra.BlockAccessDenied), 400, "access_denied", "", 53003, false},
		{blocked(fakeentra.BlockInvalidGrant), 400, "invalid_grant", "", 53003, false},
		{blocked(fakeentra.BlockSilent), 400, "authorization_pending", "", 70016, false},
		{fakeentra.FaultProtocolTracked(), 400, "invalid_grant", "", 530036, false},
		{fakeentra.FaultRevoked(), 400, "invalid_grant", "bad_token", 50173, false},
		{fakeentra.FaultInactive(), 400, "invalid_grant", "", 700082, false},
		{fakeentra.FaultSignInFrequency(), 400, "invalid_grant", "", 70043, false},
		{fakeentra.FaultMFA(), 400, "interaction_required", "basic_action", 50076, true},
		{fakeentra.FaultMFAEnrolment(), 400, "interaction_required", "basic_action", 50079, true},
		{fakeentra.FaultDeviceAuthentication(), 400, "interaction_required", "additional_action", 50097, true},
		{fakeentra.FaultNonCompliantDevice(), 400, "interaction_required", "message_only", 53000, true},
		{fakeentra.FaultConsentRequired(), 400, "invalid_grant", "consent_required", 65001, false},
		{fakeentra.FaultNotAssigned(), 400, "invalid_grant", "", 50105, false},
		{fakeentra.FaultUnknownResource(), 400, "invalid_resource", "", 500011, false},
		{fakeentra.FaultResourceNotListed(), 400, "invalid_resource", "", 650057, false},
		{fakeentra.FaultRequestLoop(), 400, "invalid_grant", "", 50196, false},
		{fakeentra.FaultServerError(), 500, "server_error", "", 90033, false},
		{fakeentra.FaultThrottled(3 * time.Second), 429, "temporarily_unavailable", "", 90055, false},
	} {
		t.Run(tc.fault.Name, func(t *testing.T) {
			srv.Inject(tc.fault.For(1))
			form := refresh
			if tc.fault.Grant == fakeentra.GrantDeviceCode {
				form = device
			}
			r := post(t, srv, "token", form)
			refused(t, r, tc.status, tc.code, tc.aadsts)
			if r.SubError != tc.sub || (r.Claims != "") != tc.claims {
				t.Errorf("suberror %q, claims %q", r.SubError, r.Claims)
			}
			if r.status == 429 && r.header.Get("Retry-After") != "3" {
				t.Errorf("Retry-After %q", r.header.Get("Retry-After"))
			}
			if log := srv.Requests(); log[len(log)-1].Fault != tc.fault.Name {
				t.Errorf("logged as %+v", log[len(log)-1])
			}
			if after := post(t, srv, "token", refresh); after.Error != "" {
				t.Errorf("after the fault: %s", after.Description)
			}
		})
	}
}

func TestFaultsOfTheNetwork(t *testing.T) {
	srv, sample := start(t, fakeentra.Options{})
	rt := signIn(t, srv, sample.Client.ClientID, sample.Scope()+" offline_access", sample.Ada.UPN).RefreshToken
	form := params("client_id", sample.Client.ClientID, "grant_type", "refresh_token", "refresh_token", rt, "scope", sample.Scope())
	target := srv.Authority() + "/oauth2/v2.0/token"

	t.Run("outage", func(t *testing.T) {
		srv.Inject(fakeentra.FaultOutage())
		for _, url := range []string{target, srv.Authority() + "/v2.0/.well-known/openid-configuration", srv.Authority() + "/discovery/v2.0/keys"} {
			if resp, body := send(t, srv, http.MethodGet, url, nil); resp.StatusCode != 503 || body != "" {
				t.Errorf("%s: status %d, %q", url, resp.StatusCode, body)
			}
		}
		srv.ClearFaults()
	})
	t.Run("outage page", func(t *testing.T) {
		srv.Inject(fakeentra.FaultOutagePage().For(1))
		if resp, body := send(t, srv, http.MethodPost, target, form); resp.StatusCode != 503 || !strings.Contains(body, "<html>") {
			t.Errorf("status %d, %q", resp.StatusCode, body)
		}
	})
	t.Run("captive portal", func(t *testing.T) {
		srv.Inject(fakeentra.FaultCaptivePortal().For(1))
		if resp, body := send(t, srv, http.MethodPost, target, form); resp.StatusCode != 200 || !strings.Contains(body, "<html>") {
			t.Errorf("status %d, %q", resp.StatusCode, body)
		}
	})
	t.Run("no expires_in", func(t *testing.T) {
		srv.Inject(fakeentra.FaultNoExpiresIn().For(1))
		if r := post(t, srv, "token", form); r.ExpiresIn != nil || r.AccessToken == "" {
			t.Errorf("%+v", r)
		}
	})
	t.Run("dropped", func(t *testing.T) {
		srv.Inject(fakeentra.FaultDropped().At(fakeentra.GrantRefreshToken).For(1))
		resp, err := srv.HTTPClient().PostForm(target, form)
		if err == nil {
			resp.Body.Close()
			t.Errorf("status %d", resp.StatusCode)
		}
		if log := srv.Requests(); log[len(log)-1].Status != 0 || log[len(log)-1].Fault != "dropped" {
			t.Errorf("logged as %+v", log[len(log)-1])
		}
	})
	t.Run("skipping and counting", func(t *testing.T) {
		srv.Inject(fakeentra.FaultThrottled(time.Second).At(fakeentra.GrantRefreshToken).After(1).For(2))
		var got []int
		for range 4 {
			got = append(got, post(t, srv, "token", form).status)
		}
		if !slices.Equal(got, []int{200, 429, 429, 200}) {
			t.Errorf("statuses %v", got)
		}
	})
	t.Run("other requests pass", func(t *testing.T) {
		srv.Inject(fakeentra.FaultMFA().At(fakeentra.GrantClientCredentials))
		if r := post(t, srv, "token", form); r.Error != "" {
			t.Error(r.Description)
		}
		srv.ClearFaults()
	})
}

// The person whose device code is blocked sees it on the page.
func TestBlockedDeviceCodeOnThePage(t *testing.T) {
	srv, sample := start(t, fakeentra.Options{})
	srv.Inject(fakeentra.FaultDeviceCodeBlocked(fakeentra.BlockSilent)...)
	dc := post(t, srv, "devicecode", params("client_id", sample.Client.ClientID, "scope", sample.Scope()))
	resp, body := send(t, srv, http.MethodPost, srv.BaseURL()+"/devicelogin", params("user_code", dc.UserCode, "person", sample.Ada.UPN))
	if resp.StatusCode != 400 || !strings.Contains(body, "AADSTS53003:") {
		t.Errorf("status %d, %s", resp.StatusCode, body)
	}
}

func TestFaultCatalogueIsComplete(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range fakeentra.Faults() {
		if f.Name == "" {
			t.Errorf("a fault has no name: %+v", f)
		}
		seen[f.Name] = true
	}
	if len(seen) != 27+4 { // the blocked page comes with each of the three forms
		t.Errorf("%d different faults", len(seen))
	}
}

// Close ends a request that waits, and returns.
func TestCloseEndsWaitingRequests(t *testing.T) {
	srv, _ := start(t, fakeentra.Options{})
	srv.Inject(fakeentra.FaultDelay(time.Hour))
	done := make(chan error, 1)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.Authority()+"/discovery/v2.0/keys", nil)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		resp, err := srv.HTTPClient().Do(req)
		if err == nil {
			resp.Body.Close()
		}
		done <- err
	}()
	for srv.FaultsMet() == 0 {
		time.Sleep(time.Millisecond)
	}
	if err := srv.Close(); err != nil {
		t.Error(err)
	}
	if err := <-done; err == nil {
		t.Error("the request was answered")
	}
}

func TestRequestLogHoldsNoSecret(t *testing.T) {
	srv, sample := start(t, fakeentra.Options{})
	r := signIn(t, srv, sample.Client.ClientID, sample.Scope()+" openid offline_access", sample.Ada.UPN)
	post(t, srv, "token", params("client_id", sample.Client.ClientID, "grant_type", "refresh_token", "refresh_token", r.RefreshToken))
	b, err := json.Marshal(srv.Requests())
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{r.AccessToken, r.RefreshToken, r.IDToken} {
		if strings.Contains(string(b), secret) {
			t.Error("the log holds a token")
		}
	}
	last := srv.Requests()[2]
	if last.Endpoint != fakeentra.EndpointToken || last.Grant != fakeentra.GrantRefreshToken || last.Status != 200 || last.ClientID != sample.Client.ClientID {
		t.Errorf("logged as %+v", last)
	}
}
