package cmd

import (
	"bytes"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/mcpctl/mcpctl/internal/profile"
)

// TestQueriesAreNotShown holds all commands to it: what stands in the query of
// an address may be a key to the server. Of the client and its model least of
// all may see it.
func TestQueriesAreNotShown(t *testing.T) {
	const secret = "SECRET1"
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer closed.Close()
	go func() {
		for {
			c, err := closed.Accept()
			if err != nil {
				return
			}
			_ = c.Close()
		}
	}()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/html":
			w.Header().Set("Content-Type", "text/html")
			_, _ = w.Write([]byte("<h1>It works</h1>"))
		case "/failing":
			w.WriteHeader(http.StatusInternalServerError)
		case "/moved":
			http.Redirect(w, r, "https://elsewhere.example/mcp?"+r.URL.RawQuery, http.StatusPermanentRedirect)
		case "/locked":
			w.Header().Set("WWW-Authenticate", "Bearer")
			w.WriteHeader(http.StatusUnauthorized)
		default:
			http.NotFound(w, r)
		}
	}))
	defer server.Close()
	for name, base := range map[string]string{
		"html": server.URL + "/html", "failing": server.URL + "/failing", "moved": server.URL + "/moved", "locked": server.URL + "/locked",
		"missing": server.URL + "/missing", "reset": "http://" + closed.Addr().String() + "/mcp", "plain": "http://mcp.example/mcp",
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			t.Setenv(profile.DirVariable, dir)
			t.Setenv("HOME", dir)
			address := base + "?q=" + secret + "#" + secret
			show := func(args ...string) {
				t.Helper()
				var out bytes.Buffer
				deps := SystemDeps()
				deps.Stdin = strings.NewReader(initializeLine)
				deps.Stdout, deps.Stderr = &out, &out
				deps.Executable = func() (string, error) { return "/usr/bin/mcpctl", nil }
				_ = Main(t.Context(), args, deps)
				if strings.Contains(out.String(), secret) {
					t.Errorf("mcpctl %s shows it:\n%s", strings.Join(args[:1], " "), out.String())
				}
			}
			all := func() {
				show("bridge", address, "--no-auth", "--log-level", "debug")
				show("bridge", address, "--no-auth", "--transport", "sse", "--log-level", "debug")
				show("bridge", address)
				show("inspect", address, "--no-auth", "--timeout", "2s")
				show("call", address, "tool", "--no-auth", "--timeout", "2s")
				show("doctor", address)
				show("doctor", address, "-o", "json")
				show("token", address)
				show("status")
				show("status", "-o", "json")
				show("logs")
				show("logs", address, "--all", "-o", "json")
				show("logs", "--list")
			}
			all()
			show("login", address, "--device-code")
			show("login", address, "--tenant", "11111111-1111-1111-1111-111111111111")
			u, err := url.Parse(base)
			if err != nil || u.Hostname() == "mcp.example" {
				return
			}
			if _, err := profile.Open(dir, time.Now).Save(profile.Profile{
				URL: address, TenantID: "11111111-1111-1111-1111-111111111111", ClientID: "22222222-2222-2222-2222-222222222222",
				Authority: "https://127.0.0.1:1/11111111-1111-1111-1111-111111111111", Scopes: []string{"api://x/Mcp.Access"}, TokenStore: "file",
			}); err != nil {
				t.Fatal(err)
			}
			all()
			show("install", "cursor", address, "--name", "x")
			show("install", "cursor", address+"2", "--name", "x")
			show("install", "--list")
			show("install", "--list", "-o", "json")
			show("doctor")
			show("logout", address+"2")
			show("logout", address)
		})
	}
}

const initializeLine = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}` + "\n"
