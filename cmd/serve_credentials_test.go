package cmd

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/mcpctl/mcpctl/server"
)

func TestServerCredentials(t *testing.T) {
	const id = "00000000-0000-0000-0000-000000000002"
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("s"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		entra     server.Entra
		authority bool
		bad       bool
	}{
		"none":             {entra: server.Entra{TenantID: id, ClientID: id}},
		"secret":           {entra: server.Entra{TenantID: id, ClientID: id, Credential: server.Credential{ClientSecretFile: secret}}, authority: true},
		"several tenants":  {entra: server.Entra{TenantIDs: []string{id}, ClientID: id, Cloud: "china", Credential: server.Credential{ClientSecretFile: secret}}, authority: true},
		"managed identity": {entra: server.Entra{TenantID: id, ClientID: id, Credential: server.Credential{ManagedIdentity: "system"}}, authority: true},
		"no file":          {entra: server.Entra{TenantID: id, ClientID: id, Credential: server.Credential{ClientSecretFile: secret + "x"}}, bad: true},
		"unknown cloud":    {entra: server.Entra{TenantID: id, ClientID: id, Cloud: "moon", Credential: server.Credential{ClientSecretFile: secret}}, bad: true},
	} {
		c, err := serverCredentials(server.Config{Entra: tt.entra}, nil)
		if (err != nil) != tt.bad || (c.Authority != nil) != tt.authority || c.Identity == nil {
			t.Errorf("%s: %+v, %v", name, c, err)
		}
	}
}
