package entra

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"strings"
)

// ErrTemplatedTenant reports an authority that names no particular tenant,
// such as "common" or "organizations". Tokens and accounts are bound to one
// tenant, so the person has to name it.
var ErrTemplatedTenant = errors.New("the authority names no particular tenant")

// An Authority is one tenant at one trusted authority host. The zero value is
// not usable; [ParseAuthority] is the only way to make one.
type Authority struct {
	cloud  string
	host   string // host, with the port for a development authority
	tenant string // lower case
	devCA  *x509.CertPool
	caFile string
}

// Cloud names the Microsoft cloud, or is "dev" for a development authority.
func (a Authority) Cloud() string { return a.cloud }

// Host is the only host that sign-in requests may go to, with its port where
// it has one.
func (a Authority) Host() string { return a.host }

// Tenant is the tenant's GUID or verified domain, in lower case.
func (a Authority) Tenant() string { return a.tenant }

// IsDev reports whether this is a development authority on loopback, trusted
// through its own CA file.
func (a Authority) IsDev() bool { return a.devCA != nil }

// DevCAFile is the path of the development CA, or "".
func (a Authority) DevCAFile() string { return a.caFile }

// IsZero reports whether a was not made by [ParseAuthority].
func (a Authority) IsZero() bool { return a.host == "" }

// String returns the authority's address: "https://HOST/TENANT".
func (a Authority) String() string {
	if a.IsZero() {
		return ""
	}
	return "https://" + a.host + "/" + a.tenant
}

// ParseAuthority accepts raw as an authority if its tokens can be trusted:
//
//   - https, no port, no user info, and a host that is exactly one of
//     Microsoft's (see [Clouds]); aliases become the preferred host, so that a
//     token is cached under one name; or
//   - https to a loopback IP literal together with devCA, the path of a PEM
//     file that becomes the only root trusted for it.
//
// The path is a tenant: a GUID or a verified domain. A trailing slash and the
// "/v2.0" of issuers are accepted and dropped. A devCA with one of Microsoft's
// hosts is an error, because it could only weaken the connection.
func ParseAuthority(raw, devCA string) (Authority, error) {
	u, tenant, err := splitAuthority(raw)
	if err != nil {
		return Authority{}, err
	}
	a := Authority{tenant: tenant}
	cloud, known := CloudOfHost(u.Host)
	switch {
	case known && devCA != "":
		return Authority{}, fmt.Errorf("authority %s is Microsoft's and takes no development CA: drop --dev-ca", u.Host)
	case known:
		a.cloud, a.host = cloud.Name, cloud.Host
	case isLoopbackLiteral(u.Hostname()) && devCA != "":
		a.cloud, a.host, a.caFile = "dev", strings.ToLower(u.Host), devCA
		if a.devCA, err = loadPool(devCA); err != nil {
			return Authority{}, err
		}
	case isLoopbackLiteral(u.Hostname()):
		return Authority{}, fmt.Errorf("authority %s is a development authority: name its CA with --dev-ca FILE", u.Host)
	default:
		return Authority{}, fmt.Errorf("authority host %q is not one of Microsoft's: expected %s, or a loopback IP address with --dev-ca FILE",
			u.Host, strings.Join(preferredHosts(), ", "))
	}
	if err := checkTenant(tenant); err != nil {
		return Authority{}, fmt.Errorf("authority %s: %w", u.Host, err)
	}
	return a, nil
}

// splitAuthority parses raw into its URL and tenant segment. It judges the
// address's form, not whom it belongs to.
func splitAuthority(raw string) (*url.URL, string, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" {
		return nil, "", fmt.Errorf("authority %q is not an address: expected https://HOST/TENANT", clip(raw))
	}
	switch {
	case u.Scheme != "https":
		return nil, "", fmt.Errorf("authority %q must start with https://", clip(raw))
	case u.User != nil:
		return nil, "", errors.New("an authority address takes no user name")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, "", fmt.Errorf("authority on %s takes no query or fragment", u.Host)
	}
	path := strings.TrimSuffix(strings.TrimPrefix(u.EscapedPath(), "/"), "/")
	path = strings.TrimSuffix(path, "/v2.0")
	if path == "" {
		return nil, "", fmt.Errorf("authority on %s names no tenant: expected https://%s/TENANT", u.Host, u.Host)
	}
	if strings.Contains(path, "/") {
		return nil, "", fmt.Errorf("authority on %s has more in its path than a tenant: expected https://%s/TENANT", u.Host, u.Host)
	}
	return u, strings.ToLower(path), nil
}

var (
	guidPattern   = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)
	domainPattern = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]$`)
)

// IsGUID reports whether s has the form of a tenant or application id.
func IsGUID(s string) bool { return guidPattern.MatchString(strings.ToLower(s)) }

// isTemplatedTenant recognises the names that stand for "whichever tenant".
func isTemplatedTenant(tenant string) bool {
	switch tenant {
	case "common", "organizations", "consumers":
		return true
	}
	return strings.ContainsAny(tenant, "{}") || strings.Contains(tenant, "%7b")
}

// checkTenant accepts a tenant GUID or a verified domain, in lower case.
func checkTenant(tenant string) error {
	switch {
	case isTemplatedTenant(tenant):
		return fmt.Errorf("%w (%q): name yours with --tenant", ErrTemplatedTenant, tenant)
	case IsGUID(tenant):
		return nil
	case len(tenant) > 253 || !domainPattern.MatchString(tenant):
		return fmt.Errorf("tenant %q is neither a GUID nor a domain such as contoso.onmicrosoft.com", clip(tenant))
	case strings.Contains(tenant, "token"):
		// MSAL Go derives the device code address by replacing every "token"
		// in the token endpoint, the tenant's name included.
		return fmt.Errorf("tenant %q contains \"token\", which breaks device code sign-in: use the tenant's GUID", tenant)
	}
	return nil
}

// isLoopbackLiteral reports whether host is an IP address on loopback. Names
// do not count: what "localhost" resolves to is not ours to know.
func isLoopbackLiteral(host string) bool {
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback() && ip.Zone() == ""
}

func preferredHosts() []string {
	var hosts []string
	for _, c := range Clouds() {
		hosts = append(hosts, c.Host)
	}
	return hosts
}

// loadPool reads a PEM file of root certificates.
func loadPool(path string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading development CA: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("development CA %s holds no PEM certificate", path)
	}
	return pool, nil
}

// clip bounds foreign text that an error quotes.
func clip(s string) string {
	const most = 100
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
