package registration_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/mcpctl/mcpctl/internal/entra/registration"
)

const tenantID = "11111111-1111-1111-1111-111111111111"

func good() registration.Answers {
	return registration.Answers{TenantID: tenantID, PublicURL: "https://mcp.contoso.com/mcp"}
}

func TestCheckNamesEachFault(t *testing.T) {
	tests := []struct {
		name   string
		change func(*registration.Answers)
		keys   []string
	}{
		{"good", func(*registration.Answers) {}, nil},
		{"nothing answered", func(a *registration.Answers) { *a = registration.Answers{} }, []string{"name", "key", "tenant_id", "public_url"}},
		{"a domain for a tenant", func(a *registration.Answers) { a.TenantID = "contoso.com" }, []string{"tenant_id"}},
		{"an unknown cloud", func(a *registration.Answers) { a.Cloud = "mars" }, []string{"cloud"}},
		{"a line break in the name", func(a *registration.Answers) { a.Name = "a\nb" }, []string{"name"}},
		{"an invisible name", func(a *registration.Answers) { a.Name = "a\u202eb" }, []string{"name"}},
		{"a long name", func(a *registration.Answers) { a.Name = strings.Repeat("x", 101) }, []string{"name"}},
		{"a key with a quote", func(a *registration.Answers) { a.Key = "x'y" }, []string{"key"}},
		{"a further address twice", func(a *registration.Answers) { a.MoreURLs = []string{a.PublicURL} }, []string{"more_urls[0]"}},
		{"further addresses of api://", func(a *registration.Answers) { a.AppIDURI, a.MoreURLs = "api", []string{"https://b.contoso.com/mcp"} }, []string{"more_urls"}},
		{"an unknown form", func(a *registration.Answers) { a.AppIDURI = "urn" }, []string{"app_id_uri"}},
		{"a scope with a slash", func(a *registration.Answers) { a.Scopes = []string{"a/b"} }, []string{"scopes[0]"}},
		{"a scope twice", func(a *registration.Answers) { a.Scopes = []string{"A", "A"} }, []string{"scopes[1]"}},
		{"a role like a scope", func(a *registration.Answers) { a.Roles = []string{"Mcp.Access"} }, []string{"roles[0]"}},
		{"nobody can come in", func(a *registration.Answers) { a.Scopes = []string{} }, []string{"scopes"}},
		{"applications only", func(a *registration.Answers) { a.Scopes, a.Roles = []string{}, []string{"Mcp.Invoke"} }, nil},
		{"an unknown client", func(a *registration.Answers) { a.Clients = []string{"notepad"} }, []string{"clients[0]"}},
		{"a client twice", func(a *registration.Answers) { a.Clients = []string{"zed", "zed"} }, []string{"clients[1]"}},
		{"redirects that are none", func(a *registration.Answers) {
			a.RedirectURIs = []string{"http://evil.example/", "javascript:alert(1)", "https://x/#f", "https://*.contoso.com/", "cursor://ok/x", "http://localhost:3118/callback", "https://claude.com/api/mcp/auth_callback", "x y://", "http://u:p@localhost/"}
		}, []string{"redirect_uris[0]", "redirect_uris[1]", "redirect_uris[2]", "redirect_uris[3]", "redirect_uris[7]", "redirect_uris[8]"}},
		{"On-Behalf-Of without a credential", func(a *registration.Answers) { a.OnBehalfOf, a.Credential.Kind = true, "none" }, []string{"credential.kind"}},
		{"Graph permissions without On-Behalf-Of", func(a *registration.Answers) { a.GraphPermissions = []string{"User.Read"} }, []string{"graph_permissions"}},
		{"an unknown Graph permission", func(a *registration.Answers) { a.OnBehalfOf, a.GraphPermissions = true, []string{"Everything"} }, []string{"graph_permissions[0]"}},
		{"an unknown credential", func(a *registration.Answers) { a.Credential.Kind = "password" }, []string{"credential.kind"}},
		{"an identity without ids", func(a *registration.Answers) { a.Credential.Kind = "managed-identity" }, []string{"credential.identity_client_id", "credential.identity_principal_id"}},
		{"a federation without a subject", func(a *registration.Answers) { a.Credential.Kind = "federated" }, []string{"credential.issuer", "credential.subject"}},
		{"a file that is an option", func(a *registration.Answers) { a.Credential.Kind, a.Credential.File = "certificate", "-out" }, []string{"credential.file"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := good()
			tt.change(&a)
			err := a.Fill().Check()
			var faults registration.Faults
			errors.As(err, &faults)
			var keys []string
			for _, f := range faults {
				keys = append(keys, f.Key)
				if f.Message == "" || f.Fix == "" {
					t.Errorf("incomplete: %+v", f)
				}
			}
			if !slices.Equal(keys, tt.keys) || (err == nil) != (tt.keys == nil) {
				t.Errorf("faults %v, want %v\n%v", keys, tt.keys, err)
			}
		})
	}
}

