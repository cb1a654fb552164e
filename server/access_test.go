package server_test

import (
	"encoding/json"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mcpctl/mcpctl/internal/fakeentra"
	"github.com/mcpctl/mcpctl/internal/wire"
	"github.com/mcpctl/mcpctl/server"
)

var whoami = server.Upstream{Name: "me", Builtin: []string{"whoami"}}

const initialize = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`

func TestToolsKnowTheCaller(t *testing.T) {
	w := start(t, whoami)
	for name, open := range map[string]func(string) *session{"Streamable HTTP": w.streamable, "HTTP+SSE": w.sse} {
		for _, person := range []fakeentra.Person{w.sample.Ada, w.sample.Grace} {
			f, _ := open(w.token(person)).tool("whoami", `{}`)
			if at(f, "result.structuredContent.username") != `"`+person.UPN+`"` || at(f, "result.structuredContent.object_id") != `"`+person.OID+`"` {
				t.Errorf("%s: %s got %s", name, person.UPN, f.Raw)
			}
		}
	}
}

func TestWhoIsRefused(t *testing.T) {
	w := start(t, whoami)
	other, err := w.authority.RegisterApp(fakeentra.App{Name: "other", TokenVersion: 2, Scopes: []fakeentra.Scope{{Name: fakeentra.SampleScope}}})
	if err != nil {
		t.Fatal(err)
	}
	ada := w.sample.Ada.UPN
	for _, tt := range []struct {
		name   string
		token  string
		status int
		rule   string
	}{
		{"no token", "", 401, "no-token"},
		{"expired", w.mint(fakeentra.TokenSpec{Person: ada, IssuedAt: time.Now().Add(-2 * time.Hour), Lifetime: time.Hour}), 401, "expired"},
		{"another API's", w.mint(fakeentra.TokenSpec{Person: ada, API: other.ClientID}), 401, "audience"},
		{"an ID token", w.mint(fakeentra.TokenSpec{Person: ada, Client: w.sample.API.ClientID, ID: true}), 401, "id-token"},
		{"without the scope", w.mint(fakeentra.TokenSpec{Person: ada, Scopes: []string{"Other.Read"}}), 403, "scope"},
	} {
		for _, endpoint := range []struct{ method, path, metadata string }{
			{"POST", "/mcp", "/mcp"}, {"GET", "/mcp", "/mcp"}, {"DELETE", "/mcp", "/mcp"}, {"GET", "/sse", "/sse"}, {"POST", "/messages?sessionId=x", "/mcp"},
		} {
			resp, body := w.do(endpoint.method, endpoint.path, tt.token, initialize)
			challenge := resp.Header.Get("WWW-Authenticate")
			if resp.StatusCode != tt.status || !strings.Contains(challenge, "/.well-known/oauth-protected-resource"+endpoint.metadata+`"`) {
				t.Errorf("%s, %s %s: %d, %s, %s", tt.name, endpoint.method, endpoint.path, resp.StatusCode, challenge, body)
			}
			records := w.records()
			last := records[len(records)-1]
			path, _, _ := strings.Cut(endpoint.path, "?")
			if last["decision"] != "deny" || last["outcome"] != "refused" || last["rule"] != tt.rule || last["method"] != endpoint.method ||
				last["target"] != path || last["status"] != float64(tt.status) {
				t.Errorf("%s: recorded as %v", tt.name, last)
			}
		}
	}
	if got, want := len(w.records()), 5*5; got != want {
		t.Errorf("%d records, want %d", got, want)
	}
	w.stop()
	w.checkTraces("eyJ")
}

// checkTraces looks for secrets in what the server leaves behind.
func (w *world) checkTraces(secrets ...string) {
	w.t.Helper()
	var audit strings.Builder
	for _, r := range w.records() {
		line, err := json.Marshal(r)
		if err != nil {
			w.t.Fatal(err)
		}
		audit.Write(line)
	}
	for _, secret := range secrets {
		if strings.Contains(w.log.String(), secret) || strings.Contains(audit.String(), secret) {
			w.t.Errorf("%.10s… is in the log or in the audit log", secret)
		}
	}
}

