package entra

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

// protectedServer plays an MCP server. Paths not in docs are 404; the endpoint
// itself answers with endpoint.
type protectedServer struct {
	*httptest.Server
	docs     map[string]string
	endpoint http.HandlerFunc
	asked    []string
}

func newProtectedServer(t *testing.T) *protectedServer {
	s := &protectedServer{docs: map[string]string{}}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.asked = append(s.asked, r.Method+" "+r.URL.Path)
		if doc, ok := s.docs[r.URL.Path]; ok {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, doc)
			return
		}
		if strings.HasPrefix(r.URL.Path, "/.well-known/") {
			http.NotFound(w, r)
			return
		}
		s.endpoint(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *protectedServer) metadata(edit func(map[string]any)) string {
	doc := map[string]any{
		"resource":              s.URL + "/mcp",
		"authorization_servers": []string{"https://login.microsoftonline.com/" + testTenant + "/v2.0"},
		"scopes_supported":      []string{"api://x/Mcp.Access"},
		"mcpctl_client_id":      testClientID,
	}
	if edit != nil {
		edit(doc)
	}
	b, err := json.Marshal(doc)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func challenge(value string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if value != "" {
			w.Header().Set("WWW-Authenticate", value)
		}
		w.WriteHeader(http.StatusUnauthorized)
	}
}

func (s *protectedServer) discover(t *testing.T, path string) (Discovery, error) {
	t.Helper()
	client, err := NewResourceClient(s.URL+path, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer client.CloseIdleConnections()
	return Discover(t.Context(), client, s.URL+path)
}

const (
	inserted = "/.well-known/oauth-protected-resource/mcp"
	atRoot   = "/.well-known/oauth-protected-resource"
)

func TestDiscoverFindsTheMetadata(t *testing.T) {
	tests := []struct {
		name  string
		setup func(s *protectedServer)
		path  string
		from  string
		scope string
	}{
		{"where the challenge says", func(s *protectedServer) {
			s.endpoint = challenge(`Bearer resource_metadata="` + s.URL + `/meta"`)
			s.docs["/meta"] = s.metadata(nil)
			s.docs[inserted] = "{}"
		}, "/mcp", "/meta", "api://x/Mcp.Access"},
		{"relative to the endpoint", func(s *protectedServer) {
			s.endpoint = challenge(`Bearer resource_metadata="/meta"`)
			s.docs["/meta"] = s.metadata(nil)
		}, "/mcp", "/meta", "api://x/Mcp.Access"},
		{"for the path", func(s *protectedServer) {
			s.endpoint = challenge("Bearer")
			s.docs[inserted] = s.metadata(nil)
			s.docs[atRoot] = "{}"
		}, "/mcp", inserted, "api://x/Mcp.Access"},
		{"at the root, behind a page that is not JSON", func(s *protectedServer) {
			s.endpoint = challenge("")
			s.docs[inserted] = "<html>"
			s.docs[atRoot] = s.metadata(nil)
		}, "/mcp", atRoot, "api://x/Mcp.Access"},
		{"when the announced address is gone", func(s *protectedServer) {
			s.endpoint = challenge(`Bearer resource_metadata="` + s.URL + `/gone"`)
			s.endpoint = func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/gone" {
					http.NotFound(w, r)
					return
				}
				challenge(`Bearer resource_metadata="/gone"`)(w, r)
			}
			s.docs[inserted] = s.metadata(nil)
		}, "/mcp", inserted, "api://x/Mcp.Access"},
		{"with the challenge's scope first", func(s *protectedServer) {
			s.endpoint = challenge(`Bearer scope="api://x/Other"`)
			s.docs[inserted] = s.metadata(nil)
		}, "/mcp", inserted, "api://x/Other"},
		{"about a parent path", func(s *protectedServer) {
			s.endpoint = challenge("Bearer")
			s.docs[inserted+"/crm"] = s.metadata(nil)
		}, "/mcp/crm", inserted + "/crm", "api://x/Mcp.Access"},
		{"for a path with a trailing slash", func(s *protectedServer) {
			s.endpoint = challenge("Bearer")
			s.docs[inserted+"/"] = s.metadata(nil)
		}, "/mcp/", inserted + "/", "api://x/Mcp.Access"},
		{"of an endpoint that knows GET only", func(s *protectedServer) {
			s.endpoint = func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodPost {
					w.WriteHeader(http.StatusMethodNotAllowed)
					return
				}
				challenge("Bearer")(w, r)
			}
			s.docs[inserted] = s.metadata(nil)
		}, "/mcp", inserted, "api://x/Mcp.Access"},
		{"of an endpoint that answers 400 before 401", func(s *protectedServer) {
			s.endpoint = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadRequest) }
			s.docs[inserted] = s.metadata(nil)
		}, "/mcp", inserted, "api://x/Mcp.Access"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newProtectedServer(t)
			tt.setup(s)
			d, err := s.discover(t, tt.path)
			if err != nil {
				t.Fatal(err)
			}
			if !d.AuthRequired || d.MetadataURL != s.URL+tt.from || d.Resource != s.URL+"/mcp" || d.Tenant != testTenant || d.ClientID != testClientID {
				t.Errorf("got %+v", d)
			}
			if scopes, err := d.RequestScopes(nil); err != nil || !slices.Equal(scopes, []string{tt.scope}) {
				t.Errorf("scopes %q, %v", scopes, err)
			}
			a, err := d.Authority("", "")
			if err != nil || a.String() != scriptedBase {
				t.Errorf("authority %s, %v", a, err)
			}
		})
	}
}

