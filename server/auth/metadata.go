package auth

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

const (
	wellKnown         = "/.well-known/"
	wellKnownResource = "/.well-known/oauth-protected-resource"
)

// MetadataOptions configures [NewMetadata].
type MetadataOptions struct {
	// PublicURL is the address people type, with scheme and path and without a
	// trailing slash. It becomes the resource, byte for byte.
	PublicURL string
	// OtherPaths are paths of further endpoints on the same origin, such as
	// /sse. Each gets metadata of its own, since clients compare the resource
	// with the address they were given.
	OtherPaths []string
	// AuthorizationServers are the issuers, from [Verifier.AuthorizationServers].
	AuthorizationServers []string
	// AppIDURI is the API's App ID URI; empty is PublicURL.
	AppIDURI string
	// Scopes are the delegated permissions to ask for, short or in full.
	Scopes []string
	// PublicClientID is the client id that mcpctl login uses unless told
	// otherwise; published as mcpctl_client_id.
	PublicClientID string
	// DiagnosisPath, below the resource's own path, is where callers learn what
	// the server can do in their name; published as mcpctl_diagnosis_uri, and not
	// at all where it is "".
	DiagnosisPath string
}

// Metadata serves RFC 9728 protected resource metadata to anybody who asks, at
// the root well-known address, at the one with the resource's path inserted and
// at the one appended to it. It answers every other well-known address with a
// 404 in JSON, because clients try several and choke on a page of HTML.
//
// The handler is our own: mcp-go's NewProtectedResourceMetadataHandler marshals
// a fixed struct, which has no place for mcpctl_client_id, and its CORS answer
// does not allow the MCP-Protocol-Version header that browser clients send.
type Metadata struct {
	scopes    []string // full URIs
	appIDURI  string
	documents map[string][]byte // by request path
	links     map[string]string // metadata URL by endpoint path
	resource  string            // PublicURL
	link      string            // its metadata URL
	patterns  []string
	notFound  []byte
}

// resourceMetadata is the document, RFC 9728 section 2.
type resourceMetadata struct {
	Resource             string   `json:"resource"`
	AuthorizationServers []string `json:"authorization_servers"`
	ScopesSupported      []string `json:"scopes_supported,omitempty"`
	BearerMethods        []string `json:"bearer_methods_supported"`
	ClientID             string   `json:"mcpctl_client_id,omitempty"`
	Diagnosis            string   `json:"mcpctl_diagnosis_uri,omitempty"`
}

// NewMetadata checks the options and renders the documents.
func NewMetadata(o MetadataOptions) (*Metadata, error) {
	u, err := parsePublicURL(o.PublicURL)
	if err != nil {
		return nil, err
	}
	if len(o.AuthorizationServers) == 0 {
		return nil, errors.New("resource metadata needs an authorization server")
	}
	appIDURI := o.AppIDURI
	if appIDURI == "" {
		appIDURI = o.PublicURL
	}
	m := &Metadata{resource: o.PublicURL, appIDURI: appIDURI, documents: make(map[string][]byte), links: make(map[string]string)}
	for _, scope := range o.Scopes {
		m.scopes = append(m.scopes, scopeURI(appIDURI, scope))
	}
	doc := resourceMetadata{
		AuthorizationServers: o.AuthorizationServers,
		ScopesSupported:      m.scopes,
		BearerMethods:        []string{"header"},
		ClientID:             o.PublicClientID,
	}
	if o.DiagnosisPath != "" {
		doc.Diagnosis = strings.TrimSuffix(o.PublicURL, "/") + o.DiagnosisPath
	}
	origin := u.Scheme + "://" + u.Host
	m.patterns = []string{wellKnown}

	add := func(path, resource string) {
		doc.Resource = resource
		body := encodeJSON(doc)
		if path == "/" { // RFC 9728 section 3.1 drops the slash after the host
			path = ""
		}
		m.documents[wellKnownResource+path] = body
		m.documents[path+wellKnownResource] = body
		if path != "" {
			m.patterns = append(m.patterns, path+wellKnown)
		}
		m.links[path] = origin + wellKnownResource + path
	}
	for _, path := range o.OtherPaths {
		if !strings.HasPrefix(path, "/") || strings.HasSuffix(path, "/") || strings.ContainsAny(path, "?#%\"\\ ") {
			return nil, fmt.Errorf("endpoint path %q must begin with a slash, not end with one, and be plain", path)
		}
		add(path, origin+path)
	}
	path := u.EscapedPath()
	add(path, o.PublicURL)
	m.documents[wellKnownResource] = m.documents[wellKnownResource+strings.TrimSuffix(path, "/")]
	m.link = m.links[strings.TrimSuffix(path, "/")]
	m.notFound = encodeJSON(map[string]string{
		"error": "not_found",
		"error_description": "Nothing is served here. This server is a protected resource described at " + m.link +
			"; its authorization server is " + strings.Join(o.AuthorizationServers, ", "),
	})
	return m, nil
}

