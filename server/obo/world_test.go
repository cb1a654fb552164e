package obo_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/mcpctl/mcpctl/internal/entra"
	"github.com/mcpctl/mcpctl/internal/fakeentra"
	"github.com/mcpctl/mcpctl/server/auth"
	"github.com/mcpctl/mcpctl/server/obo"
)

var (
	_ obo.Authority = (*entra.Confidential)(nil)
	_ obo.Identity  = (*entra.ManagedIdentity)(nil)
	_ obo.Failure   = (*entra.ConfidentialError)(nil)
)

const (
	crmURI = "api://crm.contoso.example"
	secret = "the-API's~own.secret_0123456789"
)

// world is an authority, this server's guard and credential, and an upstream
// that wants tokens for the CRM.
type world struct {
	t         *testing.T
	authority *fakeentra.Server
	sample    fakeentra.Sample
	crm       fakeentra.App
	client    *entra.Confidential
	verifier  *auth.Verifier
	metadata  *auth.Metadata
	log       *logBuffer
	upstream  *httptest.Server

	mu     sync.Mutex
	tokens []string // that the upstream got
	answer func(w http.ResponseWriter, r *http.Request) bool
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, log: &logBuffer{}}
	var err error
	if w.authority, err = fakeentra.Start(fakeentra.Options{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.authority.Close() })
	if w.sample, err = w.authority.AddSample(""); err != nil {
		t.Fatal(err)
	}
	if w.crm, err = w.authority.RegisterApp(fakeentra.App{
		Name: "CRM", IDURIs: []string{crmURI}, TokenVersion: 2, OptionalClaims: []string{"idtyp"},
		Scopes: []fakeentra.Scope{{Name: "Crm.Read"}}, Roles: []fakeentra.Role{{Name: "Crm.Sync"}},
	}); err != nil {
		t.Fatal(err)
	}
	api := w.sample.API
	api.Secret, api.AdminConsented = secret, []string{crmURI + "/Crm.Read"}
	api.AppPermissions = map[string][]string{w.crm.ClientID: {"Crm.Sync"}}
	api.OptionalClaims = []string{"idtyp", "xms_cc"}
	if _, err = w.authority.RegisterApp(api); err != nil {
		t.Fatal(err)
	}
	w.openClient()
	w.openGuard()
	w.upstream = httptest.NewServer(http.HandlerFunc(w.serve))
	t.Cleanup(w.upstream.Close)
	t.Cleanup(func() {
		for _, raw := range []string{secret, "eyJ"} {
			if strings.Contains(w.log.String(), raw) {
				t.Errorf("the log holds a secret: %s", w.log)
			}
		}
	})
	return w
}