func TestMetadataIsOpen(t *testing.T) {
	w := start(t, whoami)
	origin := strings.TrimSuffix(w.server.PublicURL(), "/mcp")
	for path, resource := range map[string]string{
		"/.well-known/oauth-protected-resource":     origin + "/mcp",
		"/.well-known/oauth-protected-resource/mcp": origin + "/mcp",
		"/mcp/.well-known/oauth-protected-resource": origin + "/mcp",
		"/.well-known/oauth-protected-resource/sse": origin + "/sse",
	} {
		resp, body := w.do("GET", path, "", "")
		var doc struct {
			Resource string   `json:"resource"`
			Servers  []string `json:"authorization_servers"`
			Scopes   []string `json:"scopes_supported"`
			ClientID string   `json:"mcpctl_client_id"`
		}
		if err := json.Unmarshal([]byte(body), &doc); err != nil || resp.StatusCode != 200 {
			t.Fatalf("%s: %d %v %s", path, resp.StatusCode, err, body)
		}
		if doc.Resource != resource || len(doc.Servers) != 1 || doc.Servers[0] != w.authority.IssuerV2() ||
			len(doc.Scopes) != 1 || doc.Scopes[0] != w.sample.Scope() || doc.ClientID != w.sample.Client.ClientID {
			t.Errorf("%s: %s", path, body)
		}
	}
}

func TestSessionsBelongToTheirOwner(t *testing.T) {
	w := start(t, whoami)
	ada, grace := w.token(w.sample.Ada), w.token(w.sample.Grace)
	s := w.streamable(ada)
	id, _ := s.http.Session()
	for _, method := range []string{"POST", "GET", "DELETE"} {
		resp, body := w.do(method, "/mcp", grace, `{"jsonrpc":"2.0","id":9,"method":"ping"}`, wire.HeaderSession, id)
		if resp.StatusCode != http.StatusNotFound || !strings.Contains(body, "Session not found") {
			t.Errorf("%s by another person: %d %s", method, resp.StatusCode, body)
		}
	}
	if f, _ := s.call("ping", `{}`); f.Failed {
		t.Errorf("the owner's session is gone: %s", f.Raw)
	}

	resp := w.openSSE(ada)
	defer resp.Body.Close()
	buf := make([]byte, 256)
	n, err := resp.Body.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	_, messages, _ := strings.Cut(string(buf[:n]), "data: ")
	messages, _, _ = strings.Cut(messages, "\n")
	for token, status := range map[string]int{grace: 404, ada: 202} {
		if resp, body := w.do("POST", messages, token, `{"jsonrpc":"2.0","id":9,"method":"ping"}`); resp.StatusCode != status {
			t.Errorf("POST %s: %d, want %d: %s", messages, resp.StatusCode, status, body)
		}
	}
}

func (w *world) openSSE(token string) *http.Response {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, w.server.SSEURL(), nil)
	if err != nil {
		w.t.Fatal(err)
	}
	resp, err := w.httpClient(token).Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		w.t.Fatalf("opening the event stream: %s", resp.Status)
	}
	return resp
}

func TestOtherPaths(t *testing.T) {
	w := start(t, whoami)
	for _, path := range []string{"/mcp/", "/mcp/x", "/favicon.ico", "/sse/x"} {
		resp, body := w.do("GET", path, "", "")
		if resp.StatusCode != 404 || resp.Header.Get("Content-Type") != "application/json" || !strings.Contains(body, "The MCP endpoint of this server is /mcp") {
			t.Errorf("%s: %d %s", path, resp.StatusCode, body)
		}
	}
	if resp, body := w.do("GET", "/healthz", "", ""); resp.StatusCode != 200 || body != "ok\n" {
		t.Errorf("/healthz: %d %q", resp.StatusCode, body)
	}
}

