package entra_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mcpctl/mcpctl/internal/entra"
	"github.com/mcpctl/mcpctl/internal/fakeentra"
	"github.com/mcpctl/mcpctl/tokencache"
)

var (
	_ entra.TokenCache = (*tokencache.Cache)(nil)
	_ entra.TokenCache = (*tokencache.Login)(nil)
)

// tenant is an authority over TLS with the sample tenant, and a token store in
// a directory.
type tenant struct {
	*fakeentra.Server
	sample    fakeentra.Sample
	authority entra.Authority
	dir       string
}

func startTenant(t *testing.T, o fakeentra.Options) *tenant {
	t.Helper()
	if o.Lifetimes.PollInterval == 0 {
		o.Lifetimes.PollInterval = time.Second
	}
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
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, srv.CAPEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	authority, err := entra.ParseAuthority(srv.Authority(), ca)
	if err != nil {
		t.Fatal(err)
	}
	return &tenant{Server: srv, sample: sample, authority: authority, dir: t.TempDir()}
}

// shortLived are tokens that MSAL does not cache: it wants five minutes left.
var shortLived = fakeentra.Lifetimes{AccessToken: 2 * time.Minute, CAEAccessToken: 2 * time.Minute, PollInterval: time.Second}

func (f *tenant) client(t *testing.T, store entra.TokenCache) *entra.Client {
	t.Helper()
	c, err := entra.New(entra.Options{
		Authority: f.authority, ClientID: f.sample.Client.ClientID, Scopes: []string{f.sample.Scope()},
		Cache: store, Resource: "http://127.0.0.1:8080/mcp",
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

// process returns a client as another process would have it.
func (f *tenant) process(t *testing.T) *entra.Client {
	t.Helper()
	store, err := tokencache.Open(tokencache.Options{Dir: f.dir})
	if err != nil {
		t.Fatal(err)
	}
	return f.client(t, store)
}

func (f *tenant) login(t *testing.T) *tokencache.Login {
	t.Helper()
	store, err := tokencache.OpenForLogin(t.Context(), tokencache.Options{Dir: f.dir}, tokencache.ModeFile)
	if err != nil {
		t.Fatal(err)
	}
	return store
}

// signIn signs Ada in with a device code and leaves the token in the store.
func (f *tenant) signIn(t *testing.T) {
	t.Helper()
	_, err := f.client(t, f.login(t)).SignInDeviceCode(t.Context(), func(code entra.DeviceCode) error {
		return f.ApproveDevice(code.UserCode, f.sample.Ada.UPN)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (f *tenant) refreshes() int {
	return f.CountRequests(fakeentra.EndpointToken, fakeentra.GrantRefreshToken)
}

func TestDeviceCodeEndToEnd(t *testing.T) {
	f := startTenant(t, fakeentra.Options{})
	store := f.login(t)
	c := f.client(t, store)
	got, err := c.SignInDeviceCode(t.Context(), func(code entra.DeviceCode) error {
		if !strings.HasPrefix(code.VerificationURL, f.BaseURL()) || !strings.Contains(code.Message, code.UserCode) {
			t.Errorf("shown: %+v", code)
		}
		return f.ApproveDevice(code.UserCode, f.sample.Ada.UPN)
	})
	if err != nil {
		t.Fatal(err)
	}
	want := entra.Account{
		HomeAccountID: f.sample.Ada.OID + "." + f.TenantID(), Username: f.sample.Ada.UPN, Name: f.sample.Ada.Name,
		TenantID: f.TenantID(), ObjectID: f.sample.Ada.OID,
	}
	if got.Account != want {
		t.Errorf("signed in as %+v, want %+v", got.Account, want)
	}
	token, err := f.process(t).Token(t.Context())
	if err != nil || token.Value.IsZero() || time.Until(token.ExpiresOn) < time.Hour {
		t.Errorf("another process gets %+v, %v", token, err)
	}
	if f.refreshes() != 0 {
		t.Error("a valid token was refreshed")
	}
}

func TestBrowserEndToEnd(t *testing.T) {
	f := startTenant(t, fakeentra.Options{})
	got, err := f.client(t, f.login(t)).SignInBrowser(t.Context(), func(address string) error {
		return f.SignIn(t.Context(), address, f.sample.Grace.UPN)
	})
	if err != nil || got.Account.Username != f.sample.Grace.UPN {
		t.Fatalf("signed in: %+v, %v", got, err)
	}
	if _, err := f.process(t).Token(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestBrowserOfSomeoneNotAssigned(t *testing.T) {
	f := startTenant(t, fakeentra.Options{})
	_, err := f.client(t, f.login(t)).SignInBrowser(t.Context(), func(address string) error {
		return f.SignIn(t.Context(), address, f.sample.Alan.UPN)
	})
	if err == nil || !strings.Contains(err.Error(), "50105") {
		t.Errorf("error is %v", err)
	}
}

// TestRow07OneTimeRefreshToken: processes that refresh together spend one token and
// leave the store as it should be.
func TestRow07OneTimeRefreshToken(t *testing.T) {
	f := startTenant(t, fakeentra.Options{OneTimeRefreshTokens: true, Lifetimes: shortLived})
	f.signIn(t)
	f.SetLifetimes(fakeentra.Lifetimes{})
	f.Inject(fakeentra.FaultDelay(100 * time.Millisecond).At(fakeentra.GrantRefreshToken))
	var wg sync.WaitGroup
	var tokens sync.Map
	for range 10 {
		c := f.process(t)
		wg.Go(func() {
			token, err := c.Token(t.Context())
			if err != nil {
				t.Error(err)
			}
			tokens.Store(token.Value.Reveal(), true)
		})
	}
	wg.Wait()
	distinct := 0
	tokens.Range(func(any, any) bool { distinct++; return true })
	if f.refreshes() != 1 || distinct != 1 {
		t.Errorf("%d refreshes gave %d tokens, want one of each", f.refreshes(), distinct)
	}
}

func TestDomainNamesTheTenantToo(t *testing.T) {
	f := startTenant(t, fakeentra.Options{Domain: "contoso.example"})
	var err error
	f.authority, err = entra.ParseAuthority(f.BaseURL()+"/Contoso.example", f.authority.DevCAFile())
	if err != nil {
		t.Fatal(err)
	}
	f.signIn(t)
	if _, err := f.process(t).Token(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestScriptedFaults goes through each row of what Entra is known to answer.
func TestScriptedFaults(t *testing.T) {
	tests := []struct {
		faults []fakeentra.Fault
		device entra.Kind // while signing in with a device code
		silent entra.Kind // while refreshing
	}{
		{fakeentra.FaultDeviceCodeBlocked(fakeentra.BlockAccessDenied), entra.KindDeviceCodeBlocked, -1},
		{fakeentra.FaultDeviceCodeBlocked(fakeentra.BlockInvalidGrant), entra.KindDeviceCodeBlocked, -1},
		{one(fakeentra.FaultDeclined()), entra.KindDeclined, -1},
		{one(fakeentra.FaultCodeExpired()), entra.KindExpired, -1},
		{one(fakeentra.FaultBadCode()), entra.KindExpired, -1},
		{one(fakeentra.FaultPublicFlowsOff()), entra.KindMisconfigured, entra.KindMisconfigured},
		{one(fakeentra.FaultProtocolTracked()), -1, entra.KindDeviceCodeBlocked},
		{one(fakeentra.FaultRevoked()), -1, entra.KindSignInRequired},
		{one(fakeentra.FaultInactive()), -1, entra.KindSignInRequired},
		{one(fakeentra.FaultSignInFrequency()), -1, entra.KindSignInRequired},
		{one(fakeentra.FaultMFA()), entra.KindSignInRequired, entra.KindSignInRequired},
		{one(fakeentra.FaultMFAEnrolment()), entra.KindSignInRequired, entra.KindSignInRequired},
		{one(fakeentra.FaultDeviceAuthentication()), entra.KindDeviceCodeBlocked, entra.KindSignInRequired},
		{one(fakeentra.FaultNonCompliantDevice()), entra.KindDeviceCodeBlocked, entra.KindSignInRequired},
		{one(fakeentra.FaultConsentRequired()), entra.KindConsentRequired, entra.KindConsentRequired},
		{one(fakeentra.FaultUnknownResource()), entra.KindMisconfigured, entra.KindMisconfigured},
		{one(fakeentra.FaultResourceNotListed()), entra.KindMisconfigured, entra.KindMisconfigured},
		{one(fakeentra.FaultThrottled(30 * time.Second)), -1, entra.KindThrottled},
		{one(fakeentra.FaultRequestLoop()), -1, entra.KindThrottled},
		{one(fakeentra.FaultOutage()), -1, entra.KindOutage},
		{one(fakeentra.FaultOutagePage()), -1, entra.KindOutage},
		{one(fakeentra.FaultServerError()), -1, entra.KindOutage},
		{one(fakeentra.FaultDropped()), -1, entra.KindNetwork},
		{one(fakeentra.FaultCaptivePortal()), -1, entra.KindOutage},
		{one(fakeentra.FaultNoExpiresIn()), -1, entra.KindOutage},
	}
	f := startTenant(t, fakeentra.Options{Lifetimes: shortLived})
	f.signIn(t)
	signingIn := f.client(t, f.login(t))
	for _, tt := range tests {
		name := tt.faults[len(tt.faults)-1].Name
		atToken := func() []fakeentra.Fault {
			out := append([]fakeentra.Fault(nil), tt.faults...)
			for i := range out {
				if out[i].Endpoint == "" {
					out[i].Endpoint = fakeentra.EndpointToken
				}
			}
			return out
		}
		if tt.device >= 0 {
			t.Run("device code/"+name, func(t *testing.T) {
				defer f.ClearFaults()
				f.Inject(atToken()...)
				_, err := signingIn.SignInDeviceCode(t.Context(), func(entra.DeviceCode) error { return nil })
				assertKind(t, err, tt.device)
			})
		}
		if tt.silent >= 0 {
			t.Run("refresh/"+name, func(t *testing.T) {
				f.Inject(atToken()...)
				_, err := f.process(t).Token(t.Context())
				f.ClearFaults()
				assertKind(t, err, tt.silent)
				if _, err := f.process(t).Token(t.Context()); err != nil {
					t.Errorf("once it is over: %v", err)
				}
			})
		}
	}
}

func one(f fakeentra.Fault) []fakeentra.Fault { return []fakeentra.Fault{f} }

func assertKind(t *testing.T, err error, want entra.Kind) {
	t.Helper()
	var e *entra.Error
	if !errors.As(err, &e) || e.Kind != want {
		t.Fatalf("error is %v, want kind %v", err, want)
	}
	for _, mark := range []string{"eyJ", "Trace ID", "\n", "login URL"} {
		if strings.Contains(err.Error(), mark) {
			t.Errorf("error holds %q: %v", mark, err)
		}
	}
	if e.Hint == "" && e.Kind != entra.KindOutage && e.Kind != entra.KindFailed {
		t.Errorf("no hint in %v", err)
	}
}

func TestSilentlyBlockedDeviceCodeEnds(t *testing.T) {
	f := startTenant(t, fakeentra.Options{Lifetimes: fakeentra.Lifetimes{DeviceCode: 2 * time.Second, PollInterval: time.Second}})
	f.Inject(fakeentra.FaultDeviceCodeBlocked(fakeentra.BlockSilent)...)
	_, err := f.client(t, f.login(t)).SignInDeviceCode(t.Context(), func(entra.DeviceCode) error { return nil })
	assertKind(t, err, entra.KindExpired)
	if !strings.Contains(err.Error(), "--browser") {
		t.Errorf("the error does not say that the code may have been blocked: %v", err)
	}
}

func TestDeviceCodeSurvivesAnOutage(t *testing.T) {
	f := startTenant(t, fakeentra.Options{})
	var outage []fakeentra.Fault
	for _, fault := range []fakeentra.Fault{fakeentra.FaultDropped(), fakeentra.FaultServerError(), fakeentra.FaultThrottled(time.Second)} {
		outage = append(outage, fault.At(fakeentra.GrantDeviceCode).For(1))
	}
	_, err := f.client(t, f.login(t)).SignInDeviceCode(t.Context(), func(code entra.DeviceCode) error {
		f.Inject(outage...)
		return f.ApproveDevice(code.UserCode, f.sample.Ada.UPN)
	})
	if err != nil {
		t.Error(err)
	}
}

func TestClaimsChallengeEndToEnd(t *testing.T) {
	f := startTenant(t, fakeentra.Options{})
	f.signIn(t)
	first, err := f.process(t).Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	claims := `{"access_token":{"nbf":{"essential":true,"value":"` + fmt.Sprint(time.Now().Unix()) + `"}}}`
	var wg sync.WaitGroup
	for range 5 {
		c := f.process(t)
		wg.Go(func() {
			token, err := c.Refresh(context.WithoutCancel(t.Context()), first.Value, claims)
			if err != nil || token.Value.Equal(first.Value) {
				t.Errorf("the rejected token came back, or %v", err)
			}
		})
	}
	wg.Wait()
	if f.refreshes() != 1 {
		t.Errorf("%d refreshes, want 1", f.refreshes())
	}
}
