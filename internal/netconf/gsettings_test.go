package netconf

import (
	"net/url"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// gsettingsDefaults is what "gsettings list-recursively org.gnome.system.proxy"
// prints where nobody has set a proxy (GLib 2.74, gsettings-desktop-schemas 43).
const gsettingsDefaults = `org.gnome.system.proxy autoconfig-url ''
org.gnome.system.proxy ignore-hosts ['localhost', '127.0.0.0/8', '::1']
org.gnome.system.proxy mode 'none'
org.gnome.system.proxy use-same-proxy true
org.gnome.system.proxy.ftp host ''
org.gnome.system.proxy.ftp port 0
org.gnome.system.proxy.http authentication-password ''
org.gnome.system.proxy.http authentication-user ''
org.gnome.system.proxy.http enabled false
org.gnome.system.proxy.http host ''
org.gnome.system.proxy.http port 8080
org.gnome.system.proxy.http use-authentication false
org.gnome.system.proxy.https host ''
org.gnome.system.proxy.https port 0
org.gnome.system.proxy.socks host ''
org.gnome.system.proxy.socks port 0
`

// set replaces values in the defaults: ".http host", "'proxy'" and so on.
func set(pairs ...string) string {
	text := gsettingsDefaults
	for i := 0; i < len(pairs); i += 2 {
		line := regexp.MustCompile(`(?m)^(org\.gnome\.system\.proxy` + regexp.QuoteMeta(pairs[i]) + `) .*$`)
		text = line.ReplaceAllStringFunc(text, func(old string) string { return "org.gnome.system.proxy" + pairs[i] + " " + pairs[i+1] })
	}
	return text
}

func TestParseGSettings(t *testing.T) {
	const source = "the GNOME proxy settings"
	local := []string{"localhost", "*.localhost", "127.0.0.0/8", "::1"}
	tests := []struct {
		name, text string
		want       *System
	}{
		{"nothing set", gsettingsDefaults, nil},
		{"addresses kept while switched off", set(".http host", "'old.example'"), nil},
		{"each its own", set(" mode", "'manual'", ".http host", "'web.example'", ".https host", "'tls.example'", ".https port", "8443", ".socks host", "'socks.example'", ".socks port", "1080"),
			&System{Source: source, HTTP: "web.example:8080", HTTPS: "tls.example:8443", SOCKS: "socks.example:1080", Bypass: local}},
		{"https takes the proxy for http", set(" mode", "'manual'", ".http host", "'web.example'"), &System{Source: source, HTTP: "web.example:8080", HTTPS: "web.example:8080", Bypass: local}},
		{"SOCKS alone", set(" mode", "'manual'", ".socks host", "'2001:db8::1'", ".socks port", "1080"), &System{Source: source, SOCKS: "[2001:db8::1]:1080", Bypass: local}},
		{"an address where a host is asked for", set(" mode", "'manual'", ".https host", "'http://tls.example/'"), &System{Source: source, HTTPS: "tls.example", Bypass: local}},
		{"with a sign-in", set(" mode", "'manual'", ".http host", "'p.example'", ".http use-authentication", "true", ".http authentication-user", "'CONTOSO\\\\ada'", ".http authentication-password", `"it's @: ü"`),
			&System{Source: source, HTTP: "CONTOSO%5Cada:it%27s%20%40%3A%20%C3%BC@p.example:8080", HTTPS: "CONTOSO%5Cada:it%27s%20%40%3A%20%C3%BC@p.example:8080", Bypass: local}},
		{"the sign-in is for its own proxy", set(" mode", "'manual'", ".http host", "'p.example'", ".http use-authentication", "true", ".http authentication-user", "'u'", ".https host", "'q.example'", ".https port", "1"),
			&System{Source: source, HTTP: "u:@p.example:8080", HTTPS: "q.example:1", Bypass: local}},
		{"sign-in switched off", set(" mode", "'manual'", ".http host", "'p.example'", ".http authentication-user", "'u'"), &System{Source: source, HTTP: "p.example:8080", HTTPS: "p.example:8080", Bypass: local}},
		{"exceptions", set(" mode", "'manual'", ".https host", "'p'", " ignore-hosts", `['contoso.com', '*.corp', '.lan:8443', '10.0.0.0/8', "[2001:db8::5]:8"]`),
			&System{Source: source, HTTPS: "p", Bypass: []string{"contoso.com", "*.contoso.com", "corp", "*.corp", "lan:8443", "*.lan:8443", "10.0.0.0/8", "[2001:db8::5]:8"}}},
		{"no exceptions", set(" mode", "'manual'", ".https host", "'p'", " ignore-hosts", `@as []`), &System{Source: source, HTTPS: "p"}},
		{"script", set(" mode", "'auto'", " autoconfig-url", "'http://wpad.example/proxy.pac'"), &System{Source: source, PAC: "http://wpad.example/proxy.pac"}},
		{"script that the network tells", set(" mode", "'auto'"), &System{Source: source, PAC: "http://wpad/wpad.dat"}},
		{"nothing printed", "", nil},
	}
	for _, test := range tests {
		got, err := parseGSettings(test.text)
		if err != nil || !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: got %+v, %v; want %+v", test.name, got, err, test.want)
		}
	}
	if got, err := parseGSettings(set(" mode", "'manual'", ".https host", `'u:hunter2@a b/c'`)); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestGSettingsFor(t *testing.T) {
	s, err := parseGSettings(set(" mode", "'manual'", ".http host", "'p'", " ignore-hosts", "['contoso.com', 'host.example:8443', '10.0.0.0/8']"))
	if err != nil {
		t.Fatal(err)
	}
	for target, want := range map[string]string{
		"https://mcp.example/":       "http://p:8080",
		"https://contoso.com/":       "",
		"https://mcp.contoso.com/":   "",
		"https://notcontoso.com/":    "http://p:8080",
		"https://host.example:8443/": "",
		"https://host.example/":      "http://p:8080",
		"https://10.1.2.3/":          "",
	} {
		u, _ := url.Parse(target)
		got := ""
		if proxy, err := s.For(u); err != nil {
			t.Error(err)
		} else if proxy != nil {
			got = proxy.String()
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", target, got, want)
		}
	}
}

func TestParseKioslaverc(t *testing.T) {
	const source = "the KDE proxy settings"
	manual := "PersistentProxyConnection=false\n[Proxy Settings]\nAuthMode=0\nNoProxyFor=localhost,.contoso.com,10.0.0.0/8,<local>\nProxy Config Script=http://old.example/x.pac\nProxyType=1\nReversedException=false\nhttpProxy=http://web.example 8080\nhttpsProxy=http://tls.example:8443\nsocksProxy=socks://socks.example 1080\n[Other]\nProxyType=0\n"
	tests := []struct {
		name  string
		texts []string
		want  System
	}{
		{"no file", []string{"", ""}, System{}},
		{"manual", []string{manual}, System{Source: source, HTTP: "web.example:8080", HTTPS: "tls.example:8443", SOCKS: "socks.example:1080", BypassSimple: true,
			Bypass: []string{"localhost", "*.localhost", "contoso.com", "*.contoso.com", "10.0.0.0/8"}}},
		{"switched off", []string{strings.Replace(manual, "ProxyType=1", "ProxyType=0", 1)}, System{}},
		{"the proxy variables", []string{strings.Replace(manual, "ProxyType=1", "ProxyType=4", 1)}, System{}},
		{"script", []string{"[Proxy Settings]\nProxyType=2\nProxy Config Script=http://wpad.example/x.pac\n"}, System{Source: source, PAC: "http://wpad.example/x.pac"}},
		{"script that the network tells", []string{"[Proxy Settings]\nProxyType=3\n"}, System{Source: source, PAC: "http://wpad/wpad.dat"}},
		{"the machine's file", []string{"[Proxy Settings][$i]\nProxyType[$i]=1\nhttpsProxy=http://u:p@m.example 1\n", ""}, System{Source: source, HTTPS: "u:p@m.example:1"}},
		{"the person's file over it", []string{"[Proxy Settings]\nProxyType=1\nhttpsProxy=http://m.example 1\n", "[Proxy Settings]\nhttpsProxy=http://mine.example 2\n"}, System{Source: source, HTTPS: "mine.example:2"}},
	}
	for _, test := range tests {
		got, err := parseKioslaverc(test.texts...)
		if err != nil || !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: got %+v, %v; want %+v", test.name, got, err, test.want)
		}
	}
	for _, text := range []string{strings.Replace(manual, "Exception=false", "Exception=true", 1), "[Proxy Settings]\nProxyType=1\nhttpsProxy=http://u:hunter2@a/b 1\n"} {
		if got, err := parseKioslaverc(text); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("got %+v, %v", got, err)
		}
	}
}

func FuzzParseGSettings(f *testing.F) {
	f.Add("'manual'", `'p.example'`, `['a', "it's \u00fc\n", '::1']`, "a.example")
	f.Fuzz(func(t *testing.T, mode, host, ignore, target string) {
		s, err := parseGSettings("org.gnome.system.proxy mode " + mode + "\norg.gnome.system.proxy.https host " + host + "\norg.gnome.system.proxy ignore-hosts " + ignore + "\n")
		if err != nil || s == nil {
			return
		}
		if _, err := s.For(&url.URL{Scheme: "https", Host: target}); err != nil {
			t.Errorf("accepted and then refused: %v", err)
		}
	})
}

func FuzzParseKioslaverc(f *testing.F) {
	f.Add("[Proxy Settings]\nProxyType=1\nhttpsProxy=http://a 1\nNoProxyFor=.b,10.0.0.0/8\n", "a.b")
	f.Fuzz(func(t *testing.T, text, target string) {
		s, err := parseKioslaverc(text)
		if err != nil {
			return
		}
		if _, err := s.For(&url.URL{Scheme: "https", Host: target}); err != nil {
			t.Errorf("accepted and then refused: %v", err)
		}
	})
}
