package catalogue

import (
	"fmt"
	"regexp"
)

// Documents are the documents that entries name as sources, with their addresses.
var Documents = map[string]string{
	"Entra error codes":             "https://learn.microsoft.com/entra/identity-platform/reference-error-codes",
	"Entra device code flow":        "https://learn.microsoft.com/entra/identity-platform/v2-oauth2-device-code",
	"Entra authorization code flow": "https://learn.microsoft.com/entra/identity-platform/v2-oauth2-auth-code-flow",
	"Entra On-Behalf-Of flow":       "https://learn.microsoft.com/entra/identity-platform/v2-oauth2-on-behalf-of-flow",
	"Entra MCP server guide":        "https://learn.microsoft.com/entra/agent-id/secure-mcp-server-with-entra-id",
	"Entra identifier URIs":         "https://learn.microsoft.com/entra/identity-platform/identifier-uri-restrictions",
	"Entra access tokens":           "https://learn.microsoft.com/entra/identity-platform/access-tokens",
	"Entra token claims":            "https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference",
	"Entra claims validation":       "https://learn.microsoft.com/entra/identity-platform/claims-validation",
	"Entra claims challenge":        "https://learn.microsoft.com/entra/identity-platform/claims-challenge",
	"Entra key rollover":            "https://learn.microsoft.com/entra/identity-platform/signing-key-rollover",
	"Entra national clouds":         "https://learn.microsoft.com/entra/identity-platform/authentication-national-cloud",
	"Entra federated credentials":   "https://learn.microsoft.com/entra/workload-id/workload-identity-federation",
	"Entra user assignment":         "https://learn.microsoft.com/entra/identity/enterprise-apps/assign-user-or-group-access-portal",
	"Entra admin consent":           "https://learn.microsoft.com/entra/identity/enterprise-apps/grant-admin-consent",
	"Entra tenant restrictions":     "https://learn.microsoft.com/entra/identity/enterprise-apps/tenant-restrictions",
	"Conditional Access":            "https://learn.microsoft.com/entra/identity/conditional-access/troubleshoot-conditional-access",
	"Conditional Access flows":      "https://learn.microsoft.com/entra/identity/conditional-access/concept-authentication-flows",
	"Token Protection":              "https://learn.microsoft.com/entra/identity/conditional-access/concept-token-protection",
	"MCP authorization":             "https://modelcontextprotocol.io/specification/2025-11-25/basic/authorization",
	"MCP transports":                "https://modelcontextprotocol.io/specification/2025-11-25/basic/transports",
	"mcpctl":                        "https://github.com/mcpctl/mcpctl",
}

var (
	rfcPattern    = regexp.MustCompile(`^RFC (\d{4}) section (\d+(?:\.\d+)*)$`)
	threadPattern = regexp.MustCompile(`^([\w.-]+/[\w.-]+)#(\d+)$`)
)

// SourceURL is the address of one of an entry's sources; "" where there is none.
func SourceURL(source string) string {
	if address, ok := Documents[source]; ok {
		return address
	}
	if m := rfcPattern.FindStringSubmatch(source); m != nil {
		return fmt.Sprintf("https://www.rfc-editor.org/rfc/rfc%s#section-%s", m[1], m[2])
	}
	if m := threadPattern.FindStringSubmatch(source); m != nil {
		return "https://github.com/" + m[1] + "/issues/" + m[2]
	}
	return ""
}

// Names of sources that many entries have.
const (
	codesDoc   = "Entra error codes"
	deviceDoc  = "Entra device code flow"
	flowDoc    = "Entra authorization code flow"
	oboDoc     = "Entra On-Behalf-Of flow"
	guideDoc   = "Entra MCP server guide"
	accessDoc  = "Conditional Access"
	flowsDoc   = "Conditional Access flows"
	claimsDoc  = "Entra token claims"
	checkDoc   = "Entra claims validation"
	tokensDoc  = "Entra access tokens"
	federated  = "Entra federated credentials"
	consentDoc = "Entra admin consent"
	cloudsDoc  = "Entra national clouds"
	mcpAuth    = "MCP authorization"
	mcpWire    = "MCP transports"
	ours       = "mcpctl"
)

func from(sources ...string) []string { return sources }
