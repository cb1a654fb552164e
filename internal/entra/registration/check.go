package registration

import (
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A Fault is a bad answer.
type Fault struct {
	Key     string // of answers.yaml
	Message string // what is wrong
	Fix     string // what to write instead
}

// Error implements error.
func (f Fault) Error() string { return f.Key + ": " + f.Message + ". " + f.Fix }

// Faults are all bad answers.
type Faults []Fault

// Error implements error: a line for each fault.
func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i, fault := range f {
		lines[i] = fault.Error()
	}
	return strings.Join(lines, "\n")
}

func contains(list []string, s string) bool { return slices.Contains(list, s) }

var (
	guidPattern   = regexp.MustCompile(`^(?i)[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
	valuePattern  = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,119}$`)
	keyPattern    = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]*$`)
	pathPattern   = regexp.MustCompile(`^[A-Za-z0-9._~/-]*$`)
	hostPattern   = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$`)
	customPattern = regexp.MustCompile(`^[a-z][a-z0-9+.-]*$`)
)

type checker struct{ faults Faults }

func (c *checker) fault(key, message, fix string) {
	c.faults = append(c.faults, Fault{key, message, fix})
}

// Check returns what is wrong with filled answers, as [Faults], or nil.
func (a Answers) Check() error {
	c := &checker{}
	c.names(a)
	if !contains([]string{"global", "usgov", "china"}, a.Cloud) {
		c.fault("cloud", fmt.Sprintf("%q is no cloud", a.Cloud), "Write global, usgov or china")
	}
	if !guidPattern.MatchString(a.TenantID) {
		c.fault("tenant_id", "this is not a tenant's id", "Write the Directory (tenant) ID of Entra admin center > Overview; az account show --query tenantId prints it")
	}
	c.addresses(a)
	c.permissions(a)
	c.clients(a)
	c.credential(a)
	if len(c.faults) > 0 {
		return c.faults
	}
	return nil
}

func (c *checker) names(a Answers) {
	switch {
	case strings.TrimSpace(a.Name) != a.Name || a.Name == "":
		c.fault("name", "the name is empty or begins or ends with a space", "Write what people should see, like MCP server of Contoso")
	case utf8.RuneCountInString(a.Name) > maxName:
		c.fault("name", fmt.Sprintf("the name is longer than %d characters", maxName), "Write a shorter one")
	case !utf8.ValidString(a.Name) || strings.ContainsFunc(a.Name, func(r rune) bool {
		return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Zl, r) || unicode.Is(unicode.Zp, r)
	}):
		c.fault("name", "the name has characters that can't be seen", "Write letters, digits and punctuation")
	}
	if len(a.Key) > maxKey || !keyPattern.MatchString(a.Key) {
		c.fault("key", "this is no unique name", fmt.Sprintf("Write up to %d characters of a-z, 0-9, . and -", maxKey))
	}
}

func (c *checker) addresses(a Answers) {
	if message, fix := CheckURL(a.PublicURL); message != "" {
		c.fault("public_url", message, fix)
	}
	seen := []string{a.PublicURL}
	for i, more := range a.MoreURLs {
		key := fmt.Sprintf("more_urls[%d]", i)
		switch message, fix := CheckURL(more); {
		case message != "":
			c.fault(key, message, fix)
		case contains(seen, more):
			c.fault(key, "this is listed twice", "Remove one")
		}
		seen = append(seen, more)
	}
	switch {
	case a.AppIDURI != AppIDURIPublicURL && a.AppIDURI != AppIDURIAPI:
		c.fault("app_id_uri", fmt.Sprintf("%q is no form of an Application ID URI", a.AppIDURI), "Write url or api")
	case a.AppIDURI == AppIDURIAPI && len(a.MoreURLs) > 0:
		c.fault("more_urls", "further addresses do not go with app_id_uri: api", "Remove them, or write app_id_uri: url")
	}
}

// CheckURL returns what is wrong with the address of a server, and what to
// write instead: "" where nothing is. Clients, Entra and the server compare it
// byte for byte (RFC 8707, AADSTS9010010).
func CheckURL(address string) (message, fix string) {
	const form = "Write the address that people type, like https://mcp.contoso.com/mcp"
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Opaque != "" || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http":
		return "this is not an absolute https:// address", form
	case u.Scheme == "http":
		return "http:// would send tokens in the clear, and Entra takes it only for this machine", "Write https://; to try the server on this machine use: mcpctl serve --dev"
	case u.User != nil:
		return "an address with a user name or password in it would be published", "Remove them"
	case strings.ContainsAny(address, "?#"):
		return "the address must have no query and no fragment", "Remove what follows ? or #"
	case !strings.HasPrefix(address, "https://"+u.Host) || u.Host != strings.ToLower(u.Host):
		return "scheme and host must be in small letters: they are compared byte for byte", "Write " + strings.ToLower("https://"+u.Host) + u.Path
	case !hostPattern.MatchString(u.Hostname()):
		return "the host is not a name of letters, digits, dots and hyphens", form
	case u.Port() == "443":
		return "the port is https's own, which some leave out and some don't", "Remove :443"
	case strings.HasSuffix(u.Host, ":"):
		return "the port is missing", "Remove the colon, or write the port"
	case u.Path == "" || u.Path == "/":
		return "the address has no path, and clients disagree about the slash after a bare host", "Add one, like /mcp"
	case strings.HasSuffix(u.Path, "/"):
		return "the address must not end with a slash: clients and Entra compare it byte for byte", "Remove the slash"
	case !pathPattern.MatchString(u.EscapedPath()) || path.Clean(u.Path) != u.Path:
		return "the path must consist of plain segments: letters, digits, - . _ ~", "Choose a path like /mcp"
	}
	// What mcpctl serve has at other paths of the same host.
	if contains([]string{"/sse", "/messages", "/healthz", "/readyz"}, u.Path) || strings.HasPrefix(u.Path+"/", "/.well-known/") {
		return "the path " + u.Path + " serves something else", "Choose another one, like /mcp"
	}
	return "", ""
}

