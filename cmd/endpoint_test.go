package cmd

import (
	"strings"
	"testing"
)

func TestEndpointsThatMayGetAToken(t *testing.T) {
	for _, raw := range []string{
		"https://mcp.contoso.com/mcp", "HTTPS://mcp.contoso.com", "https://mcp.contoso.com:8443/a?b=c",
		"http://localhost:8080/mcp", "http://LOCALHOST/", "http://127.0.0.1:8080/mcp", "http://127.1.2.3/", "http://[::1]:8080/mcp",
	} {
		if _, err := checkEndpoint(raw); err != nil {
			t.Errorf("%s: %v", raw, err)
		}
	}
}

func TestEndpointsThatMustNotGetAToken(t *testing.T) {
	tests := []struct{ raw, says string }{
		{"", "https://mcp.example.com/mcp"},
		{"mcp", "did you mean https://mcp"},
		{"mcp.contoso.com/mcp", "did you mean https://mcp.contoso.com/mcp"},
		{"/mcp", "https://mcp.example.com/mcp"},
		{"https:mcp.contoso.com", "https://mcp.example.com/mcp"},
		{"https://", "https://mcp.example.com/mcp"},
		{"https://:443/mcp", "https://mcp.example.com/mcp"},
		{"https://exa mple.com/", "https://mcp.example.com/mcp"},
		{"ftp://mcp.contoso.com/", "http or https"},
		{"http://mcp.contoso.com/mcp", "Use https"},
		{"http://localhost.contoso.com/mcp", "Use https"},
		{"http://127.0.0.1.contoso.com/mcp", "Use https"},
		{"http://0.0.0.0/mcp", "Use https"},
		{"http://10.0.0.1/mcp", "Use https"},
		{"https://ada@mcp.contoso.com/mcp", "Leave it out"},
		{"https://ada:hunter2@mcp.contoso.com/mcp", "Leave it out"},
		{"http://ada:hunter2@mcp.contoso.com/mcp", "Use https"},
		{"ada:hunter2@mcp.contoso.com", "https://mcp.example.com/mcp"},
		{"https://ada:hunter2@mcp.contoso.com:port/", "https://mcp.example.com/mcp"},
	}
	for _, tt := range tests {
		_, err := checkEndpoint(tt.raw)
		switch {
		case err == nil:
			t.Errorf("%q is accepted", tt.raw)
		case !strings.Contains(err.Error(), tt.says):
			t.Errorf("%q: %v; want it to say %q", tt.raw, err, tt.says)
		case strings.Contains(err.Error(), "hunter2"):
			t.Errorf("%q: the error repeats the password: %v", tt.raw, err)
		}
	}
}

func TestCommandsToCopySurviveTheShell(t *testing.T) {
	for want, args := range map[string][]string{
		"mcpctl login https://a.example/mcp":         {"mcpctl", "login", "https://a.example/mcp"},
		"mcpctl login 'https://a.example/mcp?a&b'":   {"mcpctl", "login", "https://a.example/mcp?a&b"},
		`'/opt/it'\''s/mcpctl' bridge 'https://a b'`: {"/opt/it's/mcpctl", "bridge", "https://a b"},
	} {
		if got := shellCommand(args...); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
