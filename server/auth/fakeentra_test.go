package auth_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/mcpctl/mcpctl/internal/fakeentra"
	"github.com/mcpctl/mcpctl/server/auth"
)

const appIDURI = "https://mcp.contoso.example/mcp"

// tenant is an authority with the sample tenant, and a verifier for its API.
func tenant(t *testing.T) (*fakeentra.Server, fakeentra.Sample, *auth.Verifier) {
	t.Helper()
	entra, err := fakeentra.Start(fakeentra.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = entra.Close() })
	sample, err := entra.AddSample(appIDURI)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := auth.New(auth.Options{
		Authority:      entra.Authority(),
		Audiences:      []string{sample.API.ClientID, appIDURI, "api://" + sample.API.ClientID},
		RequiredScopes: []string{fakeentra.SampleScope},
		RequiredRoles:  []string{fakeentra.SampleWriterRole},
		NeedGroups:     true,
		HTTPClient:     entra.HTTPClient(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = verifier.Close() })
	return entra, sample, verifier
}

func mint(t *testing.T, entra *fakeentra.Server, spec fakeentra.TokenSpec) string {
	t.Helper()
	if spec.API == "" {
		spec.API = appIDURI
	}
	if spec.Client == "" {
		spec.Client = fakeentra.SamplePublicClientID
	}
	raw, err := entra.MintToken(spec)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// TestAgainstAnAuthority fetches metadata and keys over TLS, for both versions.
func TestAgainstAnAuthority(t *testing.T) {
	entra, sample, verifier := tenant(t)
	if got := verifier.AuthorizationServers(); len(got) != 1 || got[0] != entra.IssuerV2() {
		t.Errorf("authorization servers %v, want %s", got, entra.IssuerV2())
	}
	scopes := []string{fakeentra.SampleScope}
	for _, version := range []int{1, 2} {
		p, err := verifier.Verify(context.Background(), mint(t, entra, fakeentra.TokenSpec{Person: sample.Ada.UPN, Scopes: scopes, Version: version, CAE: true}))
		if err != nil {
			t.Fatalf("version %d: %v", version, err)
		}
		if p.Key() != entra.TenantID()+"/"+sample.Ada.OID || p.Username != sample.Ada.UPN || p.ClientID != fakeentra.SamplePublicClientID ||
			!p.HasScope(fakeentra.SampleScope) || !p.HasRole(fakeentra.SampleWriterRole) || p.AppOnly || len(p.ClientCapabilities) != 1 {
			t.Errorf("version %d: %+v", version, p)
		}
		p, err = verifier.Verify(context.Background(), mint(t, entra, fakeentra.TokenSpec{Roles: []string{fakeentra.SampleWriterRole}, Version: version}))
		if err != nil || !p.AppOnly {
			t.Errorf("version %d, app-only: %+v, %v", version, p, err)
		}
	}
}

func TestRefusalsAgainstAnAuthority(t *testing.T) {
	entra, sample, verifier := tenant(t)
	scopes := []string{fakeentra.SampleScope}
	many := make([]string, 300)
	for i := range many {
		many[i] = sample.API.ClientID
	}
	busy, err := entra.AddPerson(fakeentra.Person{Name: "Many Groups", UPN: "many@contoso.example", Groups: many})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		spec fakeentra.TokenSpec
		rule auth.Rule
	}{
		{"ID token", fakeentra.TokenSpec{Person: sample.Ada.UPN, ID: true, Client: sample.API.ClientID}, auth.RuleIDToken},
		{"Graph token", fakeentra.TokenSpec{API: fakeentra.GraphClientID, Person: sample.Ada.UPN, Scopes: []string{"User.Read"}}, auth.RuleGraphToken},
		{"expired", fakeentra.TokenSpec{Person: sample.Ada.UPN, Scopes: scopes, IssuedAt: time.Now().Add(-2 * time.Hour), Lifetime: time.Hour}, auth.RuleExpired},
		{"no scope", fakeentra.TokenSpec{Person: sample.Grace.UPN}, auth.RuleNoPermission},
		{"other scope", fakeentra.TokenSpec{Person: sample.Grace.UPN, Scopes: []string{"Other"}}, auth.RuleScope},
		{"app without role", fakeentra.TokenSpec{}, auth.RuleRole},
		{"group overage", fakeentra.TokenSpec{Person: busy.UPN, Scopes: scopes}, auth.RuleGroupsOverage},
		{"alg none", fakeentra.TokenSpec{Person: sample.Ada.UPN, Scopes: scopes, Header: map[string]any{"alg": "none"}}, auth.RuleTokenForm},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := verifier.Verify(context.Background(), mint(t, entra, tt.spec))
			var refusal *auth.Refusal
			if !errors.As(err, &refusal) || refusal.Rule != tt.rule {
				t.Errorf("got %v, want a refusal by rule %s", err, tt.rule)
			}
		})
	}
}

