package entra

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const testTenant = "6f1c7f0e-3a52-4b8e-9d0b-5a2f4c1e7d90"

func TestParseAuthorityAcceptsMicrosoft(t *testing.T) {
	tests := []struct{ raw, want, cloud string }{
		{"https://login.microsoftonline.com/" + testTenant, "https://login.microsoftonline.com/" + testTenant, "global"},
		{"https://login.microsoftonline.com/" + strings.ToUpper(testTenant) + "/v2.0", "https://login.microsoftonline.com/" + testTenant, "global"},
		{"https://LOGIN.microsoftonline.com/Contoso.OnMicrosoft.com/", "https://login.microsoftonline.com/contoso.onmicrosoft.com", "global"},
		{"https://sts.windows.net/" + testTenant + "/", "https://login.microsoftonline.com/" + testTenant, "global"},
		{"https://login.windows.net/contoso.com", "https://login.microsoftonline.com/contoso.com", "global"},
		{"https://login.microsoftonline.us/contoso.us", "https://login.microsoftonline.us/contoso.us", "usgov"},
		{"https://login.partner.microsoftonline.cn/contoso.cn", "https://login.partner.microsoftonline.cn/contoso.cn", "china"},
		{"https://login.chinacloudapi.cn/contoso.cn", "https://login.partner.microsoftonline.cn/contoso.cn", "china"},
	}
	for _, tt := range tests {
		got, err := ParseAuthority(tt.raw, "")
		if err != nil {
			t.Errorf("ParseAuthority(%q): %v", tt.raw, err)
			continue
		}
		if got.String() != tt.want || got.Cloud() != tt.cloud || got.IsDev() {
			t.Errorf("ParseAuthority(%q) = %s in %s, want %s in %s", tt.raw, got, got.Cloud(), tt.want, tt.cloud)
		}
	}
}

func TestParseAuthorityRefuses(t *testing.T) {
	ca := writeTestCA(t)
	noCA := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(noCA, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct{ name, raw, devCA, want string }{
		{"plain http", "http://login.microsoftonline.com/" + testTenant, "", "https://"},
		{"a port on Microsoft's host", "https://login.microsoftonline.com:443/" + testTenant, "", "not one of Microsoft's"},
		{"user info", "https://login.microsoftonline.com@evil.example/" + testTenant, "", "no user name"},
		{"a name that ends alike", "https://login.microsoftonline.com.evil.example/" + testTenant, "", "not one of Microsoft's"},
		{"a name under Microsoft's", "https://x.login.microsoftonline.com/" + testTenant, "", "not one of Microsoft's"},
		{"a trailing dot", "https://login.microsoftonline.com./" + testTenant, "", "not one of Microsoft's"},
		{"a query", "https://login.microsoftonline.com/" + testTenant + "?x=1", "", "no query"},
		{"a fragment", "https://login.microsoftonline.com/" + testTenant + "#x", "", "no query"},
		{"no tenant", "https://login.microsoftonline.com/", "", "names no tenant"},
		{"only a version", "https://login.microsoftonline.com/v2.0", "", "neither a GUID nor a domain"},
		{"a deeper path", "https://login.microsoftonline.com/tfp/contoso.com/policy", "", "more in its path"},
		{"an escaped slash", "https://login.microsoftonline.com/a%2Fb", "", "neither a GUID nor a domain"},
		{"ADFS", "https://login.microsoftonline.com/adfs", "", "neither a GUID nor a domain"},
		{"MSAL's replaced word", "https://login.microsoftonline.com/tokens-inc.com", "", "GUID"},
		{"loopback without a CA", "https://127.0.0.1:9443/" + testTenant, "", "--dev-ca"},
		{"localhost by name", "https://localhost:9443/" + testTenant, ca, "loopback IP"},
		{"another machine with a CA", "https://192.168.1.2/" + testTenant, ca, "loopback IP"},
		{"Microsoft's host with a CA", "https://login.microsoftonline.com/" + testTenant, ca, "no development CA"},
		{"a CA file without certificate", "https://127.0.0.1:9443/" + testTenant, noCA, "no PEM certificate"},
		{"a missing CA file", "https://127.0.0.1:9443/" + testTenant, noCA + ".missing", "reading development CA"},
		{"nothing", "", "", "not an address"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseAuthority(tt.raw, tt.devCA)
			if err == nil {
				t.Fatalf("accepted as %s", got)
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error is %q, want it to mention %q", err, tt.want)
			}
		})
	}
}

func TestParseAuthorityNamesTheFlagForTemplatedTenants(t *testing.T) {
	for _, tenant := range []string{"common", "organizations", "consumers", "{tenantid}", "%7Btenantid%7D", "COMMON"} {
		_, err := ParseAuthority("https://login.microsoftonline.com/"+tenant+"/v2.0", "")
		if !errors.Is(err, ErrTemplatedTenant) || !strings.Contains(err.Error(), "--tenant") {
			t.Errorf("tenant %q: error is %v", tenant, err)
		}
	}
}

func TestParseAuthorityForDevelopment(t *testing.T) {
	ca := writeTestCA(t)
	for _, host := range []string{"127.0.0.1:9443", "[::1]:9443", "127.8.9.10"} {
		a, err := ParseAuthority("https://"+host+"/"+testTenant, ca)
		if err != nil {
			t.Errorf("%s: %v", host, err)
			continue
		}
		if !a.IsDev() || a.Host() != host || a.DevCAFile() != ca || a.Cloud() != "dev" {
			t.Errorf("%s: got %+v", host, a)
		}
	}
}

func TestCloudsAreConsistent(t *testing.T) {
	for _, c := range Clouds() {
		got, ok := CloudOfHost(c.Host)
		if !ok || got.Name != c.Name {
			t.Errorf("CloudOfHost(%s) = %s", c.Host, got.Name)
		}
		if byName, ok := LookupCloud(c.Name); !ok || byName.Host != c.Host {
			t.Errorf("LookupCloud(%s) = %+v", c.Name, byName)
		}
		if _, err := ParseAuthority(c.Authority(testTenant), ""); err != nil {
			t.Errorf("%s: %v", c.Name, err)
		}
	}
	if c, ok := LookupCloud(""); !ok || c.Name != "global" {
		t.Error("no cloud named is not the global one")
	}
	if _, ok := LookupCloud("mars"); ok {
		t.Error("an unknown cloud was found")
	}
}
