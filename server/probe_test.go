package server_test

import (
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/mcpctl/mcpctl/server"
)

// An upstream that can't work is in the log before anybody needs it, and the
// server is not ready.
func TestUpstreamIsProbedAtStart(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	addr, telemetry := withTelemetry(t)
	w := start(t, server.Upstream{Name: "broken", Command: []string{exe, "-test.run=^$"}}, telemetry) // ends at once
	w.logs("the upstream does not work")
	if status, body := get(t, "http://"+addr+"/readyz"); status != http.StatusServiceUnavailable || !strings.Contains(body, `"upstream broken":"it could not`) {
		t.Errorf("/readyz: %d %s", status, body)
	}
}

// One that fails leaves the others to be used.
func TestOneBrokenUpstreamLeavesTheServerReady(t *testing.T) {
	addr, telemetry := withTelemetry(t)
	w := start(t, server.Upstream{Name: "gone", URL: "http://127.0.0.1:1/mcp"}, telemetry, func(o *server.Options) {
		o.Config.Upstreams = append(o.Config.Upstreams, whoami)
	})
	w.logs("the upstream does not work")
	s := w.streamable(w.token(w.sample.Ada)) // the authority's keys are there by then
	if status, body := get(t, "http://"+addr+"/readyz"); status != http.StatusOK || !strings.Contains(body, `"upstream gone":"it could not`) {
		t.Errorf("/readyz: %d %s", status, body)
	}
	if f, _ := s.tool("me__whoami", `{}`); f.Failed {
		t.Errorf("got %s", f.Raw)
	}
}

// An upstream that wants a credential is looked at with it when the server
// starts, and one that is used for callers by the credential for that.
func TestUpstreamIsProbedWithItsCredential(t *testing.T) {
	for name, tt := range map[string]struct {
		up     server.Upstream
		secret string
		want   string
	}{
		"client credentials":        {server.Upstream{ClientCredentials: server.ClientCredentials{Scope: crmURI + "/.default"}}, "the secret", "the upstream works"},
		"with a wrong secret":       {server.Upstream{ClientCredentials: server.ClientCredentials{Scope: crmURI + "/.default"}}, "another", "AADSTS7000215"},
		"on behalf of callers":      {server.Upstream{OnBehalfOf: server.OnBehalfOf{Scopes: []string{crmURI + "/Crm.Read"}}}, "the secret", "own credential for that works"},
		"for them with a wrong one": {server.Upstream{OnBehalfOf: server.OnBehalfOf{Scopes: []string{crmURI + "/Crm.Read"}}}, "another", "New client secret"},
	} {
		t.Run(name, func(t *testing.T) {
			tt.up.Name, tt.up.URL = "crm", crmServer(t)
			o, w := options(t, tt.up)
			var err error
			if o.Credentials.Authority, err = mayDelegate(t, w, o.Config.Entra.CAFile, tt.secret); err != nil {
				t.Fatal(err)
			}
			w.run(o)
			w.logs(tt.want)
		})
	}
}

// logs waits until the log has the text.
func (w *world) logs(text string) {
	w.t.Helper()
	given := time.After(patience)
	for look := time.Tick(10 * time.Millisecond); !strings.Contains(w.log.String(), text); {
		select {
		case <-look:
		case <-given:
			w.t.Fatalf("%q is not in the log:\n%s", text, w.log)
		}
	}
}
