package server_test

import (
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/mcpctl/mcpctl/internal/entra"
	"github.com/mcpctl/mcpctl/internal/fakeentra"
	"github.com/mcpctl/mcpctl/internal/wire"
	"github.com/mcpctl/mcpctl/server"
)

const crmURI = "api://crm.contoso.example"

// delegated is a world in which the server may act on behalf of callers at a
// CRM and at Microsoft Graph.
func delegated(t *testing.T, up server.Upstream, change ...func(*server.Options)) *world {
	t.Helper()
	o, w := options(t, up)
	client, err := mayDelegate(t, w, o.Config.Entra.CAFile, "the secret")
	if err != nil {
		t.Fatal(err)
	}
	o.Credentials.Authority = client
	for _, c := range change {
		c(&o)
	}
	w.run(o)
	return w
}

// mayDelegate registers a CRM, and that the server may act there and at Microsoft
// Graph for callers, and for itself. It returns a client that proves itself with
// a secret, which is "the secret" at the authority.
func mayDelegate(t *testing.T, w *world, caFile, secret string) (*entra.Confidential, error) {
	t.Helper()
	crm, err := w.authority.RegisterApp(fakeentra.App{
		Name: "CRM", IDURIs: []string{crmURI}, TokenVersion: 2,
		Scopes: []fakeentra.Scope{{Name: "Crm.Read"}}, Roles: []fakeentra.Role{{Name: "Crm.Sync"}},
	})
	if err != nil {
		return nil, err
	}
	api := w.sample.API
	api.Secret, api.OptionalClaims = "the secret", []string{"idtyp", "xms_cc"}
	api.AdminConsented = []string{crmURI + "/Crm.Read", "https://graph.microsoft.com/User.Read"}
	api.GroupClaims, api.AppPermissions = true, map[string][]string{fakeentra.GraphClientID: {"GroupMember.Read.All"}, crm.ClientID: {"Crm.Sync"}}
	if _, err := w.authority.RegisterApp(api); err != nil {
		return nil, err
	}
	file := filepath.Join(t.TempDir(), "secret")
	write(t, file, secret)
	authority, err := entra.ParseAuthority(w.authority.Authority(), caFile)
	if err != nil {
		return nil, err
	}
	client, err := entra.NewConfidential(entra.ConfidentialOptions{Authority: authority, ClientID: api.ClientID, Credential: entra.Credential{SecretFile: file}})
	if err == nil {
		t.Cleanup(client.CloseIdleConnections)
	}
	return client, err
}

// crmServer is an MCP server behind that lets in whoever has a token for it,
// and says whom it sees.
func crmServer(t *testing.T) string { return watchedCRM(t, func(string, bool) {}) }

// watchedCRM tells seen the method of each request and whether it was let in.
func watchedCRM(t *testing.T, seen func(method string, allowed bool)) string {
	t.Helper()
	behind := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, err := jwt.ParseSigned(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), []jose.SignatureAlgorithm{jose.RS256})
		var claims struct {
			OID   string   `json:"oid"`
			Scope string   `json:"scp"`
			Roles []string `json:"roles"`
		}
		if err == nil {
			err = token.UnsafeClaimsWithoutVerification(&claims)
		}
		allowed := err == nil && (claims.Scope == "Crm.Read" || slices.Contains(claims.Roles, "Crm.Sync"))
		seen(r.Method, allowed)
		if !allowed {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if r.Method != http.MethodPost {
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		raw, _ := io.ReadAll(r.Body)
		f, err := wire.Parse(raw)
		if err != nil || f.Kind != wire.Request {
			w.WriteHeader(http.StatusAccepted)
			return
		}
		result := any(map[string]any{"content": []any{map[string]any{"type": "text", "text": claims.OID}}})
		switch f.Method {
		case "initialize":
			result = map[string]any{"protocolVersion": "2025-11-25", "capabilities": map[string]any{"tools": map[string]any{}}, "serverInfo": map[string]any{"name": "crm", "version": "1"}}
		case "tools/call":
		default:
			result = map[string]any{}
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set(wire.HeaderSession, "s-"+claims.OID)
		_ = json.NewEncoder(w).Encode(map[string]any{"jsonrpc": "2.0", "id": json.RawMessage(f.ID), "result": result})
	}))
	t.Cleanup(behind.Close)
	return behind.URL
}

