package cmd

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mcpctl/mcpctl/internal/doctor"
	"github.com/mcpctl/mcpctl/internal/fakeentra"
	"github.com/mcpctl/mcpctl/server"
)

// surgery is a working set-up, with somebody signed in, to break in one place.
type surgery struct {
	stack *testStack
	front *httptest.Server // the public address; what is broken in the server is broken here
	wrong atomic.Pointer[func(w http.ResponseWriter, r *http.Request, pass http.Handler)]
	files string // mcpctl's files as they are after the sign-in
	self  string // mcpctl
}

func (s *surgery) url() string { return s.front.URL + "/mcp" }

// pass is the public address's handler; to is where the server listens.
func (s *surgery) pass(to string) http.Handler {
	target := &url.URL{Scheme: "http", Host: to}
	proxy := &httputil.ReverseProxy{FlushInterval: -1, Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = r.In.Host
	}}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if wrong := s.wrong.Load(); wrong != nil {
			(*wrong)(w, r, proxy)
			return
		}
		proxy.ServeHTTP(w, r)
	})
}

// metadata answers questions for metadata with what edit makes of the server's.
func (s *surgery) metadata(edit func(map[string]any)) {
	s.breaks(func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		if !strings.Contains(r.URL.Path, "/.well-known/") {
			pass.ServeHTTP(w, r)
			return
		}
		record := httptest.NewRecorder()
		pass.ServeHTTP(record, r)
		var doc map[string]any
		if err := json.Unmarshal(record.Body.Bytes(), &doc); err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		edit(doc)
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(doc)
	})
}

func (s *surgery) breaks(f func(w http.ResponseWriter, r *http.Request, pass http.Handler)) {
	s.wrong.Store(&f)
}

// tokens makes the authority hand out tokens of its own making.
func (s *surgery) tokens(t *testing.T, spec fakeentra.TokenSpec) {
	t.Helper()
	if spec.API == "" {
		spec.API = s.stack.sample.API.ClientID
	}
	spec.Client, spec.Person = s.stack.sample.Client.ClientID, s.stack.sample.Ada.UPN
	token, err := s.stack.authority.MintToken(spec)
	if err != nil {
		t.Fatal(err)
	}
	s.stack.authority.Inject(fakeentra.Fault{Name: "other token", Endpoint: fakeentra.EndpointToken, Edit: func(reply map[string]any) {
		reply["access_token"] = token
	}})
}

// without is a reverse proxy that does not pass on a path.
func without(path string) func(http.ResponseWriter, *http.Request, http.Handler) {
	return func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		if r.URL.Path == path {
			http.NotFound(w, r)
			return
		}
		pass.ServeHTTP(w, r)
	}
}

