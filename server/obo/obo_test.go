package obo_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mcpctl/mcpctl/internal/fakeentra"
	"github.com/mcpctl/mcpctl/server/auth"
	"github.com/mcpctl/mcpctl/server/obo"
)

// TestUpstreamSeesTheCaller: the upstream gets a token for itself that names
// the caller, never the caller's own.
func TestUpstreamSeesTheCaller(t *testing.T) {
	w := newWorld(t)
	transport := w.transport(w.onBehalfOf())
	for _, person := range []fakeentra.Person{w.sample.Ada, w.sample.Grace} {
		inbound := w.mint(fakeentra.TokenSpec{Person: person.UPN})
		w.within(inbound, func(ctx context.Context) {
			for range 3 {
				status, claims, err := w.call(ctx, transport)
				if err != nil || status != http.StatusOK || claims["oid"] != person.OID || claims["scp"] != "Crm.Read" || claims["azp"] != w.sample.API.ClientID {
					t.Errorf("%s: got %d, %v, %v", person.Name, status, claims, err)
				}
			}
		})
		for _, token := range w.got() {
			if token == inbound {
				t.Error("the caller's own token arrived at the upstream")
			}
		}
	}
	if n := w.authority.CountRequests(fakeentra.EndpointToken, fakeentra.GrantOnBehalfOf); n != 2 {
		t.Errorf("%d exchanges for two callers", n)
	}
}

func TestManyRequestsOfACallerAreOneExchange(t *testing.T) {
	w := newWorld(t)
	transport := w.transport(w.onBehalfOf())
	w.within(w.mint(fakeentra.TokenSpec{Person: w.sample.Ada.UPN}), func(ctx context.Context) {
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				if status, _, err := w.call(ctx, transport); err != nil || status != http.StatusOK {
					t.Errorf("got %d, %v", status, err)
				}
			})
		}
		all.Wait()
	})
	if n := w.authority.CountRequests(fakeentra.EndpointToken, fakeentra.GrantOnBehalfOf); n != 1 {
		t.Errorf("%d exchanges", n)
	}
}

