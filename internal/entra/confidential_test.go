package entra_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mcpctl/mcpctl/internal/entra"
	"github.com/mcpctl/mcpctl/internal/fakeentra"
)

const (
	crmURI    = "api://crm.contoso.example"
	crmScope  = crmURI + "/Crm.Read"
	apiSecret = "the-API's~own.secret_0123456789"
)

// middle is a tenant whose sample API calls another API, the CRM.
type middle struct {
	*tenant
	crm fakeentra.App
	dir string
}

func startMiddle(t *testing.T, change func(api *fakeentra.App)) *middle {
	t.Helper()
	m := &middle{tenant: startTenant(t, fakeentra.Options{}), dir: t.TempDir()}
	var err error
	if m.crm, err = m.RegisterApp(fakeentra.App{
		Name: "CRM", IDURIs: []string{crmURI}, TokenVersion: 2, OptionalClaims: []string{"idtyp"},
		Scopes: []fakeentra.Scope{{Name: "Crm.Read"}}, Roles: []fakeentra.Role{{Name: "Crm.Sync"}},
	}); err != nil {
		t.Fatal(err)
	}
	api := m.sample.API
	api.Secret = apiSecret
	api.AdminConsented = []string{crmScope}
	api.AppPermissions = map[string][]string{m.crm.ClientID: {"Crm.Sync"}}
	if change != nil {
		change(&api)
	}
	if _, err := m.RegisterApp(api); err != nil {
		t.Fatal(err)
	}
	return m
}

func (m *middle) file(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(m.dir, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func (m *middle) confidential(t *testing.T, c entra.Credential, change ...func(*entra.ConfidentialOptions)) *entra.Confidential {
	t.Helper()
	o := entra.ConfidentialOptions{Authority: m.authority, ClientID: m.sample.API.ClientID, Credential: c}
	for _, f := range change {
		f(&o)
	}
	client, err := entra.NewConfidential(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.CloseIdleConnections)
	return client
}

func (m *middle) withSecret(t *testing.T, change ...func(*entra.ConfidentialOptions)) *entra.Confidential {
	t.Helper()
	return m.confidential(t, entra.Credential{SecretFile: m.file(t, "secret", apiSecret+"\n")}, change...)
}

// assertion is a token that a person came to the API with.
func (m *middle) assertion(t *testing.T, spec fakeentra.TokenSpec) string {
	t.Helper()
	spec.API, spec.Client = m.sample.API.ClientID, m.sample.Client.ClientID
	if spec.Scopes == nil && spec.Person != "" {
		spec.Scopes = []string{fakeentra.SampleScope}
	}
	token, err := m.MintToken(spec)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func newCertificate(t *testing.T) (cert *x509.Certificate, pemFile string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mcpctl"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	if cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return cert, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})) +
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}))
}

