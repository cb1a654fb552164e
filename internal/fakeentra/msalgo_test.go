package fakeentra_test

import (
	"context"
	"crypto/x509"
	"testing"
	"time"

	"github.com/AzureAD/microsoft-authentication-library-for-go/apps/confidential"
	"github.com/AzureAD/microsoft-authentication-library-for-go/apps/public"

	"github.com/mcpctl/mcpctl/internal/fakeentra"
)

// short makes MSAL refresh at once: it never serves a token with less than five
// minutes left from its cache.
var short = fakeentra.Lifetimes{AccessToken: 2 * time.Minute}

func publicClient(t *testing.T, srv *fakeentra.Server, o ...public.Option) public.Client {
	t.Helper()
	o = append([]public.Option{
		public.WithAuthority(srv.Authority()),
		public.WithHTTPClient(srv.HTTPClient()),
		public.WithInstanceDiscovery(false),
	}, o...)
	c, err := public.New(fakeentra.SamplePublicClientID, o...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func confidentialClient(t *testing.T, srv *fakeentra.Server, id string, cred confidential.Credential) confidential.Client {
	t.Helper()
	c, err := confidential.New(srv.Authority(), id, cred,
		confidential.WithHTTPClient(srv.HTTPClient()), confidential.WithInstanceDiscovery(false))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func secretOf(t *testing.T, a fakeentra.App) confidential.Credential {
	t.Helper()
	cred, err := confidential.NewCredFromSecret(a.Secret)
	if err != nil {
		t.Fatal(err)
	}
	return cred
}

// deviceLogin signs a person in with a device code through MSAL.
func deviceLogin(t *testing.T, srv *fakeentra.Server, c public.Client, scope, upn string) public.AuthResult {
	t.Helper()
	dc, err := c.AcquireTokenByDeviceCode(t.Context(), []string{scope})
	if err != nil {
		t.Fatal(err)
	}
	if err := srv.ApproveDevice(dc.Result.UserCode, upn); err != nil {
		t.Fatal(err)
	}
	ar, err := dc.AuthenticationResult(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return ar
}

func TestMSALGoDeviceCodeThenRefresh(t *testing.T) {
	for _, oneTime := range []bool{false, true} {
		srv, sample := start(t, fakeentra.Options{Lifetimes: short, OneTimeRefreshTokens: oneTime})
		c := publicClient(t, srv)
		ar := deviceLogin(t, srv, c, sample.Scope(), sample.Ada.UPN)
		if ar.Account.PreferredUsername != sample.Ada.UPN || ar.Account.HomeAccountID != sample.Ada.OID+"."+srv.TenantID() {
			t.Errorf("account is %+v", ar.Account)
		}
		last := ar.AccessToken
		for range 3 {
			again, err := c.AcquireTokenSilent(t.Context(), []string{sample.Scope()}, public.WithSilentAccount(ar.Account))
			if err != nil {
				t.Fatal(err)
			}
			if again.AccessToken == last {
				t.Error("the silent call brought the same token")
			}
			last = again.AccessToken
		}
		if n := srv.CountRequests(fakeentra.EndpointToken, fakeentra.GrantRefreshToken); n != 3 {
			t.Errorf("one time %v: %d refreshes, want 3", oneTime, n)
		}
	}
}

func TestMSALGoServesACachedToken(t *testing.T) {
	srv, sample := start(t, fakeentra.Options{})
	c := publicClient(t, srv)
	ar := deviceLogin(t, srv, c, sample.Scope(), sample.Ada.UPN)
	again, err := c.AcquireTokenSilent(t.Context(), []string{sample.Scope()}, public.WithSilentAccount(ar.Account))
	if err != nil {
		t.Fatal(err)
	}
	if again.AccessToken != ar.AccessToken {
		t.Error("the silent call fetched a new token")
	}
}

func TestMSALGoInteractive(t *testing.T) {
	srv, sample := start(t, fakeentra.Options{})
	c := publicClient(t, srv)
	ar, err := c.AcquireTokenInteractive(t.Context(), []string{sample.Scope()},
		public.WithOpenURL(func(u string) error { return srv.SignIn(t.Context(), u, sample.Grace.UPN) }))
	if err != nil {
		t.Fatal(err)
	}
	if ar.Account.PreferredUsername != sample.Grace.UPN {
		t.Errorf("signed in as %q", ar.Account.PreferredUsername)
	}
}

func TestMSALGoClaimsChallengeBypassesTheCache(t *testing.T) {
	srv, sample := start(t, fakeentra.Options{})
	c := publicClient(t, srv, public.WithClientCapabilities([]string{"cp1"}))
	ar := deviceLogin(t, srv, c, sample.Scope(), sample.Ada.UPN)
	_, claims := verify(t, srv, ar.AccessToken)
	if cc, _ := claims["xms_cc"].([]any); len(cc) != 1 || cc[0] != "cp1" {
		t.Errorf("xms_cc is %v", claims["xms_cc"])
	}
	again, err := c.AcquireTokenSilent(t.Context(), []string{sample.Scope()}, public.WithSilentAccount(ar.Account),
		public.WithClaims(`{"access_token":{"nbf":{"essential":true,"value":"1700000000"}}}`))
	if err != nil {
		t.Fatal(err)
	}
	if again.AccessToken == ar.AccessToken {
		t.Error("the challenge was answered with the cached token")
	}
}

// middleTier is an API that calls Graph in the name of its callers.
func middleTier(t *testing.T, srv *fakeentra.Server, change func(*fakeentra.App)) fakeentra.App {
	t.Helper()
	a := fakeentra.App{
		Name: "Middle tier", Scopes: []fakeentra.Scope{{Name: "Access"}}, TokenVersion: 2, Secret: "middle-tier-secret",
		PreAuthorized: []string{fakeentra.SamplePublicClientID}, AdminConsented: []string{"https://graph.microsoft.com/User.Read"},
	}
	if change != nil {
		change(&a)
	}
	return register(t, srv, a)
}

func TestMSALGoOnBehalfOf(t *testing.T) {
	srv, sample := start(t, fakeentra.Options{})
	api := middleTier(t, srv, nil)
	user := deviceLogin(t, srv, publicClient(t, srv), api.IDURIs[0]+"/Access", sample.Ada.UPN)
	c := confidentialClient(t, srv, api.ClientID, secretOf(t, api))
	ar, err := c.AcquireTokenOnBehalfOf(t.Context(), user.AccessToken, []string{"https://graph.microsoft.com/User.Read"})
	if err != nil {
		t.Fatal(err)
	}
	if ar.Account.PreferredUsername != sample.Ada.UPN {
		t.Errorf("acts as %q", ar.Account.PreferredUsername)
	}
}

func TestMSALGoClientCredentials(t *testing.T) {
	srv, sample := start(t, fakeentra.Options{})
	key, cert := certificate(t)
	app := register(t, srv, fakeentra.App{
		Name: "Daemon", Secret: "daemon-secret", Certificates: []*x509.Certificate{cert},
		AppPermissions: map[string][]string{sample.API.ClientID: {fakeentra.SampleWriterRole}},
	})
	certCred, err := confidential.NewCredFromCert([]*x509.Certificate{cert}, key)
	if err != nil {
		t.Fatal(err)
	}
	for proof, cred := range map[string]confidential.Credential{"1": secretOf(t, app), "2": certCred} {
		ar, err := confidentialClient(t, srv, app.ClientID, cred).AcquireTokenByCredential(t.Context(), []string{sample.API.IDURIs[0] + "/.default"})
		if err != nil {
			t.Fatal(err)
		}
		_, claims := verify(t, srv, ar.AccessToken)
		if claims["azpacr"] != proof || claims["idtyp"] != "app" || claims["scp"] != nil || claims["azp"] != app.ClientID {
			t.Errorf("claims are %v", claims)
		}
	}
}

// A managed identity's token in place of a secret.
func TestMSALGoFederatedCredential(t *testing.T) {
	srv, sample := start(t, fakeentra.Options{})
	exchange := register(t, srv, fakeentra.App{Name: "Token exchange", IDURIs: []string{"api://AzureADTokenExchange"}})
	const subject = "workload"
	api := middleTier(t, srv, func(a *fakeentra.App) {
		a.Secret, a.Federated = "", []fakeentra.FederatedCredential{{Subject: subject}}
	})
	assert := func(sub string) confidential.Credential {
		token, err := srv.MintToken(fakeentra.TokenSpec{API: exchange.IDURIs[0], Claims: map[string]any{"sub": sub}})
		if err != nil {
			t.Fatal(err)
		}
		return confidential.NewCredFromAssertionCallback(func(context.Context, confidential.AssertionRequestOptions) (string, error) { return token, nil })
	}
	user := deviceLogin(t, srv, publicClient(t, srv), api.IDURIs[0]+"/Access", sample.Ada.UPN)
	scopes := []string{"https://graph.microsoft.com/User.Read"}
	if _, err := confidentialClient(t, srv, api.ClientID, assert(subject)).AcquireTokenOnBehalfOf(t.Context(), user.AccessToken, scopes); err != nil {
		t.Error(err)
	}
	_, err := confidentialClient(t, srv, api.ClientID, assert("somebody else")).AcquireTokenOnBehalfOf(t.Context(), user.AccessToken, scopes)
	wantAADSTS(t, err, 700213)
}
