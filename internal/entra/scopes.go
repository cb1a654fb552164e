package entra

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// ErrWellKnownResource reports a scope of one of Microsoft's own services. An
// MCP server that asks for such a scope would receive a token with which it
// can act as the person on that service, far beyond itself.
var ErrWellKnownResource = errors.New("the scope belongs to a Microsoft service, not to this MCP server")

// maxScopes and maxScopeLen bound what a server may ask for.
const (
	maxScopes   = 64
	maxScopeLen = 512
)

// oidcScopes are added by MSAL to each request. Passed explicitly they come
// back as "declined", which MSAL treats as a failed sign-in.
var oidcScopes = []string{"openid", "profile", "offline_access", "email"}

// CheckScopes returns the scopes that may be requested for remote, the URL of
// the MCP server: OpenID scopes and repetitions dropped, order kept. It
// refuses scopes of well-known Microsoft resources ([ErrWellKnownResource],
// unless remote is that resource itself) and scopes of more than one resource,
// which Entra cannot put into one token. A nil remote has no exception.
func CheckScopes(scopes []string, remote *url.URL) ([]string, error) {
	var kept []string
	resource := ""
	for _, scope := range scopes {
		scope = strings.TrimSpace(scope)
		if scope == "" || slices.Contains(oidcScopes, strings.ToLower(scope)) || slices.Contains(kept, scope) {
			continue
		}
		if err := checkScope(scope, remote); err != nil {
			return nil, err
		}
		of := scopeResource(scope)
		if resource != "" && !strings.EqualFold(of, resource) {
			return nil, fmt.Errorf("scopes of two resources, %q and %q, cannot share one token: keep those of the MCP server", resource, of)
		}
		resource = of
		kept = append(kept, scope)
	}
	if len(kept) > maxScopes {
		return nil, fmt.Errorf("%d scopes are more than the %d that one sign-in may ask for", len(kept), maxScopes)
	}
	return kept, nil
}

// checkScopesFor is [CheckScopes] for a remote given as text, and needs at
// least one scope to remain.
func checkScopesFor(scopes []string, resource string) ([]string, error) {
	var remote *url.URL
	if resource != "" {
		var err error
		if remote, err = parseResource(resource); err != nil {
			return nil, err
		}
	}
	kept, err := CheckScopes(scopes, remote)
	if err == nil && len(kept) == 0 {
		err = errors.New("at least one scope is required, such as api://API-APP-ID/NAME (--scope)")
	}
	return kept, err
}

// scopeToken is RFC 6749 section 3.3's scope-token.
var scopeToken = regexp.MustCompile(`^[\x21\x23-\x5b\x5d-\x7e]+$`)

func checkScope(scope string, remote *url.URL) error {
	if len(scope) > maxScopeLen || !scopeToken.MatchString(scope) {
		return fmt.Errorf("scope %q is malformed", clip(scope))
	}
	resource := scopeResource(scope)
	if resource == "" {
		// Entra reads a bare name as a Microsoft Graph permission.
		return fmt.Errorf("scope %q names no resource, and Entra would take it for Microsoft Graph's: use its full form, such as api://APP-ID/%s: %w",
			scope, scope, ErrWellKnownResource)
	}
	name := wellKnownResource(resource)
	if name == "" || isHostOf(resource, remote) {
		return nil
	}
	return fmt.Errorf("scope %q is a permission for %s: %w", scope, name, ErrWellKnownResource)
}

// scopeResource returns the resource part of a scope: all before the last
// slash. A double slash, as in "https://management.azure.com//.default", means
// that the resource itself ends in a slash.
func scopeResource(scope string) string {
	cut := strings.LastIndexByte(scope, '/')
	if cut < 0 {
		return ""
	}
	resource := strings.TrimRight(scope[:cut], "/")
	if strings.HasSuffix(resource, ":") {
		return "" // "https://name" or "api://name": a resource without a permission
	}
	return resource
}

// isHostOf reports whether resource is an https address on remote's host.
func isHostOf(resource string, remote *url.URL) bool {
	u, err := url.Parse(resource)
	return err == nil && remote != nil && u.Scheme == "https" && u.Host != "" && strings.EqualFold(u.Host, remote.Host)
}

// wellKnownResource names the Microsoft service that resource identifies, or
// returns "".
func wellKnownResource(resource string) string {
	resource = strings.ToLower(resource)
	id := strings.TrimPrefix(resource, "api://")
	if name, ok := wellKnownIDs[id]; ok {
		return name
	}
	if IsGUID(id) && (strings.HasSuffix(id, "-0000-0000-c000-000000000000") || strings.HasSuffix(id, "-0000-0ff1-ce00-000000000000")) {
		return "a Microsoft first-party service"
	}
	u, err := url.Parse(resource)
	if err != nil || u.Host == "" || u.Scheme == "api" {
		return ""
	}
	host := strings.TrimSuffix(u.Hostname(), ".")
	for _, own := range customerSuffixes {
		if strings.HasSuffix(host, own) {
			return ""
		}
	}
	for _, known := range wellKnownHosts {
		if host == known.suffix || strings.HasSuffix(host, "."+known.suffix) {
			return known.name
		}
	}
	return ""
}

