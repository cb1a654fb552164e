package cmd

import (
	"fmt"
	"net"
	"net/url"
	"strings"

	"github.com/mcpctl/mcpctl/internal/redact"
)

// checkEndpoint checks the address of an MCP server as a person typed it:
// https, or plain http to this machine only, since a token must not travel in
// the clear.
func checkEndpoint(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Hostname() == "" {
		hint := ""
		if err == nil && !strings.Contains(raw, "://") && !strings.Contains(raw, "@") && raw != "" {
			hint = fmt.Sprintf("; did you mean https://%s ?", redact.URL(raw))
		}
		return nil, fmt.Errorf("%q is not the address of an MCP server: it should look like https://mcp.example.com/mcp%s", redact.URL(raw), hint)
	}
	switch u.Scheme {
	case "https":
	case "http":
		if !isLoopback(u.Hostname()) {
			return nil, fmt.Errorf("%s is not encrypted: http is for servers on this machine only. Use https", redact.URL(raw))
		}
	default:
		return nil, fmt.Errorf("%q is not an http or https address: it should look like https://mcp.example.com/mcp", redact.URL(raw))
	}
	if u.User != nil {
		return nil, fmt.Errorf("the address of %s holds a user name or password. Leave it out: mcpctl signs in with Entra ID", u.Host)
	}
	return u, nil
}

// isLoopback reports whether host is this machine. A name other than localhost
// could resolve to anything.
func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