// TestUpstreamOnBehalfOfCallers: each caller is seen behind as themselves, over
// both transports.
func TestUpstreamOnBehalfOfCallers(t *testing.T) {
	w := delegated(t, server.Upstream{Name: "crm", URL: crmServer(t), OnBehalfOf: server.OnBehalfOf{Scopes: []string{crmURI + "/.default"}}})
	for _, person := range []fakeentra.Person{w.sample.Ada, w.sample.Grace} {
		token := w.token(person)
		for name, s := range map[string]*session{"Streamable HTTP": w.streamable(token), "HTTP+SSE": w.sse(token)} {
			if f, _ := s.tool("whoami", `{}`); !strings.Contains(at(f, "result.content"), person.OID) {
				t.Errorf("%s over %s: got %s", person.Name, name, f.Raw)
			}
		}
	}
	w.stop()
	if strings.Contains(w.log.String(), "eyJ") {
		t.Errorf("a token in the log: %s", w.log)
	}
}

// TestWhatASessionSendsForItselfNamesItsCaller: listening and ending carry the
// token of whoever the session is for, as its calls do.
func TestWhatASessionSendsForItselfNamesItsCaller(t *testing.T) {
	requests := make(chan string, 100)
	address := watchedCRM(t, func(method string, allowed bool) { requests <- fmt.Sprint(method, " ", allowed) })
	w := delegated(t, server.Upstream{Name: "crm", URL: address, OnBehalfOf: server.OnBehalfOf{Scopes: []string{crmURI + "/.default"}}})
	s := w.streamable(w.token(w.sample.Ada))
	s.tool("whoami", `{}`)
	seen := map[string]int{}
	for given := time.After(patience); seen["GET true"]+seen["GET false"] == 0; {
		select {
		case r := <-requests:
			seen[r]++
		case <-given:
			t.Fatalf("nobody listens: %v", seen)
		}
	}
	s.close()
	w.stop()
	close(requests)
	for r := range requests {
		seen[r]++
	}
	if seen["GET true"] == 0 || seen["DELETE true"] == 0 || seen["GET false"]+seen["DELETE false"] > 0 {
		t.Errorf("the upstream got %v", seen)
	}
}

// TestApplicationsAreRefusedEarly: Entra exchanges no token of an application on
// its own, so it is not even asked, and the caller is told why.
func TestApplicationsAreRefusedEarly(t *testing.T) {
	w := delegated(t, server.Upstream{Name: "crm", URL: crmServer(t), OnBehalfOf: server.OnBehalfOf{Scopes: []string{crmURI + "/.default"}}},
		func(o *server.Options) { o.Config.Entra.RequiredRoles = []string{fakeentra.SampleWriterRole} })
	app := w.mint(fakeentra.TokenSpec{Client: "77777777-aaaa-4bbb-8ccc-000000000077", Scopes: []string{}, Roles: []string{fakeentra.SampleWriterRole}})
	status, challenge, body := w.post(app, "", initialize)
	if status != http.StatusOK || challenge != "" || !strings.Contains(body, "AADSTS7000114") || !strings.Contains(body, "client_credentials") {
		t.Errorf("got %d %q %s", status, challenge, body)
	}
	if n := w.authority.CountRequests(fakeentra.EndpointToken, fakeentra.GrantOnBehalfOf); n != 0 {
		t.Errorf("the authority was asked %d times", n)
	}
}

// TestAgentsAreLogged: of an agent identity the audit log has the agent's
// blueprint, and rules see that it is one.
func TestAgentsAreLogged(t *testing.T) {
	const blueprint = "77777777-aaaa-4bbb-8ccc-000000000078"
	w := start(t, whoami, func(o *server.Options) {
		o.Config.Policy = []server.PolicyRule{{Name: "agents", Deny: "client.agent"}, {Allow: "true"}}
	})
	agent := w.mint(fakeentra.TokenSpec{Person: w.sample.Ada.UPN, Claims: map[string]any{"xms_par_app_azp": blueprint}})
	f, _ := w.streamable(agent).tool("whoami", `{}`)
	all := w.records()
	if r := all[len(all)-1]; at(f, "result.isError") != "true" || r["rule"] != "agents" || r["agent_blueprint"] != blueprint || r["oid"] != w.sample.Ada.OID {
		t.Errorf("got %s, recorded as %v", f.Raw, r)
	}
	if f, _ := w.streamable(w.token(w.sample.Ada)).tool("whoami", `{}`); at(f, "result.isError") == "true" {
		t.Errorf("a person: %s", f.Raw)
	}
}