func TestListenSaysWhatIsWrong(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, tt := range []struct {
		name   string
		change func(*server.Config)
		want   []string
	}{
		{"port in use", func(c *server.Config) { c.Listen = taken.Addr().String() }, []string{taken.Addr().String(), "Is another server running there?", "--listen"}},
		{"no program", func(c *server.Config) {
			c.Upstreams = []server.Upstream{{Name: "x", Command: []string{"no-such-program"}}}
		}, []string{"no-such-program", "Check the command"}},
		{"no upstream", func(c *server.Config) { c.Upstreams = nil }, []string{"needs an upstream"}},
		{"unknown tools", func(c *server.Config) { c.Upstreams[0].Builtin = []string{"nope"} }, []string{`"nope"`, "whoami"}},
		{"no audit folder", func(c *server.Config) { c.Audit.File = "none/audit.jsonl" }, []string{"audit.file"}},
		{"no CA", func(c *server.Config) { c.Entra.CAFile = "none.pem" }, []string{"entra.ca_file"}},
		{"CA without certificate", func(c *server.Config) { c.Entra.CAFile = "main_test.go" }, []string{"main_test.go holds no PEM certificate"}},
		{"no certificate", func(c *server.Config) { c.TLS = server.TLS{CertFile: "none", KeyFile: "none"} }, []string{"tls.cert_file"}},
		{"public without address", func(c *server.Config) { c.Listen = "0.0.0.0:0" }, []string{"--public-url"}},
		{"taken path", func(c *server.Config) { c.PublicURL = "http://127.0.0.1:1/messages" }, []string{"/messages serves something else"}},
		{"no tenant", func(c *server.Config) { c.Entra.Authority, c.Entra.CAFile, c.Entra.TenantID = "", "", "" }, []string{"no tenant"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o, _ := options(t, whoami)
			tt.change(&o.Config)
			s, err := server.Listen(t.Context(), o)
			if err == nil {
				s.Close()
				t.Fatal("it listens")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v: does not mention %s", err, want)
				}
			}
		})
	}
}

func TestCloseWithoutRun(t *testing.T) {
	o, _ := options(t, whoami)
	s, err := server.Listen(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	s.Close()
}

// Each bound of the configuration holds.
func TestBounds(t *testing.T) {
	w := start(t, commandUpstream(t), func(o *server.Options) {
		o.Config.Limits = server.Limits{Body: 4 << 10, Sessions: 1, PendingRequests: 2, Token: 8 << 10}
	})
	token := w.token(w.sample.Ada)
	s := w.streamable(token)
	id, _ := s.http.Session()
	if resp, body := w.do("POST", "/mcp", token, `{"jsonrpc":"2.0","id":1,"method":"ping","params":"`+strings.Repeat("x", 4<<10)+`"}`, wire.HeaderSession, id); resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("a large message: %d %s", resp.StatusCode, body)
	}
	if resp, body := w.do("POST", "/mcp", strings.Repeat("x", 8<<10+1), initialize); resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("a large token: %d %s", resp.StatusCode, body)
	}
	if resp, body := w.do("POST", "/mcp", w.token(w.sample.Grace), initialize); resp.StatusCode != http.StatusServiceUnavailable && resp.StatusCode != http.StatusTooManyRequests {
		t.Errorf("one session too many: %d %s", resp.StatusCode, body)
	}
	for range 2 {
		s.begin("silent", `{}`)
	}
	if resp, body := w.do("POST", "/mcp", token, `{"jsonrpc":"2.0","id":99,"method":"ping"}`, wire.HeaderSession, id, wire.HeaderProtocol, "2025-11-25"); resp.StatusCode != http.StatusTooManyRequests {
		t.Errorf("one request too many: %d %s", resp.StatusCode, body)
	}
}
