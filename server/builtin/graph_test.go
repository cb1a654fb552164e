package builtin_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/mcpctl/mcpctl/internal/entra"
	"github.com/mcpctl/mcpctl/internal/fakeentra"
	"github.com/mcpctl/mcpctl/internal/wire"
	"github.com/mcpctl/mcpctl/server/auth"
	"github.com/mcpctl/mcpctl/server/builtin"
	"github.com/mcpctl/mcpctl/server/obo"
)

const graphRoot = "https://graph.microsoft.us"

// fakeGraph answers requests by path, and keeps their addresses.
type fakeGraph struct {
	mu      sync.Mutex
	answers map[string][]string // by path: status, a space, Retry-After or -, a space, body; the last one stays
	asked   []*url.URL
	err     error
}

func (g *fakeGraph) RoundTrip(r *http.Request) (*http.Response, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.asked = append(g.asked, r.URL)
	if g.err != nil {
		return nil, g.err
	}
	list := g.answers[r.URL.Path]
	if len(list) == 0 {
		list = []string{`404 - {"error":{"code":"Request_ResourceNotFound","message":"secret detail"}}`}
	}
	if len(list) > 1 {
		g.answers[r.URL.Path] = list[1:]
	}
	parts := strings.SplitN(list[0], " ", 3)
	status := 0
	_, _ = fmt.Sscan(parts[0], &status)
	header := http.Header{}
	if parts[1] != "-" {
		header.Set("Retry-After", parts[1])
	}
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(parts[2])), Request: r}, nil
}

func graphPeer(t *testing.T, g *fakeGraph, explain func(error) string) peer {
	t.Helper()
	s, err := builtin.New(builtin.Options{Names: []string{"graph"}, Graph: builtin.GraphOptions{URL: graphRoot, HTTP: g, Explain: explain}})
	if err != nil {
		t.Fatal(err)
	}
	return open(t, s)
}

func TestGraphToolsAskForLittle(t *testing.T) {
	g := &fakeGraph{answers: map[string][]string{
		"/v1.0/me":               {`200 - {"id":"1","displayName":"Ada","jobTitle":"Analyst","extra":"x","mail":null}`},
		"/v1.0/me/manager":       {`200 - {"id":"2","displayName":"Grace"}`},
		"/v1.0/me/directReports": {`200 - {"value":[{"id":"3","displayName":"Alan"}]}`},
		"/v1.0/me/memberOf/microsoft.graph.group": {`200 - {"value":[]}`},
		"/v1.0/me/people":                         {`200 - {"value":[{"id":"4"},{"id":"5"}]}`},
	}}
	p := graphPeer(t, g, nil)
	for _, tt := range []struct{ tool, args, text, query string }{
		{"get_user_details", `{}`, "You are Ada (Analyst).", "$select=id,displayName"},
		{"get_manager", `{}`, "Your manager is Grace.", "$select=id,"},
		{"list_direct_reports", `{}`, "1 direct report.", "$select=id,"},
		{"list_my_groups", `{"limit":20}`, "None found.", "$top=20"},
		{"search_people", `{"query":"Al\" OR displayName:\"x","limit":2}`, "2 people.", `$search="Al OR displayName x"`},
	} {
		g.asked = nil
		f := p.tool(tt.tool, tt.args)
		if at(f, "result.isError") == "true" || !strings.Contains(at(f, "result.content"), tt.text) || at(f, "result.structuredContent") == "" {
			t.Errorf("%s: got %s", tt.tool, f.Raw)
		}
		query, _ := url.QueryUnescape(g.asked[0].RawQuery)
		if len(g.asked) != 1 || g.asked[0].Host != "graph.microsoft.us" || !strings.Contains(query, tt.query) || !strings.Contains(query, "$select=") {
			t.Errorf("%s asked for %v", tt.tool, g.asked)
		}
	}
	if f := p.tool("search_people", `{"query":"\"()"}`); at(f, "result.isError") != "true" {
		t.Errorf("got %s", f.Raw)
	}
	if f := p.tool("search_people", `{"query":"a","limit":5000}`); !f.Failed && at(f, "result.isError") != "true" {
		t.Errorf("got %s", f.Raw)
	}
}

