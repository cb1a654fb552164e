package server_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mcpctl/mcpctl/server"
	"github.com/mcpctl/mcpctl/server/obo"
)

// result finds what a check said under a name.
func result(t *testing.T, all []server.CheckResult, name string) server.CheckResult {
	t.Helper()
	for _, r := range all {
		if r.ID == name {
			return r
		}
	}
	t.Fatalf("nothing about %s in %+v", name, all)
	return server.CheckResult{}
}

// keyed is an MCP server that lets in whoever has the key.
func keyed(t *testing.T, field, value string) string {
	t.Helper()
	behind := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get(field) != value {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":"probe-1","result":{"protocolVersion":"2025-11-25","capabilities":{},"serverInfo":{"name":"k","version":"1"}}}`)
	}))
	t.Cleanup(behind.Close)
	return behind.URL
}

// identity is a managed identity of this machine.
type identity struct{ err error }

func (i identity) Token(context.Context, string, string) (string, time.Time, error) {
	return "of-the-machine", time.Now().Add(time.Hour), i.err
}

// TestCheckLooksAtUpstreamsAsTheServerWould: with the credential that they want,
// and where it fails with the cause and what to do.
func TestCheckLooksAtUpstreamsAsTheServerWould(t *testing.T) {
	dir := t.TempDir()
	key := filepath.Join(dir, "key")
	write(t, key, "k-123\n")
	open := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(open.Close)
	elsewhere := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(elsewhere.Close)
	crm := crmServer(t)
	forCallers := server.OnBehalfOf{Scopes: []string{crmURI + "/.default"}}
	for _, tt := range []struct {
		name   string
		up     server.Upstream
		secret string
		status server.CheckStatus
		want   []string
	}{
		{"a header from a file", server.Upstream{URL: keyed(t, "X-Key", "k-123"), HeaderFiles: map[string]string{"X-Key": key}}, "", server.CheckOK, []string{"answered"}},
		{"a header of the file", server.Upstream{URL: keyed(t, "X-Key", "k"), Headers: map[string]string{"X-Key": "k"}}, "", server.CheckOK, []string{"answered"}},
		{"a wrong header", server.Upstream{URL: keyed(t, "X-Key", "other"), HeaderFiles: map[string]string{"X-Key": key}}, "", server.CheckFail, []string{"401", "does not take the credential"}},
		{"a key in an address where nobody is", server.Upstream{URL: "http://127.0.0.1:1/mcp?key=k-123"}, "", server.CheckFail, []string{"refused"}},
		{"a key in an address, for callers", server.Upstream{URL: "http://127.0.0.1:1/mcp?key=k-123", OnBehalfOf: forCallers}, "the secret", server.CheckFail, []string{"refused"}},
		{"no header", server.Upstream{URL: keyed(t, "X-Key", "other")}, "", server.CheckFail, []string{"401", "wants a credential", "header_files"}},
		{"no such header file", server.Upstream{URL: crm, HeaderFiles: map[string]string{"X-Key": key + "x"}}, "", server.CheckFail, []string{"X-Key", "no such file"}},
		{"client credentials", server.Upstream{URL: crm, ClientCredentials: server.ClientCredentials{Scope: crmURI + "/.default"}}, "the secret", server.CheckOK, []string{"answered"}},
		{"a wrong secret", server.Upstream{URL: crm, ClientCredentials: server.ClientCredentials{Scope: crmURI + "/.default"}}, "another", server.CheckFail, []string{"AADSTS7000215", "New client secret"}},
		{"no such API", server.Upstream{URL: crm, ClientCredentials: server.ClientCredentials{Scope: "api://nobody/.default"}}, "the secret", server.CheckFail, []string{"AADSTS500011", "Application ID URI"}},
		{"managed identity", server.Upstream{URL: keyed(t, "Authorization", "Bearer of-the-machine"), ManagedIdentity: server.ManagedIdentity{Scope: "api://x/.default"}}, "", server.CheckOK, []string{"answered"}},
		{"a missing managed identity", server.Upstream{URL: crm, ManagedIdentity: server.ManagedIdentity{Scope: "api://x/.default", ClientID: "none"}}, "", server.CheckFail, []string{"no identity here"}},
		{"on behalf of callers", server.Upstream{URL: crm, OnBehalfOf: forCallers}, "the secret", server.CheckOK, []string{"without one", "credential for that works", "HTTP 401 Unauthorized, as it should"}},
		{"on behalf of callers, to an open server", server.Upstream{URL: open.URL, OnBehalfOf: forCallers}, "the secret", server.CheckWarn, []string{"Is it protected at all"}},
		{"on behalf of callers, with a wrong secret", server.Upstream{URL: crm, OnBehalfOf: forCallers}, "another", server.CheckFail, []string{"AADSTS7000215", "New client secret"}},
		{"on behalf of callers, to no API", server.Upstream{URL: crm, OnBehalfOf: server.OnBehalfOf{Scopes: []string{"api://nobody/Read"}}}, "the secret", server.CheckFail, []string{"AADSTS500011"}},
		{"on behalf of callers, to a wrong address", server.Upstream{URL: elsewhere.URL, OnBehalfOf: forCallers}, "the secret", server.CheckFail, []string{"HTTP 404", "url"}},
		{"on behalf of callers, to nobody", server.Upstream{URL: "http://127.0.0.1:1/mcp", OnBehalfOf: forCallers}, "the secret", server.CheckFail, []string{"reaching it"}},
		{"built-in graph", server.Upstream{Builtin: []string{"graph"}}, "the secret", server.CheckOK, []string{"credential for that works"}},
		{"built-in graph with a wrong secret", server.Upstream{Builtin: []string{"graph"}}, "another", server.CheckFail, []string{"AADSTS7000215"}},
		{"built-in tools", server.Upstream{Builtin: []string{"whoami"}}, "", server.CheckSkip, []string{"need no probe"}},
		{"an unreadable credential", server.Upstream{URL: crm, OnBehalfOf: forCallers}, "unreadable", server.CheckSkip, []string{"needs the server's own credential"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.up.Name = "up"
			o, w := options(t, tt.up)
			o.Config.Entra.GraphURL = graphServer(t, "g").URL
			results := server.Check(t.Context(), server.CheckOptions{Config: o.Config, Logger: o.Logger, Credentials: func() (server.Credentials, error) {
				own := server.Credentials{Identity: func(id string) (obo.Identity, error) {
					if id == "none" {
						return identity{errors.New("no identity here")}, nil
					}
					return identity{}, nil
				}}
				switch tt.secret {
				case "":
					return own, nil
				case "unreadable":
					return own, errors.New("reading the secret: no")
				}
				client, err := mayDelegate(t, w, o.Config.Entra.CAFile, tt.secret)
				own.Authority = client
				return own, err
			}})
			r := result(t, results, "upstream up")
			if r.Status != tt.status {
				t.Errorf("got %s %s", r.Status, r.Detail)
			}
			if fixed := r.Status == server.CheckFail || r.Status == server.CheckWarn; fixed != (r.Fix != "") {
				t.Errorf("got %s, and to do: %q", r.Status, r.Fix)
			}
			for _, want := range tt.want {
				if !strings.Contains(r.Detail+" "+r.Fix, want) {
					t.Errorf("%q, %q lacks %q", r.Detail, r.Fix, want)
				}
			}
			if tt.secret == "unreadable" {
				if r := result(t, results, "credential"); r.Status != server.CheckFail || !strings.Contains(r.Detail, "reading the secret") {
					t.Errorf("got %+v", r)
				}
			}
			for _, secret := range []string{"k-123", "eyJ", "of-the-machine"} {
				if strings.Contains(r.Detail+w.log.String(), secret) {
					t.Errorf("%q is in what was told: %s\n%s", secret, r.Detail, w.log)
				}
			}
		})
	}
}

