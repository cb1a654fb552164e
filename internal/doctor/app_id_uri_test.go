package doctor

import (
	"strings"
	"testing"

	"github.com/mcpctl/mcpctl/internal/entra"
)

func TestAppIDURI(t *testing.T) {
	const name = "https://mcp.contoso.com/mcp"
	for _, tt := range []struct {
		name   string
		scopes []string
		status Status
		says   string
	}{
		{"the same", []string{name + "/Mcp.Access", "offline_access"}, OK, name},
		{"another form", []string{"api://0a1d2c3b-7f5e-4c1a-9b8d-3e4f5a6b7c8d/Mcp.Access"}, Warn, "AADSTS9010010"},
		{"a slash at the end", []string{name + "//Mcp.Access"}, Warn, "does not say whose"},
		{"only the host", []string{"https://mcp.contoso.com/Mcp.Access"}, Warn, "AADSTS9010010"},
		{"one of two", []string{name + "/Mcp.Access", "https://other.contoso.com/Other"}, Warn, "other.contoso.com"},
		{"short", []string{"Mcp.Access"}, Warn, "Microsoft Graph"},
		{"none", nil, Skip, "names no scope"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			x := &examination{Server: Server{URL: name}, found: entra.Discovery{URL: name, AuthRequired: true, Resource: name, Scopes: tt.scopes}}
			f := x.appIDURI(t.Context())
			if f.status != tt.status || !strings.Contains(f.detail, tt.says) || (f.fix != "") != (tt.status == Warn) {
				t.Errorf("got %+v", f)
			}
		})
	}
}