func TestDiscoverRefuses(t *testing.T) {
	doc := func(edit func(map[string]any)) func(*protectedServer) {
		return func(s *protectedServer) {
			s.endpoint = challenge("Bearer")
			s.docs[inserted] = s.metadata(edit)
		}
	}
	tests := []struct {
		name  string
		setup func(s *protectedServer)
		is    error
		want  string
	}{
		{"metadata of another origin", func(s *protectedServer) {
			s.endpoint = challenge(`Bearer resource_metadata="https://evil.example/meta"`)
			s.docs[inserted] = s.metadata(nil)
		}, ErrUntrustedMetadata, "evil.example"},
		{"metadata of the same host by another scheme", func(s *protectedServer) {
			s.endpoint = challenge(`Bearer resource_metadata="` + strings.Replace(s.URL, "http:", "https:", 1) + `/meta"`)
		}, ErrUntrustedMetadata, ""},
		{"metadata about another origin", doc(func(m map[string]any) { m["resource"] = "https://good.example/mcp" }), ErrUntrustedMetadata, "good.example"},
		{"metadata about a neighbour", func(s *protectedServer) {
			s.endpoint = challenge("Bearer")
			s.docs[inserted] = s.metadata(func(m map[string]any) { m["resource"] = s.URL + "/other" })
		}, ErrUntrustedMetadata, "/other"},
		{"metadata about a name that starts alike", func(s *protectedServer) {
			s.endpoint = challenge("Bearer")
			s.docs[inserted] = s.metadata(func(m map[string]any) { m["resource"] = s.URL + "/mc" })
		}, ErrUntrustedMetadata, "/mc"},
		{"another identity provider", doc(func(m map[string]any) { m["authorization_servers"] = []string{"https://auth.example.com"} }), ErrNotEntra, "auth.example.com"},
		{"no metadata at all", func(s *protectedServer) { s.endpoint = challenge("Bearer") }, nil, "--client-id"},
		{"a page that is not MCP's", func(s *protectedServer) {
			s.endpoint = func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") }
		}, nil, "like an MCP endpoint"},
		{"nothing there", func(s *protectedServer) { s.endpoint = http.NotFound }, nil, "HTTP 404"},
		{"a redirect to another origin", func(s *protectedServer) {
			s.endpoint = func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, "https://elsewhere.example/mcp", http.StatusPermanentRedirect)
			}
		}, nil, "https://elsewhere.example/mcp"},
		{"a failing server", func(s *protectedServer) {
			s.endpoint = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }
		}, nil, "try again"},
		{"endless lists", doc(func(m map[string]any) { m["scopes_supported"] = make([]string, maxListed+1) }), nil, "more than"},
		{"a document without end", func(s *protectedServer) {
			s.endpoint = challenge("Bearer")
			s.docs[inserted] = strings.Repeat(" ", maxMetadata+1)
		}, nil, "longer than"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newProtectedServer(t)
			tt.setup(s)
			d, err := s.discover(t, "/mcp")
			if err == nil {
				t.Fatalf("accepted: %+v", d)
			}
			if tt.is != nil && !errors.Is(err, tt.is) {
				t.Errorf("error is %v, want %v", err, tt.is)
			}
			mustContain(t, err, tt.want)
		})
	}
}

