package netconf

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/url"
	"strings"
	"testing"
	"time"
)

func env(pairs ...string) func(string) string {
	m := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return func(name string) string { return m[name] }
}

// noSystem is an operating system without proxy settings.
func noSystem(context.Context) (System, error) { return System{}, nil }

func TestWhichProxyIsUsed(t *testing.T) {
	windows := func(context.Context) (System, error) {
		return System{Source: "the Windows proxy settings", HTTPS: "os:1", HTTP: "os:1", Bypass: []string{"*.internal"}}, nil
	}
	tests := []struct {
		name     string
		settings Settings
		env      []string
		target   string
		proxy    string
		source   string
	}{
		{"nothing said: the operating system", Settings{}, nil, "https://a.example/mcp", "http://os:1", "the Windows proxy settings"},
		{"the system's exceptions", Settings{}, nil, "https://a.internal/", "", "the Windows proxy settings"},
		{"a variable goes before the system", Settings{}, []string{"HTTPS_PROXY", "http://env:2"}, "https://a.example/", "http://env:2", "HTTPS_PROXY"},
		{"lower case goes before upper", Settings{}, []string{"HTTPS_PROXY", "http://env:2", "https_proxy", "low:3"}, "https://a.example/", "http://low:3", "https_proxy"},
		{"ALL_PROXY for what has none", Settings{}, []string{"ALL_PROXY", "socks5://env:4"}, "https://a.example/", "socks5://env:4", "ALL_PROXY"},
		{"only HTTP_PROXY: https goes directly", Settings{}, []string{"HTTP_PROXY", "env:2"}, "https://a.example/", "", "HTTP_PROXY"},
		{"NO_PROXY", Settings{}, []string{"HTTPS_PROXY", "env:2", "NO_PROXY", ".example"}, "https://a.example/", "", "HTTPS_PROXY"},
		{"NO_PROXY alone leaves it to the system", Settings{}, []string{"NO_PROXY", "b"}, "https://a.example/", "http://os:1", "the Windows proxy settings"},
		{"the flag goes before a variable", Settings{Proxy: "flag:5"}, []string{"HTTPS_PROXY", "env:2"}, "https://a.example/", "http://flag:5", "--proxy"},
		{"NO_PROXY narrows the flag", Settings{Proxy: "flag:5"}, []string{"no_proxy", "a.example"}, "https://a.example/", "", "--proxy"},
		{"its own exceptions go first", Settings{Proxy: "flag:5", NoProxy: "10.0.0.0/8"}, []string{"no_proxy", "a.example"}, "https://a.example/", "http://flag:5", "--proxy"},
		{"... and hold", Settings{Proxy: "flag:5", NoProxy: "10.0.0.0/8"}, nil, "https://10.1.2.3/", "", "--proxy"},
		{"none", Settings{Proxy: ProxyNone}, []string{"HTTPS_PROXY", "env:2"}, "https://a.example/", "", "--proxy none"},
		{"auto", Settings{Proxy: ProxyAuto}, []string{"HTTPS_PROXY", "env:2"}, "https://a.example/", "http://env:2", "HTTPS_PROXY"},
		{"loopback address", Settings{Proxy: "flag:5"}, nil, "https://127.0.0.1:8443/", "", ""},
		{"loopback address, IPv6", Settings{Proxy: "flag:5"}, nil, "http://[::1]:8080/mcp", "", ""},
		{"loopback name", Settings{Proxy: "flag:5"}, nil, "http://mcp.localhost:8080/", "", ""},
		{"user and password reach the proxy", Settings{Proxy: "http://u:p@flag:5"}, nil, "https://a.example/", "http://u:p@flag:5", "--proxy"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			n, err := Open(Options{Settings: test.settings, Getenv: env(test.env...), System: windows})
			if err != nil {
				t.Fatal(err)
			}
			u, err := url.Parse(test.target)
			if err != nil {
				t.Fatal(err)
			}
			proxy, source, err := n.ProxyFor(t.Context(), u)
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			if proxy != nil {
				got = proxy.String()
			}
			if got != test.proxy || source != test.source {
				t.Errorf("got %q from %q, want %q from %q", got, source, test.proxy, test.source)
			}
		})
	}
}

func TestParseProxy(t *testing.T) {
	tests := []struct{ in, want, fault string }{
		{"proxy:8080", "http://proxy:8080", ""},
		{" HTTP://proxy:8080/ ", "http://proxy:8080", ""},
		{"https://proxy", "https://proxy", ""},
		{"socks://proxy:1", "socks5://proxy:1", ""},
		{"socks5h://[2001:db8::1]:1", "socks5h://[2001:db8::1]:1", ""},
		{"", "", "not the address"},
		{"http://", "", "not the address"},
		{"socks4://proxy", "", "does not speak"},
		{"ftp://user:hunter2@proxy", "", "does not speak"},
		{"http://user:hunter2@proxy/path", "", "more in it"},
		{"http://user:hunter2%zz@proxy", "", "not the address"},
		{"http://user:hunter2@", "", "not the address"},
		{"http://user:hunter2@a@b:x", "", "not the address"},
		{"http://proxy.example/wpad.dat", "", "more in it"},
	}
	for _, test := range tests {
		u, err := parseProxy(test.in)
		switch {
		case test.fault == "" && (err != nil || u.String() != test.want):
			t.Errorf("%q: got %v, %v; want %s", test.in, u, err, test.want)
		case test.fault != "" && (err == nil || !strings.Contains(err.Error(), test.fault)):
			t.Errorf("%q: got %v, %v; want an error with %q", test.in, u, err, test.fault)
		case err != nil && strings.Contains(err.Error(), "hunter2"):
			t.Errorf("%q: the error holds the password: %v", test.in, err)
		}
	}
}

