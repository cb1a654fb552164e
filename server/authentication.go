package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/mcpctl/mcpctl/server/auth"
)

// authOptions say whose tokens are accepted. What needs more than the
// configuration is not in them.
func (c Config) authOptions() auth.Options {
	e := c.Entra
	return auth.Options{
		Cloud: auth.Cloud(e.Cloud), Authority: e.Authority, TenantIDs: c.tenants(), Audiences: c.audiences(),
		RequiredScopes: e.RequiredScopes, RequiredRoles: e.RequiredRoles, AllowedClients: e.AllowedClients,
		NeedGroups: c.needsGroups(), ClaimsMapping: e.ClaimsMapping, MaxTokenBytes: int(c.Limits.Token),
	}
}

// openAuth makes what judges tokens and what tells clients where to get one.
func (s *Server) openAuth() error {
	client, err := authorityClient(s.cfg.Entra.CAFile)
	if err != nil {
		return err
	}
	s.authority = client
	opts := s.cfg.authOptions()
	groups, err := s.credentials.groups(client)
	if err != nil {
		return fmt.Errorf("preparing look-ups of groups: %w", err)
	}
	if groups != nil {
		opts.Groups = groups
	}
	opts.HTTPClient, opts.Logger = client, s.log
	opts.Observer = auth.Observer{Verified: s.metrics.tokenJudged, Fetched: s.metrics.keysFetched}
	verifier, err := auth.New(opts)
	if err != nil {
		return fmt.Errorf("preparing token verification: %w", err)
	}
	s.verifier.Store(verifier)
	about := auth.MetadataOptions{
		PublicURL: s.cfg.PublicURL, OtherPaths: s.cfg.otherPaths(), AuthorizationServers: verifier.AuthorizationServers(),
		AppIDURI: s.cfg.appIDURI(), Scopes: s.cfg.Entra.RequiredScopes, PublicClientID: s.cfg.Entra.PublicClientID,
	}
	if s.cfg.Diagnosis != noDiagnosis {
		about.DiagnosisPath = diagnosisPath
	}
	if s.metadata, err = auth.NewMetadata(about); err != nil {
		return fmt.Errorf("preparing resource metadata: %w", err)
	}
	// Before the policy's step: rules about groups must meet no caller whose groups
	// nobody has looked up.
	s.onReload(nil, s.reloadAuth)
	return nil
}

// authorityClient trusts only the CA of a development authority; nil where
// there is none, for the default client.
func authorityClient(caFile string) (*http.Client, error) {
	if caFile == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return nil, withFix(fmt.Errorf("reading the authority's CA: %w", err), "Check entra.ca_file")
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("reading the authority's CA: %s holds no PEM certificate", caFile)
	}
	t := &http.Transport{
		TLSClientConfig:     &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout: 10 * time.Second,
		MaxIdleConnsPerHost: 2,
		IdleConnTimeout:     time.Minute,
	}
	return &http.Client{Transport: t, Timeout: 15 * time.Second}, nil
}

// reloadAuth takes over who may come in. The keys of the authority, and with
// them what is known of it while it is down, stay.
func (s *Server) reloadAuth(old, next Config) (func(), error) {
	if sameStrings(old.Entra.RequiredScopes, next.Entra.RequiredScopes) && sameStrings(old.Entra.RequiredRoles, next.Entra.RequiredRoles) &&
		sameStrings(old.Entra.AllowedClients, next.Entra.AllowedClients) && old.needsGroups() == next.needsGroups() {
		return nil, nil
	}
	v, err := s.verifier.Load().WithPermissions(auth.Options{
		RequiredScopes: next.Entra.RequiredScopes, RequiredRoles: next.Entra.RequiredRoles, AllowedClients: next.Entra.AllowedClients,
		NeedGroups: next.needsGroups(),
	})
	if err != nil {
		return nil, fmt.Errorf("preparing token verification: %w", err)
	}
	return func() { s.verifier.Store(v) }, nil
}

func sameStrings(a, b []string) bool { return slices.Equal(a, b) }

// liveVerifier judges tokens by the permissions in force.
type liveVerifier struct{ server *Server }

// Verify implements auth.TokenVerifier.
func (l liveVerifier) Verify(ctx context.Context, raw string) (*auth.Principal, error) {
	return l.server.verifier.Load().Verify(ctx, raw)
}

// MaxTokenBytes implements auth.TokenVerifier.
func (l liveVerifier) MaxTokenBytes() int { return l.server.verifier.Load().MaxTokenBytes() }
