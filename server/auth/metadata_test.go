package auth

import (
	"encoding/json"
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares with a file in testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if normal := strings.ReplaceAll(string(want), "\r\n", "\n"); got != normal {
		t.Errorf("%s: got\n%s\nwant\n%s", name, got, normal)
	}
}

const testServer = "https://login.microsoftonline.com/" + testTenant + "/v2.0"

func metadataOptions() MetadataOptions {
	return MetadataOptions{
		PublicURL:            testURI,
		OtherPaths:           []string{"/sse"},
		AuthorizationServers: []string{testServer},
		Scopes:               []string{testScope},
		PublicClientID:       testClient,
	}
}

func newMetadata(t testing.TB, change func(*MetadataOptions)) *Metadata {
	t.Helper()
	o := metadataOptions()
	if change != nil {
		change(&o)
	}
	meta, err := NewMetadata(o)
	if err != nil {
		t.Fatal(err)
	}
	return meta
}

// ask sends a request through a mux on which the metadata is registered.
func ask(meta *Metadata, method, path string) *httptest.ResponseRecorder {
	mux := http.NewServeMux()
	for _, pattern := range meta.Patterns() {
		mux.Handle(pattern, meta)
	}
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest(method, path, nil))
	return w
}

// dump renders an answer for a golden file.
func dump(w *httptest.ResponseRecorder) string {
	resp := w.Result()
	var b strings.Builder
	b.WriteString(resp.Status + "\n")
	names := make([]string, 0, len(resp.Header))
	for name := range resp.Header {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		b.WriteString(name + ": " + strings.Join(resp.Header[name], ", ") + "\n")
	}
	return b.String() + "\n" + w.Body.String()
}

func TestMetadataDocument(t *testing.T) {
	meta := newMetadata(t, nil)
	golden(t, "metadata", dump(ask(meta, http.MethodGet, "/.well-known/oauth-protected-resource/mcp")))
	golden(t, "metadata-not-found", dump(ask(meta, http.MethodGet, "/.well-known/oauth-authorization-server")))
}

func TestMetadataAddresses(t *testing.T) {
	tests := []struct {
		path     string
		resource string // empty: 404
	}{
		{"/.well-known/oauth-protected-resource", testURI},
		{"/.well-known/oauth-protected-resource/", testURI},
		{"/.well-known/oauth-protected-resource/mcp", testURI},
		{"/mcp/.well-known/oauth-protected-resource", testURI},
		{"/.well-known/oauth-protected-resource/sse", "https://mcp.contoso.com/sse"},
		{"/sse/.well-known/oauth-protected-resource", "https://mcp.contoso.com/sse"},
		{"/.well-known/oauth-protected-resource/other", ""},
		{"/.well-known/oauth-authorization-server", ""},
		{"/.well-known/oauth-authorization-server/mcp", ""},
		{"/.well-known/openid-configuration", ""},
		{"/.well-known/openid-configuration/mcp", ""},
		{"/mcp/.well-known/openid-configuration", ""},
		{"/.well-known/anything", ""},
	}
	meta := newMetadata(t, nil)
	for _, tt := range tests {
		t.Run(tt.path, func(t *testing.T) {
			w := ask(meta, http.MethodGet, tt.path)
			var body struct {
				Resource string `json:"resource"`
				Error    string `json:"error"`
			}
			if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
				t.Fatalf("%q is not JSON", w.Body)
			}
			if tt.resource == "" {
				if w.Code != http.StatusNotFound || body.Error != "not_found" {
					t.Errorf("got %d %q", w.Code, w.Body)
				}
				return
			}
			if w.Code != http.StatusOK || body.Resource != tt.resource {
				t.Errorf("got %d, resource %q, want %q", w.Code, body.Resource, tt.resource)
			}
		})
	}
}

func TestMetadataMethods(t *testing.T) {
	meta := newMetadata(t, nil)
	const path = "/.well-known/oauth-protected-resource/mcp"
	for method, status := range map[string]int{
		http.MethodGet: 200, http.MethodHead: 200, http.MethodOptions: 204, http.MethodPost: 405, http.MethodDelete: 405,
	} {
		w := ask(meta, method, path)
		if w.Code != status || w.Header().Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("%s: %d, headers %v", method, w.Code, w.Header())
		}
	}
	if w := ask(meta, http.MethodOptions, path); !strings.Contains(w.Header().Get("Access-Control-Allow-Headers"), "MCP-Protocol-Version") {
		t.Error("a browser client's version header is not allowed")
	}
}