// wellKnownIDs are application ids of Microsoft's services, by which a scope
// can name them instead of by address.
var wellKnownIDs = map[string]string{
	"00000002-0000-0000-c000-000000000000": "Azure AD Graph",
	"00000003-0000-0000-c000-000000000000": "Microsoft Graph",
	"00000002-0000-0ff1-ce00-000000000000": "Exchange Online",
	"00000003-0000-0ff1-ce00-000000000000": "SharePoint Online",
	"00000007-0000-0000-c000-000000000000": "Dataverse",
	"00000009-0000-0000-c000-000000000000": "Power BI",
	"0000000a-0000-0000-c000-000000000000": "Intune",
	"797f4846-ba00-4fd7-ba43-dac1f8f63013": "Azure Resource Manager",
	"cfa8b339-82a2-471a-a3c9-0fc0be7a4093": "Azure Key Vault",
	"e406a681-f3d4-42a8-90b6-c2b029497af1": "Azure Storage",
	"022907d3-0f1b-48f7-badc-1ba6abab6d66": "Azure SQL Database",
	"123cd850-d9df-40bd-94d5-c9f07b7fa203": "Azure databases for open source engines",
	"499b84ac-1321-427f-aa17-267ca6975798": "Azure DevOps",
	"ca7f3f0b-7d91-482c-8e09-c5d840d0eac5": "Log Analytics",
	"7d312290-28c8-473c-a0ed-8e53749b6d6d": "Azure AI services",
	"80a10ef9-8168-493d-abf9-3297c4ef6e3c": "Azure Service Bus",
	"6dae42f8-4368-4678-94ff-3960e28e3630": "Azure Kubernetes Service",
	"2ff814a6-3304-4ab8-85cb-cd0e6f879c1d": "Azure Databricks",
	"c5393580-f805-4401-95e8-94b7a6ef2fc2": "Office 365 Management",
	"475226c6-020e-4fb2-8a90-7a972cbfc1d4": "Power Platform",
}

// customerSuffixes are names under Microsoft's domains that customers own.
var customerSuffixes = []string{
	".cloudapp.azure.com", ".cloudapp.usgovcloudapi.net", ".cloudapp.chinacloudapi.cn",
	".onmicrosoft.com", ".onmicrosoft.us", ".partner.onmschina.cn",
}

// wellKnownHosts are the domains of Microsoft's services in all clouds, the
// specific before the general.
var wellKnownHosts = []struct{ suffix, name string }{
	{"graph.microsoft.com", "Microsoft Graph"},
	{"graph.microsoft.us", "Microsoft Graph"},
	{"dod-graph.microsoft.us", "Microsoft Graph"},
	{"microsoftgraph.chinacloudapi.cn", "Microsoft Graph"},
	{"graph.windows.net", "Azure AD Graph"},
	{"management.azure.com", "Azure Resource Manager"},
	{"management.core.windows.net", "Azure Resource Manager"},
	{"management.usgovcloudapi.net", "Azure Resource Manager"},
	{"management.chinacloudapi.cn", "Azure Resource Manager"},
	{"vault.azure.net", "Azure Key Vault"},
	{"vault.usgovcloudapi.net", "Azure Key Vault"},
	{"vault.azure.cn", "Azure Key Vault"},
	{"managedhsm.azure.net", "Azure Key Vault"},
	{"storage.azure.com", "Azure Storage"},
	{"core.windows.net", "Azure Storage"},
	{"database.windows.net", "Azure SQL Database"},
	{"dev.azure.com", "Azure DevOps"},
	{"visualstudio.com", "Azure DevOps"},
	{"sharepoint.com", "SharePoint Online"},
	{"sharepoint.us", "SharePoint Online"},
	{"sharepoint.cn", "SharePoint Online"},
	{"office.com", "Microsoft 365"},
	{"office.net", "Microsoft 365"},
	{"office365.com", "Microsoft 365"},
	{"office365.us", "Microsoft 365"},
	{"dynamics.com", "Dataverse"},
	{"powerbi.com", "Power BI"},
	{"powerapps.com", "Power Platform"},
	{"powerplatform.com", "Power Platform"},
	{"windowsazure.com", "an Azure service"},
	{"windows.net", "an Azure service"},
	{"azure.com", "an Azure service"},
	{"azure.net", "an Azure service"},
	{"azure.us", "an Azure service"},
	{"azure.cn", "an Azure service"},
	{"usgovcloudapi.net", "an Azure service"},
	{"chinacloudapi.cn", "an Azure service"},
	{"microsoftonline.com", "Microsoft Entra"},
	{"microsoftonline.us", "Microsoft Entra"},
	{"microsoft.com", "a Microsoft service"},
	{"microsoft.us", "a Microsoft service"},
	{"live.com", "a Microsoft service"},
	{"skype.com", "a Microsoft service"},
}
