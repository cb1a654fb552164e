package entra

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// ErrUntrustedMetadata reports metadata that comes from another origin than
// the MCP server, or is about another resource.
var ErrUntrustedMetadata = errors.New("the sign-in metadata is not this server's own")

// maxMetadata bounds a metadata document in bytes, maxListed its lists.
const (
	maxMetadata = 256 << 10
	maxListed   = 64
)

// wellKnownMetadata is RFC 9728's well-known path.
const wellKnownMetadata = "/.well-known/oauth-protected-resource"

// resourceMetadata is a protected resource's metadata (RFC 9728 section 2).
type resourceMetadata struct {
	Resource             string   `json:"resource"`
	AuthorizationServers []string `json:"authorization_servers"`
	ScopesSupported      []string `json:"scopes_supported"`
	ClientID             string   `json:"mcpctl_client_id"`
	Diagnosis            string   `json:"mcpctl_diagnosis_uri"`
}

// findMetadata fetches the metadata of resource from the address that the
// challenge gave, or else from the well-known ones. It returns the address
// that answered.
func findMetadata(ctx context.Context, client Doer, resource *url.URL, announced string) (resourceMetadata, string, error) {
	candidates, err := metadataURLs(resource, announced)
	if err != nil {
		return resourceMetadata{}, "", err
	}
	var misses []string
	for _, candidate := range candidates {
		m, err := fetchMetadata(ctx, client, candidate)
		if ctx.Err() != nil {
			return resourceMetadata{}, "", fmt.Errorf("fetching sign-in metadata: %w", ctx.Err())
		}
		if err != nil {
			misses = append(misses, candidate.EscapedPath()+": "+err.Error())
			continue
		}
		if err := m.check(resource); err != nil {
			return resourceMetadata{}, "", fmt.Errorf("%s: %w", candidate, err)
		}
		return m, candidate.String(), nil
	}
	return resourceMetadata{}, "", fmt.Errorf("%s asks for a sign-in but does not say where (%s): name the tenant and client with --tenant, --client-id and --scope",
		resource.Host, strings.Join(misses, "; "))
}

// metadataURLs lists the addresses to try, in order.
func metadataURLs(resource *url.URL, announced string) ([]*url.URL, error) {
	var candidates []*url.URL
	if announced != "" {
		u, err := resource.Parse(announced)
		if err != nil {
			return nil, fmt.Errorf("%w: %q is not an address", ErrUntrustedMetadata, clip(announced))
		}
		if !sameOrigin(u, resource) || u.User != nil {
			return nil, fmt.Errorf("%w: it would come from %s instead of %s", ErrUntrustedMetadata, clip(u.Scheme+"://"+u.Host), resource.Host)
		}
		u.Fragment, u.RawFragment = "", ""
		candidates = append(candidates, u)
	}
	root := &url.URL{Scheme: resource.Scheme, Host: resource.Host}
	if path := resource.EscapedPath(); path != "" && path != "/" {
		// The path keeps its trailing slash: RFC 9728 section 3.1 removes only
		// the one of an empty path.
		if inserted, err := root.Parse(wellKnownMetadata + path); err == nil {
			inserted.RawQuery = resource.RawQuery
			candidates = append(candidates, inserted)
		}
	}
	return append(candidates, root.JoinPath(wellKnownMetadata)), nil
}

func fetchMetadata(ctx context.Context, client Doer, from *url.URL) (resourceMetadata, error) {
	var m resourceMetadata
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from.String(), nil)
	if err != nil {
		return m, err
	}
	req.Header.Set("Accept", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return m, errors.New("no answer")
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return m, fmt.Errorf("HTTP %d", resp.StatusCode)
	}
	body, err := readAtMost(resp.Body, maxMetadata)
	if err != nil {
		return m, err
	}
	if err := json.Unmarshal(body, &m); err != nil {
		return m, errors.New("not a metadata document")
	}
	if m.Resource == "" || len(m.AuthorizationServers) == 0 {
		return m, errors.New("names no resource or no authorization server")
	}
	return m, nil
}

// check refuses metadata about anything but resource (RFC 9728 section 3.3).
// Metadata may be about a parent path, since one API can have several
// endpoints; a trailing slash makes no other resource.
func (m *resourceMetadata) check(resource *url.URL) error {
	u, err := url.Parse(m.Resource)
	if err != nil || u.User != nil {
		return fmt.Errorf("%w: resource %q is not an address", ErrUntrustedMetadata, clip(m.Resource))
	}
	if !sameOrigin(u, resource) || !pathWithin(u.EscapedPath(), resource.EscapedPath()) {
		return fmt.Errorf("%w: it is about %q", ErrUntrustedMetadata, clip(m.Resource))
	}
	if len(m.AuthorizationServers) > maxListed || len(m.ScopesSupported) > maxListed {
		return fmt.Errorf("the metadata lists more than %d entries", maxListed)
	}
	return nil
}

// pathWithin reports whether path is prefix or lies below it, by segments.
func pathWithin(prefix, path string) bool {
	for _, p := range []string{prefix, path} {
		for segment := range strings.SplitSeq(p, "/") {
			if segment == "." || segment == ".." {
				return false
			}
		}
	}
	prefix = strings.TrimSuffix(prefix, "/")
	path = strings.TrimSuffix(path, "/")
	return path == prefix || strings.HasPrefix(path, prefix+"/")
}
