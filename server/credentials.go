package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"github.com/mcpctl/mcpctl/server/auth"
	"github.com/mcpctl/mcpctl/server/builtin"
	"github.com/mcpctl/mcpctl/server/gateway"
	"github.com/mcpctl/mcpctl/server/obo"
)

// Credentials are what the server can prove itself with. Whoever knows the
// authority makes them; the server only asks for tokens.
type Credentials struct {
	// Authority gives tokens for entra.credential; nil where none is configured.
	Authority obo.Authority
	// Identity finds the managed identity with a client id, or the system's for
	// "". nil: there is none.
	Identity func(clientID string) (obo.Identity, error)
}

// credentials makes the parts of a server that need tokens for elsewhere, and
// closes them.
type credentials struct {
	from  Credentials
	cfg   Config
	login string // origin of the authority, for links
	log   *slog.Logger
	close []func()
}

// newCredentials needs the issuers of auth.Verifier.AuthorizationServers to
// make links; see linkTo.
func newCredentials(from Credentials, cfg Config, issuers []string, log *slog.Logger) *credentials {
	c := &credentials{from: from, cfg: cfg, log: log}
	c.linkTo(issuers)
	return c
}

// linkTo says where the authority is, for the links of sources made from now on.
func (c *credentials) linkTo(issuers []string) {
	if len(issuers) == 0 {
		return
	}
	if scheme, rest, ok := strings.Cut(issuers[0], "://"); ok {
		host, _, _ := strings.Cut(rest, "/")
		c.login = scheme + "://" + host
	}
}

// Close ends requests to the authority that are under way.
func (c *credentials) Close() error {
	for _, f := range c.close {
		f()
	}
	c.close = nil
	return nil
}

// errNoCredential: the configuration was checked, so this is for configurations
// that were made without a file.
var errNoCredential = errors.New("the configuration names no credential of the server. Add entra.credential")

// transport wraps base with the credential of an upstream with a url, which is
// the source's. The caller's own token never gets through it.
func (c *credentials) transport(up Upstream, base http.RoundTripper) (*obo.Transport, obo.Source, error) {
	source, err := c.source(up)
	if err != nil {
		return nil, nil, fmt.Errorf("preparing the credential for the upstream %s: %w", up.Name, err)
	}
	transport, err := obo.NewTransport(base, up.URL, source, c.log.With("upstream", up.Name))
	return transport, source, err
}

// source is what requests to an upstream carry; nil for nothing.
func (c *credentials) source(up Upstream) (obo.Source, error) {
	log := c.log.With("upstream", up.Name)
	var sources []obo.Source
	if len(up.HeaderFiles) > 0 {
		files, err := obo.NewHeaderFiles(up.HeaderFiles, log)
		if err != nil {
			return nil, err
		}
		sources = append(sources, files)
	}
	token, err := c.token(up, log)
	if err != nil {
		return nil, err
	}
	if token != nil {
		sources = append(sources, token)
	}
	return obo.Join(sources...), nil
}

func (c *credentials) token(up Upstream, log *slog.Logger) (obo.Source, error) {
	switch {
	case len(up.OnBehalfOf.Scopes) > 0:
		return c.onBehalfOf(up.OnBehalfOf.Scopes, log)
	case up.ClientCredentials.Scope != "":
		if c.from.Authority == nil {
			return nil, errNoCredential
		}
		return c.keep(obo.NewClientCredentials(obo.ApplicationOptions{Authority: c.from.Authority, Scope: up.ClientCredentials.Scope, Logger: log}))
	case up.ManagedIdentity.Scope != "":
		if c.from.Identity == nil {
			return nil, errors.New("this machine has no managed identity")
		}
		identity, err := c.from.Identity(up.ManagedIdentity.ClientID)
		if err != nil {
			return nil, err
		}
		return c.keep(obo.NewManagedIdentity(obo.ApplicationOptions{Identity: identity, Scope: up.ManagedIdentity.Scope, Logger: log}))
	}
	return nil, nil // no token is what the upstream gets
}

func (c *credentials) keep(a *obo.Application, err error) (obo.Source, error) {
	if err != nil {
		return nil, err
	}
	c.close = append(c.close, a.Close)
	return a, nil
}