func openSurgery(t *testing.T) *surgery {
	t.Helper()
	s := &surgery{files: t.TempDir()}
	listen, err := concretePort(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	spare, err := concretePort(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.front = httptest.NewServer(s.pass(listen))
	t.Cleanup(s.front.Close)
	ctx, stop := context.WithCancel(context.Background())
	d, err := startDev(ctx, devOptions{
		listen: spare, publicURL: s.url(), authorityListen: "127.0.0.1:0", log: slog.New(slog.DiscardHandler),
		// MSAL wants five minutes left of a token that it brings from its cache:
		// these are renewed each time.
		lifetimes: fakeentra.Lifetimes{AccessToken: 2 * time.Minute, CAEAccessToken: 2 * time.Minute, PollInterval: time.Second},
	})
	if err != nil {
		stop()
		t.Fatal(err)
	}
	s.stack = &testStack{devStack: d, stop: stop, served: make(chan error, 1)}
	go func() { s.stack.served <- d.server.Run(ctx) }()
	t.Cleanup(s.stack.close)
	s.serve(t, listen)

	test, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s.self = filepath.Join(t.TempDir(), "mcpctl"+filepath.Ext(test))
	if filepath.Ext(test) != ".exe" {
		s.self = strings.TrimSuffix(s.self, filepath.Ext(test))
	}
	if err := os.Link(test, s.self); err != nil {
		if err := os.Symlink(test, s.self); err != nil {
			t.Fatal(err)
		}
	}
	s.signIn(t)
	return s
}

// serve starts the server of the set-up: it may act for callers at Microsoft Graph.
func (s *surgery) serve(t *testing.T, listen string) {
	t.Helper()
	api := s.stack.sample.API
	api.Secret, api.AdminConsented = "correct horse", []string{"https://graph.microsoft.com/User.Read"}
	if _, err := s.stack.authority.RegisterApp(api); err != nil {
		t.Fatal(err)
	}
	secret := filepath.Join(t.TempDir(), "client-secret.txt")
	writeFile(t, secret, api.Secret)
	authority, log := s.stack.authority, slog.New(slog.DiscardHandler)
	cfg := server.Config{
		Listen: listen, PublicURL: s.url(), Upstreams: []server.Upstream{{Name: "sample", Builtin: []string{"whoami", "market", "graph"}}},
		Entra: server.Entra{
			Authority: authority.Authority(), CAFile: s.stack.caFile, TenantID: authority.TenantID(), ClientID: api.ClientID,
			PublicClientID: s.stack.sample.Client.ClientID, RequiredScopes: []string{fakeentra.SampleScope},
			Credential: server.Credential{ClientSecretFile: secret}, GraphURL: originOf(authority.Authority()),
		},
	}
	own, err := serverCredentials(cfg, log)
	if err != nil {
		t.Fatal(err)
	}
	srv, err := server.Listen(t.Context(), server.Options{Config: cfg, Credentials: own, Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- srv.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		<-served
		srv.Close()
	})
}

func originOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

func (s *surgery) signIn(t *testing.T) {
	t.Helper()
	t.Setenv("MCPCTL_CONFIG_DIR", s.files)
	done := make(chan string, 1)
	go func() {
		code, _, stderr := s.run(t, "login", s.url(), "--dev-ca", s.stack.caFile, "--device-code", "--token-store", "file")
		if code == 0 {
			stderr = ""
		}
		done <- stderr
	}()
	for {
		select {
		case fault := <-done:
			if fault != "" {
				t.Fatal(fault)
			}
			return
		case <-time.After(20 * time.Millisecond):
			for _, code := range s.stack.authority.PendingUserCodes() {
				_ = s.stack.authority.ApproveDevice(code, s.stack.sample.Ada.UPN) // once is enough
			}
		}
	}
}

func (s *surgery) run(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, faults bytes.Buffer
	code = Main(t.Context(), args, Deps{
		Stdin: strings.NewReader(""), Stdout: &out, Stderr: &faults, Getenv: os.Getenv, Now: time.Now,
		Executable: func() (string, error) { return s.self, nil },
	})
	return code, out.String(), faults.String()
}

// patient is one run of doctor: what is broken for it.
type patient struct {
	url   string
	files string // mcpctl's
	home  string
	flags []string
}

// A broken set-up has one cause, which is named, and what comes of it is no
// cause of its own.
func TestDoctorNamesTheCause(t *testing.T) {
	s := openSurgery(t)
	const otherTenant = "99999999-8888-4777-8666-555555555555"
	authority := func(address string) func(*testing.T, *patient) {
		return func(_ *testing.T, _ *patient) {
			s.metadata(func(doc map[string]any) { doc["authorization_servers"] = []string{address} })
		}
	}
	fault := func(f ...fakeentra.Fault) func(*testing.T, *patient) {
		return func(*testing.T, *patient) { s.stack.authority.Inject(f...) }
	}
	for _, test := range []struct {
		name  string
		setUp func(*testing.T, *patient)
		exit  int
		cause string // the id of the only check that fails
		says  string // a pattern of its detail
		fix   string // a pattern
	}{
		{"nothing", func(*testing.T, *patient) {}, exitDone, "", "", ""},
		{"no address", func(_ *testing.T, p *patient) { p.url = "mcp.contoso.com" }, exitFailed, "address", "not the address", "https://"},
		{"plain http", func(_ *testing.T, p *patient) { p.url = "http://mcp.contoso.com/mcp" }, exitFailed, "address", "not encrypted", "https://"},
		{"wrong host", func(_ *testing.T, p *patient) { p.url = "https://no..such.host/mcp" }, exitFailed, "name", "can't be resolved", "spelling"},
		{"refused port", func(t *testing.T, p *patient) { p.url = "https://" + closedPort(t) + "/mcp" }, exitFailed, "connect", "refused", "port"},
		{"proxy down", func(t *testing.T, p *patient) {
			p.url, p.flags = "https://mcp.contoso.com/mcp", []string{"--proxy", "http://" + closedPort(t)}
		}, exitFailed, "connect", "proxy 127.0.0.1", "proxy"},
		{"untrusted certificate", func(t *testing.T, p *patient) { p.url = tlsServer(t, nil).URL + "/mcp" }, exitFailed, "tls", "does not trust", "--ca-file|signed it"},
		{"expired certificate", func(t *testing.T, p *patient) {
			p.url = tlsServer(t, expiredCertificate(t)).URL + "/mcp"
		}, exitFailed, "tls", "expired on", "renew"},
		{"web page", func(_ *testing.T, _ *patient) {
			s.breaks(func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
				w.Header().Set("Content-Type", "text/html")
				_, _ = fmt.Fprint(w, "<h1>It works!</h1>")
			})
		}, exitFailed, "endpoint", "no MCP endpoint", "path"},
		{"wrong path", func(_ *testing.T, _ *patient) {
			s.breaks(func(w http.ResponseWriter, r *http.Request, _ http.Handler) { http.NotFound(w, r) })
		}, exitFailed, "endpoint", "HTTP 404", "path"},
		{"server out of order", func(_ *testing.T, _ *patient) {
			s.breaks(func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
				http.Error(w, "bad gateway", http.StatusBadGateway)
			})
		}, exitFailed, "endpoint", "HTTP 502", "later.*This needs whoever runs the MCP server"},
		{"moved", func(_ *testing.T, _ *patient) {
			s.breaks(func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
				http.Redirect(w, r, "https://elsewhere.example/mcp", http.StatusPermanentRedirect)
			})
		}, exitFailed, "endpoint", "redirects to https://elsewhere", "trust"},
		{"no metadata", func(_ *testing.T, _ *patient) {
			s.breaks(func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
				if strings.Contains(r.URL.Path, "/.well-known/") {
					http.NotFound(w, r)
					return
				}
				pass.ServeHTTP(w, r)
			})
		}, exitFailed, "metadata", "HTTP 404", "/.well-known/"},
		{"metadata not passed on for the path", func(*testing.T, *patient) {
			s.breaks(without("/.well-known/oauth-protected-resource/mcp"))
		}, exitDone, "variants", `^/\.well-known/oauth-protected-resource/mcp is missing \(HTTP 404\): clients that ask only there`, `nginx: location \^~ /\.well-known/oauth-protected-resource \{.*pathType: Prefix`},
		{"metadata not passed on for the root", func(*testing.T, *patient) {
			s.breaks(without("/.well-known/oauth-protected-resource"))
		}, exitDone, "variants", `^/\.well-known/oauth-protected-resource is missing \(HTTP 404\)`, "nginx"},
		{"web page in place of metadata", func(*testing.T, *patient) {
			s.breaks(func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
				if r.URL.Path == "/.well-known/oauth-protected-resource" {
					_, _ = fmt.Fprint(w, "<html>Contoso</html>")
					return
				}
				pass.ServeHTTP(w, r)
			})
		}, exitFailed, "variants", `^/\.well-known/oauth-protected-resource answers with something else than JSON: clients that ask there`, "nginx"},
		{"web page in place of an authority's metadata", func(*testing.T, *patient) {
			s.breaks(func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
				if r.URL.Path == "/.well-known/oauth-authorization-server" {
					_, _ = fmt.Fprint(w, "<html>Contoso</html>")
					return
				}
				pass.ServeHTTP(w, r)
			})
		}, exitDone, "variants", `^/\.well-known/oauth-authorization-server answers with something else`, "HTTP 404"},
		{"root metadata of another server", func(*testing.T, *patient) {
			s.breaks(func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
				if r.URL.Path == "/.well-known/oauth-protected-resource" {
					_, _ = fmt.Fprint(w, `{"resource":"https://other.contoso.com"}`)
					return
				}
				pass.ServeHTTP(w, r)
			})
		}, exitDone, "variants", `is about "https://other\.contoso\.com"`, "nginx"},
		{"metadata of another server", func(_ *testing.T, _ *patient) {
			s.metadata(func(doc map[string]any) { doc["resource"] = "https://other.contoso.com/mcp" })
		}, exitFailed, "resource", "other.contoso.com", "public_url"},
		{"trailing slash", func(_ *testing.T, p *patient) {
			p.url = s.url() + "/"
			s.breaks(func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
				r.URL.Path = strings.TrimSuffix(r.URL.Path, "/")
				pass.ServeHTTP(w, r)
			})
		}, exitFailed, "resource", `names itself ".*/mcp", and the address is ".*/mcp/"`, "exactly"},
		{"templated tenant", func(t *testing.T, p *patient) {
			p.files = t.TempDir()
			authority("https://login.microsoftonline.com/organizations/v2.0")(t, p)
		}, exitFailed, "settings", "several tenants", "--tenant"},
		{"not Entra", authority("https://accounts.example.com/"), exitFailed, "settings", "accounts.example.com", "--header"},
		{"no client id", func(t *testing.T, p *patient) {
			p.files = t.TempDir()
			s.metadata(func(doc map[string]any) { delete(doc, "mcpctl_client_id") })
		}, exitFailed, "settings", "which client application", "--client-id"},
		{"scope of Microsoft Graph", func(_ *testing.T, _ *patient) {
			s.breaks(func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
				record := httptest.NewRecorder()
				pass.ServeHTTP(record, r)
				body := strings.ReplaceAll(record.Body.String(), s.url()+"/Mcp.Access", "https://graph.microsoft.com/Mail.Read")
				for name, values := range record.Header() {
					if name != "Content-Length" {
						w.Header()[name] = []string{strings.ReplaceAll(values[0], s.url()+"/Mcp.Access", "https://graph.microsoft.com/Mail.Read")}
					}
				}
				w.WriteHeader(record.Code)
				_, _ = fmt.Fprint(w, body)
			})
		}, exitFailed, "settings", "Microsoft", "--scope"},
		{"authority down", fault(fakeentra.FaultOutage()), exitFailed, "authority", "HTTP 503", "later"},
		{"captive portal", fault(fakeentra.FaultCaptivePortal()), exitFailed, "authority", "something else", "captive portal"},
		{"keys down", fault(fakeentra.Fault{Endpoint: fakeentra.EndpointKeys, Status: http.StatusInternalServerError}), exitFailed, "keys", "HTTP 500", "later"},
		{"clock of the authority", func(*testing.T, *patient) { s.stack.authority.SetSkew(20 * time.Minute) }, exitFailed, "clock", "the authority is 20m0s ahead", "clock"},
		{"clock of the server", func(*testing.T, *patient) {
			s.breaks(func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
				pass.ServeHTTP(misdated{w}, r)
			})
		}, exitFailed, "clock", "the server is 1h0m0s behind", "clock"},
		{"nobody signed in", func(t *testing.T, p *patient) { p.files = t.TempDir() }, exitSignIn, "profile", "nobody has signed in", "mcpctl login"},
		{"damaged profile", func(t *testing.T, p *patient) { overwrite(t, p.files, "profiles/*.json", "{") }, exitFailed, "profile", "damaged", "mcpctl login"},
		{"another tenant now", authority("https://login.microsoftonline.com/" + otherTenant + "/v2.0"), exitFailed, "pin", otherTenant, "mcpctl login"},
		{"another client now", func(*testing.T, *patient) {
			s.metadata(func(doc map[string]any) { doc["mcpctl_client_id"] = otherTenant })
		}, exitFailed, "pin", "client", "mcpctl login"},
		{"unreadable token store", func(t *testing.T, p *patient) { overwrite(t, p.files, "dev/tokens.bin", "no tokens") }, exitSignIn, "store", "unreadable", "mcpctl login"},
		{"signed out", func(t *testing.T, p *patient) { removeAll(t, p.files, "dev/*") }, exitSignIn, "store", "empty", "mcpctl login"},
		{"keyring does not answer", func(t *testing.T, p *patient) {
			t.Setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path="+filepath.Join(p.home, "no-bus"))
			replaceIn(t, p.files, "dev/store.json", `"file"`, `"keyring"`)
		}, exitFailed, "store", "keyring", "[Kk]eyring"},
		{"program can't be started", func(t *testing.T, p *patient) {
			self := s.self
			s.self = filepath.Join(p.home, "gone")
			t.Cleanup(func() { s.self = self })
		}, exitFailed, "keyring", "can't be started", "mcpctl version"},
		{"sign-in revoked", fault(fakeentra.FaultRevoked().At(fakeentra.GrantRefreshToken)), exitSignIn, "token", "AADSTS50173", "mcpctl login"},
		{"consent withdrawn", fault(fakeentra.FaultConsentRequired().At(fakeentra.GrantRefreshToken)), exitSignIn, "token", "AADSTS65001", "consent"},
		{"token for another API", func(t *testing.T, _ *patient) {
			api, err := s.stack.authority.RegisterApp(fakeentra.App{Name: "Other", IDURIs: []string{"api://other"}, Scopes: []fakeentra.Scope{{Name: "Mcp.Access"}}})
			if err != nil {
				t.Fatal(err)
			}
			s.tokens(t, fakeentra.TokenSpec{API: api.IDURIs[0], Version: 1, Scopes: []string{"Mcp.Access"}})
		}, exitFailed, "claims", `"audience" fails: aud is "api://other"`, "mcpctl login"},
		{"token for Microsoft Graph", func(t *testing.T, _ *patient) {
			s.tokens(t, fakeentra.TokenSpec{API: fakeentra.GraphClientID, Version: 2, Scopes: []string{"Mcp.Access"}})
		}, exitFailed, "claims", `"graph-token" fails`, "--scope"},
		{"scope missing", func(t *testing.T, _ *patient) {
			s.tokens(t, fakeentra.TokenSpec{Version: 2, Scopes: []string{"Other"}})
		}, exitFailed, "claims", `"scope" fails: scp is "Other"`, "mcpctl login"},
		{"token of another tenant", func(t *testing.T, _ *patient) {
			s.tokens(t, fakeentra.TokenSpec{Version: 2, Scopes: []string{"Mcp.Access"}, Claims: map[string]any{"tid": otherTenant}})
		}, exitFailed, "claims", `"foreign-tenant" fails`, "--tenant"},
		{"token expired", func(t *testing.T, _ *patient) {
			s.tokens(t, fakeentra.TokenSpec{Version: 2, Scopes: []string{"Mcp.Access"}, IssuedAt: time.Now().Add(-3 * time.Hour), Lifetime: time.Hour})
		}, exitFailed, "claims", `"expired" fails`, "mcpctl login"},
		{"token too large", func(t *testing.T, _ *patient) {
			s.tokens(t, fakeentra.TokenSpec{Version: 2, Scopes: []string{"Mcp.Access"}, Claims: map[string]any{"groups": slices.Repeat([]string{otherTenant}, 300)}})
		}, exitFailed, "headers", "8192", "groups"},
		{"server may not act for callers", fault(fakeentra.FaultConsentRequired().At(fakeentra.GrantOnBehalfOf)), exitFailed, "on-behalf-of", `^sample: Nobody has agreed .*AADSTS65001`, `administrator.*/adminconsent\?client_id=`},
		{"acting for callers needs a second factor", fault(fakeentra.FaultMFA().At(fakeentra.GrantOnBehalfOf)), exitSignIn, "on-behalf-of", "AADSTS50076", "mcpctl login"},
		{"server's credential is refused", fault(fakeentra.Fault{
			Endpoint: fakeentra.EndpointToken, Grant: fakeentra.GrantOnBehalfOf, Status: http.StatusUnauthorized,
			Body: `{"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret provided.","error_codes":[7000215]}`,
		}), exitFailed, "on-behalf-of", "AADSTS7000215", "operator.*mcpctl explain AADSTS7000215"},
		{"session refused, by a server that tells everybody the token", func(*testing.T, *patient) {
			s.breaks(func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
				if token := r.Header.Get("Authorization"); token != "" {
					w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token", error_description="no: `+token+`"`)
					http.Error(w, token, http.StatusForbidden)
					return
				}
				pass.ServeHTTP(w, r)
			})
		}, exitFailed, "session", "does not accept your sign-in: no: ", "mcpctl login"},
		{"client starts a program that is gone", func(t *testing.T, p *patient) {
			writeFile(t, filepath.Join(p.home, ".cursor", "mcp.json"), fmt.Sprintf(`{"mcpServers":{"contoso":{"command":%q,"args":["bridge",%q]}}}`, filepath.Join(p.home, "gone", "mcpctl"), p.url))
		}, exitFailed, "client:cursor", `"contoso" starts .*gone`, "mcpctl install cursor"},
		{"client's configuration is damaged", func(t *testing.T, p *patient) {
			writeFile(t, filepath.Join(p.home, ".cursor", "mcp.json"), `{"mcpServers":`)
		}, exitFailed, "client:cursor", "mcp.json", "Correct"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := &patient{url: s.url(), files: filepath.Join(t.TempDir(), "files"), home: t.TempDir()}
			if err := os.CopyFS(p.files, os.DirFS(s.files)); err != nil {
				t.Fatal(err)
			}
			defer func() {
				s.wrong.Store(nil)
				s.stack.authority.ClearFaults()
				s.stack.authority.SetSkew(0)
			}()
			test.setUp(t, p)
			// The tokens that the server gets are ones of an ordinary life.
			s.stack.authority.Inject(fakeentra.Fault{Name: "lasting token", Endpoint: fakeentra.EndpointToken, Grant: fakeentra.GrantOnBehalfOf, Edit: func(reply map[string]any) {
				reply["expires_in"] = 3600
			}})
			for name, value := range map[string]string{"HOME": p.home, "USERPROFILE": p.home, "APPDATA": p.home, "XDG_CONFIG_HOME": "", "MCPCTL_CONFIG_DIR": p.files} {
				t.Setenv(name, value)
			}
			code, stdout, stderr := s.run(t, append([]string{"doctor", p.url, "--dev-ca", s.stack.caFile, "-o", "json"}, p.flags...)...)
			if jwt.MatchString(stdout + stderr) {
				t.Error("it shows a token")
			}
			var report doctorReport
			if err := json.Unmarshal([]byte(stdout), &report); err != nil {
				t.Fatalf("%v: %s%s", err, stdout, stderr)
			}
			checks := append(slices.Clone(report.Servers[0].Checks), report.Machine...)
			failed := slices.DeleteFunc(checks, func(c doctor.Check) bool { return c.Status != doctor.Fail && c.Status != doctor.Warn })
			if code != test.exit {
				t.Errorf("exit code %d, want %d", code, test.exit)
			}
			switch {
			case test.cause == "" && len(failed) == 0:
				return
			case len(failed) != 1 || failed[0].ID != test.cause:
				t.Fatalf("failed: %+v, want %q alone; all: %s", failed, test.cause, summary(report))
			case !regexp.MustCompile(test.says).MatchString(failed[0].Detail):
				t.Errorf("it says %q, want %q", failed[0].Detail, test.says)
			case !regexp.MustCompile(test.fix).MatchString(failed[0].Fix) || failed[0].Fix == "":
				t.Errorf("its fix is %q, want %q", failed[0].Fix, test.fix)
			}
			t.Logf("%s: %s → %s", failed[0].ID, failed[0].Detail, failed[0].Fix)
		})
	}
}

