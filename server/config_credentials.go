package server

import (
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/mcpctl/mcpctl/server/auth"
	"github.com/mcpctl/mcpctl/server/policy"
)

// Credential is how the server proves to the authority who it is: exactly one
// of the fields. Files are read again when they change.
type Credential struct {
	// ManagedIdentity is "system", or the client id of a user-assigned identity
	// that a federated credential of the API's registration names.
	ManagedIdentity    string `yaml:"managed_identity"`
	FederatedTokenFile string `yaml:"federated_token_file"`
	CertificateFile    string `yaml:"certificate_file"` // with the key, in PEM
	ClientSecretFile   string `yaml:"client_secret_file"`
}

// IsZero reports whether there is none.
func (c Credential) IsZero() bool { return c == Credential{} }

// OnBehalfOf has requests to an upstream carry a token that names the caller.
type OnBehalfOf struct {
	Scopes []string `yaml:"scopes"` // of the upstream's API
}

// ClientCredentials has requests to an upstream carry a token of the server's
// own application.
type ClientCredentials struct {
	Scope string `yaml:"scope"` // App ID URI and /.default
}

// ManagedIdentity has requests to an upstream carry a token of a managed
// identity of the machine.
type ManagedIdentity struct {
	Scope    string `yaml:"scope"`     // App ID URI and /.default
	ClientID string `yaml:"client_id"` // of a user-assigned identity; the system's when empty
}

// systemIdentity is how a configuration names the system-assigned identity.
const systemIdentity = "system"

// usesCredential reports whether anything needs the server's own credential at
// the authority.
func (u Upstream) usesCredential() bool {
	return len(u.OnBehalfOf.Scopes) > 0 || u.ClientCredentials.Scope != "" || slices.Contains(u.Builtin, "graph")
}

// actsForCallers reports whether any upstream is used on behalf of callers, so
// that the guard has to leave their tokens with the requests.
func (c Config) actsForCallers() bool {
	return slices.ContainsFunc(c.Upstreams, func(u Upstream) bool {
		return len(u.OnBehalfOf.Scopes) > 0 || slices.Contains(u.Builtin, "graph")
	})
}

// needsGroups reports whether any rule looks at the caller's groups. It goes by
// the text: a rule that only mentions them costs a look-up, no more.
func (c Config) needsGroups() bool {
	return slices.ContainsFunc(c.rules(), func(r policy.Rule) bool {
		return strings.Contains(r.Allow, "groups") || strings.Contains(r.Deny, "groups")
	})
}

// trustedProxies are the addresses of reverse proxies. What can't be read as
// one was a fault of the configuration.
func (c Config) trustedProxies() []netip.Prefix {
	var list []netip.Prefix
	for _, s := range c.TrustedProxies {
		if p, ok := parsePrefix(s); ok {
			list = append(list, p)
		}
	}
	return list
}

// parsePrefix reads an address or a range of addresses.
func parsePrefix(s string) (netip.Prefix, bool) {
	if addr, err := netip.ParseAddr(s); err == nil && addr.Zone() == "" {
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), true
	}
	p, err := netip.ParsePrefix(s)
	return p.Masked(), err == nil
}

// graphURL is the root of Microsoft Graph for the configured cloud; empty where
// a development authority has none.
func (c Config) graphURL() (string, error) {
	return auth.GraphURL(auth.Cloud(c.Entra.Cloud), c.Entra.Authority != "", c.Entra.GraphURL)
}

func (r *configReader) credential() func(string, ast.Node) {
	c := &r.cfg.Entra.Credential
	return r.section(
		field{"managed_identity", r.string(&c.ManagedIdentity, checkIdentity)},
		field{"federated_token_file", r.file(&c.FederatedTokenFile)},
		field{"certificate_file", r.file(&c.CertificateFile)},
		field{"client_secret_file", r.file(&c.ClientSecretFile)},
	)
}

// upstreamCredentials are the keys of an upstream's credentials.
func (r *configReader) upstreamCredentials(up *Upstream) []field {
	return []field{
		{"header_files", r.headerFiles(&up.HeaderFiles)},
		{"on_behalf_of", r.section(field{"scopes", r.strings(&up.OnBehalfOf.Scopes, checkScope)})},
		{"client_credentials", r.section(field{"scope", r.string(&up.ClientCredentials.Scope, checkDefaultScope)})},
		{"managed_identity", r.section(
			field{"scope", r.string(&up.ManagedIdentity.Scope, checkDefaultScope)},
			field{"client_id", r.string(&up.ManagedIdentity.ClientID, checkGUID)},
		)},
	}
}

// headerFiles reads names of header fields with the files of their values.
func (r *configReader) headerFiles(to *map[string]string) func(string, ast.Node) {
	return func(key string, n ast.Node) {
		*to = map[string]string{}
		r.pairs(key, n, func(name, full string, k, v ast.Node) {
			if message, fix := headerFault(name, ""); message != "" {
				r.fault(placeOf(k), key, message, fix)
				return
			}
			var path string
			if r.file(&path)(full, v); path != "" {
				(*to)[name] = path
			}
		})
	}
}

func checkIdentity(value string) (message, fix string) {
	if value == systemIdentity || guidPattern.MatchString(value) {
		return "", ""
	}
	return "this names no managed identity", "Write system, or the client id of a user-assigned identity"
}

func checkScope(value string) (message, fix string) {
	if message, fix := checkName(value); message != "" {
		return message, fix
	}
	if i := strings.LastIndexByte(value, '/'); i <= 0 || i == len(value)-1 || !strings.Contains(value[:i], ":") && !guidPattern.MatchString(value[:i]) {
		return "this is not a scope in full", "Write the API's App ID URI, a slash and the name, like api://crm/.default"
	}
	return "", ""
}

