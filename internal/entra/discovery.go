package entra

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/mcpctl/mcpctl/internal/redact"
)

// ErrNotEntra reports an MCP server whose metadata names no authority that
// mcpctl can sign in to.
var ErrNotEntra = errors.New("the MCP server does not use Microsoft Entra ID")

// A Discovery is what an MCP server says about signing in. It is that server's
// claim: what it names has been checked for form and origin, and the person
// sees it before any of it is used.
type Discovery struct {
	// URL is the MCP endpoint as it was typed.
	URL string
	// AuthRequired is false if the server answered without asking for
	// authentication; the other fields are then empty.
	AuthRequired bool
	// MetadataURL is where the metadata came from (RFC 9728).
	MetadataURL string
	// Resource is the server's own identifier, byte for byte.
	Resource string
	// AuthorizationServers are the issuers that the metadata lists.
	AuthorizationServers []string
	// Tenant is the tenant of the first usable authority, or "" if that one
	// names no particular tenant.
	Tenant string
	// Scopes are what the server asks for: the challenge's scopes, else the
	// metadata's. They are unchecked; [Discovery.RequestScopes] checks them.
	Scopes []string
	// ClientID is the public client that the server recommends in the
	// extension field mcpctl_client_id, or "".
	ClientID string
	// DiagnosisURL is where the server says what it can do in a caller's name,
	// from the extension field mcpctl_diagnosis_uri; "" if it has no such place
	// or names one of another origin. A token may be sent there.
	DiagnosisURL string

	authority string // the first usable entry of AuthorizationServers
}

// Authority returns the authority to sign in at. A tenant that is not empty
// replaces the server's, and devCA is as in [ParseAuthority]. The error is
// [ErrTemplatedTenant] if neither names a tenant.
func (d Discovery) Authority(tenant, devCA string) (Authority, error) {
	if d.authority == "" {
		return Authority{}, fmt.Errorf("%s: %w", redact.URL(d.URL), ErrNotEntra)
	}
	u, err := url.Parse(d.authority)
	if err != nil {
		return Authority{}, fmt.Errorf("reading the authority of %s: %w", redact.URL(d.URL), err)
	}
	if tenant == "" {
		tenant = d.Tenant
	}
	if tenant == "" {
		return Authority{}, fmt.Errorf("%s accepts sign-ins of several tenants: name yours with --tenant: %w", redact.URL(d.URL), ErrTemplatedTenant)
	}
	return ParseAuthority("https://"+u.Host+"/"+url.PathEscape(tenant), devCA)
}

// RequestScopes returns the scopes to sign in with, checked with
// [CheckScopes]: those of override if there are any, else the server's.
func (d Discovery) RequestScopes(override []string) ([]string, error) {
	scopes := d.Scopes
	if len(override) > 0 {
		scopes = override
	}
	return checkScopesFor(scopes, d.URL)
}