func TestFaultyProxySettingsNameTheSetting(t *testing.T) {
	for _, test := range []struct {
		options Options
		want    string
	}{
		{Options{Getenv: env("https_proxy", "ftp://u:hunter2@x")}, "https_proxy"},
		{Options{Settings: Settings{Proxy: "ftp://u:hunter2@x"}}, "--proxy http://HOST:PORT"},
	} {
		_, err := Open(test.options)
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("got %v, want an error with %q", err, test.want)
		}
	}
}

// A laptop that changes networks gets the other network's settings, and a
// request in between doesn't pay for reading them.
func TestSystemSettingsAreReadAgainAfterAMinute(t *testing.T) {
	now := time.Unix(1000, 0)
	reads, at := 0, "office:1"
	n, err := Open(Options{Now: func() time.Time { return now }, System: func(context.Context) (System, error) {
		reads++
		return System{HTTPS: at}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	ask := func() string {
		u, _, err := n.ProxyFor(t.Context(), &url.URL{Scheme: "https", Host: "a.example"})
		if err != nil || u == nil {
			t.Fatal(u, err)
		}
		return u.Host
	}
	ask()
	ask()
	if reads != 1 {
		t.Errorf("read %d times, want once", reads)
	}
	at = "home:2"
	now = now.Add(time.Minute)
	if got := ask(); got != "home:2" {
		t.Errorf("got %s after a minute, want home:2", got)
	}
}

func TestUnreadableSystemSettingsConnectDirectly(t *testing.T) {
	var log bytes.Buffer
	n, err := Open(Options{System: func(context.Context) (System, error) { return System{}, errors.New("no registry") }, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	u, _, err := n.ProxyFor(t.Context(), &url.URL{Scheme: "https", Host: "a.example"})
	if u != nil || err != nil || !strings.Contains(log.String(), "no registry") {
		t.Errorf("got %v, %v and log %q", u, err, &log)
	}
}

func TestProxyScriptIsReportedOnce(t *testing.T) {
	var log bytes.Buffer
	n, err := Open(Options{System: func(context.Context) (System, error) {
		return System{Source: "the Windows proxy settings", PAC: "http://wpad.example/wpad.dat"}, nil
	}, Logger: slog.New(slog.NewTextHandler(&log, nil)), Now: func() time.Time { return time.Now() }})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		u, _, err := n.ProxyFor(t.Context(), &url.URL{Scheme: "https", Host: "a.example"})
		if u != nil || err != nil {
			t.Errorf("got %v, %v", u, err)
		}
		n.read = time.Time{}
	}
	if got := strings.Count(log.String(), "wpad.dat"); got != 1 || !strings.Contains(log.String(), "mcpctl login URL --proxy") {
		t.Errorf("the log says it %d times:\n%s", got, &log)
	}
}

func TestSettingsOver(t *testing.T) {
	stored := Settings{Proxy: "p:1", NoProxy: "x", CAFiles: []string{"a"}, ClientCert: "c", ClientKey: "k", ClientPassword: "w"}
	tests := []struct {
		name       string
		said, want Settings
	}{
		{"nothing said", Settings{}, stored},
		{"another proxy doesn't inherit exceptions", Settings{Proxy: "q:1"}, Settings{Proxy: "q:1", CAFiles: []string{"a"}, ClientCert: "c", ClientKey: "k", ClientPassword: "w"}},
		{"exceptions for the stored proxy", Settings{NoProxy: "y"}, Settings{Proxy: "p:1", NoProxy: "y", CAFiles: []string{"a"}, ClientCert: "c", ClientKey: "k", ClientPassword: "w"}},
		{"another certificate doesn't inherit the key", Settings{ClientCert: "d"}, Settings{Proxy: "p:1", NoProxy: "x", CAFiles: []string{"a"}, ClientCert: "d"}},
	}
	for _, test := range tests {
		got := test.said.Over(stored)
		if got.Proxy != test.want.Proxy || got.NoProxy != test.want.NoProxy || got.ClientCert != test.want.ClientCert ||
			got.ClientKey != test.want.ClientKey || got.ClientPassword != test.want.ClientPassword || len(got.CAFiles) != len(test.want.CAFiles) {
			t.Errorf("%s: got %+v, want %+v", test.name, got, test.want)
		}
	}
}

func TestStorableDropsThePassword(t *testing.T) {
	for _, test := range []struct {
		in, want string
		dropped  bool
	}{
		{"http://u:hunter2@p:1", "http://p:1", true},
		{"http://p:1", "http://p:1", false},
		{"none", "none", false},
		{"", "", false},
	} {
		got, dropped := Settings{Proxy: test.in}.Storable()
		if got.Proxy != test.want || dropped != test.dropped {
			t.Errorf("%q became %q, %v", test.in, got.Proxy, dropped)
		}
	}
}

func FuzzParseProxy(f *testing.F) {
	for _, seed := range []string{"proxy:8080", "http://u:p@proxy:1/", "socks5://[::1]:1", "http://u:p%zz@x", "@", "://"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		u, err := parseProxy(raw)
		if err != nil {
			return
		}
		again, err := parseProxy(u.String())
		if err != nil || again.String() != u.String() {
			t.Errorf("%q became %q and then %v, %v", raw, u, again, err)
		}
	})
}