func (w *world) logger() *slog.Logger {
	return slog.New(slog.NewJSONHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func (w *world) openClient() {
	dir := w.t.TempDir()
	ca, secretFile := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "secret")
	for path, content := range map[string]string{ca: string(w.authority.CAPEM()), secretFile: secret} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			w.t.Fatal(err)
		}
	}
	authority, err := entra.ParseAuthority(w.authority.Authority(), ca)
	if err != nil {
		w.t.Fatal(err)
	}
	w.client, err = entra.NewConfidential(entra.ConfidentialOptions{
		Authority: authority, ClientID: w.sample.API.ClientID,
		Credential: entra.Credential{SecretFile: secretFile}, Logger: w.logger(),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(w.client.CloseIdleConnections)
}

func (w *world) openGuard() {
	var err error
	w.verifier, err = auth.New(auth.Options{
		Authority: w.authority.Authority(), Audiences: []string{w.sample.API.ClientID, w.sample.API.IDURIs[0]},
		RequiredScopes: []string{fakeentra.SampleScope}, RequiredRoles: []string{fakeentra.SampleWriterRole},
		HTTPClient: w.authority.HTTPClient(), Logger: w.logger(),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = w.verifier.Close() })
	if w.metadata, err = auth.NewMetadata(auth.MetadataOptions{
		PublicURL: "https://mcp.contoso.example/mcp", AuthorizationServers: w.verifier.AuthorizationServers(),
		AppIDURI: w.sample.API.IDURIs[0], Scopes: []string{fakeentra.SampleScope},
	}); err != nil {
		w.t.Fatal(err)
	}
}

// serve is the upstream: it wants a token of the authority for the CRM.
func (w *world) serve(rw http.ResponseWriter, r *http.Request) {
	raw := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	w.mu.Lock()
	w.tokens = append(w.tokens, raw)
	answer := w.answer
	w.mu.Unlock()
	if answer != nil && answer(rw, r) {
		return
	}
	claims := w.claims(raw)
	if claims["aud"] != w.crm.ClientID {
		rw.WriteHeader(http.StatusUnauthorized)
		return
	}
	_, _ = io.Copy(io.Discard, r.Body)
	_ = json.NewEncoder(rw).Encode(claims)
}

func (w *world) claims(raw string) map[string]any {
	token, err := jwt.ParseSigned(raw, []jose.SignatureAlgorithm{jose.RS256})
	claims := map[string]any{}
	if err == nil {
		_ = token.UnsafeClaimsWithoutVerification(&claims)
	}
	return claims
}

func (w *world) got() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]string(nil), w.tokens...)
}

func (w *world) answering(f func(rw http.ResponseWriter, r *http.Request) bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answer = f
}

func (w *world) onBehalfOf(scopes ...string) *obo.OnBehalfOf {
	w.t.Helper()
	if scopes == nil {
		scopes = []string{crmURI + "/.default"}
	}
	s, err := obo.NewOnBehalfOf(obo.OnBehalfOfOptions{
		Authority: w.client, Scopes: scopes, ClientID: w.sample.API.ClientID, Login: w.authority.BaseURL(), Logger: w.logger(),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(s.Close)
	return s
}

func (w *world) transport(source obo.Source) *obo.Transport {
	w.t.Helper()
	base := &http.Transport{}
	w.t.Cleanup(base.CloseIdleConnections)
	t, err := obo.NewTransport(base, w.upstream.URL+"/mcp", source, w.logger())
	if err != nil {
		w.t.Fatal(err)
	}
	return t
}

func (w *world) mint(spec fakeentra.TokenSpec) string {
	w.t.Helper()
	spec.API, spec.Client = w.sample.API.ClientID, w.sample.Client.ClientID
	if spec.Person != "" {
		spec.Scopes = []string{fakeentra.SampleScope}
	}
	token, err := w.authority.MintToken(spec)
	if err != nil {
		w.t.Fatal(err)
	}
	return token
}

// within runs do with the context of a request that came in with token.
func (w *world) within(token string, do func(ctx context.Context)) {
	w.t.Helper()
	guard, err := auth.NewGuard(auth.GuardOptions{Verifier: w.verifier, Metadata: w.metadata, KeepAssertion: true, Logger: w.logger()})
	if err != nil {
		w.t.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodPost, "/mcp", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	ran := false
	rec := httptest.NewRecorder()
	guard.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		ran = true
		do(r.Context())
	})).ServeHTTP(rec, r)
	if !ran {
		w.t.Fatalf("the guard refused: %s", rec.Body)
	}
}

// call sends a message to the upstream and returns the status and the claims
// of the token that arrived.
func (w *world) call(ctx context.Context, t http.RoundTripper) (int, map[string]any, error) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.upstream.URL+"/mcp", strings.NewReader(`{"jsonrpc":"2.0"}`))
	if err != nil {
		w.t.Fatal(err)
	}
	resp, err := t.RoundTrip(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	var claims map[string]any
	_ = json.NewDecoder(resp.Body).Decode(&claims)
	return resp.StatusCode, claims, nil
}

// logBuffer keeps what is logged.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
