package server_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/mcpctl/mcpctl/server"
)

// TestWebPagesAndHosts: on every address, with a token and without, web pages
// that nobody listed are kept out, and so is a page whose name was made to lead to
// this machine. Only the metadata is for all pages.
func TestWebPagesAndHosts(t *testing.T) {
	w := start(t, whoami, func(o *server.Options) {
		o.Config.AllowedOrigins = []string{"https://app.contoso.com"}
		o.Config.Upstreams = append(o.Config.Upstreams, server.Upstream{Name: "more", Builtin: []string{"market"}})
	})
	token := w.token(w.sample.Ada)
	own := strings.TrimSuffix(w.server.PublicURL(), "/mcp")
	for rule, header := range map[string]string{"origin": "Origin", "host": "Host"} {
		w.do("POST", "/mcp", token, initialize, header, "evil.example")
		if all := w.records(); all[len(all)-1]["rule"] != rule || all[len(all)-1]["outcome"] != "refused" {
			t.Errorf("recorded as %v", all[len(all)-1])
		}
	}
	addresses := []struct {
		method, path string
		metadata     bool
	}{
		{"POST", "/mcp", false}, {"GET", "/mcp", false}, {"DELETE", "/mcp", false}, {"OPTIONS", "/mcp", false}, {"POST", "/mcp/me", false}, {"POST", "/mcp/more", false},
		{"GET", "/sse", false}, {"POST", "/messages?sessionId=x", false}, {"GET", "/", false}, {"GET", "/healthz", false}, {"GET", "/nothing", false},
		{"GET", "/.well-known/oauth-protected-resource/mcp", true}, {"GET", "/mcp/.well-known/oauth-protected-resource", true},
	}
	for _, tt := range []struct {
		header, value string
		rule          string // "" for let in
	}{
		{"Origin", "https://app.contoso.com", ""},
		{"Origin", own, ""},
		{"Origin", "http://127.0.0.1:1", "origin"},
		{"Origin", "https://evil.example", "origin"},
		{"Origin", "https://app.contoso.com.evil.example", "origin"},
		{"Origin", "null", "origin"},
		{"Origin", "", "origin"},
		{"Host", "localhost:1", ""},
		{"Host", "[::1]:8080", ""},
		{"Host", "evil.example", "host"}, // DNS rebinding
		{"Host", "127.0.0.1.evil.example", "host"},
	} {
		for _, a := range addresses {
			for _, who := range []string{"", token} {
				if a.path == "/sse" && who != "" && tt.rule == "" {
					continue // a stream that stays open
				}
				resp, body := w.do(a.method, a.path, who, initialize, tt.header, tt.value)
				refused := resp.StatusCode == http.StatusForbidden
				if want := tt.rule != "" && (!a.metadata || tt.header == "Host"); refused != want || refused && !strings.Contains(body, `"rule":"`+tt.rule+`"`) {
					t.Errorf("%s %s with %s: %s: %d %s", a.method, a.path, tt.header, tt.value, resp.StatusCode, body)
				}
				if refused && (resp.Header.Get("WWW-Authenticate") != "" || resp.Header.Get("Access-Control-Allow-Origin") != "" && !a.metadata) {
					t.Errorf("%s %s with %s: %s: %v", a.method, a.path, tt.header, tt.value, resp.Header)
				}
			}
		}
	}
	if strings.Contains(w.log.String(), token) {
		t.Error("a token is in the log")
	}
}