func checkDefaultScope(value string) (message, fix string) {
	if message, fix := checkScope(value); message != "" {
		return message, fix
	}
	if !strings.HasSuffix(value, "/.default") {
		return "an application's own token is for all that it was granted", "Write the API's App ID URI and /.default, like api://crm/.default"
	}
	return "", ""
}

func checkGraphURL(value string) (message, fix string) {
	if _, err := auth.GraphURL("", true, value); err == nil {
		return "", "" // on this machine
	}
	for _, cloud := range []auth.Cloud{auth.CloudGlobal, auth.CloudUSGov, auth.CloudChina} {
		if _, err := auth.GraphURL(cloud, false, value); err == nil {
			return "", ""
		}
	}
	return "this is not an address of Microsoft Graph", "Remove the key for the cloud's usual one, https://graph.microsoft.com"
}

func checkProxy(value string) (message, fix string) {
	p, ok := parsePrefix(value)
	switch {
	case !ok:
		return "this is neither an address nor a range of addresses", "Write the address that the reverse proxy connects from, like 10.0.0.7 or 10.0.0.0/24"
	case p.Bits() == 0:
		return "this trusts everybody to say where a request comes from", "Write the addresses of the reverse proxies alone"
	}
	return "", ""
}

// checkCredentials finds what doesn't go together about credentials.
func (r *configReader) checkCredentials() {
	r.checkOwnCredential()
	if r.has("entra.graph_url") && !r.faulty("entra.graph_url") {
		if _, err := r.cfg.graphURL(); err != nil {
			r.fault(r.at("entra.graph_url"), "entra.graph_url", err.Error(), "Remove the key, or name the cloud that the tenant belongs to (entra.cloud)")
		}
	}
}

func (r *configReader) checkOwnCredential() {
	const key = "entra.credential"
	if !r.has(key) || r.faulty(key) {
		return
	}
	var kinds []string
	for _, kind := range []string{"managed_identity", "federated_token_file", "certificate_file", "client_secret_file"} {
		if r.has(key + "." + kind) {
			kinds = append(kinds, kind)
		}
	}
	switch len(kinds) {
	case 0:
		r.fault(r.at(key), key, "nothing says what the credential is", "Add one of managed_identity, federated_token_file, certificate_file and client_secret_file")
	case 1:
	default:
		r.fault(r.at(key), key, strings.Join(kinds, " and ")+" exclude each other", "Keep one; those without a secret are better")
	}
}

// ownCredentials are the keys by which an upstream gets a token.
var ownCredentials = []string{"on_behalf_of", "client_credentials", "managed_identity"}

func (r *configReader) checkUpstreamCredentials(key string, up Upstream) {
	for _, name := range slices.Sorted(maps.Keys(up.HeaderFiles)) {
		if other, twice := sameHeader(up.Headers, name); twice {
			full := key + ".header_files." + name
			r.fault(r.at(full), full, "this header is also in headers, as "+other, "Keep one")
		}
	}
	var kinds []string
	for _, kind := range ownCredentials {
		if r.has(key + "." + kind) {
			kinds = append(kinds, kind)
		}
	}
	if len(kinds) > 1 {
		r.fault(r.at(key+"."+kinds[1]), key+"."+kinds[1], "this does not go with "+kinds[0], "Keep one")
		return
	}
	if len(kinds) == 1 {
		r.checkToken(key, kinds[0], up)
	}
	if up.usesCredential() && !r.has("entra.credential") {
		at := key + ".builtin"
		if len(kinds) == 1 {
			at = key + "." + kinds[0]
		}
		r.fault(r.at(at), at, "this needs a credential of the server", "Add entra.credential: managed_identity, federated_token_file, certificate_file or client_secret_file")
	}
	if slices.Contains(up.Builtin, "graph") && r.cfg.Entra.Authority != "" && !r.has("entra.graph_url") {
		r.missing("entra.graph_url", "A development authority has no Microsoft Graph of its own: name one on this machine, or leave graph out of builtin")
	}
}

// checkToken checks the key that gives an upstream a token.
func (r *configReader) checkToken(key, kind string, up Upstream) {
	full := key + "." + kind
	for _, headers := range []map[string]string{up.Headers, up.HeaderFiles} {
		if _, twice := sameHeader(headers, "Authorization"); twice {
			r.fault(r.at(full), full, "this and a header Authorization exclude each other", "Keep one")
		}
	}
	wanted := full + ".scope"
	if kind == "on_behalf_of" {
		wanted = full + ".scopes"
		if r.has(wanted) && len(up.OnBehalfOf.Scopes) == 0 {
			r.emptyList(wanted, "Write the scopes of the upstream's API, like [api://crm/.default]")
		}
		if api := scopeResources(up.OnBehalfOf.Scopes); len(api) > 1 {
			r.fault(r.at(wanted), wanted, "these scopes belong to several APIs, and a token is for one", "Keep those of the upstream's API")
		}
	}
	if !r.has(wanted) && !r.faulty(full) {
		r.missing(wanted, "Write what the upstream's API calls itself, like api://crm/.default")
	}
}

func scopeResources(scopes []string) []string {
	var apis []string
	for _, scope := range scopes {
		if api := scope[:max(strings.LastIndexByte(scope, '/'), 0)]; !slices.Contains(apis, api) {
			apis = append(apis, api)
		}
	}
	return apis
}

func sameHeader(headers map[string]string, name string) (as string, found bool) {
	for other := range headers {
		if strings.EqualFold(other, name) {
			return other, true
		}
	}
	return "", false
}