// parsePublicURL refuses what Entra or a client would stumble over later.
func parsePublicURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return nil, errors.New("public URL is not a URL")
	case u.Scheme != "https" && u.Scheme != "http" || u.Host == "":
		return nil, fmt.Errorf("public URL %q must be an absolute https:// address", u.Redacted())
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		return nil, fmt.Errorf("public URL %q would send tokens in the clear; http:// is for loopback only", u.Redacted())
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, fmt.Errorf("public URL %q must have no user, query or fragment", u.Redacted())
	case len(u.Path) > 1 && strings.HasSuffix(u.Path, "/"):
		return nil, fmt.Errorf("public URL %q must not end with a slash: clients and Entra compare it byte for byte", raw)
	case raw != printable(raw) || strings.ContainsAny(raw, "' "):
		return nil, fmt.Errorf("public URL %q must consist of plain ASCII", raw)
	}
	return u, nil
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// scopeURI is a scope as it must be requested. Entra takes a short name for a
// scope of Microsoft Graph.
func scopeURI(appIDURI, scope string) string {
	if strings.Contains(scope, "/") {
		return scope
	}
	return appIDURI + "/" + scope
}

// Scopes are the scopes to request, by full URI.
func (m *Metadata) Scopes() []string { return slices.Clone(m.scopes) }

// URL is where the metadata of an endpoint is, by the endpoint's path; that of
// the public URL if the path has none of its own.
func (m *Metadata) URL(path string) string {
	if link, ok := m.links[path]; ok {
		return link
	}
	return m.link
}

// Patterns are the [http.ServeMux] patterns under which to register m. They
// must stay outside [Guard].
func (m *Metadata) Patterns() []string { return slices.Clone(m.patterns) }

// ServeHTTP implements [http.Handler].
func (m *Metadata) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Allow-Methods", "GET, HEAD, OPTIONS")
	h.Set("Access-Control-Allow-Headers", "Accept, Authorization, Content-Type, MCP-Protocol-Version")
	switch r.Method {
	case http.MethodGet, http.MethodHead:
	case http.MethodOptions:
		w.WriteHeader(http.StatusNoContent)
		return
	default:
		h.Set("Allow", "GET, HEAD, OPTIONS")
		writeJSON(w, http.StatusMethodNotAllowed, encodeJSON(map[string]string{"error": "method_not_allowed"}))
		return
	}
	body, ok := m.documents[strings.TrimSuffix(r.URL.EscapedPath(), "/")]
	if !ok {
		writeJSON(w, http.StatusNotFound, m.notFound)
		return
	}
	writeJSON(w, http.StatusOK, body)
}

// writeJSON sends a body that must not be cached: the answer changes with the
// configuration or the token. net/http drops the body of a HEAD request.
func writeJSON(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client may be gone
}

// encodeJSON encodes strings and lists of them, which cannot fail, and leaves
// addresses readable instead of escaping &, < and > for HTML.
func encodeJSON(v any) []byte {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v)
	return buf.Bytes()
}