func TestCheckURL(t *testing.T) {
	for address, want := range map[string]string{
		"https://mcp.contoso.com/mcp":           "",
		"https://mcp.contoso.com:8443/a/b-c":    "",
		"https://xn--bcher-kva.example/mcp":     "",
		"":                                      "not an absolute",
		"mcp.contoso.com/mcp":                   "not an absolute",
		"https:///mcp":                          "not an absolute",
		"http://mcp.contoso.com/mcp":            "in the clear",
		"http://localhost:8080/mcp":             "in the clear",
		"https://u:p@mcp.contoso.com/mcp":       "user name",
		"https://mcp.contoso.com/mcp?x=1":       "query",
		"https://mcp.contoso.com/mcp#x":         "query",
		"https://mcp.contoso.com":               "no path",
		"https://mcp.contoso.com/":              "no path",
		"https://mcp.contoso.com/mcp/":          "end with a slash",
		"https://MCP.contoso.com/mcp":           "small letters",
		"HTTPS://mcp.contoso.com/mcp":           "small letters",
		"https://mcp.contoso.com:443/mcp":       "port",
		"https://mcp.contoso.com:/mcp":          "port",
		"https://mcp.contoso.com/a//b":          "plain segments",
		"https://mcp.contoso.com/a/../b":        "plain segments",
		"https://mcp.contoso.com/a b":           "plain segments",
		"https://mcp.contoso.com/a'b":           "plain segments",
		"https://mcp.contoso.com/a%2Fb":         "plain segments",
		"https://mcp.contoso.com/sse":           "something else",
		"https://mcp.contoso.com/.well-known/x": "something else",
		"https://mcp.contoso.com'x/mcp":         "the host",
		"https://$(id)/mcp":                     "host",
	} {
		message, fix := registration.CheckURL(address)
		if want == "" && message != "" || !strings.Contains(message, want) || (message == "") != (fix == "") {
			t.Errorf("%q: %q (%q), want %q", address, message, fix, want)
		}
	}
}

func TestWarnings(t *testing.T) {
	tests := []struct {
		name   string
		change func(*registration.Answers)
		want   string
	}{
		{"a hosting service's domain", func(a *registration.Answers) { a.PublicURL = "https://x.azurewebsites.net/mcp" }, "azurewebsites.net"},
		{"a bare name", func(a *registration.Answers) { a.PublicURL = "https://intranet/mcp" }, "no full domain name"},
		{"a domain", func(*registration.Answers) {}, "v1.0/domains"},
		{"an api:// address", func(a *registration.Answers) { a.AppIDURI = "api" }, "AADSTS9010010"},
		{"a secret", func(a *registration.Answers) { a.Credential.Kind = "secret" }, "expires"},
		{"everybody", func(*registration.Answers) {}, "guests too"},
		{"assignment without roles", func(a *registration.Answers) { a.AssignmentRequired = true }, "Default Access"},
	}
	for _, tt := range tests {
		a := good()
		tt.change(&a)
		if text := strings.Join(a.Fill().Warnings(), "\n"); !strings.Contains(text, tt.want) {
			t.Errorf("%s: no warning about %q:\n%s", tt.name, tt.want, text)
		}
	}
	a := good()
	a.AssignmentRequired, a.Roles, a.AppIDURI = true, []string{"R"}, "api"
	if got := a.Fill().Warnings(); len(got) != 1 {
		t.Errorf("%q", got)
	}
}
