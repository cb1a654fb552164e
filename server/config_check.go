package server

import (
	"net"
	"net/netip"
	"net/url"
	"path"
	"regexp"
	"strconv"
	"strings"
	"unicode"
)

// A check returns what is wrong with a value and what to write instead, ""
// where nothing is.
type check func(value string) (message, fix string)

var (
	guidPattern         = regexp.MustCompile(`^(?i)[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
	upstreamNamePattern = regexp.MustCompile(`^[a-z0-9-]{1,32}$`)
	publicPathPattern   = regexp.MustCompile(`^[A-Za-z0-9._~/-]*$`)
	headerNamePattern   = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]+$") // RFC 9110 §5.6.2
)

func checkGUID(value string) (message, fix string) {
	if !guidPattern.MatchString(value) {
		return "this is not a GUID", "Write the id that the Entra admin center shows, like 00000000-0000-0000-0000-000000000000"
	}
	return "", ""
}

func checkListen(value string) (message, fix string) {
	const form = "Write HOST:PORT, like 127.0.0.1:8080"
	host, port, err := net.SplitHostPort(value)
	if err != nil {
		return "this is not an address to listen on", form
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil || port[0] == '+' {
		return "the port is not a number from 0 to 65535", form
	}
	if strings.ContainsAny(host, "/@ ") {
		return "the host is neither a name nor an IP address", form
	}
	return "", ""
}

// checkPublicURL holds public URLs to a form in which no two parties that
// compare it byte for byte can differ.
func checkPublicURL(value string) (message, fix string) {
	const form = "Write the address that people type, like https://mcp.contoso.com/mcp"
	u, err := url.Parse(value)
	switch {
	case err != nil || u.Opaque != "" || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http":
		return "this is not an absolute https:// address", form
	case u.User != nil:
		return "an address with a user name or password in it would be published", "Remove them"
	case strings.ContainsAny(value, "?#"):
		return "the address must have no query and no fragment", "Remove what follows ? or #"
	case u.Scheme == "http" && !publicIsLoopback(value):
		return "http:// would send tokens in the clear", "Write https://; http:// is for this machine only (127.0.0.1, localhost)"
	case u.Path == "" || u.Path == "/":
		return "the address has no path, and clients disagree about the slash after a bare host", "Add one, like /mcp"
	case strings.HasSuffix(u.Path, "/"):
		return "the address must not end with a slash: clients and Entra compare it byte for byte", "Remove the slash"
	case !publicPathPattern.MatchString(u.EscapedPath()) || path.Clean(u.Path) != u.Path:
		return "the path must consist of plain segments: letters, digits, - . _ ~", "Choose a path like /mcp"
	case reservedPath(u.Path):
		return "the path " + u.Path + " serves something else here", "Choose another one, like /mcp"
	}
	return "", ""
}

func reservedPath(p string) bool {
	return p == ssePath || p == messagesPath || p == healthPath || strings.HasPrefix(p+"/", "/.well-known/")
}

// checkAuthority is for a development authority: tokens of anything else are
// judged by Microsoft's keys alone.
func checkAuthority(value string) (message, fix string) {
	u, err := url.Parse(value)
	if err != nil || u.Scheme != "https" || u.User != nil || strings.ContainsAny(value, "?#") {
		return "this is not a development authority", "Write https://127.0.0.1:PORT/TENANT; for Microsoft's clouds set cloud and tenant_id instead"
	}
	if ip, err := netip.ParseAddr(u.Hostname()); err != nil || !ip.IsLoopback() {
		return "a development authority must be on a loopback IP address", "For Microsoft's clouds set cloud and tenant_id instead"
	}
	if !guidPattern.MatchString(authorityTenant(value)) {
		return "the path must be the tenant's GUID", "Write https://127.0.0.1:PORT/TENANT"
	}
	return "", ""
}

func authorityTenant(authority string) string {
	u, err := url.Parse(authority)
	if err != nil {
		return ""
	}
	return strings.Trim(u.Path, "/")
}

// checkUpstreamURL never repeats the address, which may hold a key.
func checkUpstreamURL(value string) (message, fix string) {
	u, err := url.Parse(value)
	switch {
	case err != nil || u.Opaque != "" || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http":
		return "this is not an absolute https:// address", "Write the upstream's Streamable HTTP endpoint, like https://crm.internal/mcp"
	case u.User != nil:
		return "credentials in an address end up in logs", "Move them to headers, as Authorization"
	case strings.Contains(value, "#"):
		return "the address must have no fragment", "Remove what follows #"
	case u.Scheme == "http" && !publicIsLoopback(value):
		return "http:// is for upstreams on this machine only", "Write https://"
	}
	return "", ""
}

// checkOTLPEndpoint never repeats the address, which may hold a key.
func checkOTLPEndpoint(value string) (message, fix string) {
	u, err := url.Parse(value)
	switch {
	case err != nil || u.Opaque != "" || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http":
		return "this is not an absolute https:// address", "Write the collector's address for OTLP over HTTP, like http://127.0.0.1:4318"
	case u.User != nil || strings.ContainsAny(value, "?#"):
		return "the address must have no user, query or fragment", "Give credentials in the variable OTEL_EXPORTER_OTLP_HEADERS"
	}
	return "", ""
}

// checkAppIDURI refuses what can be nobody's own App ID URI.
func checkAppIDURI(value string) (message, fix string) {
	u, err := url.Parse(value)
	if err != nil || u.Scheme == "" || u.Host == "" && u.Opaque == "" || strings.ContainsFunc(value, unicode.IsSpace) {
		return "this is not a URI", "Copy the Application ID URI from the app registration's page 'Expose an API', like api://00000000-0000-0000-0000-000000000000"
	}
	if strings.HasSuffix(value, "/") {
		return "an App ID URI does not end with a slash", "Copy it from the app registration's page 'Expose an API'"
	}
	return "", ""
}

func checkName(value string) (message, fix string) {
	if strings.ContainsFunc(value, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }) {
		return "a name here must have no spaces", ""
	}
	return "", ""
}

// checkOrigin wants an origin as browsers send it (RFC 6454 §6.2).
func checkOrigin(value string) (message, fix string) {
	if value == "*" {
		return "", ""
	}
	u, err := url.Parse(value)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.Scheme+"://"+u.Host != value {
		return "this is not a web origin", `Write SCHEME://HOST[:PORT] without a path, like https://app.contoso.com, or "*" for any`
	}
	return "", ""
}

func checkUpstreamName(value string) (message, fix string) {
	if !upstreamNamePattern.MatchString(value) {
		return "this is not a name for an upstream", "Write 1 to 32 characters of a-z, 0-9 and -"
	}
	return "", ""
}

// headerFault never repeats the value.
func headerFault(name, value string) (message, fix string) {
	switch {
	case !headerNamePattern.MatchString(name):
		return "this is not a header's name", "Write NAME: value"
	case strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }):
		return "the value has line breaks or control characters", "Write it on one line"
	}
	switch strings.ToLower(name) {
	case "host", "content-length", "content-type", "content-encoding", "transfer-encoding", "connection", "accept", "upgrade", "te", "trailer",
		"mcp-session-id", "mcp-protocol-version", "last-event-id":
		return "this header belongs to the transport and can't be set", "Remove it"
	}
	return "", ""
}

// envFault never repeats the value.
func envFault(name, value string) (message, fix string) {
	switch {
	case name == "" || strings.ContainsAny(name, "=\x00"):
		return "this is not a variable's name", "Write NAME: value"
	case strings.Contains(value, "\x00"):
		return "the value has a null character", "Remove it"
	}
	return "", ""
}
