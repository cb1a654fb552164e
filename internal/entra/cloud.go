package entra

import "strings"

// A Cloud is one of Microsoft's separate identity clouds. A tenant lives in
// exactly one of them, and so do its authority, its tokens' issuer and its
// Microsoft Graph.
type Cloud struct {
	// Name is the word used in configuration: global, usgov or china.
	Name string
	// Host is the authority host that Microsoft prefers for this cloud.
	Host string
	// Aliases are the other hosts that serve the same authority.
	Aliases []string
	// V1Issuer starts the issuer of v1 access tokens; "TENANT-GUID/" follows.
	// The global and US Government clouds share it, so an issuer alone does
	// not tell the cloud.
	V1Issuer string
	// GraphURL is the Microsoft Graph root, without a trailing slash.
	GraphURL string
}

// Clouds lists the clouds that mcpctl knows. Hosts are matched exactly: a
// suffix rule would trust whoever registers the next name.
func Clouds() []Cloud {
	return []Cloud{
		{
			Name:     "global",
			Host:     "login.microsoftonline.com",
			Aliases:  []string{"login.microsoft.com", "login.windows.net", "sts.windows.net"},
			V1Issuer: "https://sts.windows.net/",
			GraphURL: "https://graph.microsoft.com",
		},
		{
			Name:     "usgov",
			Host:     "login.microsoftonline.us",
			Aliases:  []string{"login.usgovcloudapi.net"},
			V1Issuer: "https://sts.windows.net/",
			GraphURL: "https://graph.microsoft.us",
		},
		{
			Name:     "china",
			Host:     "login.partner.microsoftonline.cn",
			Aliases:  []string{"login.chinacloudapi.cn", "sts.chinacloudapi.cn"},
			V1Issuer: "https://sts.chinacloudapi.cn/",
			GraphURL: "https://microsoftgraph.chinacloudapi.cn",
		},
	}
}

// LookupCloud returns the cloud with that name. The empty name means global.
func LookupCloud(name string) (Cloud, bool) {
	if name == "" {
		name = "global"
	}
	for _, c := range Clouds() {
		if c.Name == name {
			return c, true
		}
	}
	return Cloud{}, false
}

// CloudOfHost returns the cloud whose authority host, or one of its aliases,
// is exactly host.
func CloudOfHost(host string) (Cloud, bool) {
	host = strings.ToLower(host)
	for _, c := range Clouds() {
		if host == c.Host {
			return c, true
		}
		for _, alias := range c.Aliases {
			if host == alias {
				return c, true
			}
		}
	}
	return Cloud{}, false
}

// Authority returns the address of tenant in this cloud.
func (c Cloud) Authority(tenant string) string {
	return "https://" + c.Host + "/" + tenant
}