// TestStepUpReachesTheClient: where a policy asks for another factor, a client
// that can take it gets a claims challenge, and any other words.
func TestStepUpReachesTheClient(t *testing.T) {
	w := delegated(t, server.Upstream{Name: "crm", URL: crmServer(t), OnBehalfOf: server.OnBehalfOf{Scopes: []string{crmURI + "/.default"}}})
	for _, able := range []bool{true, false} {
		spec := fakeentra.TokenSpec{Person: w.sample.Ada.UPN, CAE: able}
		id, _ := w.streamable(w.mint(spec)).http.Session()
		w.authority.Inject(fakeentra.FaultMFA().At(fakeentra.GrantOnBehalfOf))
		status, challenge, body := w.post(w.mint(spec), id, `{"jsonrpc":"2.0","id":9,"method":"tools/call","params":{"name":"whoami","arguments":{}}}`)
		w.authority.ClearFaults()
		if !able {
			if status != http.StatusOK || challenge != "" || !strings.Contains(body, "AADSTS50076") || !strings.Contains(body, `"isError":true`) {
				t.Errorf("got %d %q %s", status, challenge, body)
			}
			continue
		}
		_, rest, _ := strings.Cut(challenge, `claims="`)
		claims, _, _ := strings.Cut(rest, `"`)
		decoded, _ := base64.StdEncoding.DecodeString(claims)
		if status != http.StatusUnauthorized || !strings.Contains(challenge, `error="insufficient_claims"`) || !strings.Contains(string(decoded), "acrs") || !strings.Contains(challenge, "resource_metadata=") {
			t.Errorf("got %d %q %s", status, challenge, body)
		}
	}
}

// post sends one message of a session and reads the whole answer.
func (w *world) post(token, session, message string) (status int, challenge, body string) {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, w.server.PublicURL(), strings.NewReader(message))
	if err != nil {
		w.t.Fatal(err)
	}
	for name, value := range map[string]string{
		"Content-Type": "application/json", "Accept": "application/json, text/event-stream", wire.HeaderSession: session, wire.HeaderProtocol: "2025-11-25",
	} {
		r.Header.Set(name, value)
	}
	resp, err := w.httpClient(token).Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return resp.StatusCode, resp.Header.Get("WWW-Authenticate"), string(raw)
}

// trusting is the file of an authority's CA with the certificate of another
// server of the test's own.
func trusting(t *testing.T, caFile string, other *httptest.Server) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "both.pem")
	write(t, path, readFile(t, caFile)+string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: other.Certificate().Raw})))
	return path
}

// graphServer plays Microsoft Graph, on this machine's TLS.
func graphServer(t *testing.T, group string) *httptest.Server {
	t.Helper()
	graph := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.Contains(r.URL.Path, "/transitiveMemberOf/"):
			_, _ = io.WriteString(w, `{"value":[{"id":"`+group+`"}]}`)
		case r.URL.Path == "/v1.0/me":
			_, _ = io.WriteString(w, `{"id":"1","displayName":"Ada at Graph"}`)
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	t.Cleanup(graph.Close)
	return graph
}

// TestGraphInTheServer: built-in tools read Graph for the caller, and rules see
// the groups of people who are in too many for a token.
func TestGraphInTheServer(t *testing.T) {
	const group = "77777777-aaaa-4bbb-8ccc-000000000007"
	graph := graphServer(t, group)
	w := delegated(t, server.Upstream{Name: "me", Builtin: []string{"whoami", "graph"}}, func(o *server.Options) {
		o.Config.Entra.CAFile = trusting(t, o.Config.Entra.CAFile, graph)
		o.Config.Entra.GraphURL = graph.URL
		o.Config.Policy = []server.PolicyRule{{Name: "members", Allow: `"` + group + `" in user.groups`}}
	})
	many := make([]string, 300)
	for i := range many {
		many[i] = fmt.Sprintf("%08x-0000-4000-8000-000000000000", i)
	}
	busy, err := w.authority.AddPerson(fakeentra.Person{Name: "Many Groups", UPN: "many@contoso.example", Groups: many})
	if err != nil {
		t.Fatal(err)
	}
	if f, _ := w.streamable(w.token(busy)).tool("get_user_details", `{}`); at(f, "result.structuredContent.displayName") != `"Ada at Graph"` {
		t.Errorf("got %s", f.Raw)
	}
	if f, _ := w.streamable(w.token(w.sample.Ada)).tool("get_user_details", `{}`); at(f, "result.isError") != "true" || !strings.Contains(at(f, "result.content"), "policy") {
		t.Errorf("somebody who is not in the group: %s", f.Raw)
	}
}