// TestEachCredential exchanges a person's token and gets one of its own, with
// every kind of credential.
func TestEachCredential(t *testing.T) {
	cert, pemText := newCertificate(t)
	const workload = "system:serviceaccount:mcp:mcpctl"
	m := startMiddle(t, func(api *fakeentra.App) {
		api.Certificates = []*x509.Certificate{cert}
		api.Federated = []fakeentra.FederatedCredential{{Subject: workload}}
	})
	federated, err := m.MintToken(fakeentra.TokenSpec{
		API: m.sample.API.ClientID, Claims: map[string]any{"sub": workload, "aud": "api://AzureADTokenExchange"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("IDENTITY_HEADER", "x")
	endpoint := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if got := r.URL.Query().Get("resource"); got != "api://AzureADTokenExchange" || r.Header.Get("X-Identity-Header") != "x" {
			t.Errorf("the identity is asked for %q", got)
		}
		fmt.Fprintf(w, `{"access_token":%q,"expires_on":"%d","resource":"x","token_type":"Bearer"}`, federated, time.Now().Add(time.Hour).Unix())
	}))
	defer endpoint.Close()
	t.Setenv("IDENTITY_ENDPOINT", endpoint.URL)
	identity, err := entra.NewManagedIdentity(entra.ManagedIdentityOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer identity.CloseIdleConnections()
	for name, credential := range map[string]entra.Credential{
		"secret":           {SecretFile: m.file(t, "s", apiSecret)},
		"certificate":      {CertificateFile: m.file(t, "c.pem", pemText), SecretFile: "unused"},
		"federated token":  {FederatedTokenFile: m.file(t, "f", federated+"\n"), CertificateFile: "unused"},
		"managed identity": {ManagedIdentity: identity},
	} {
		t.Run(name, func(t *testing.T) {
			c := m.confidential(t, credential)
			token, expires, err := c.OnBehalfOf(t.Context(), m.TenantID(), m.assertion(t, fakeentra.TokenSpec{Person: m.sample.Ada.UPN}), []string{crmURI + "/.default"}, "")
			if err != nil || !strings.HasPrefix(token, "ey") || time.Until(expires) < time.Minute {
				t.Errorf("on behalf of: %v, expires %v", err, expires)
			}
			if token, _, err = c.ForClient(t.Context(), m.TenantID(), crmURI+"/.default", ""); err != nil || token == "" {
				t.Errorf("for itself: %v", err)
			}
		})
	}
}

// TestConfidentialFailures: what an application can act on is there, and
// nothing that is secret.
func TestConfidentialFailures(t *testing.T) {
	for _, tt := range []struct {
		name  string
		fault fakeentra.Fault
		spec  fakeentra.TokenSpec
		scope string
		check func(*entra.ConfidentialError) bool
	}{
		{name: "MFA", fault: fakeentra.FaultMFA().At(fakeentra.GrantOnBehalfOf), check: func(e *entra.ConfidentialError) bool {
			return e.AADSTS() == 50076 && strings.Contains(e.Claims(), `"acrs"`) && e.CorrelationID() != "" && !e.Temporary()
		}},
		{name: "consent", scope: "User.Read", check: func(e *entra.ConfidentialError) bool {
			return e.AADSTS() == 65001 && e.OAuth() == "invalid_grant" && e.Description() != ""
		}},
		{name: "app-only", spec: fakeentra.TokenSpec{Roles: []string{"Writer"}}, check: func(e *entra.ConfidentialError) bool { return e.AADSTS() == 7000114 }},
		{name: "expired", spec: fakeentra.TokenSpec{IssuedAt: time.Now().Add(-2 * time.Hour), Lifetime: time.Hour}, check: func(e *entra.ConfidentialError) bool { return e.AADSTS() == 500133 }},
		{name: "outage", fault: fakeentra.FaultOutage(), check: (*entra.ConfidentialError).Temporary},
		{name: "throttled", fault: fakeentra.FaultThrottled(30 * time.Second), check: func(e *entra.ConfidentialError) bool {
			return e.Temporary() && e.RetryAfter() == 30*time.Second
		}},
		{name: "no scope", scope: " ", check: func(e *entra.ConfidentialError) bool { return e.AADSTS() != 0 || e.OAuth() == "" }},
		{name: "leak", fault: fakeentra.FaultNoExpiresIn(), check: (*entra.ConfidentialError).Temporary},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := startMiddle(t, nil)
			c := m.withSecret(t)
			if tt.spec.Roles == nil {
				tt.spec.Person = m.sample.Ada.UPN
			}
			assertion := m.assertion(t, tt.spec)
			if tt.fault.Name != "" {
				m.Inject(tt.fault)
			}
			scope := crmScope
			if tt.scope != "" {
				scope = "https://graph.microsoft.com/" + tt.scope
			}
			token, _, err := c.OnBehalfOf(t.Context(), m.TenantID(), assertion, []string{scope}, "")
			var e *entra.ConfidentialError
			if !errors.As(err, &e) || !tt.check(e) || token != "" {
				t.Fatalf("got %v", err)
			}
			var plain *entra.Error
			if !errors.As(err, &plain) {
				t.Error("no *entra.Error inside")
			}
			for _, text := range []string{err.Error(), fmt.Sprintf("%+v", plain)} {
				if strings.Contains(text, assertion[:40]) || strings.Contains(text, apiSecret) || strings.Contains(text, "eyJ") {
					t.Errorf("the error holds a secret: %s", text)
				}
			}
		})
	}
}

func TestWrongSecretIsTheOperatorsFault(t *testing.T) {
	m := startMiddle(t, nil)
	c := m.confidential(t, entra.Credential{SecretFile: m.file(t, "secret", "wrong")})
	_, _, err := c.ForClient(t.Context(), "", crmURI+"/.default", "")
	var e *entra.ConfidentialError
	if !errors.As(err, &e) || e.AADSTS() != 7000215 || e.OAuth() != "invalid_client" || strings.Contains(err.Error(), "wrong") {
		t.Errorf("got %v", err)
	}
}

