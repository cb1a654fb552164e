package netconf

import (
	"net/url"
	"reflect"
	"strings"
	"testing"
)

const scutilStatic = `<dictionary> {
  ExceptionsList : <array> {
    0 : *.local
    1 : 169.254/16
  }
  ExcludeSimpleHostnames : 1
  FTPPassive : 1
  HTTPEnable : 1
  HTTPPort : 8080
  HTTPProxy : web.example.com
  HTTPSEnable : 1
  HTTPSPort : 8443
  HTTPSProxy : web.example.com
  SOCKSEnable : 0
  SOCKSPort : 1080
  SOCKSProxy : socks.example.com
  __SCOPED__ : <dictionary> {
    en0 : <dictionary> {
      ExceptionsList : <array> {
        0 : scoped.example
      }
      HTTPSEnable : 1
      HTTPSPort : 1
      HTTPSProxy : scoped.example.com
    }
  }
}
`

const scutilScript = `<dictionary> {
  ProxyAutoConfigEnable : 1
  ProxyAutoConfigURLString : http://wpad.example.com/wpad.dat
}
`

func TestParseScutil(t *testing.T) {
	const source = "the macOS proxy settings"
	tests := []struct {
		name, text string
		want       System
	}{
		{"static", scutilStatic, System{Source: source, HTTP: "web.example.com:8080", HTTPS: "web.example.com:8443", Bypass: []string{"*.local", "169.254/16"}, BypassSimple: true}},
		{"script", scutilScript, System{Source: source, PAC: "http://wpad.example.com/wpad.dat"}},
		{"script switched off", strings.Replace(scutilScript, "Enable : 1", "Enable : 0", 1), System{Source: source}},
		{"SOCKS over IPv6", "<dictionary> {\n SOCKSEnable : 1\n SOCKSProxy : 2001:db8::1\n SOCKSPort : 1080\n}", System{Source: source, SOCKS: "[2001:db8::1]:1080"}},
		{"nothing", "<dictionary> {\n}\n", System{Source: source}},
		{"nonsense", "}}}}{{{ : : {", System{Source: source}},
	}
	for _, test := range tests {
		if got := parseScutil(test.text); !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: got %+v, want %+v", test.name, got, test.want)
		}
	}
}

func TestWinINET(t *testing.T) {
	const source = "the Windows proxy settings"
	tests := []struct {
		name     string
		registry winINET
		want     System
	}{
		{"one for all", winINET{true, "proxy:8080", "", ""}, System{Source: source, HTTP: "proxy:8080", HTTPS: "proxy:8080"}},
		{"by protocol", winINET{true, "http=a:1;https=http://b:2/;ftp=c:3;socks=d:4", "", ""}, System{Source: source, HTTP: "a:1", HTTPS: "http://b:2", SOCKS: "d:4"}},
		{"exceptions", winINET{true, "p:1", "*.contoso.com;10.*; <local>;<-loopback>", ""}, System{Source: source, HTTP: "p:1", HTTPS: "p:1", Bypass: []string{"*.contoso.com", "10.*"}, BypassSimple: true}},
		{"switched off", winINET{false, "proxy:8080", "x", ""}, System{Source: source}},
		{"script", winINET{false, "", "", "http://wpad/wpad.dat"}, System{Source: source, PAC: "http://wpad/wpad.dat"}},
		{"on without an address", winINET{true, "", "", ""}, System{Source: source}},
	}
	for _, test := range tests {
		got, err := test.registry.system()
		if err != nil || !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: got %+v, %v; want %+v", test.name, got, err, test.want)
		}
	}
	if got, err := (winINET{true, "https=ftp://u:hunter2@x", "", ""}).system(); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestSystemFor(t *testing.T) {
	s := System{HTTPS: "https-proxy:1", HTTP: "http-proxy:2", BypassSimple: true, Bypass: []string{
		"*.contoso.com", "https://api.example.net", "10.*", "172.16.0.0/12", "169.254/16", "host.example:8443", "[2001:db8::5]", "2001:db8:1::/48", ".dotted.org", "*mid*dle*",
	}}
	tests := []struct{ target, want string }{
		{"https://mcp.example.com/mcp", "http://https-proxy:1"},
		{"http://mcp.example.com/mcp", "http://http-proxy:2"},
		{"https://MCP.Contoso.com/", ""},
		{"https://contoso.com/", "http://https-proxy:1"},
		{"https://api.example.net/", ""},
		{"https://10.20.30.40/", ""},
		{"https://172.20.0.1/", ""},
		{"https://172.32.0.1/", "http://https-proxy:1"},
		{"https://169.254.9.9/", ""},
		{"https://host.example:8443/", ""},
		{"https://host.example/", "http://https-proxy:1"},
		{"https://[2001:db8::5]:8/", ""},
		{"https://[2001:db8:1::7]/", ""},
		{"https://[2001:db8:2::7]/", "http://https-proxy:1"},
		{"https://a.dotted.org/", ""},
		{"https://amidbdlec/", ""},
		{"https://intranet/", ""},
		{"https://localhost:1/", ""},
		{"https://127.0.0.1/", ""},
	}
	for _, test := range tests {
		u, err := url.Parse(test.target)
		if err != nil {
			t.Fatal(err)
		}
		proxy, err := s.For(u)
		got := ""
		if proxy != nil {
			got = proxy.String()
		}
		if err != nil || got != test.want {
			t.Errorf("%s: got %q, %v; want %q", test.target, got, err, test.want)
		}
	}
	socks, err := System{SOCKS: "s:1"}.For(&url.URL{Scheme: "https", Host: "a.example"})
	if err != nil || socks.String() != "socks5://s:1" {
		t.Errorf("SOCKS: got %v, %v", socks, err)
	}
}

func FuzzParseScutil(f *testing.F) {
	f.Add(scutilStatic, "a.example")
	f.Add(scutilScript, "127.0.0.1")
	f.Fuzz(func(_ *testing.T, text, host string) {
		_, _ = parseScutil(text).For(&url.URL{Scheme: "https", Host: host})
	})
}

func FuzzWinINET(f *testing.F) {
	f.Add("http=a:1;https=http://b:2/", "*.x;<local>;10.*;[::1]:8", "10.0.0.1:8443")
	f.Fuzz(func(t *testing.T, server, override, host string) {
		s, err := winINET{true, server, override, ""}.system()
		if err != nil {
			return
		}
		if _, err := s.For(&url.URL{Scheme: "https", Host: host}); err != nil && !strings.Contains(server, "=") {
			t.Errorf("%q was accepted and then refused: %v", server, err)
		}
	})
}