func TestDiscoverOpenServers(t *testing.T) {
	tests := []struct {
		name     string
		endpoint http.HandlerFunc
		deletes  bool
	}{
		{"answers with JSON and a session", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Mcp-Session-Id", "s-1")
			fmt.Fprint(w, `{"jsonrpc":"2.0","id":1,"result":{}}`)
		}, true},
		{"answers with an endless stream", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			w.WriteHeader(200)
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}, false},
		{"is HTTP+SSE", func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost {
				http.NotFound(w, r)
				return
			}
			w.Header().Set("Content-Type", "text/event-stream")
			fmt.Fprint(w, "event: endpoint\ndata: /messages\n\n")
		}, false},
		{"speaks only a newer revision", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, `{"jsonrpc":"2.0","id":1,"error":{"code":-32022,"message":"unsupported"}}`)
		}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newProtectedServer(t)
			s.endpoint = tt.endpoint
			d, err := s.discover(t, "/mcp")
			if err != nil || d.AuthRequired {
				t.Fatalf("got %+v, %v", d, err)
			}
			if got := slices.Contains(s.asked, "DELETE /mcp"); got != tt.deletes {
				t.Errorf("requests: %v", s.asked)
			}
			if _, err := d.Authority("", ""); err == nil {
				t.Error("an open server has an authority")
			}
		})
	}
}

func TestDiscoveredAuthority(t *testing.T) {
	s := newProtectedServer(t)
	s.endpoint = challenge("Bearer")
	s.docs[inserted] = s.metadata(func(m map[string]any) {
		m["authorization_servers"] = []string{"https://auth.example.com", "https://login.microsoftonline.us/organizations/v2.0"}
		m["scopes_supported"] = []string{"Mcp.Access"}
		m["mcpctl_client_id"] = "not-a-guid"
	})
	d, err := s.discover(t, "/mcp")
	if err != nil {
		t.Fatal(err)
	}
	if d.Tenant != "" || d.ClientID != "" {
		t.Errorf("got %+v", d)
	}
	if _, err := d.Authority("", ""); !errors.Is(err, ErrTemplatedTenant) {
		t.Errorf("without a tenant: %v", err)
	} else {
		mustContain(t, err, "--tenant")
	}
	if a, err := d.Authority("contoso.us", ""); err != nil || a.String() != "https://login.microsoftonline.us/contoso.us" {
		t.Errorf("with a tenant: %s, %v", a, err)
	}
	if a, err := d.Authority("../evil?x", ""); err == nil {
		t.Errorf("with a malformed tenant: %s", a)
	}
	if _, err := d.RequestScopes(nil); !errors.Is(err, ErrWellKnownResource) {
		t.Errorf("a short scope: %v", err)
	}
	if scopes, err := d.RequestScopes([]string{"api://x/Mcp.Access"}); err != nil || len(scopes) != 1 {
		t.Errorf("scopes of one's own: %q, %v", scopes, err)
	}
}

func TestResourceAddresses(t *testing.T) {
	for _, good := range []string{"https://mcp.contoso.com/mcp", "http://127.0.0.1:8080/mcp", "http://localhost/mcp", "http://[::1]:1/"} {
		if _, err := NewResourceClient(good, "", nil); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{"", "mcp", "http://mcp.contoso.com/mcp", "http://127.0.0.1.evil.example/", "ftp://x/", "https://u:p@x/", "https:///mcp", "https://:80/"} {
		if _, err := NewResourceClient(bad, "", nil); err == nil {
			t.Errorf("%q was accepted", bad)
		}
		if _, err := Discover(context.Background(), http.DefaultClient, bad); err == nil {
			t.Errorf("%q was asked", bad)
		}
	}
}
