package cmd

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mcpctl/mcpctl/bridge"
	"github.com/mcpctl/mcpctl/internal/entra"
	"github.com/mcpctl/mcpctl/internal/fakeentra"
	"github.com/mcpctl/mcpctl/internal/profile"
)

const (
	apiURI    = "https://mcp.example/mcp"
	readScope = apiURI + "/Read"
	moreScope = apiURI + "/Write"
)

// sourced is a profile with the scope Read, at an authority whose API also has
// the scope Write.
type sourced struct {
	*profileSource
	t         *testing.T
	authority *fakeentra.Server
	ada       fakeentra.Person
}

// newSourced registers a client to which the organisation has granted the
// scopes in advance. url is the MCP server's address.
func newSourced(t *testing.T, url string, granted ...string) *sourced {
	t.Helper()
	t.Setenv(profile.DirVariable, t.TempDir())
	authority, err := fakeentra.Start(fakeentra.Options{Lifetimes: fakeentra.Lifetimes{PollInterval: time.Second}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = authority.Close() })
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, authority.CAPEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := authority.RegisterApp(fakeentra.App{
		Name: "API", ClientID: fakeentra.SampleAPIClientID, IDURIs: []string{apiURI}, TokenVersion: 2,
		Scopes: []fakeentra.Scope{{Name: "Read"}, {Name: "Write"}},
	}); err != nil {
		t.Fatal(err)
	}
	client, err := authority.RegisterApp(fakeentra.App{Name: "mcpctl", PublicClient: true, RedirectURIs: []string{"http://localhost"}, AdminConsented: granted})
	if err != nil {
		t.Fatal(err)
	}
	ada, err := authority.AddPerson(fakeentra.Person{Name: "Ada", UPN: "ada@contoso.example"})
	if err != nil {
		t.Fatal(err)
	}
	deps := SystemDeps()
	deps.Getenv = func(string) string { return "" }
	profiles, err := openProfiles(deps)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := profiles.Save(profile.Profile{
		URL: url, Authority: authority.Authority(), TenantID: authority.TenantID(), ClientID: client.ClientID,
		Scopes: []string{readScope}, DevCA: ca, TokenStore: "file",
	}); err != nil {
		t.Fatal(err)
	}
	s := &sourced{profileSource: newProfileSource(deps, profiles, url, nil), t: t, authority: authority, ada: ada}
	t.Cleanup(func() {
		if client, _, err := s.current(); err == nil {
			client.CloseIdleConnections()
		}
	})
	return s
}