// initializeBody asks for a session as an MCP client would. Nothing is lost if
// the server grants one: it is given back at once.
const initializeBody = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"mcpctl","version":"1"}}}`

// Discover asks the MCP server at rawURL, without credentials, how to sign in.
// It reads the challenge of a 401 and the protected resource metadata it
// points to, else the metadata at the well-known addresses (RFC 9728 section
// 3.1): first for the path, then for the root.
//
// The metadata must come from the server's own origin and be about rawURL: a
// server must not be able to collect tokens meant for a neighbour. client
// should be that of [NewResourceClient]; it must not follow redirects to
// another origin.
func Discover(ctx context.Context, client Doer, rawURL string) (Discovery, error) {
	resource, err := parseResource(rawURL)
	if err != nil {
		return Discovery{}, err
	}
	d := Discovery{URL: rawURL}
	answered, err := probe(ctx, client, resource)
	if err != nil {
		return d, fmt.Errorf("asking %s how to sign in: %w", resource.Host, err)
	}
	if answered.open {
		return d, nil
	}
	d.AuthRequired = true
	m, from, err := findMetadata(ctx, client, resource, answered.challenge.Params["resource_metadata"])
	if err != nil {
		switch {
		case errors.Is(err, ErrUntrustedMetadata) || answered.challenged:
			return d, err
		case answered.jsonrpc:
			d.AuthRequired = false // it understood, and disliked something else
			return d, nil
		default:
			return d, fmt.Errorf("%s does not answer like an MCP endpoint (HTTP %d): check the address", redact.URL(rawURL), answered.status)
		}
	}
	d.MetadataURL, d.Resource, d.AuthorizationServers = from, m.Resource, m.AuthorizationServers
	d.Scopes = m.ScopesSupported
	if scope := strings.Fields(answered.challenge.Params["scope"]); len(scope) > 0 {
		d.Scopes = scope
	}
	if IsGUID(m.ClientID) {
		d.ClientID = strings.ToLower(m.ClientID)
	}
	if u, err := url.Parse(m.Diagnosis); err == nil && m.Diagnosis != "" && u.User == nil && sameOrigin(u, resource) {
		d.DiagnosisURL = u.String()
	}
	d.authority, d.Tenant = pickAuthority(m.AuthorizationServers)
	if d.authority == "" {
		return d, fmt.Errorf("%s signs people in at %s: %w; for servers with other sign-in use mcpctl bridge --header",
			redact.URL(rawURL), clip(strings.Join(m.AuthorizationServers, ", ")), ErrNotEntra)
	}
	return d, nil
}

// pickAuthority returns the first issuer that could be an authority of ours,
// and its tenant unless that is a template.
func pickAuthority(issuers []string) (authority, tenant string) {
	for _, issuer := range issuers {
		u, t, err := splitAuthority(issuer)
		if err != nil {
			continue
		}
		if _, known := CloudOfHost(u.Host); !known && !isLoopbackLiteral(u.Hostname()) {
			continue
		}
		if isTemplatedTenant(t) {
			t = ""
		}
		return issuer, t
	}
	return "", ""
}

// probed is how the server reacted to a request without credentials.
type probed struct {
	open       bool // it let us in
	challenged bool // it answered 401
	jsonrpc    bool // it answered with a JSON-RPC message, whatever the status
	status     int
	challenge  Challenge
}

// probe sends initialize as Streamable HTTP does and, where the path is not
// for POST, opens the stream as HTTP+SSE does.
func probe(ctx context.Context, client Doer, resource *url.URL) (probed, error) {
	post, err := http.NewRequestWithContext(ctx, http.MethodPost, resource.String(), strings.NewReader(initializeBody))
	if err != nil {
		return probed{}, err
	}
	post.Header.Set("Content-Type", "application/json")
	post.Header.Set("Accept", "application/json, text/event-stream")
	p, session, err := probeWith(client, post)
	if err != nil || p.open || p.challenged {
		if p.open && session != "" {
			endSession(ctx, client, resource, session)
		}
		return p, err
	}
	switch p.status {
	case http.StatusBadRequest, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusNotAcceptable, http.StatusUnsupportedMediaType:
	default:
		return p, nil
	}
	get, err := http.NewRequestWithContext(ctx, http.MethodGet, resource.String(), nil)
	if err != nil {
		return probed{}, err
	}
	get.Header.Set("Accept", "text/event-stream")
	viaGet, _, err := probeWith(client, get)
	if err == nil && (viaGet.open || viaGet.challenged) {
		return viaGet, nil
	}
	return p, nil
}

func probeWith(client Doer, req *http.Request) (p probed, session string, err error) {
	resp, err := client.Do(req)
	if err != nil {
		return probed{}, "", err
	}
	defer resp.Body.Close()
	p = probed{status: resp.StatusCode, challenged: resp.StatusCode == http.StatusUnauthorized}
	switch {
	case p.challenged:
		p.challenge, _ = BearerChallenge(resp.Header)
	case resp.StatusCode >= 300 && resp.StatusCode < 400:
		to := "elsewhere"
		if location, err := resp.Location(); err == nil {
			to = location.Scheme + "://" + location.Host + location.EscapedPath()
		}
		return p, "", fmt.Errorf("it redirects to %s: use that address if you trust it", clip(to))
	case resp.StatusCode >= 500 || resp.StatusCode == http.StatusTooManyRequests:
		return p, "", fmt.Errorf("it answered HTTP %d: try again later", resp.StatusCode)
	case resp.StatusCode < 300:
		mt := mediaType(resp.Header)
		// A web page with status 200 is no MCP server's answer.
		p.open = mt == "text/event-stream" || (req.Method == http.MethodPost && mt == "application/json")
	case mediaType(resp.Header) == "application/json":
		var message struct{ JSONRPC string }
		body, err := readAtMost(resp.Body, maxMetadata)
		p.jsonrpc = err == nil && json.Unmarshal(body, &message) == nil && message.JSONRPC == "2.0"
	}
	return p, resp.Header.Get("Mcp-Session-Id"), nil
}

// endSession gives back the session that the probe opened by accident.
func endSession(ctx context.Context, client Doer, resource *url.URL, session string) {
	req, err := http.NewRequestWithContext(ctx, http.MethodDelete, resource.String(), nil)
	if err != nil {
		return
	}
	req.Header.Set("Mcp-Session-Id", session)
	if resp, err := client.Do(req); err == nil {
		_ = resp.Body.Close()
	}
}

// parseResource checks the address of an MCP server.
func parseResource(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "":
		return nil, fmt.Errorf("%q is not an address: expected https://HOST/PATH", clip(redact.URL(raw)))
	case u.User != nil:
		return nil, errors.New("an MCP server's address takes no user name or password")
	case u.Scheme == "http" && !isLoopbackHost(u.Hostname()):
		return nil, fmt.Errorf("%s must be reached over https: a token must not cross a network in the clear", u.Host)
	case u.Scheme != "https" && u.Scheme != "http":
		return nil, fmt.Errorf("%q must start with https://", clip(redact.URL(raw)))
	}
	u.Fragment, u.RawFragment = "", ""
	return u, nil
}

// isLoopbackHost also accepts the name localhost, which is fine for a server
// that a person typed; authorities need a literal.
func isLoopbackHost(host string) bool {
	return strings.EqualFold(host, "localhost") || isLoopbackLiteral(host)
}

// sameOrigin compares scheme, host and port (RFC 6454 section 5).
func sameOrigin(a, b *url.URL) bool {
	return strings.EqualFold(a.Scheme, b.Scheme) && strings.EqualFold(a.Hostname(), b.Hostname()) && portOf(a) == portOf(b)
}

func portOf(u *url.URL) string {
	if port := u.Port(); port != "" {
		return port
	}
	switch strings.ToLower(u.Scheme) {
	case "https":
		return "443"
	case "http":
		return "80"
	}
	return ""
}

// readAtMost reads a body that must not be longer than limit bytes.
func readAtMost(r io.Reader, limit int64) ([]byte, error) {
	var b bytes.Buffer
	n, err := b.ReadFrom(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if n > limit {
		return nil, fmt.Errorf("longer than %d bytes", limit)
	}
	return b.Bytes(), nil
}