func (c *checker) permissions(a Answers) {
	values := func(key string, list []string) {
		for i, value := range list {
			switch at := fmt.Sprintf("%s[%d]", key, i); {
			case !valuePattern.MatchString(value):
				c.fault(at, fmt.Sprintf("%.40q is no name for it", value), "Write letters, digits, . _ and -, like Mcp.Access")
			case contains(list[:i], value):
				c.fault(at, "this is listed twice", "Remove one")
			}
		}
	}
	values("scopes", a.Scopes)
	values("roles", a.Roles)
	// Entra keeps scopes and roles in one namespace.
	for i, role := range a.Roles {
		if contains(a.Scopes, role) {
			c.fault(fmt.Sprintf("roles[%d]", i), "this is also a scope, and Entra wants different names", "Choose another one, like Mcp.Invoke")
		}
	}
	if len(a.Scopes)+len(a.Roles) == 0 {
		c.fault("scopes", "no scope and no role, so nobody could come in", "Write scopes: [Mcp.Access]")
	}
	if !a.OnBehalfOf && len(a.GraphPermissions) > 0 {
		c.fault("graph_permissions", "these are for a server that acts for callers", "Write on_behalf_of: true, or remove them")
	}
	for i, p := range a.GraphPermissions {
		if _, ok := graphPermissions[p]; !ok {
			c.fault(fmt.Sprintf("graph_permissions[%d]", i), fmt.Sprintf("%.40q is not known here", p),
				"Choose from "+strings.Join(slices.Sorted(maps.Keys(graphPermissions)), ", ")+"; add others by hand under API permissions")
		} else if contains(a.GraphPermissions[:i], p) {
			c.fault(fmt.Sprintf("graph_permissions[%d]", i), "this is listed twice", "Remove one")
		}
	}
}

func (c *checker) clients(a Answers) {
	for i, name := range a.Clients {
		key := fmt.Sprintf("clients[%d]", i)
		if !slices.ContainsFunc(Clients, func(c Client) bool { return c.Name == name }) {
			c.fault(key, fmt.Sprintf("%.40q is not known here", name), "Choose from "+strings.Join(ClientNames(), ", "))
		} else if contains(a.Clients[:i], name) {
			c.fault(key, "this is listed twice", "Remove one")
		}
	}
	for i, uri := range a.RedirectURIs {
		if !redirectFits(uri) {
			c.fault(fmt.Sprintf("redirect_uris[%d]", i), "this is no redirect address", "Write https://…, http://localhost/… or a scheme of an application, like cursor://…")
		}
	}
}

// ClientNames are the names of [Clients].
func ClientNames() []string {
	names := make([]string, len(Clients))
	for i, c := range Clients {
		names[i] = c.Name
	}
	return names
}

// redirectFits holds redirect addresses to what Entra takes for public clients
// and what is safe (RFC 8252 section 7).
func redirectFits(uri string) bool {
	u, err := url.Parse(uri)
	if err != nil || strings.ContainsAny(uri, "*#\\\"'`$ ") || strings.ContainsFunc(uri, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return false
	}
	switch u.Scheme {
	case "https":
		return u.Hostname() != "" && u.User == nil
	case "http":
		addr, err := netip.ParseAddr(u.Hostname())
		return u.User == nil && (u.Hostname() == "localhost" || err == nil && addr.IsLoopback())
	case "", "javascript", "data", "file", "vbscript", "blob", "about":
		return false
	}
	return customPattern.MatchString(u.Scheme) && (u.Host != "" || u.Path != "")
}

func (c *checker) credential(a Answers) {
	cred := a.Credential
	if !contains(CredentialKinds, cred.Kind) {
		c.fault("credential.kind", fmt.Sprintf("%.40q is no kind of credential", cred.Kind), "Choose from "+strings.Join(CredentialKinds, ", "))
		return
	}
	if a.OnBehalfOf && cred.Kind == CredentialNone {
		c.fault("credential.kind", "acting for callers needs a credential of the server", "Choose from "+strings.Join(CredentialKinds[:len(CredentialKinds)-1], ", "))
	}
	if strings.ContainsFunc(cred.File, unicode.IsControl) || strings.HasPrefix(cred.File, "-") {
		c.fault("credential.file", "this is no path", "Write the path of the file, relative to mcpctl.yaml")
	}
	switch cred.Kind {
	case CredentialManagedIdentity:
		for _, id := range []struct{ key, value, name string }{
			{"identity_client_id", cred.IdentityClientID, "client id"}, {"identity_principal_id", cred.IdentityPrincipalID, "object (principal) id"},
		} {
			if !guidPattern.MatchString(id.value) {
				c.fault("credential."+id.key, "this is not the "+id.name+" of a managed identity", "Create a user-assigned one and copy it: az identity create --resource-group GROUP --name NAME")
			}
		}
	case CredentialFederated:
		if u, err := url.Parse(cred.Issuer); err != nil || u.Scheme != "https" || u.Host == "" || strings.ContainsFunc(cred.Issuer, unicode.IsControl) {
			c.fault("credential.issuer", "this is not an issuer's address", "Write the claim iss of the platform's token, like the OIDC issuer URL of a Kubernetes cluster")
		}
		if cred.Subject == "" || len(cred.Subject) > 600 || strings.ContainsFunc(cred.Subject, unicode.IsControl) {
			c.fault("credential.subject", "this is not a subject", "Write the claim sub of the platform's token, like system:serviceaccount:NAMESPACE:NAME")
		}
	}
}