func (c *credentials) onBehalfOf(scopes []string, log *slog.Logger) (obo.Source, error) {
	if c.from.Authority == nil {
		return nil, errNoCredential
	}
	s, err := obo.NewOnBehalfOf(obo.OnBehalfOfOptions{
		Authority: c.from.Authority, Scopes: scopes, ClientID: c.cfg.Entra.ClientID, Login: c.login, Logger: log,
	})
	if err != nil {
		return nil, err
	}
	c.close = append(c.close, s.Close)
	return s, nil
}

// graphScope is everything that the server's application was granted there.
// The API is named as in the cloud's own Graph, whatever stands in for it.
func (c *credentials) graphScope() (string, error) {
	cfg := c.cfg
	if cfg.Entra.Authority != "" {
		return "https://graph.microsoft.com/.default", nil
	}
	root, err := cfg.graphURL()
	return root + "/.default", err
}

// graphSource is the credential of the built-in graph tools.
func (c *credentials) graphSource() (obo.Source, error) {
	scope, err := c.graphScope()
	if err != nil {
		return nil, err
	}
	source, err := c.onBehalfOf([]string{scope}, c.log.With("upstream", "graph"))
	if err != nil {
		return nil, fmt.Errorf("preparing the built-in tools graph: %w", err)
	}
	return source, nil
}

// graph is how the built-in graph tools reach Microsoft Graph over base; one on
// this machine is trusted by the CA of the development authority instead.
func (c *credentials) graph(source obo.Source, base http.RoundTripper) (builtin.GraphOptions, error) {
	var none builtin.GraphOptions
	client, err := authorityClient(c.cfg.Entra.CAFile)
	if err != nil {
		return none, err
	}
	if client != nil {
		c.close = append(c.close, client.CloseIdleConnections)
		base = client.Transport
	}
	root, err := c.cfg.graphURL()
	if err != nil {
		return none, err
	}
	transport, err := obo.NewTransport(base, root, source, c.log)
	return builtin.GraphOptions{URL: root, HTTP: transport, Explain: obo.Explain}, err
}

// groups looks up groups that tokens leave out; nil where the server has no
// credential to ask with.
func (c *credentials) groups(client *http.Client) (*auth.Groups, error) {
	root, err := c.cfg.graphURL()
	if err != nil {
		return nil, err
	}
	if c.from.Authority == nil || root == "" {
		return nil, nil // such callers are refused with the reason
	}
	scope, err := c.graphScope()
	if err != nil {
		return nil, err
	}
	tokens := make(map[string]*obo.Application)
	for _, tenant := range c.cfg.homes() {
		a, err := obo.NewClientCredentials(obo.ApplicationOptions{Authority: c.from.Authority, Tenant: tenant, Scope: scope, Logger: c.log})
		if err != nil {
			return nil, err
		}
		c.close = append(c.close, a.Close)
		tokens[strings.ToLower(tenant)] = a
	}
	groups, err := auth.NewGroups(auth.GroupsOptions{
		Cloud: auth.Cloud(c.cfg.Entra.Cloud), Development: c.cfg.Entra.Authority != "", URL: c.cfg.Entra.GraphURL,
		HTTPClient: client, Logger: c.log,
		Token: func(ctx context.Context, tenant string) (string, error) {
			if a := tokens[tenant]; a != nil {
				return a.Token(ctx)
			}
			return "", errNoCredential
		},
	})
	if err != nil {
		return nil, err
	}
	c.close = append(c.close, groups.Close)
	return groups, nil
}

// lacking is gateway.CredentialOptions.Lacking for the endpoint at path.
func lacking(metadata *auth.Metadata, path string) func(ctx context.Context, err error) *gateway.NoCredential {
	return func(ctx context.Context, err error) *gateway.NoCredential {
		p, _ := auth.FromContext(ctx)
		r := obo.Refusal(p, err)
		if r == nil {
			r = auth.Refused(ctx)
		}
		if r == nil {
			return nil
		}
		status, header := metadata.Answer(path, r)
		return &gateway.NoCredential{Status: status, Header: header, Text: strings.TrimSpace(r.Description + " " + r.Fix)}
	}
}
