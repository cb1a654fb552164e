package fakeentra_test

import (
	"testing"
	"time"

	"github.com/AzureAD/microsoft-authentication-library-for-go/apps/public"

	"github.com/mcpctl/mcpctl/internal/fakeentra"
)

// start runs an authority with the sample tenant until the test ends.
func start(t *testing.T, o fakeentra.Options) (*fakeentra.Server, fakeentra.Sample) {
	t.Helper()
	srv, err := fakeentra.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
	})
	sample, err := srv.AddSample("")
	if err != nil {
		t.Fatal(err)
	}
	return srv, sample
}

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

// deviceLogin signs a person in with a device code through MSAL.
func deviceLogin(t *testing.T, srv *fakeentra.Server, c public.Client, scope, upn string, o ...public.AcquireByDeviceCodeOption) public.AuthResult {
	t.Helper()
	dc, err := c.AcquireTokenByDeviceCode(t.Context(), []string{scope}, o...)
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
	srv, sample := start(t, fakeentra.Options{Lifetimes: fakeentra.Lifetimes{AccessToken: 2 * time.Minute}})
	c := publicClient(t, srv)
	ar := deviceLogin(t, srv, c, sample.Scope(), sample.Ada.UPN)
	if ar.Account.PreferredUsername != sample.Ada.UPN || ar.Account.HomeAccountID != sample.Ada.OID+"."+srv.TenantID() {
		t.Errorf("account is %+v", ar.Account)
	}
	// MSAL never serves a token with less than five minutes left from its cache.
	again, err := c.AcquireTokenSilent(t.Context(), []string{sample.Scope()}, public.WithSilentAccount(ar.Account))
	if err != nil {
		t.Fatal(err)
	}
	if again.AccessToken == ar.AccessToken {
		t.Error("the silent call brought the same token")
	}
	if n := srv.CountRequests(fakeentra.EndpointToken, fakeentra.GrantRefreshToken); n != 1 {
		t.Errorf("%d refreshes, want 1", n)
	}
}