// A server that asks for no sign-in is well without one.
func TestDoctorAsksForNoNeedlessSignIn(t *testing.T) {
	open := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var message struct {
			ID     json.RawMessage
			Method string
		}
		_ = json.NewDecoder(r.Body).Decode(&message) // other than JSON has no method
		w.Header().Set("Content-Type", "application/json")
		switch {
		case r.Method != http.MethodPost:
			http.Error(w, "POST", http.StatusMethodNotAllowed)
		case message.ID == nil:
			w.WriteHeader(http.StatusAccepted)
		case message.Method == "initialize":
			_, _ = fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":{"protocolVersion":"2025-06-18","capabilities":{},"serverInfo":{"name":"open","version":"1"}}}`, message.ID)
		default:
			_, _ = fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"error":{"code":-32601,"message":"Method not found"}}`, message.ID)
		}
	}))
	defer open.Close()
	t.Setenv("MCPCTL_CONFIG_DIR", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	t.Setenv("USERPROFILE", os.Getenv("HOME"))
	t.Setenv("APPDATA", os.Getenv("HOME"))
	code, stdout, stderr := (&surgery{}).run(t, "doctor", open.URL+"/mcp", "-o", "json")
	var report doctorReport
	if err := json.Unmarshal([]byte(stdout), &report); err != nil || code != exitDone {
		t.Fatalf("exit code %d, %v: %s%s", code, err, stdout, stderr)
	}
	for _, c := range report.Servers[0].Checks {
		switch c.ID {
		case "metadata", "profile", "token", "claims":
			if c.Status != doctor.Skip || c.Detail != "the server asks for no sign-in" {
				t.Errorf("%s: %s %s", c.ID, c.Status, c.Detail)
			}
		case "session":
			if c.Detail != `MCP 2025-06-18 over Streamable HTTP with "open"` {
				t.Errorf("session: %s %s", c.Status, c.Detail)
			}
		}
	}
}

// summary is what did not go well.
func summary(r doctorReport) string {
	var b strings.Builder
	for _, c := range append(slices.Clone(r.Servers[0].Checks), r.Machine...) {
		if c.Status != doctor.OK {
			fmt.Fprintf(&b, "\n%s %s %s", c.Status, c.ID, c.Detail)
		}
	}
	return b.String()
}

// misdated is an answer of a server whose clock is an hour slow.
type misdated struct{ http.ResponseWriter }

// WriteHeader implements http.ResponseWriter.
func (m misdated) WriteHeader(code int) {
	m.Header().Set("Date", time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat))
	m.ResponseWriter.WriteHeader(code)
}

// Unwrap lets http.ResponseController flush.
func (m misdated) Unwrap() http.ResponseWriter { return m.ResponseWriter }

func closedPort(t *testing.T) string {
	t.Helper()
	var lc net.ListenConfig
	ln, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// tlsServer shows certificate, or one that nobody trusts.
func tlsServer(t *testing.T, certificate *tls.Certificate) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	if certificate != nil {
		s.TLS = &tls.Config{Certificates: []tls.Certificate{*certificate}, MinVersion: tls.VersionTLS12}
	}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

func expiredCertificate(t *testing.T) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mcp.contoso.com"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().AddDate(-1, 0, 0), NotAfter: time.Now().AddDate(0, -1, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := tls.X509KeyPair(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}))
	if err != nil {
		t.Fatal(err)
	}
	return &cert
}

// matching returns the files below dir that match; there must be some.
func matching(t *testing.T, dir, pattern string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, filepath.FromSlash(pattern)))
	if err != nil || len(found) == 0 {
		t.Fatalf("nothing in %s matches %s: %v", dir, pattern, err)
	}
	return found
}

func overwrite(t *testing.T, dir, pattern, content string) {
	t.Helper()
	for _, file := range matching(t, dir, pattern) {
		writeFile(t, file, content)
	}
}

func removeAll(t *testing.T, dir, pattern string) {
	t.Helper()
	for _, file := range matching(t, dir, pattern) {
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
}

func replaceIn(t *testing.T, dir, pattern, old, with string) {
	t.Helper()
	for _, file := range matching(t, dir, pattern) {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(content, []byte(old)) {
			t.Fatalf("%s does not hold %s: %s", file, old, content)
		}
		writeFile(t, file, strings.ReplaceAll(string(content), old, with))
	}
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A narrow terminal gets lines that fit it, with colour unless it is unwanted.
func TestDoctorFitsTheTerminal(t *testing.T) {
	checks := []doctor.Check{
		{ID: "name", Name: "name", Status: doctor.OK, Detail: "mcp.contoso.com is 10.0.0.1"},
		{ID: "connect", Name: "connection", Status: doctor.Fail, Detail: "it can't be connected to: connection refused", Fix: "Check the port: https://mcp.contoso.com/a-long-address/of-its-own"},
		{ID: "tls", Name: "TLS", Status: doctor.Skip, Detail: "not checked: see connection", Because: "connect"},
	}
	var out bytes.Buffer
	if err := printChecked(screen{w: &out, width: 50, terminal: true}, unicodeMarks, "https://mcp.contoso.com/mcp", checks); err != nil {
		t.Fatal(err)
	}
	const want = `https://mcp.contoso.com/mcp
  ✓ name
    mcp.contoso.com is 10.0.0.1
  ✗ connection
    it can't be connected to: connection refused
    → Check the port:
    https://mcp.contoso.com/a-long-address/of-its-own
  – TLS
    not checked: see connection
`
	if out.String() != want {
		t.Errorf("got:\n%s\nwant:\n%s", out.String(), want)
	}
	out.Reset()
	if err := printChecked(screen{w: &out, width: 80, terminal: true}, unicodeMarks, "https://mcp.contoso.com/mcp", checks); err != nil {
		t.Fatal(err)
	}
	const wide = `https://mcp.contoso.com/mcp
  ✓ name               mcp.contoso.com is 10.0.0.1
  ✗ connection         it can't be connected to: connection refused
                       → Check the port:
                       https://mcp.contoso.com/a-long-address/of-its-own
  – TLS                not checked: see connection
`
	if out.String() != wide {
		t.Errorf("got:\n%s\nwant:\n%s", out.String(), wide)
	}
	out.Reset()
	if err := printChecked(screen{w: &out, width: 50, terminal: true, color: true}, asciiMarks, "https://mcp.contoso.com/mcp", checks[1:2]); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "\x1b[31mx\x1b[0m connection") {
		t.Errorf("the mark has no colour: %q", out.String())
	}
}