// TestCheckLooksUpGroups: where rules look at groups, whether the server can have
// those that tokens leave out.
func TestCheckLooksUpGroups(t *testing.T) {
	for name, tt := range map[string]struct {
		secret string
		graph  int // its status
		status server.CheckStatus
		want   string
	}{
		"no credential":       {"", 0, server.CheckWarn, "entra.credential"},
		"nobody is not found": {"the secret", http.StatusNotFound, server.CheckOK, "lets this server"},
		"not granted":         {"the secret", http.StatusForbidden, server.CheckFail, "GroupMember.Read.All"},
		"out of order":        {"the secret", http.StatusServiceUnavailable, server.CheckFail, "503"},
		"a wrong secret":      {"another", http.StatusNotFound, server.CheckFail, "AADSTS7000215"},
	} {
		t.Run(name, func(t *testing.T) {
			o, w := options(t, whoami)
			asked := ""
			graph := httptest.NewTLSServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				asked = r.URL.Path
				rw.WriteHeader(tt.graph)
			}))
			t.Cleanup(graph.Close)
			o.Config.Entra.CAFile = trusting(t, o.Config.Entra.CAFile, graph)
			o.Config.Entra.GraphURL = graph.URL
			o.Config.Policy = []server.PolicyRule{{Allow: `"x" in user.groups`}}
			r := result(t, server.Check(t.Context(), server.CheckOptions{Config: o.Config, Credentials: func() (own server.Credentials, err error) {
				if tt.secret != "" {
					own.Authority, err = mayDelegate(t, w, o.Config.Entra.CAFile, tt.secret)
				}
				return own, err
			}}), "groups")
			if r.Status != tt.status || !strings.Contains(r.Detail+" "+r.Fix, tt.want) {
				t.Errorf("got %+v", r)
			}
			if asked != "" && !strings.Contains(asked, "/users/00000000-0000-0000-0000-000000000000/") {
				t.Errorf("somebody's groups were asked for: %s", asked)
			}
		})
	}
}