// signIn signs ada in and returns the token.
func (s *sourced) signIn() bridge.Token {
	s.t.Helper()
	err := s.SignIn(s.t.Context(), nil, func(p bridge.Prompt) {
		if err := s.authority.ApproveDevice(p.Code, s.ada.UPN); err != nil {
			s.t.Error(err)
		}
	})
	if err != nil {
		s.t.Fatal(err)
	}
	token, _, err := s.Token(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	return token
}

func (s *sourced) pinnedScopes() []string {
	s.t.Helper()
	p, err := s.profiles.Load(s.url)
	if err != nil {
		s.t.Fatal(err)
	}
	return p.Scopes
}

func lacks(scope string) []string {
	return []string{fmt.Sprintf(`Bearer error="insufficient_scope", scope=%q, resource_metadata="https://mcp.example/.well-known/oauth-protected-resource/mcp"`, scope)}
}

// Checklist 40, silently: what the organisation has granted is asked for once,
// pinned, and asking again is refused, since it would gain nothing.
func TestRow40StepUp(t *testing.T) {
	for _, asked := range []string{moreScope, "Write", readScope + " " + moreScope, "Read Write openid"} {
		t.Run(asked, func(t *testing.T) {
			s := newSourced(t, "https://mcp.example/mcp", readScope, moreScope)
			old := s.signIn()
			token, _, err := s.Elevate(t.Context(), old, lacks(asked))
			if err != nil || token == old || token == "" {
				t.Fatalf("same token %v, %v", token == old, err)
			}
			if got := s.pinnedScopes(); !slices.Equal(got, []string{readScope, moreScope}) {
				t.Errorf("pinned %v", got)
			}
			before := s.authority.CountRequests(fakeentra.EndpointToken, "")
			// Whoever comes with the old token gets the new one.
			if again, _, err := s.Elevate(t.Context(), old, lacks(asked)); err != nil || again != token {
				t.Errorf("another token %v, %v", again != token, err)
			}
			if _, _, err := s.Elevate(t.Context(), token, lacks(asked)); err == nil || !strings.Contains(err.Error(), "gains nothing") {
				t.Errorf("asked again: %v", err)
			}
			if n := s.authority.CountRequests(fakeentra.EndpointToken, "") - before; n != 0 {
				t.Errorf("%d requests for nothing", n)
			}
		})
	}
}

// Checklist 40, in band: what nobody has granted needs the person; the sign-in
// in hand stays good, and the next one asks for the union.
func TestRow40StepUpNeedsThePerson(t *testing.T) {
	s := newSourced(t, "https://mcp.example/mcp", readScope)
	old := s.signIn()
	_, _, err := s.Elevate(t.Context(), old, lacks(moreScope))
	if !errors.Is(err, bridge.ErrConsentNeeded) || errors.Is(err, bridge.ErrSignInNeeded) || !strings.Contains(err.Error(), moreScope) {
		t.Fatalf("error %v", err)
	}
	if token, _, err := s.Token(t.Context()); err != nil || token != old {
		t.Errorf("the sign-in in hand: %v, %v", token == old, err)
	}
	if got := s.pinnedScopes(); !slices.Equal(got, []string{readScope}) {
		t.Errorf("pinned before the person agreed: %v", got)
	}
	if token := s.signIn(); token == old {
		t.Error("the token is as before")
	}
	if got := s.pinnedScopes(); !slices.Equal(got, []string{readScope, moreScope}) {
		t.Errorf("pinned %v", got)
	}
}

// A server can't step up to what belongs to others.
func TestStepUpIsRefused(t *testing.T) {
	s := newSourced(t, "https://mcp.example/mcp", readScope)
	old := s.signIn()
	for asked, want := range map[string]string{
		"https://graph.microsoft.com/Mail.Read": "Microsoft Graph",
		"api://other-api/Write":                 "two resources",
		"":                                      "not which one",
	} {
		_, _, err := s.Elevate(t.Context(), old, lacks(asked))
		if err == nil || !strings.Contains(err.Error(), want) || errors.Is(err, bridge.ErrConsentNeeded) {
			t.Errorf("%q: %v", asked, err)
		}
	}
	if got := s.pinnedScopes(); !slices.Equal(got, []string{readScope}) {
		t.Errorf("pinned %v", got)
	}
}

// A claims challenge is answered silently, and a token that can't be replaced is
// not given out again.
func TestRow05RefreshWhileRunning(t *testing.T) {
	s := newSourced(t, "https://mcp.example/mcp", readScope)
	old := s.signIn()
	claims := []string{`Bearer error="insufficient_claims", claims="eyJhY2Nlc3NfdG9rZW4iOnsibmJmIjp7ImVzc2VudGlhbCI6dHJ1ZSwidmFsdWUiOiIxIn19fQ"`}
	token, _, err := s.Refresh(t.Context(), old, claims)
	if err != nil || token == old {
		t.Fatalf("same token %v, %v", token == old, err)
	}
	if n := s.authority.CountRequests(fakeentra.EndpointToken, fakeentra.GrantRefreshToken); n != 1 {
		t.Errorf("%d refreshes", n)
	}
	s.authority.Inject(fakeentra.FaultRevoked().At(fakeentra.GrantRefreshToken))
	if _, _, err := s.Refresh(t.Context(), token, []string{"Bearer"}); !errors.Is(err, bridge.ErrSignInNeeded) || !strings.Contains(err.Error(), "mcpctl login https://mcp.example/mcp") {
		t.Fatalf("error %v", err)
	}
	if _, _, err := s.Token(t.Context()); !errors.Is(err, bridge.ErrSignInNeeded) {
		t.Errorf("the rejected token was given out again: %v", err)
	}
	s.authority.ClearFaults()
	if again := s.signIn(); again == token {
		t.Error("the rejected token was given out again")
	}
}

// Without a profile nothing is sent and nobody is bothered, until the server asks
// for a sign-in; a profile that appears counts at once.
func TestSourceWithoutProfile(t *testing.T) {
	s := newSourced(t, "https://mcp.example/mcp", readScope)
	p, err := s.profiles.Load(s.url)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.profiles.Delete(s.url); err != nil {
		t.Fatal(err)
	}
	stamp := s.Stamp()
	if token, _, err := s.Token(t.Context()); err != nil || token != "" {
		t.Errorf("token %v, %v", token != "", err)
	}
	for range 2 {
		_, _, err := s.Refresh(t.Context(), "", []string{"Bearer"})
		if !errors.Is(err, bridge.ErrSignInNeeded) || !strings.Contains(err.Error(), "mcpctl login https://mcp.example/mcp") {
			t.Errorf("refresh: %v", err)
		}
		if _, _, err := s.Token(t.Context()); !errors.Is(err, bridge.ErrSignInNeeded) {
			t.Errorf("token: %v", err)
		}
	}
	if s.Unable() == nil {
		t.Error("a server is trusted that nobody has agreed to")
	}
	if _, err := s.profiles.Save(p); err != nil {
		t.Fatal(err)
	}
	if s.Stamp() == stamp || s.Unable() != nil {
		t.Errorf("the profile does not count: %v", s.Unable())
	}
	s.signIn()
}

// A challenge that leads elsewhere is not followed.
func TestChallengeAgainstThePin(t *testing.T) {
	const tenant = "6f1c7f0e-3a52-4b8e-9d0b-5a2f4c1e7d90"
	p := profile.Profile{
		URL: "https://mcp.example/mcp", Origin: "https://mcp.example", TenantID: tenant,
		Authority: "https://login.microsoftonline.com/" + tenant, Scopes: []string{readScope},
	}
	for _, tc := range []struct{ challenge, want string }{
		{`Bearer`, ""},
		{`Bearer error="invalid_token", resource_metadata="https://mcp.example/.well-known/oauth-protected-resource/mcp"`, ""},
		{`Bearer resource_metadata="https://MCP.example:443/x"`, ""},
		{`Bearer resource_metadata="https://evil.example/x"`, "metadata"},
		{`Bearer resource_metadata="http://mcp.example/x"`, "metadata"},
		{`Bearer resource_metadata="javascript:alert(1)"`, "metadata"},
		{`Bearer authorization_uri="https://login.microsoftonline.com/` + tenant + `/oauth2/authorize"`, ""},
		{`Bearer authorization_uri="https://login.windows.net/` + strings.ToUpper(tenant) + `/oauth2/authorize"`, ""},
		{`Bearer authorization_uri="https://login.microsoftonline.com/common/oauth2/authorize"`, ""},
		{`Bearer authorization_uri="https://login.microsoftonline.com/11111111-2222-3333-4444-555555555555/oauth2/authorize"`, "authority"},
		{`Bearer authorization_uri="https://login.microsoftonline.us/common/oauth2/authorize"`, "authority"},
		{`Bearer authorization_uri="https://evil.example/` + tenant + `/authorize"`, "authority"},
	} {
		c, _ := bearer([]string{tc.challenge})
		got := ""
		for _, change := range challengeChanges(p, c) {
			got += change.Field
		}
		if got != tc.want {
			t.Errorf("%s: %q, want %q", tc.challenge, got, tc.want)
		}
	}
}

// A challenge from elsewhere costs no refresh, and the answer names what changed.
func TestChangedPinIsRefused(t *testing.T) {
	s := newSourced(t, "https://mcp.example/mcp", readScope)
	token := s.signIn()
	_, _, err := s.Refresh(t.Context(), token, []string{`Bearer resource_metadata="https://evil.example/x"`})
	if err == nil || errors.Is(err, bridge.ErrSignInNeeded) || !strings.Contains(err.Error(), "evil.example") || !strings.Contains(err.Error(), "mcpctl login https://mcp.example/mcp") {
		t.Errorf("error %v", err)
	}
	if n := s.authority.CountRequests(fakeentra.EndpointToken, fakeentra.GrantRefreshToken); n != 0 {
		t.Errorf("%d refreshes", n)
	}
}

// A server that refuses a good token and has moved to another tenant, client or
// scope is not followed: the refusal names the change.
func TestMovedServerIsNamed(t *testing.T) {
	const otherTenant, otherClient = "11111111-2222-3333-4444-555555555555", "99999999-2222-3333-4444-555555555555"
	var tenant, client, scope string
	server := &remoteServer{kind: "protected", says: map[string]string{}}
	server.Server = httptest.NewServer(server)
	defer server.close()
	s := newSourced(t, server.URL+"/mcp", readScope)
	p, err := s.profiles.Load(s.url)
	if err != nil {
		t.Fatal(err)
	}
	same := func() { tenant, client, scope = p.Authority, p.ClientID, readScope }
	for _, tc := range []struct {
		name   string
		change func()
		want   string
	}{
		{"nothing", func() {}, "does not accept your sign-in"},
		{"a short scope", func() { scope = "Read" }, "does not accept your sign-in"},
		{"tenant", func() { tenant = "https://login.microsoftonline.com/" + otherTenant + "/v2.0" }, `tenant: "` + otherTenant},
		{"client", func() { client = otherClient }, `client: "` + otherClient},
		{"scopes", func() { scope = moreScope }, `scopes: "` + moreScope},
	} {
		t.Run(tc.name, func(t *testing.T) {
			same()
			tc.change()
			server.mu.Lock()
			server.says = map[string]string{"authority": tenant, "client": client, "scopes": scope}
			server.mu.Unlock()
			s.mu.Lock()
			s.found = discovered{}
			s.mu.Unlock()
			err := s.Refused(http.StatusUnauthorized, []string{`Bearer error="invalid_token"`})
			if !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), "mcpctl login "+s.url) {
				t.Errorf("error %v", err)
			}
		})
	}
}

// A cancelled sign-in ends at once and leaves the way free for the next.
func TestSignInIsCancelled(t *testing.T) {
	s := newSourced(t, "https://mcp.example/mcp", readScope)
	ctx, cancel := context.WithCancel(t.Context())
	err := s.SignIn(ctx, nil, func(bridge.Prompt) { cancel() })
	var failed *entra.Error
	if !errors.As(err, &failed) || failed.Kind != entra.KindCanceled {
		t.Errorf("error %v", err)
	}
	s.signIn()
}