func TestGraphPagesAreBounded(t *testing.T) {
	const path = "/v1.0/me/memberOf/microsoft.graph.group"
	var hundred []string
	for i := range 100 {
		hundred = append(hundred, fmt.Sprintf(`{"id":"%d"}`, i))
	}
	full := strings.Join(hundred, ",")
	type list struct {
		Groups []any
		More   bool
	}
	endless := &fakeGraph{answers: map[string][]string{path: {`200 - {"value":[` + full + `],"@odata.nextLink":"` + graphRoot + path + `?$skiptoken=x"}`}}}
	p := graphPeer(t, endless, nil)
	if got := structuredContent[list](t, p.tool("list_my_groups", `{"limit":250}`)); len(got.Groups) != 250 || !got.More || len(endless.asked) != 3 {
		t.Errorf("%d groups, more: %v, in %d requests", len(got.Groups), got.More, len(endless.asked))
	}
	empty := &fakeGraph{answers: map[string][]string{path: {`200 - {"value":[],"@odata.nextLink":"` + graphRoot + path + `?$skiptoken=x"}`}}}
	if got := structuredContent[list](t, graphPeer(t, empty, nil).tool("list_my_groups", `{}`)); !got.More || len(empty.asked) != 10 {
		t.Errorf("more: %v, in %d requests", got.More, len(empty.asked))
	}
	foreign := &fakeGraph{answers: map[string][]string{path: {`200 - {"value":[],"@odata.nextLink":"https://graph.microsoft.us.evil.example/v1.0/x"}`}}}
	if f := graphPeer(t, foreign, nil).tool("list_my_groups", `{}`); at(f, "result.isError") != "true" || len(foreign.asked) != 1 {
		t.Errorf("got %s after %d requests", f.Raw, len(foreign.asked))
	}
}

func TestGraphErrorsAreExplained(t *testing.T) {
	for name, tt := range map[string]struct {
		tool, answer string
		err          error
		want         string
	}{
		"forbidden":     {tool: "list_my_groups", answer: `403 - {"error":{"code":"Authorization_RequestDenied","message":"secret detail"}}`, want: "delegated permission GroupMember.Read.All"},
		"no manager":    {tool: "get_manager", answer: `404 - {"error":{"code":"Request_ResourceNotFound"}}`, want: "no manager"},
		"rejected":      {tool: "get_user_details", answer: `401 - {"error":{"code":"InvalidAuthenticationToken"}}`, want: "Sign in again"},
		"failing":       {tool: "get_user_details", answer: `500 - <html>`, want: "Try again later"},
		"no JSON":       {tool: "get_user_details", answer: `200 - <html>`, want: "could not be read"},
		"too large":     {tool: "get_user_details", answer: `200 - "` + strings.Repeat("a", 2<<20) + `"`, want: "too large"},
		"throttled":     {tool: "get_user_details", answer: `429 120 {}`, want: "Try again in 120 s"},
		"no network":    {tool: "get_user_details", err: errors.New("dial tcp 10.1.2.3"), want: "could not be reached"},
		"no credential": {tool: "get_user_details", err: errors.New("consent"), want: "An administrator has to consent."},
	} {
		t.Run(name, func(t *testing.T) {
			g := &fakeGraph{err: tt.err, answers: map[string][]string{}}
			for _, path := range []string{"/v1.0/me", "/v1.0/me/manager", "/v1.0/me/memberOf/microsoft.graph.group"} {
				g.answers[path] = []string{tt.answer}
			}
			f := graphPeer(t, g, func(err error) string {
				if err.Error() == "consent" {
					return "An administrator has to consent."
				}
				return ""
			}).tool(tt.tool, `{}`)
			text := at(f, "result.content")
			if at(f, "result.isError") != "true" || !strings.Contains(text, tt.want) || strings.Contains(text, "secret detail") || strings.Contains(text, "10.1.2.3") {
				t.Errorf("got %s", f.Raw)
			}
		})
	}
}

func TestGraphIsGivenTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &fakeGraph{answers: map[string][]string{"/v1.0/me": {`429 7 {}`, `200 - {"id":"1"}`}}}
		p := graphPeer(t, g, nil)
		began := time.Now()
		if f := p.tool("get_user_details", `{}`); at(f, "result.isError") == "true" || time.Since(began) != 7*time.Second {
			t.Errorf("got %s after %v", f.Raw, time.Since(began))
		}
	})
}

// TestGraphOnBehalfOfTheCaller goes through the authority: Graph sees a token
// for itself, of the person who calls, with the permissions it takes.
func TestGraphOnBehalfOfTheCaller(t *testing.T) {
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
	if _, err := authority.RegisterApp(api); err != nil {
		t.Fatal(err)
	}
	graph := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, err := jwt.ParseSigned(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), []jose.SignatureAlgorithm{jose.RS256})
		var claims struct {
			Aud   string `json:"aud"`
			Scp   string `json:"scp"`
			OID   string `json:"oid"`
			Appid string `json:"appid"`
			Name  string `json:"name"`
		}
		if err == nil {
			err = token.UnsafeClaimsWithoutVerification(&claims)
		}
		switch {
		case err != nil || claims.Aud != "https://graph.microsoft.com" || claims.Appid != api.ClientID:
			w.WriteHeader(http.StatusUnauthorized)
		case !strings.Contains(" "+claims.Scp+" ", " User.Read ") || r.URL.Path != "/v1.0/me":
			w.WriteHeader(http.StatusForbidden)
		default:
			_ = json.NewEncoder(w).Encode(map[string]string{"id": claims.OID, "displayName": claims.Name})
		}
	}))
	t.Cleanup(graph.Close)

	dir := t.TempDir()
	ca, secret := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "secret")
	for path, content := range map[string][]byte{ca: authority.CAPEM(), secret: []byte("secret")} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	at1, err := entra.ParseAuthority(authority.Authority(), ca)
	if err != nil {
		t.Fatal(err)
	}
	client, err := entra.NewConfidential(entra.ConfidentialOptions{Authority: at1, ClientID: api.ClientID, Credential: entra.Credential{SecretFile: secret}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.CloseIdleConnections)
	source, err := obo.NewOnBehalfOf(obo.OnBehalfOfOptions{Authority: client, Scopes: []string{"https://graph.microsoft.com/.default"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(source.Close)
	base := &http.Transport{}
	t.Cleanup(base.CloseIdleConnections)
	transport, err := obo.NewTransport(base, graph.URL, source, nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := builtin.New(builtin.Options{Names: []string{"graph"}, Graph: builtin.GraphOptions{URL: graph.URL, HTTP: transport, Explain: obo.Explain}})
	if err != nil {
		t.Fatal(err)
	}
	p := open(t, s)
	call := func(person fakeentra.Person) (wire.Frame, context.Context) {
		token, err := authority.MintToken(fakeentra.TokenSpec{API: api.ClientID, Client: sample.Client.ClientID, Person: person.UPN, Scopes: []string{fakeentra.SampleScope}, CAE: true})
		if err != nil {
			t.Fatal(err)
		}
		ctx := auth.WithAssertion(t.Context(), &auth.Principal{
			TenantID: authority.TenantID(), ObjectID: person.OID, ClientCapabilities: []string{"cp1"}, ExpiresAt: time.Now().Add(time.Hour),
		}, token)
		p.writeAs(ctx, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get_user_details","arguments":{}}}`)
		return p.read(), ctx
	}
	for _, person := range []fakeentra.Person{sample.Ada, sample.Grace} {
		if f, _ := call(person); at(f, "result.structuredContent.id") != `"`+person.OID+`"` {
			t.Errorf("%s: got %s", person.Name, f.Raw)
		}
	}
	authority.Inject(fakeentra.FaultMFA().At(fakeentra.GrantOnBehalfOf))
	f, ctx := call(sample.Alan)
	if at(f, "result.isError") != "true" || !strings.Contains(at(f, "result.content"), "AADSTS50076") {
		t.Errorf("got %s", f.Raw)
	}
	if noted := auth.Refused(ctx); noted == nil || noted.Status != http.StatusUnauthorized || noted.Claims == "" {
		t.Errorf("noted for the client: %+v", noted)
	}
}
