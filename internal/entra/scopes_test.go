package entra

import (
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"
)

func TestCheckScopes(t *testing.T) {
	remote, _ := url.Parse("https://mcp.contoso.com/mcp")
	azure, _ := url.Parse("https://mcp.dev.azure.com/contoso")
	tests := []struct {
		name   string
		scopes []string
		remote *url.URL
		want   []string // nil: refused
		wellKn bool
	}{
		{"an API by id", []string{"api://1b2e3d4c-8a6f-4d2b-8c9e-4f5a6b7c8d9e/Mcp.Access"}, remote, []string{"api://1b2e3d4c-8a6f-4d2b-8c9e-4f5a6b7c8d9e/Mcp.Access"}, false},
		{"an API by address, OpenID scopes and repetitions dropped", []string{"openid", "https://mcp.contoso.com/mcp/Tools.Read", "offline_access", "profile", "https://mcp.contoso.com/mcp/Tools.Read"},
			remote, []string{"https://mcp.contoso.com/mcp/Tools.Read"}, false},
		{"two scopes of one API", []string{"api://x/A", "api://x/B"}, remote, []string{"api://x/A", "api://x/B"}, false},
		{"a customer's tenant domain", []string{"https://contoso.onmicrosoft.com/api/Read"}, remote, []string{"https://contoso.onmicrosoft.com/api/Read"}, false},
		{"a customer's machine in Azure", []string{"https://x.westeurope.cloudapp.azure.com/mcp/Read"}, remote, []string{"https://x.westeurope.cloudapp.azure.com/mcp/Read"}, false},
		{"a customer's web app", []string{"https://x.azurewebsites.net/mcp/.default"}, remote, []string{"https://x.azurewebsites.net/mcp/.default"}, false},
		{"the remote's own host at Microsoft", []string{"https://mcp.dev.azure.com/.default"}, azure, []string{"https://mcp.dev.azure.com/.default"}, false},
		{"nothing", nil, remote, []string{}, false},

		{"Graph by address", []string{"https://graph.microsoft.com/.default"}, remote, nil, true},
		{"Graph by id", []string{"00000003-0000-0000-c000-000000000000/.default"}, remote, nil, true},
		{"Graph by api id", []string{"api://00000003-0000-0000-C000-000000000000/User.Read"}, remote, nil, true},
		{"Graph by short name", []string{"User.Read"}, remote, nil, true},
		{"Graph in China", []string{"https://microsoftgraph.chinacloudapi.cn/.default"}, remote, nil, true},
		{"ARM with its double slash", []string{"https://management.azure.com//.default"}, remote, nil, true},
		{"ARM by id", []string{"797f4846-ba00-4fd7-ba43-dac1f8f63013/user_impersonation"}, remote, nil, true},
		{"Key Vault", []string{"https://vault.azure.net/.default"}, remote, nil, true},
		{"one storage account", []string{"https://contoso.blob.core.windows.net/.default"}, remote, nil, true},
		{"SQL", []string{"https://database.windows.net/.default"}, remote, nil, true},
		{"DevOps by id", []string{"499b84ac-1321-427f-aa17-267ca6975798/.default"}, remote, nil, true},
		{"an unlisted first-party id", []string{"00000012-0000-0000-c000-000000000000/.default"}, remote, nil, true},
		{"case and port do not hide it", []string{"HTTPS://Graph.Microsoft.COM:443/.default"}, remote, nil, true},
		{"a trailing dot does not hide it", []string{"https://graph.microsoft.com./.default"}, remote, nil, true},
		{"a good scope first", []string{"api://x/A", "https://graph.microsoft.com/.default"}, remote, nil, true},

		{"two APIs", []string{"api://x/A", "api://y/A"}, remote, nil, false},
		{"a control character", []string{"api://x/A\nB"}, remote, nil, false},
		{"a resource only", []string{"api://x"}, remote, nil, true},
		{"too long", []string{"api://x/" + strings.Repeat("a", 600)}, remote, nil, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := CheckScopes(tt.scopes, tt.remote)
			if tt.want == nil {
				if err == nil {
					t.Fatalf("accepted as %q", got)
				}
				if errors.Is(err, ErrWellKnownResource) != tt.wellKn {
					t.Errorf("error is %v", err)
				}
				return
			}
			if err != nil || !slices.Equal(got, tt.want) {
				t.Errorf("got %q, %v; want %q", got, err, tt.want)
			}
		})
	}
}
