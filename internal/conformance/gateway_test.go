package conformance_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/mcpctl/mcpctl/internal/fakeentra"
)

// gatewayAddresses are where a caller that needs no token meets a gateway.
type gatewayAddresses struct{ mcp, sse string }

// startGateway starts mcpctl serve before one upstream, given as a line of the
// configuration, behind a proxy that adds a token.
func startGateway(t *testing.T, upstream string) gatewayAddresses {
	t.Helper()
	authority, err := fakeentra.Start(fakeentra.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = authority.Close() })

	listen := freeAddress(t)
	proxy := httptest.NewUnstartedServer(nil)
	public := "http://" + proxy.Listener.Addr().String()
	sample, err := authority.AddSample(public + "/mcp")
	if err != nil {
		t.Fatal(err)
	}
	token, err := authority.MintToken(fakeentra.TokenSpec{
		API: sample.API.ClientID, Client: sample.Client.ClientID, Person: sample.Ada.UPN, Scopes: []string{fakeentra.SampleScope},
	})
	if err != nil {
		t.Fatal(err)
	}

	dir := t.TempDir()
	ca, config := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "mcpctl.yaml")
	text := fmt.Sprintf(`listen: %s
public_url: %s/mcp
entra:
  authority: %s
  ca_file: %s
  tenant_id: %s
  client_id: %s
  required_scopes: [%s]
upstreams:
  - name: everything
    %s
limits: {requests_per_minute: 100000}
`, listen, public, authority.Authority(), yamlString(ca), authority.TenantID(), sample.API.ClientID, fakeentra.SampleScope, upstream)
	for name, content := range map[string][]byte{ca: authority.CAPEM(), config: []byte(text)} {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	startServer(t, mcpctl, "serve", "--config", config)
	awaitListener(t, listen)
	startProxy(t, proxy, func(r *httputil.ProxyRequest) {
		r.SetURL(&url.URL{Scheme: "http", Host: listen})
		r.Out.Host = r.In.Host // the gateway judges it
		r.Out.Header.Set("Authorization", "Bearer "+token)
	})
	return gatewayAddresses{public + "/mcp", public + "/sse"}
}

// startBothEras serves, at one address, what go-sdk's server serves in two modes.
func startBothEras(t *testing.T, stateful, stateless string) string {
	t.Helper()
	front := httptest.NewUnstartedServer(nil)
	startProxy(t, front, func(r *httputil.ProxyRequest) {
		target := stateful
		if r.In.Header.Get("MCP-Protocol-Version") >= "2026-07-28" {
			target = stateless
		}
		u, err := url.Parse(target)
		if err != nil {
			panic(err)
		}
		r.SetURL(u)
	})
	return front.URL
}

// startProxy starts srv as a reverse proxy.
func startProxy(t *testing.T, srv *httptest.Server, rewrite func(*httputil.ProxyRequest)) {
	t.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: 16}
	proxy := &httputil.ReverseProxy{
		Transport: transport, Rewrite: rewrite, FlushInterval: -1,
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
		ErrorLog:     slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug),
	}
	srv.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// A server that answers fast would otherwise have its answer cut off, before
		// the transport has seen the end of the request.
		if err := http.NewResponseController(w).EnableFullDuplex(); err != nil {
			panic(err)
		}
		proxy.ServeHTTP(w, r)
	})
	srv.Start()
	t.Cleanup(func() {
		srv.CloseClientConnections()
		srv.Close()
		transport.CloseIdleConnections()
	})
}

// yamlString quotes s: JSON's strings, as Go writes those without special
// characters, are YAML's too.
func yamlString(s string) string { return strconv.Quote(s) }