// TestRolloverAgainstAnAuthority signs with a key that was not there before.
func TestRolloverAgainstAnAuthority(t *testing.T) {
	entra, sample, verifier := tenant(t)
	spec := fakeentra.TokenSpec{Person: sample.Ada.UPN, Scopes: []string{fakeentra.SampleScope}}
	for range 2 {
		if _, err := verifier.Verify(context.Background(), mint(t, entra, spec)); err != nil {
			t.Fatal(err)
		}
		if err := entra.RotateKeys(false); err != nil {
			t.Fatal(err)
		}
	}
}

// TestAuthorityStartsLater has the server up before its authority answers.
func TestAuthorityStartsLater(t *testing.T) {
	entra, sample, verifier := tenant(t)
	entra.Inject(fakeentra.Fault{Status: http.StatusServiceUnavailable, Body: "starting"})
	raw := mint(t, entra, fakeentra.TokenSpec{Person: sample.Ada.UPN, Scopes: []string{fakeentra.SampleScope}})
	_, err := verifier.Verify(context.Background(), raw)
	var unavailable *auth.UnavailableError
	if !errors.As(err, &unavailable) {
		t.Fatalf("got %v, want the authority to be unavailable", err)
	}
	entra.ClearFaults()
	deadline := time.Now().Add(30 * time.Second)
	for {
		if _, err = verifier.Verify(context.Background(), raw); err == nil {
			return
		}
		if !errors.As(err, &unavailable) || time.Now().After(deadline) {
			t.Fatal(err)
		}
		<-time.After(50 * time.Millisecond) // real network, so no synctest
	}
}

// TestRolloverUnderLoad signs with a new key while tokens of both keys keep
// coming in: none is refused, and the keys are fetched once more.
func TestRolloverUnderLoad(t *testing.T) {
	entra, sample, verifier := tenant(t)
	fresh := func() string {
		return mint(t, entra, fakeentra.TokenSpec{Person: sample.Ada.UPN, Scopes: []string{fakeentra.SampleScope}})
	}
	old := make([]string, 8)
	for i := range old {
		old[i] = fresh()
	}
	if _, err := verifier.Verify(t.Context(), old[0]); err != nil {
		t.Fatal(err)
	}
	fetched := entra.CountRequests(fakeentra.EndpointKeys, "")
	if err := entra.RotateKeys(false); err != nil {
		t.Fatal(err)
	}
	var load sync.WaitGroup
	for i := range 32 {
		raw := old[i%len(old)]
		if i%2 == 0 {
			raw = fresh()
		}
		load.Go(func() {
			for range 50 {
				if _, err := verifier.Verify(t.Context(), raw); err != nil {
					t.Errorf("refused during a rollover: %v", err)
					return
				}
			}
		})
	}
	load.Wait()
	if n := entra.CountRequests(fakeentra.EndpointKeys, "") - fetched; n != 1 {
		t.Errorf("keys were fetched %d times", n)
	}
}

// TestOutageLater has the authority go away: what it has published is good for
// a day, also for tokens that are new.
func TestOutageLater(t *testing.T) {
	entra, sample, verifier := tenant(t)
	spec := fakeentra.TokenSpec{Person: sample.Ada.UPN, Scopes: []string{fakeentra.SampleScope}}
	if _, err := verifier.Verify(t.Context(), mint(t, entra, spec)); err != nil {
		t.Fatal(err)
	}
	entra.Inject(fakeentra.FaultOutage())
	if _, err := verifier.Verify(t.Context(), mint(t, entra, spec)); err != nil {
		t.Errorf("a new token of a known key: %v", err)
	}
	if err := entra.RotateKeys(false); err != nil {
		t.Fatal(err)
	}
	var unavailable *auth.UnavailableError
	if _, err := verifier.Verify(t.Context(), mint(t, entra, spec)); !errors.As(err, &unavailable) {
		t.Errorf("a token of a key that can't be fetched: %v", err)
	}
}
