package server_test

import (
	"strings"
	"testing"
)

func TestCredentialKeys(t *testing.T) {
	const (
		base = `entra:
  tenant_id: 00000000-0000-0000-0000-000000000001
  client_id: 00000000-0000-0000-0000-000000000002
  required_scopes: [Mcp.Access]
`
		secret = "  credential: {client_secret_file: config_test.go}\n"
		crm    = "upstreams:\n  - name: crm\n    url: https://crm.internal/mcp\n"
		me     = "upstreams: [{name: me, builtin: [whoami, graph]}]\n"
		whoami = "upstreams: [{name: me, builtin: [whoami]}]\n"
		obo    = "    on_behalf_of: {scopes: [api://crm/.default]}\n"
		dev    = "  authority: https://127.0.0.1:9443/00000000-0000-0000-0000-000000000001\n  ca_file: config_test.go\n"
	)
	for _, tt := range []struct{ name, text, want string }{
		{"secret and on_behalf_of", base + secret + crm + obo, ""},
		{"several scopes of an API", base + secret + crm + "    on_behalf_of: {scopes: [api://crm/A, api://crm/B]}\n", ""},
		{"certificate and client credentials", base + "  credential: {certificate_file: config_test.go}\n" + crm + "    client_credentials: {scope: api://crm/.default}\n", ""},
		{"federated token and graph", base + "  credential: {federated_token_file: config_test.go}\n" + me, ""},
		{"managed identity as credential", base + "  credential: {managed_identity: system}\n" + me, ""},
		{"user-assigned identity", base + "  credential: {managed_identity: 00000000-0000-0000-0000-000000000009}\n" + me, ""},
		{"managed identity for an upstream", base + crm + "    managed_identity: {scope: api://crm/.default, client_id: 00000000-0000-0000-0000-000000000009}\n", ""},
		{"header files", base + crm + "    header_files: {X-Key: config_test.go}\n    headers: {X-Other: a}\n", ""},
		{"Graph of the cloud", base + "  cloud: usgov\n  graph_url: https://dod-graph.microsoft.us\n" + whoami, ""},
		{"Graph of a development authority", strings.Replace(base, "  tenant_id: 00000000-0000-0000-0000-000000000001\n", dev, 1) + secret + "  graph_url: https://127.0.0.1:1\n" + me, ""},
		{"claims mapping", base + "  claims_mapping: true\n" + whoami, ""},
		{"proxies", base + whoami + "trusted_proxies: [10.0.0.0/24, 192.0.2.7, '::1']\n", ""},

		{"two credentials", base + "  credential: {client_secret_file: config_test.go, certificate_file: config_test.go}\n" + whoami, "entra.credential: certificate_file and client_secret_file exclude each other"},
		{"no credential in it", base + "  credential: {}\n" + whoami, "entra.credential: "},
		{"no such file", base + "  credential: {client_secret_file: none}\n" + whoami, "entra.credential.client_secret_file: there is no file"},
		{"a secret in the configuration", base + "  credential: {client_secret: abc}\n" + whoami, "entra.credential.client_secret: unknown key"},
		{"identity by name", base + "  credential: {managed_identity: mine}\n" + whoami, "entra.credential.managed_identity: this names no managed identity"},
		{"Graph of another cloud", base + "  graph_url: https://graph.microsoft.us\n" + whoami, "entra.graph_url: the Microsoft Graph of the global cloud is at"},
		{"Graph of a stranger", base + "  graph_url: https://graph.evil.example\n" + whoami, "entra.graph_url: this is not an address of Microsoft Graph"},
		{"Graph on this machine", base + "  graph_url: https://127.0.0.1:1\n" + whoami, "entra.graph_url: the Microsoft Graph of the global cloud is at"},
		{"graph without credential", base + me, "upstreams[0].builtin: this needs a credential of the server"},
		{"graph, development", strings.Replace(base, "  tenant_id: 00000000-0000-0000-0000-000000000001\n", dev, 1) + secret + me, "entra.graph_url: this is missing"},
		{"on_behalf_of without credential", base + crm + obo, "upstreams[0].on_behalf_of: this needs a credential of the server"},
		{"two kinds of token", base + secret + crm + obo + "    managed_identity: {scope: api://crm/.default}\n", "upstreams[0].managed_identity: this does not go with on_behalf_of"},
		{"token and Authorization", base + secret + crm + obo + "    headers: {authorization: x}\n", "upstreams[0].on_behalf_of: this and a header Authorization exclude each other"},
		{"token and Authorization in a file", base + secret + crm + obo + "    header_files: {Authorization: config_test.go}\n", "upstreams[0].on_behalf_of: this and a header Authorization exclude each other"},
		{"a header twice", base + crm + "    headers: {x-key: a}\n    header_files: {X-Key: config_test.go}\n", "upstreams[0].header_files.X-Key: this header is also in headers, as x-key"},
		{"no such header file", base + crm + "    header_files: {X-Key: none}\n", "upstreams[0].header_files.X-Key: there is no file"},
		{"header of the transport", base + crm + "    header_files: {Host: config_test.go}\n", "upstreams[0].header_files: this header belongs to the transport"},
		{"no scopes", base + secret + crm + "    on_behalf_of: {scopes: []}\n", "upstreams[0].on_behalf_of.scopes: this list is empty"},
		{"nothing in on_behalf_of", base + secret + crm + "    on_behalf_of: {}\n", "upstreams[0].on_behalf_of"},
		{"short scope", base + secret + crm + "    on_behalf_of: {scopes: [Crm.Read]}\n", "upstreams[0].on_behalf_of.scopes[0]: this is not a scope in full"},
		{"scopes of two APIs", base + secret + crm + "    on_behalf_of: {scopes: [api://a/X, api://b/X]}\n", "upstreams[0].on_behalf_of.scopes: these scopes belong to several APIs"},
		{"not .default", base + secret + crm + "    client_credentials: {scope: api://crm/Crm.Read}\n", "upstreams[0].client_credentials.scope: an application's own token is for all"},
		{"token of a command", base + secret + "upstreams:\n  - name: a\n    command: [cat]\n" + obo, "upstreams[0].on_behalf_of: this is for upstreams with a url only"},
		{"proxies, everybody", base + whoami + "trusted_proxies: [0.0.0.0/0]\n", "trusted_proxies[0]: this trusts everybody"},
		{"proxies, a name", base + whoami + "trusted_proxies: [proxy.internal]\n", "trusted_proxies[0]: this is neither an address"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, faults := parse(t, tt.text)
			switch {
			case tt.want == "" && len(faults) > 0:
				t.Errorf("got %v", faults)
			case tt.want != "" && (len(faults) != 1 || !strings.HasPrefix(faults[0].String(), tt.want)):
				t.Errorf("got %v, want %q", faults, tt.want)
			}
		})
	}
}