// TestListedPagesCanCall: browsers ask first, and hand answers only to pages that
// the answer names (Fetch, CORS protocol).
func TestListedPagesCanCall(t *testing.T) {
	const page = "https://app.contoso.com"
	w := start(t, whoami, func(o *server.Options) { o.Config.AllowedOrigins = []string{page} })
	resp, _ := w.do("OPTIONS", "/mcp", "", "", "Origin", page, "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "authorization,mcp-param-region")
	h := resp.Header
	if resp.StatusCode != http.StatusNoContent || h.Get("Access-Control-Allow-Origin") != page || !strings.Contains(h.Get("Access-Control-Allow-Methods"), "DELETE") ||
		h.Get("Access-Control-Allow-Headers") != "authorization,mcp-param-region" || h.Get("Vary") != "Origin" {
		t.Errorf("asked first: %d %v", resp.StatusCode, h)
	}
	for _, token := range []string{"", w.token(w.sample.Ada)} {
		resp, _ := w.do("POST", "/mcp", token, initialize, "Origin", page)
		if h := resp.Header; h.Get("Access-Control-Allow-Origin") != page || !strings.Contains(h.Get("Access-Control-Expose-Headers"), "Mcp-Session-Id") ||
			!strings.Contains(h.Get("Access-Control-Expose-Headers"), "WWW-Authenticate") || h.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("with %d bytes of token: %d %v", len(token), resp.StatusCode, h)
		}
	}
	// A browser's cache keeps what it got without asking for a page.
	if resp, _ := w.do("GET", "/", "", ""); resp.Header.Get("Vary") != "Origin" {
		t.Errorf("to no page: %v", resp.Header)
	}
	resp, _ = w.do("OPTIONS", "/mcp", "", "", "Origin", "https://evil.example", "Access-Control-Request-Method", "POST")
	if resp.StatusCode != http.StatusForbidden || resp.Header.Get("Access-Control-Allow-Methods") != "" {
		t.Errorf("another page asked first: %d %v", resp.StatusCode, resp.Header)
	}
}

// TestWebPagesReadNoTelemetry: nor does a page whose name leads to this machine.
func TestWebPagesReadNoTelemetry(t *testing.T) {
	addr, telemetry := withTelemetry(t)
	start(t, whoami, telemetry)
	for _, path := range []string{"/metrics", "/healthz", "/readyz"} {
		for header, status := range map[string]int{"": 0, "Origin": http.StatusForbidden, "Host": http.StatusForbidden} {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr+path, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			switch header {
			case "Origin":
				r.Header.Set("Origin", "https://evil.example")
			case "Host":
				r.Host = "evil.example"
			}
			client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
			resp, err := client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if status != 0 && resp.StatusCode != status || status == 0 && resp.StatusCode == http.StatusForbidden {
				t.Errorf("%s with another %q: %d", path, header, resp.StatusCode)
			}
		}
	}
}

// TestReloadOfPagesAndProxies: who may call from a web page, and whose word about
// a request's origin counts, change without a restart and without losing a
// session.
func TestReloadOfPagesAndProxies(t *testing.T) {
	const page = "https://app.contoso.com"
	w := start(t, whoami)
	token := w.token(w.sample.Ada)
	s := w.streamable(token)
	believed := func() bool {
		w.do("POST", "/mcp", "no.such.token", initialize, "X-Forwarded-For", "192.0.2.7")
		all := w.records()
		from, _ := all[len(all)-1]["remote"].(string)
		return strings.HasPrefix(from, "192.0.2.7:")
	}
	if resp, _ := w.do("POST", "/mcp", token, initialize, "Origin", page); resp.StatusCode != http.StatusForbidden {
		t.Errorf("before: %d", resp.StatusCode)
	}
	if believed() {
		t.Error("before: a stranger's word counts")
	}
	if err := w.takeOver(func(c *server.Config) {
		c.AllowedOrigins, c.TrustedProxies = []string{page}, []string{"127.0.0.0/8"}
	}); err != nil {
		t.Fatal(err)
	}
	if resp, _ := w.do("POST", "/mcp", token, initialize, "Origin", page); resp.StatusCode != http.StatusOK {
		t.Errorf("after: %d", resp.StatusCode)
	}
	if !believed() {
		t.Error("after: the word of a trusted proxy does not count")
	}
	if f, _ := s.tool("whoami", `{}`); f.Failed {
		t.Errorf("the session is gone: %s", f.Raw)
	}
	if err := w.takeOver(func(c *server.Config) { c.AllowedOrigins, c.TrustedProxies = nil, nil }); err != nil {
		t.Fatal(err)
	}
	if resp, _ := w.do("POST", "/mcp", token, initialize, "Origin", page); resp.StatusCode != http.StatusForbidden {
		t.Errorf("taken back: %d", resp.StatusCode)
	}
	if believed() {
		t.Error("taken back: a stranger's word counts")
	}
	if strings.Contains(w.log.String(), "need a restart") {
		t.Errorf("the log says that something needs a restart:\n%s", w.log)
	}
}
