package server_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/mcpctl/mcpctl/server"
	"github.com/mcpctl/mcpctl/server/auth"
)

// TestWellKnownAddresses: clients try them all, with the endpoint's path
// inserted (RFC 8414, RFC 9728) and appended (OpenID Connect). What is not
// served is said in JSON.
func TestWellKnownAddresses(t *testing.T) {
	w := start(t, server.Upstream{Name: "me", Builtin: []string{"whoami"}})
	for path, status := range map[string]int{
		"/.well-known/oauth-protected-resource":       http.StatusOK,
		"/.well-known/oauth-protected-resource/mcp":   http.StatusOK,
		"/mcp/.well-known/oauth-protected-resource":   http.StatusOK,
		"/.well-known/oauth-protected-resource/sse":   http.StatusOK,
		"/.well-known/oauth-authorization-server":     http.StatusNotFound,
		"/.well-known/oauth-authorization-server/mcp": http.StatusNotFound,
		"/mcp/.well-known/oauth-authorization-server": http.StatusNotFound,
		"/.well-known/openid-configuration":           http.StatusNotFound,
		"/.well-known/openid-configuration/mcp":       http.StatusNotFound,
		"/mcp/.well-known/openid-configuration":       http.StatusNotFound,
		"/sse/.well-known/openid-configuration":       http.StatusNotFound,
	} {
		resp, body := w.do(http.MethodGet, path, "", "")
		var document map[string]any
		if err := json.Unmarshal([]byte(body), &document); err != nil || resp.StatusCode != status || resp.Header.Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("%s: got %d %s", path, resp.StatusCode, body)
		}
		if status == http.StatusOK && document["resource"] == nil {
			t.Errorf("%s: got %s", path, body)
		}
	}
}

// TestTokensAboveTheLimitAreMeasured: 431 says both sizes, also over a real
// connection, where net/http has a limit of its own.
func TestTokensAboveTheLimitAreMeasured(t *testing.T) {
	w := start(t, server.Upstream{Name: "me", Builtin: []string{"whoami"}})
	resp, body := w.do(http.MethodPost, "/mcp", strings.Repeat("a", auth.DefaultMaxTokenBytes+1), `{}`)
	if resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge || !strings.Contains(body, "32769 bytes") || !strings.Contains(body, "takes 32768") {
		t.Errorf("got %d %s", resp.StatusCode, body)
	}
}
