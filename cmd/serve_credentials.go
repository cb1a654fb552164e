package cmd

import (
	"fmt"
	"log/slog"

	"github.com/mcpctl/mcpctl/internal/entra"
	"github.com/mcpctl/mcpctl/server"
	"github.com/mcpctl/mcpctl/server/obo"
)

// serverCredentials gives a server what it proves itself with. Nothing is sent
// yet; a credential that can't be read is an error.
func serverCredentials(cfg server.Config, log *slog.Logger) (server.Credentials, error) {
	c := server.Credentials{Identity: managedIdentity}
	own := cfg.Entra.Credential
	if own.IsZero() {
		return c, nil
	}
	authority, err := serverAuthority(cfg.Entra)
	if err != nil {
		return c, fmt.Errorf("preparing the server's credential: %w", err)
	}
	credential := entra.Credential{
		FederatedTokenFile: own.FederatedTokenFile, CertificateFile: own.CertificateFile, SecretFile: own.ClientSecretFile,
	}
	if own.ManagedIdentity != "" {
		if credential.ManagedIdentity, err = newManagedIdentity(own.ManagedIdentity); err != nil {
			return c, fmt.Errorf("preparing the server's credential: %w. Check entra.credential", err)
		}
	}
	client, err := entra.NewConfidential(entra.ConfidentialOptions{
		Authority: authority, ClientID: cfg.Entra.ClientID, Credential: credential, Logger: log,
	})
	if err != nil {
		return c, fmt.Errorf("preparing the server's credential: %w. Check entra.credential", err)
	}
	c.Authority = client
	return c, nil
}

// serverAuthority is where a server gets tokens: in the first of its tenants
// unless a caller's says otherwise.
func serverAuthority(e server.Entra) (entra.Authority, error) {
	if e.Authority != "" {
		return entra.ParseAuthority(e.Authority, e.CAFile)
	}
	tenant := e.TenantID
	if tenant == "" && len(e.TenantIDs) > 0 {
		tenant = e.TenantIDs[0]
	}
	cloud, ok := entra.LookupCloud(e.Cloud)
	if !ok {
		return entra.Authority{}, fmt.Errorf("cloud %q is unknown", e.Cloud)
	}
	return entra.ParseAuthority(cloud.Authority(tenant), "")
}

func managedIdentity(clientID string) (obo.Identity, error) { return newManagedIdentity(clientID) }

// newManagedIdentity is the identity with a client id; "" and "system" are the
// machine's own.
func newManagedIdentity(clientID string) (*entra.ManagedIdentity, error) {
	if clientID == "system" {
		clientID = ""
	}
	return entra.NewManagedIdentity(entra.ManagedIdentityOptions{ClientID: clientID})
}