// TestRefusals: each failure has its status and says what to do.
func TestRefusals(t *testing.T) {
	const claims = `{"access_token":{"acrs":{"essential":true,"values":["c1"]}}}`
	mfa := fakeentra.FaultMFA().At(fakeentra.GrantOnBehalfOf)
	for _, tt := range []struct {
		name   string
		spec   fakeentra.TokenSpec
		fault  *fakeentra.Fault
		scope  string
		reason obo.Reason
		status int
		header string // part of the answer's header
		text   []string
	}{
		{
			name: "MFA, and the client takes challenges", spec: fakeentra.TokenSpec{CAE: true}, fault: &mfa, reason: obo.ReasonClaims, status: 401,
			header: `error="insufficient_claims", claims="` + base64.StdEncoding.EncodeToString([]byte(claims)) + `"`,
			text:   []string{"AADSTS50076", "multi-factor", "correlation id"},
		},
		{
			name: "MFA, and the client does not", fault: &mfa, reason: obo.ReasonClaims, status: 403,
			text: []string{"AADSTS50076", "multi-factor", "mcpctl login"},
		},
		{
			name: "consent", scope: "https://graph.microsoft.com/User.Read", reason: obo.ReasonConsent, status: 403,
			text: []string{"AADSTS65001", "https://graph.microsoft.com", "/" + fakeentra.SampleTenantID + "/adminconsent?client_id=" + fakeentra.SampleAPIClientID},
		},
		{
			name: "app-only", spec: fakeentra.TokenSpec{Roles: []string{fakeentra.SampleWriterRole}}, reason: obo.ReasonAppOnly, status: 403,
			text: []string{"AADSTS7000114", "client_credentials"},
		},
		{
			name: "blocked", fault: &fakeentra.Fault{Name: "ca", Grant: fakeentra.GrantOnBehalfOf, Error: &fakeentra.Error{Code: "invalid_grant", AADSTS: 53003, Message: "Access has been blocked by Conditional Access policies."}},
			reason: obo.ReasonBlocked, status: 403, text: []string{"AADSTS53003", "Conditional Access", "which policy"},
		},
		{
			name: "revoked", fault: &fakeentra.Fault{Name: "revoked", Grant: fakeentra.GrantOnBehalfOf, Error: &fakeentra.Error{Code: "invalid_grant", AADSTS: 50173, Message: "The provided grant has expired."}},
			reason: obo.ReasonSignIn, status: 401, header: `error="invalid_token"`, text: []string{"AADSTS50173"},
		},
		{
			name: "own secret", fault: &fakeentra.Fault{Name: "secret", Grant: fakeentra.GrantOnBehalfOf, Error: &fakeentra.Error{Status: 401, Code: "invalid_client", AADSTS: 7000222, Message: "The provided client secret keys are expired."}},
			reason: obo.ReasonCredential, status: 403, text: []string{"AADSTS7000222", "operator"},
		},
		{
			name: "throttled", fault: new(fakeentra.FaultThrottled(40 * time.Second)), reason: obo.ReasonUnavailable, status: 503,
			header: "40", text: []string{"again"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			if tt.spec.Roles == nil {
				tt.spec.Person = w.sample.Ada.UPN
			}
			scopes := []string(nil)
			if tt.scope != "" {
				scopes = []string{tt.scope}
			}
			transport := w.transport(w.onBehalfOf(scopes...))
			w.within(w.mint(tt.spec), func(ctx context.Context) {
				if tt.fault != nil {
					w.authority.Inject(*tt.fault)
				}
				_, _, err := w.call(ctx, transport)
				var e *obo.Error
				if !errors.As(err, &e) || e.Reason != tt.reason {
					t.Fatalf("got %v", err)
				}
				p, _ := auth.FromContext(ctx)
				r := obo.Refusal(p, err)
				status, header := w.metadata.Answer("/mcp", r)
				if status != tt.status || !strings.Contains(fmt.Sprint(header), tt.header) || (tt.header == "") != (len(header) == 0) {
					t.Errorf("got %d %v, want %d with %q", status, header, tt.status, tt.header)
				}
				if status == 401 && !strings.Contains(header.Get("WWW-Authenticate"), "resource_metadata=") {
					t.Errorf("challenge %v", header)
				}
				for _, part := range tt.text {
					if !strings.Contains(r.Description+" "+r.Fix, part) {
						t.Errorf("%q is missing in: %s %s", part, r.Description, r.Fix)
					}
				}
				if noted := auth.Refused(ctx); noted == nil || noted.Status != status || noted.Description != r.Description {
					t.Errorf("noted for the request: %+v", noted)
				}
			})
			if len(w.got()) != 0 {
				t.Error("the upstream was called without a credential")
			}
		})
	}
}

// TestFailuresAreNotRepeated: asking again and again makes Entra refuse all.
func TestFailuresAreNotRepeated(t *testing.T) {
	w := newWorld(t)
	w.authority.Inject(fakeentra.FaultMFA().At(fakeentra.GrantOnBehalfOf))
	transport := w.transport(w.onBehalfOf())
	w.within(w.mint(fakeentra.TokenSpec{Person: w.sample.Ada.UPN}), func(ctx context.Context) {
		for range 10 {
			if _, _, err := w.call(ctx, transport); err == nil {
				t.Error("no error")
			}
		}
	})
	if n := w.authority.CountRequests(fakeentra.EndpointToken, fakeentra.GrantOnBehalfOf); n != 1 {
		t.Errorf("%d exchanges", n)
	}
	// Whoever has signed in again is not shown the old refusal.
	w.authority.ClearFaults()
	w.within(w.mint(fakeentra.TokenSpec{Person: w.sample.Ada.UPN}), func(ctx context.Context) {
		if status, _, err := w.call(ctx, transport); err != nil || status != http.StatusOK {
			t.Errorf("got %d, %v", status, err)
		}
	})
}

// asked is an authority that remembers the claims it was asked for.
type asked struct {
	obo.Authority
	claims []string
}

func (a *asked) OnBehalfOf(ctx context.Context, tenant, assertion string, scopes []string, claims string) (string, time.Time, error) {
	a.claims = append(a.claims, claims)
	return a.Authority.OnBehalfOf(ctx, tenant, assertion, scopes, claims)
}