func TestRotatedSecretIsReadAgain(t *testing.T) {
	m := startMiddle(t, nil)
	path := m.file(t, "secret", "the secret of last year")
	c := m.confidential(t, entra.Credential{SecretFile: path})
	if _, _, err := c.ForClient(t.Context(), "", crmURI+"/.default", ""); err == nil {
		t.Fatal("the old secret works")
	}
	m.file(t, "secret", apiSecret)
	if _, _, err := c.ForClient(t.Context(), "", crmURI+"/.default", ""); err != nil {
		t.Errorf("the new secret does not: %v", err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.ForClient(t.Context(), "", crmURI+"/.default", "{}"); err != nil {
		t.Errorf("a file that is being replaced: %v", err)
	}
}

// TestMSALIsMadeAnew counts discovery requests, of which each MSAL client makes
// one: after an hour, and after 1,000 exchanges.
func TestMSALIsMadeAnew(t *testing.T) {
	m := startMiddle(t, nil)
	now := time.Now()
	c := m.withSecret(t, func(o *entra.ConfidentialOptions) { o.Now = func() time.Time { return now } })
	ask := func() {
		t.Helper()
		if _, _, err := c.ForClient(t.Context(), "", crmURI+"/.default", ""); err != nil {
			t.Fatal(err)
		}
	}
	made := func() int { return m.CountRequests(fakeentra.EndpointDiscovery, "") }
	ask()
	ask()
	if made() != 1 {
		t.Fatalf("%d clients for two requests", made())
	}
	now = now.Add(time.Hour)
	ask()
	if made() != 2 {
		t.Errorf("%d clients after an hour", made())
	}
	for range 1000 {
		ask()
	}
	if made() != 3 {
		t.Errorf("%d clients after 1,000 exchanges more", made())
	}
}

// TestRejectedTokenIsReplaced: {} asks for a new token though there is one.
func TestRejectedTokenIsReplaced(t *testing.T) {
	m := startMiddle(t, nil)
	c := m.withSecret(t)
	first, _, err := c.ForClient(t.Context(), "", crmURI+"/.default", "")
	if err != nil {
		t.Fatal(err)
	}
	second, _, err := c.ForClient(t.Context(), "", crmURI+"/.default", "{}")
	if err != nil || second == first {
		t.Errorf("the same token came again, %v", err)
	}
}

func TestConfidentialRefusesAtStart(t *testing.T) {
	m := startMiddle(t, nil)
	for name, change := range map[string]func(*entra.ConfidentialOptions){
		"no authority":   func(o *entra.ConfidentialOptions) { o.Authority = entra.Authority{} },
		"no client":      func(o *entra.ConfidentialOptions) { o.ClientID = "mcpctl" },
		"no credential":  func(o *entra.ConfidentialOptions) { o.Credential = entra.Credential{} },
		"no secret file": func(o *entra.ConfidentialOptions) { o.Credential = entra.Credential{SecretFile: m.dir + "/none"} },
		"empty secret":   func(o *entra.ConfidentialOptions) { o.Credential = entra.Credential{SecretFile: m.file(t, "e", " \n")} },
		"two lines": func(o *entra.ConfidentialOptions) {
			o.Credential = entra.Credential{SecretFile: m.file(t, "2", "a\nb")}
		},
		"no certificate": func(o *entra.ConfidentialOptions) {
			o.Credential = entra.Credential{CertificateFile: m.file(t, "p", "text")}
		},
		"huge": func(o *entra.ConfidentialOptions) {
			o.Credential = entra.Credential{SecretFile: m.file(t, "h", strings.Repeat("a", 1<<20))}
		},
		"federated token": func(o *entra.ConfidentialOptions) {
			o.Credential = entra.Credential{FederatedTokenFile: m.dir + "/none"}
		},
	} {
		o := entra.ConfidentialOptions{Authority: m.authority, ClientID: m.sample.API.ClientID, Credential: entra.Credential{SecretFile: m.file(t, "secret", apiSecret)}}
		change(&o)
		if _, err := entra.NewConfidential(o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestManagedIdentityFailures(t *testing.T) {
	status, body := http.StatusBadRequest, `{"error":"invalid_request","error_description":"Identity not found"}`
	endpoint := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}))
	defer endpoint.Close()
	t.Setenv("IDENTITY_HEADER", "x")
	t.Setenv("IDENTITY_ENDPOINT", endpoint.URL)
	identity, err := entra.NewManagedIdentity(entra.ManagedIdentityOptions{ClientID: fakeentra.SampleAPIClientID})
	if err != nil {
		t.Fatal(err)
	}
	defer identity.CloseIdleConnections()
	var e *entra.ConfidentialError
	if _, _, err := identity.Token(t.Context(), "api://failing/.default", ""); !errors.As(err, &e) || e.OAuth() != "invalid_request" || e.Temporary() {
		t.Errorf("got %v", err)
	}
	endpoint.Close()
	if _, _, err := identity.Token(t.Context(), "api://failing/.default", ""); !errors.As(err, &e) || !e.Temporary() {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := identity.Token(ctx, "api://failing/.default", ""); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if _, err := entra.NewManagedIdentity(entra.ManagedIdentityOptions{ClientID: "x"}); err == nil {
		t.Error("no error for an identity without a GUID")
	}
}
