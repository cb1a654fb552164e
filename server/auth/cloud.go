package auth

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// Cloud names one of Microsoft's separate clouds.
type Cloud string

// The clouds a server can belong to.
const (
	CloudGlobal Cloud = "global"
	CloudUSGov  Cloud = "usgov"
	CloudChina  Cloud = "china"
)

// cloudInfo is what Microsoft's "National clouds" page says about a cloud.
type cloudInfo struct {
	name     Cloud
	title    string
	host     string   // serves metadata and issues v2 tokens
	keyHosts []string // may serve signing keys
	stsHost  string   // issues v1 tokens
	graphs   []string // hosts of Microsoft Graph, the usual one first
}

// clouds holds every cloud we know. Global and US Gov share the host of the v1
// issuer, so an issuer alone does not prove the cloud: the keys do, since they
// come only from the configured cloud's host.
var clouds = []cloudInfo{
	{
		name: CloudGlobal, title: "global", stsHost: "sts.windows.net",
		host:     "login.microsoftonline.com",
		keyHosts: []string{"login.microsoftonline.com", "login.windows.net"},
		graphs:   []string{"graph.microsoft.com"},
	},
	{
		name: CloudUSGov, title: "US Government", stsHost: "sts.windows.net",
		host:     "login.microsoftonline.us",
		keyHosts: []string{"login.microsoftonline.us"},
		graphs:   []string{"graph.microsoft.us", "dod-graph.microsoft.us"},
	},
	{
		name: CloudChina, title: "China (21Vianet)", stsHost: "sts.chinacloudapi.cn",
		host:     "login.partner.microsoftonline.cn",
		keyHosts: []string{"login.partner.microsoftonline.cn", "login.chinacloudapi.cn"},
		graphs:   []string{"microsoftgraph.chinacloudapi.cn"},
	},
}

// personalTenant is the tenant of personal Microsoft accounts ("consumers").
const personalTenant = "9188040d-6c67-4c5b-b112-36a304b66dad"

// graphAudiences are the names under which Microsoft Graph is asked for.
var graphAudiences = []string{
	"00000003-0000-0000-c000-000000000000",
	"https://graph.microsoft.com",
	"https://graph.microsoft.us",
	"https://dod-graph.microsoft.us",
	"https://microsoftgraph.chinacloudapi.cn",
}

func isGraph(audience string) bool {
	return slices.Contains(graphAudiences, strings.ToLower(strings.TrimSuffix(audience, "/")))
}

// tokenVersion is what the ver claim says; it selects the issuer's form and the
// metadata document that leads to the signing keys.
type tokenVersion uint8

const (
	v1 tokenVersion = 1
	v2 tokenVersion = 2
)

func parseVersion(ver string) (tokenVersion, bool) {
	switch ver {
	case "1.0":
		return v1, true
	case "2.0":
		return v2, true
	}
	return 0, false
}

func (v tokenVersion) String() string { return fmt.Sprintf("%d.0", uint8(v)) }

// authority is the one place that tokens and keys may come from: a cloud, or a
// development authority on this machine.
type authority struct {
	cloud     cloudInfo // zero for a development authority
	origin    string    // scheme and host, no trailing slash
	keyHosts  []string  // host or host:port
	v1Origins []string  // origins that v1 issuers may have
	appID     string    // whose own signing keys to ask for; empty is the tenant's
}

func cloudAuthority(name Cloud) (authority, error) {
	if name == "" {
		name = CloudGlobal
	}
	for _, c := range clouds {
		if c.name == name {
			return authority{
				cloud: c, origin: "https://" + c.host, keyHosts: c.keyHosts,
				v1Origins: []string{"https://" + c.stsHost},
			}, nil
		}
	}
	return authority{}, fmt.Errorf("cloud %q is unknown; use global, usgov or china", name)
}

// loopbackAuthority reads the address of a development authority,
// https://127.0.0.1:PORT/TENANT, and returns it with the tenant. Only a loopback
// IP literal is accepted: whoever can serve an authority decides who gets in,
// and a name could be made to point elsewhere.
func loopbackAuthority(raw string) (a authority, tenant string, err error) {
	u, err := url.Parse(raw)
	if err != nil {
		return a, "", errors.New("authority is not a URL")
	}
	ip, err := netip.ParseAddr(u.Hostname())
	if u.Scheme != "https" || err != nil || !ip.IsLoopback() {
		return a, "", fmt.Errorf("authority %q must be https:// with a loopback IP address; "+
			"for Microsoft's clouds set the cloud and the tenant instead", u.Redacted())
	}
	tenant = strings.ToLower(strings.Trim(u.Path, "/"))
	if !isGUID(tenant) || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return a, "", fmt.Errorf("authority %q must have the form https://127.0.0.1:PORT/TENANT with the tenant's GUID", u.Redacted())
	}
	origin := "https://" + u.Host
	return authority{
		origin: origin, keyHosts: []string{u.Host},
		// A development authority imitates the global cloud's v1 issuer or uses its own.
		v1Origins: []string{origin, "https://sts.windows.net"},
	}, tenant, nil
}

// issuers returns the exact issuers that tokens of a version and tenant may have.
func (a authority) issuers(v tokenVersion, tenant string) []string {
	if v == v2 {
		return []string{a.origin + "/" + tenant + "/v2.0"}
	}
	list := make([]string, len(a.v1Origins))
	for i, origin := range a.v1Origins {
		list[i] = origin + "/" + tenant + "/"
	}
	return list
}

// metadataURL is where OpenID Connect discovery starts for a version and tenant.
func (a authority) metadataURL(v tokenVersion, tenant string) string {
	address := a.origin + "/" + tenant
	if v == v2 {
		address += "/v2.0"
	}
	address += "/.well-known/openid-configuration"
	if a.appID != "" {
		address += "?appid=" + a.appID
	}
	return address
}

// isGUID reports whether s is a GUID in the lower-case form that Entra writes.
func isGUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		switch i {
		case 8, 13, 18, 23:
			if c != '-' {
				return false
			}
		default:
			if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
				return false
			}
		}
	}
	return true
}
