package server

import (
	"context"
	"encoding/pem"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mcpctl/mcpctl/internal/entra"
	"github.com/mcpctl/mcpctl/internal/fakeentra"
	"github.com/mcpctl/mcpctl/server/auth"
)

// TestCredentialsOfAConfiguration builds what a configuration asks for, against
// an authority: the upstream's credential, Graph, and look-ups of groups.
func TestCredentialsOfAConfiguration(t *testing.T) {
	authority, err := fakeentra.Start(fakeentra.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = authority.Close() })
	sample, err := authority.AddSample("")
	if err != nil {
		t.Fatal(err)
	}
	api := sample.API
	api.Secret, api.AdminConsented = "secret", []string{"https://graph.microsoft.com/User.Read"}
	api.AppPermissions = map[string][]string{fakeentra.GraphClientID: {"GroupMember.Read.All"}}
	if _, err := authority.RegisterApp(api); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	ca := file("ca.pem", string(authority.CAPEM()))
	parsed, err := entra.ParseAuthority(authority.Authority(), ca)
	if err != nil {
		t.Fatal(err)
	}
	client, err := entra.NewConfidential(entra.ConfidentialOptions{
		Authority: parsed, ClientID: api.ClientID, Credential: entra.Credential{SecretFile: file("secret", "secret")},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.CloseIdleConnections)

	var seen []http.Header
	// One server plays the upstream and Graph, on loopback TLS as the latter has to be.
	elsewhere := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = append(seen, r.Header.Clone())
		if strings.Contains(r.URL.Path, "/transitiveMemberOf/") {
			_, _ = io.WriteString(w, `{"value":[{"id":"g1"},{"id":"g2"}]}`)
		}
	}))
	t.Cleanup(elsewhere.Close)

	both := file("both.pem", string(authority.CAPEM())+string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: elsewhere.Certificate().Raw})))
	cfg := Config{Entra: Entra{
		Authority: authority.Authority(), CAFile: both, ClientID: api.ClientID, GraphURL: elsewhere.URL,
	}}
	log := &strings.Builder{}
	c := newCredentials(Credentials{Authority: client}, cfg, []string{authority.IssuerV2()}, slog.New(slog.NewTextHandler(log, nil)))
	t.Cleanup(func() { _ = c.Close() })
	if c.login != authority.BaseURL() {
		t.Errorf("links start at %s", c.login)
	}

	inbound, err := authority.MintToken(fakeentra.TokenSpec{API: api.ClientID, Client: sample.Client.ClientID, Person: sample.Ada.UPN, Scopes: []string{fakeentra.SampleScope}})
	if err != nil {
		t.Fatal(err)
	}
	p := &auth.Principal{TenantID: authority.TenantID(), ObjectID: sample.Ada.OID, ExpiresAt: time.Now().Add(time.Hour)}
	ctx := auth.WithAssertion(t.Context(), p, inbound)
	send := func(rt http.RoundTripper) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, elsewhere.URL+"/mcp", http.NoBody)
		if err != nil {
			return err
		}
		resp, err := rt.RoundTrip(req)
		if err == nil {
			_ = resp.Body.Close()
		}
		return err
	}
	up := Upstream{
		Name: "crm", URL: elsewhere.URL + "/mcp", HeaderFiles: map[string]string{"X-Key": file("key", "k")},
		OnBehalfOf: OnBehalfOf{Scopes: []string{"https://graph.microsoft.com/User.Read"}},
	}
	transport, _, err := c.transport(up, elsewhere.Client().Transport)
	if err != nil {
		t.Fatal(err)
	}
	if err := send(transport); err != nil || seen[0].Get("X-Key") != "k" || !strings.HasPrefix(seen[0].Get("Authorization"), "Bearer ey") {
		t.Errorf("the upstream got %v, %v", seen, err)
	}
	source, err := c.graphSource()
	if err != nil {
		t.Fatal(err)
	}
	g, err := c.graph(source, http.DefaultTransport)
	if err != nil || g.URL != elsewhere.URL {
		t.Fatalf("got %v, %v", g.URL, err)
	}
	if err := send(g.HTTP); err != nil || seen[1].Get("Authorization") == "" {
		t.Errorf("Graph got %v, %v", seen[1], err)
	}
	groups, err := c.groups(elsewhere.Client())
	if err != nil {
		t.Fatal(err)
	}
	if list, err := groups.Of(ctx, p); err != nil || len(list) != 2 {
		t.Errorf("groups %v, %v", list, err)
	}
	if strings.Contains(log.String(), "eyJ") {
		t.Errorf("a token in the log: %s", log)
	}

	plain := newCredentials(Credentials{}, cfg, nil, slog.New(slog.DiscardHandler))
	if _, _, err := plain.transport(up, http.DefaultTransport); err == nil {
		t.Error("On-Behalf-Of without a credential")
	}
	if groups, err := plain.groups(nil); groups != nil || err != nil {
		t.Errorf("got %v, %v without a credential", groups, err)
	}
}

func TestWhatCallersAreToldIsTheRefusal(t *testing.T) {
	metadata, err := auth.NewMetadata(auth.MetadataOptions{PublicURL: "https://mcp.contoso.com/mcp", AuthorizationServers: []string{"https://login.example/t/v2.0"}})
	if err != nil {
		t.Fatal(err)
	}
	tell := lacking(metadata, "/mcp")
	if got := tell(t.Context(), context.Canceled); got != nil {
		t.Errorf("got %+v", got)
	}
	p := &auth.Principal{ClientCapabilities: []string{"cp1"}}
	ctx := auth.WithAssertion(t.Context(), p, "token")
	auth.Refuse(ctx, auth.NeedClaims(p, `{"access_token":{}}`, "Another factor is needed."))
	got := tell(ctx, nil)
	if got == nil || got.Status != http.StatusUnauthorized || !strings.Contains(got.Header.Get("WWW-Authenticate"), "insufficient_claims") || !strings.Contains(got.Text, "Another factor") {
		t.Errorf("got %+v", got)
	}
}
