package auth

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestForwarded(t *testing.T) {
	for _, tt := range []struct {
		name, peer           string
		xff, proto, host     string
		wantRemote, wantHost string
		wantLog              string // part of it; "" is silence
	}{
		{name: "direct", peer: "203.0.113.5:1000", wantRemote: "203.0.113.5:1000", wantHost: "mcp.contoso.com"},
		{name: "through the proxy", peer: "10.0.0.7:1000", xff: "203.0.113.5", proto: "https", host: "mcp.contoso.com", wantRemote: "203.0.113.5:0", wantHost: "mcp.contoso.com"},
		{name: "through two", peer: "10.0.0.7:1000", xff: "203.0.113.5, 10.0.0.8", proto: "https", wantRemote: "203.0.113.5:0", wantHost: "mcp.contoso.com"},
		{name: "with a port", peer: "10.0.0.7:1000", xff: "203.0.113.5:4711", proto: "https", wantRemote: "203.0.113.5:0", wantHost: "mcp.contoso.com"},
		{name: "IPv6", peer: "[fd00::1]:1000", xff: "[2001:db8::5]:80", proto: "https", wantRemote: "[2001:db8::5]:0", wantHost: "mcp.contoso.com"},
		{name: "IPv4 in IPv6", peer: "[::ffff:10.0.0.7]:1000", xff: "203.0.113.5", proto: "https", wantRemote: "203.0.113.5:0", wantHost: "mcp.contoso.com"},
		{name: "what the client claimed", peer: "10.0.0.7:1000", xff: "198.51.100.1, 203.0.113.5", proto: "https", wantRemote: "203.0.113.5:0", wantHost: "mcp.contoso.com"},
		{name: "nonsense before", peer: "10.0.0.7:1000", xff: "<script>, 203.0.113.5", proto: "https", wantRemote: "203.0.113.5:0", wantHost: "mcp.contoso.com"},
		{name: "nonsense", peer: "10.0.0.7:1000", xff: "unknown", proto: "https", wantRemote: "10.0.0.7:1000", wantHost: "mcp.contoso.com"},
		{name: "untrusted", peer: "203.0.113.5:1000", xff: "198.51.100.1", proto: "https", host: "evil.example", wantRemote: "203.0.113.5:1000", wantHost: "mcp.contoso.com", wantLog: "trusted_proxies"},
		{name: "scheme", peer: "10.0.0.7:1000", xff: "203.0.113.5", proto: "http", wantRemote: "203.0.113.5:0", wantHost: "mcp.contoso.com", wantLog: "in the clear"},
		{name: "host", peer: "10.0.0.7:1000", xff: "203.0.113.5", proto: "https", host: "old.contoso.com", wantRemote: "203.0.113.5:0", wantHost: "old.contoso.com", wantLog: "another host"},
		{name: "host that is none", peer: "10.0.0.7:1000", proto: "https", host: "a/b", wantRemote: "10.0.0.7:1000", wantHost: "mcp.contoso.com"},
		{name: "standard port", peer: "10.0.0.7:1000", proto: "https", host: "MCP.contoso.com:443", wantRemote: "10.0.0.7:1000", wantHost: "MCP.contoso.com:443"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			log := &strings.Builder{}
			f, err := NewForwarded(ForwardedOptions{
				Trusted:   []netip.Prefix{netip.MustParsePrefix("10.0.0.0/24"), netip.MustParsePrefix("fd00::/8")},
				PublicURL: testURI, Logger: slog.New(slog.NewTextHandler(log, nil)),
			})
			if err != nil {
				t.Fatal(err)
			}
			r := httptest.NewRequest(http.MethodPost, "/mcp", nil)
			r.Host, r.RemoteAddr = "mcp.contoso.com", tt.peer
			for name, value := range map[string]string{headerFor: tt.xff, headerProto: tt.proto, headerHost: tt.host} {
				if value != "" {
					r.Header.Set(name, value)
				}
			}
			var got *http.Request
			for range 3 {
				f.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r })).ServeHTTP(httptest.NewRecorder(), r)
			}
			if got.RemoteAddr != tt.wantRemote || got.Host != tt.wantHost {
				t.Errorf("from %s for %s, want %s for %s", got.RemoteAddr, got.Host, tt.wantRemote, tt.wantHost)
			}
			if got.Header.Get(headerFor)+got.Header.Get(headerProto)+got.Header.Get(headerHost) != "" {
				t.Errorf("header fields went on: %v", got.Header)
			}
			if tt.xff != "" && r.Header.Get(headerFor) != tt.xff {
				t.Error("the caller's own request was changed")
			}
			switch lines := strings.Count(log.String(), "\n"); {
			case tt.wantLog == "" && lines != 0, tt.wantLog != "" && (lines != 1 || !strings.Contains(log.String(), tt.wantLog)):
				t.Errorf("log %q, want one line with %q", log, tt.wantLog)
			}
		})
	}
}

func TestForwardedComplainsAgainLater(t *testing.T) {
	log, c := &strings.Builder{}, newClock()
	f, err := NewForwarded(ForwardedOptions{PublicURL: testURI, Now: c.Now, Logger: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	for _, wait := range []time.Duration{0, time.Minute, reportEvery} {
		c.Advance(wait)
		r := httptest.NewRequest(http.MethodPost, "/mcp", nil)
		r.Header.Set(headerProto, "http")
		f.Settle(r)
	}
	if strings.Count(log.String(), "\n") != 2 {
		t.Errorf("log %s", log)
	}
	if _, err := NewForwarded(ForwardedOptions{PublicURL: "mcp"}); err == nil {
		t.Error("no error for a public URL that is none")
	}
}

func FuzzForwarded(f *testing.F) {
	for _, seed := range []string{"203.0.113.5", "[::1]:80, 10.0.0.1", ",,,", "unknown, _hidden", "10.0.0.7"} {
		f.Add(seed, "https", "mcp.contoso.com")
	}
	forwarded, err := NewForwarded(ForwardedOptions{Trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, PublicURL: testURI})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, xff, proto, host string) {
		r := httptest.NewRequest(http.MethodPost, "/mcp", nil)
		r.RemoteAddr = "10.0.0.7:1"
		r.Header[headerFor], r.Header[headerProto], r.Header[headerHost] = []string{xff}, []string{proto}, []string{host}
		got := forwarded.Settle(r)
		if _, err := netip.ParseAddrPort(got.RemoteAddr); err != nil {
			t.Errorf("remote address %q", got.RemoteAddr)
		}
		if strings.ContainsAny(got.Host, "/\\@ ") {
			t.Errorf("host %q", got.Host)
		}
	})
}