func TestMetadataURLs(t *testing.T) {
	tests := []struct{ public, path, want string }{
		{"https://mcp.contoso.com/mcp", "/mcp", "https://mcp.contoso.com/.well-known/oauth-protected-resource/mcp"},
		{"https://mcp.contoso.com/mcp", "/sse", "https://mcp.contoso.com/.well-known/oauth-protected-resource/sse"},
		{"https://mcp.contoso.com/mcp", "/messages", "https://mcp.contoso.com/.well-known/oauth-protected-resource/mcp"},
		{"https://mcp.contoso.com/team/mcp", "/mcp", "https://mcp.contoso.com/.well-known/oauth-protected-resource/team/mcp"},
		{"https://mcp.contoso.com", "/", "https://mcp.contoso.com/.well-known/oauth-protected-resource"},
		{"https://mcp.contoso.com/", "/", "https://mcp.contoso.com/.well-known/oauth-protected-resource"},
		{"http://127.0.0.1:8080/mcp", "/mcp", "http://127.0.0.1:8080/.well-known/oauth-protected-resource/mcp"},
		{"http://localhost:8080/mcp", "/mcp", "http://localhost:8080/.well-known/oauth-protected-resource/mcp"},
	}
	for _, tt := range tests {
		meta := newMetadata(t, func(o *MetadataOptions) { o.PublicURL = tt.public })
		got := meta.URL(tt.path)
		if got != tt.want {
			t.Errorf("%s, endpoint %s: %s, want %s", tt.public, tt.path, got, tt.want)
		}
		// What the challenge points to is there.
		w := ask(meta, http.MethodGet, got)
		if w.Code != http.StatusOK {
			t.Errorf("%s: %d", got, w.Code)
		}
		if tt.path != "/sse" && !strings.Contains(w.Body.String(), `"resource":"`+tt.public+`"`) {
			t.Errorf("%s: resource is not %s byte for byte: %s", got, tt.public, w.Body)
		}
	}
}

func TestScopesAreAdvertisedInFull(t *testing.T) {
	for _, tt := range []struct{ uri, scope, want string }{
		{"", "Mcp.Access", testURI + "/Mcp.Access"},
		{"api://" + testAPI, "Mcp.Access", "api://" + testAPI + "/Mcp.Access"},
		{testURI, testURI + "/Mcp.Access", testURI + "/Mcp.Access"},
	} {
		meta := newMetadata(t, func(o *MetadataOptions) { o.AppIDURI, o.Scopes = tt.uri, []string{tt.scope} })
		if got := meta.Scopes(); len(got) != 1 || got[0] != tt.want {
			t.Errorf("%s of %s is advertised as %v, want %s", tt.scope, tt.uri, got, tt.want)
		}
	}
}

func TestMetadataFaults(t *testing.T) {
	for name, change := range map[string]func(*MetadataOptions){
		"relative":         func(o *MetadataOptions) { o.PublicURL = "/mcp" },
		"in the clear":     func(o *MetadataOptions) { o.PublicURL = "http://mcp.contoso.com/mcp" },
		"trailing slash":   func(o *MetadataOptions) { o.PublicURL = testURI + "/" },
		"query":            func(o *MetadataOptions) { o.PublicURL = testURI + "?a=b" },
		"empty query":      func(o *MetadataOptions) { o.PublicURL = testURI + "?" },
		"fragment":         func(o *MetadataOptions) { o.PublicURL = testURI + "#a" },
		"user":             func(o *MetadataOptions) { o.PublicURL = "https://a:b@mcp.contoso.com/mcp" },
		"not ASCII":        func(o *MetadataOptions) { o.PublicURL = "https://mcp.contoso.com/mçp" },
		"quotation mark":   func(o *MetadataOptions) { o.PublicURL = `https://mcp.contoso.com/m"cp` },
		"no server":        func(o *MetadataOptions) { o.AuthorizationServers = nil },
		"odd other path":   func(o *MetadataOptions) { o.OtherPaths = []string{"sse"} },
		"other path's end": func(o *MetadataOptions) { o.OtherPaths = []string{"/sse/"} },
	} {
		o := metadataOptions()
		change(&o)
		if _, err := NewMetadata(o); err == nil {
			t.Errorf("%s: accepted", name)
		} else if strings.Contains(err.Error(), "a:b@") {
			t.Errorf("%s: password in %v", name, err)
		}
	}
}