// TestRejectedByTheUpstream: another token is tried once; the upstream's claims
// challenge goes into the exchange.
func TestRejectedByTheUpstream(t *testing.T) {
	w := newWorld(t)
	authority := &asked{Authority: w.client}
	source, err := obo.NewOnBehalfOf(obo.OnBehalfOfOptions{Authority: authority, Scopes: []string{crmURI + "/.default"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(source.Close)
	transport := w.transport(source)
	challenge := base64.StdEncoding.EncodeToString([]byte(`{"access_token":{"acrs":{"essential":true,"value":"c7"}}}`))
	header := ""
	reject := func(rw http.ResponseWriter, r *http.Request) bool {
		if got := w.got(); r.Header.Get("Authorization") != "Bearer "+got[0] {
			return false
		}
		rw.Header().Set("WWW-Authenticate", header)
		rw.WriteHeader(http.StatusUnauthorized)
		return true
	}
	header = `Bearer realm="", authorization_uri="https://login.example", error="insufficient_claims", claims="` + challenge + `"`
	w.answering(reject)
	w.within(w.mint(fakeentra.TokenSpec{Person: w.sample.Ada.UPN}), func(ctx context.Context) {
		if status, claims, err := w.call(ctx, transport); err != nil || status != http.StatusOK {
			t.Errorf("got %d, %v, %v", status, claims, err)
		}
		if len(w.got()) != 2 || len(authority.claims) != 2 || authority.claims[0] != "" || authority.claims[1] != challenge {
			t.Errorf("%d requests, claims %q", len(w.got()), authority.claims)
		}
		if status, _, err := w.call(ctx, transport); err != nil || status != http.StatusOK || len(w.got()) != 3 {
			t.Errorf("got %d, %v with %d requests: the better token was not kept", status, err, len(w.got()))
		}
		w.answering(func(rw http.ResponseWriter, _ *http.Request) bool {
			rw.WriteHeader(http.StatusUnauthorized)
			return true
		})
		if status, _, err := w.call(ctx, transport); err != nil || status != http.StatusUnauthorized || len(w.got()) != 5 || authority.claims[2] != "{}" {
			t.Errorf("got %d, %v with %d requests, claims %q; want one more attempt", status, err, len(w.got()), authority.claims)
		}
	})
}

// TestOutageAndBack: while the authority is down tokens that are kept do, and
// others say when to come back.
func TestOutageAndBack(t *testing.T) {
	w := newWorld(t)
	transport := w.transport(w.onBehalfOf())
	known, unknown := w.mint(fakeentra.TokenSpec{Person: w.sample.Ada.UPN}), w.mint(fakeentra.TokenSpec{Person: w.sample.Grace.UPN})
	w.within(known, func(ctx context.Context) { _, _, _ = w.call(ctx, transport) })
	w.within(unknown, func(ctx context.Context) {
		w.authority.Inject(fakeentra.FaultServerError())
		var e *obo.Error
		if _, _, err := w.call(ctx, transport); !errors.As(err, &e) || e.Reason != obo.ReasonUnavailable || e.RetryAfter <= 0 {
			t.Errorf("got %v", err)
		}
	})
	w.within(known, func(ctx context.Context) {
		if status, _, err := w.call(ctx, transport); err != nil || status != http.StatusOK {
			t.Errorf("got %d, %v with a token that is kept", status, err)
		}
	})
}

func TestNobodyAndExpired(t *testing.T) {
	w := newWorld(t)
	transport := w.transport(w.onBehalfOf())
	p := &auth.Principal{TenantID: fakeentra.SampleTenantID, ObjectID: w.sample.Ada.OID, ExpiresAt: time.Now().Add(-time.Second)}
	for name, tt := range map[string]struct {
		ctx    context.Context
		reason obo.Reason
	}{
		"nobody":              {t.Context(), obo.ReasonNoCaller},
		"no token kept":       {auth.NewContext(t.Context(), p), obo.ReasonNoCaller},
		"its time has passed": {auth.WithAssertion(t.Context(), p, "token"), obo.ReasonSignIn},
	} {
		var e *obo.Error
		if _, _, err := w.call(tt.ctx, transport); !errors.As(err, &e) || e.Reason != tt.reason {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestApplicationsOwnToken(t *testing.T) {
	w := newWorld(t)
	source, err := obo.NewClientCredentials(obo.ApplicationOptions{Authority: w.client, Scope: crmURI + "/.default", Logger: w.logger()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(source.Close)
	transport := w.transport(source)
	for range 3 {
		status, claims, err := w.call(t.Context(), transport)
		if err != nil || status != http.StatusOK || claims["idtyp"] != "app" {
			t.Errorf("got %d, %v, %v", status, claims, err)
		}
	}
	if n := w.authority.CountRequests(fakeentra.EndpointToken, fakeentra.GrantClientCredentials); n != 1 {
		t.Errorf("%d requests", n)
	}
	if token, err := source.Token(t.Context()); err != nil || token != w.got()[0] {
		t.Errorf("the token itself: %v", err)
	}
	w.answering(func(rw http.ResponseWriter, _ *http.Request) bool {
		if len(w.got()) == 4 {
			rw.WriteHeader(http.StatusUnauthorized)
		}
		return len(w.got()) == 4
	})
	if status, _, err := w.call(t.Context(), transport); err != nil || status != http.StatusOK || w.got()[3] == w.got()[4] {
		t.Errorf("got %d, %v after a rejected token", status, err)
	}
	w.authority.Inject(fakeentra.FaultMFA())
	other, err := obo.NewClientCredentials(obo.ApplicationOptions{Authority: w.client, Scope: "https://graph.microsoft.com/.default"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(other.Close)
	var e *obo.Error
	if _, err := other.Token(t.Context()); !errors.As(err, &e) || e.Reason != obo.ReasonCredential {
		t.Errorf("got %v: callers can't sign in for the server", err)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	w := newWorld(t)
	if _, err := obo.NewOnBehalfOf(obo.OnBehalfOfOptions{Scopes: []string{"x"}}); err == nil {
		t.Error("no authority")
	}
	if _, err := obo.NewOnBehalfOf(obo.OnBehalfOfOptions{Authority: w.client}); err == nil {
		t.Error("no scopes")
	}
	if _, err := obo.NewClientCredentials(obo.ApplicationOptions{Scope: crmURI + "/.default"}); err == nil {
		t.Error("no authority")
	}
	if _, err := obo.NewClientCredentials(obo.ApplicationOptions{Authority: w.client, Scope: crmURI + "/Crm.Read"}); err == nil {
		t.Error("not .default")
	}
	if _, err := obo.NewManagedIdentity(obo.ApplicationOptions{Scope: crmURI + "/.default"}); err == nil {
		t.Error("no identity")
	}
	if _, err := obo.NewTransport(http.DefaultTransport, "/mcp", nil, nil); err == nil {
		t.Error("no origin")
	}
}

// TestTryNeedsNoCaller: whether callers' tokens could be exchanged shows without
// one, and what is at fault is told with what to do.
func TestTryNeedsNoCaller(t *testing.T) {
	w := newWorld(t)
	if _, err := w.authority.RegisterApp(fakeentra.App{
		Name: "Assigned only", IDURIs: []string{"api://assigned"}, TokenVersion: 2, AssignmentRequired: true, Scopes: []fakeentra.Scope{{Name: "Read"}},
	}); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		scope  string
		fault  fakeentra.Fault
		reason obo.Reason // "" for none
		say    string
	}{
		"it works":                               {scope: crmURI + "/Crm.Read"},
		"the application itself is not assigned": {scope: "api://assigned/Read"},
		"no such API":                            {scope: "api://nobody/Read", reason: obo.ReasonCredential, say: "AADSTS500011"},
		"an outage":                              {scope: "https://graph.microsoft.com/User.Read", fault: fakeentra.FaultOutage(), reason: obo.ReasonUnavailable, say: "503"},
	} {
		t.Run(name, func(t *testing.T) {
			if tt.fault.Name != "" {
				w.authority.Inject(tt.fault)
				defer w.authority.ClearFaults()
			}
			err := obo.Try(t.Context(), obo.Join(w.onBehalfOf(tt.scope)))
			var e *obo.Error
			if tt.reason == "" && err != nil || tt.reason != "" && (!errors.As(err, &e) || e.Reason != tt.reason) {
				t.Fatalf("got %v", err)
			}
			if err == nil {
				return
			}
			if cause, fix := obo.Diagnose(err); !strings.Contains(cause+" "+fix, tt.say) {
				t.Errorf("told %q, %q", cause, fix)
			}
		})
	}
	if err := obo.Try(t.Context(), nil); err != nil {
		t.Errorf("got %v for nothing", err)
	}
}
