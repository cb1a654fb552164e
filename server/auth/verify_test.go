package auth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestGoodTokens(t *testing.T) {
	tests := []struct {
		name    string
		token   *testToken
		options func(*Options)
		check   func(*Principal) bool
	}{
		{"v2 user", v2Token(), nil, func(p *Principal) bool {
			return p.Key() == testTenant+"/"+testPerson && p.Name == "Ada Lovelace" && p.Username == "ada@contoso.com" &&
				p.ClientID == testClient && !p.AppOnly && slices.Equal(p.Scopes, []string{testScope, "Mcp.Admin"}) &&
				p.UTI == "uti-1" && p.ExpiresAt.Equal(start.Add(time.Hour))
		}},
		{"v1 user by App ID URI", v1Token(), nil, func(p *Principal) bool {
			return p.ClientID == testClient && p.Username == "ada@contoso.com" && p.HasScope(testScope)
		}},
		{"v1 user by client id", v1Token().with(map[string]any{"aud": testAPI}), nil, nil},
		{"v1 user with unique_name only", v1Token().with(map[string]any{"upn": nil, "unique_name": "ada"}), nil,
			func(p *Principal) bool { return p.Username == "ada" }},
		{"without idtyp", v2Token().with(map[string]any{"idtyp": nil}), nil, nil},
		{"app-only", appToken(), nil, func(p *Principal) bool { return p.AppOnly && p.HasRole(testRole) && p.Scopes == nil }},
		{"user with roles", v2Token().with(map[string]any{"roles": []string{"Writer"}}), nil,
			func(p *Principal) bool { return !p.AppOnly && p.HasRole("Writer") }},
		{"agent identity", v2Token().with(map[string]any{"xms_par_app_azp": otherTenant}), nil,
			func(p *Principal) bool { return p.AgentBlueprint == otherTenant }},
		{"claims challenge capability", v2Token().with(map[string]any{"xms_cc": []string{"cp1"}}), nil,
			func(p *Principal) bool { return slices.Equal(p.ClientCapabilities, []string{"cp1"}) }},
		{"groups", v2Token().with(map[string]any{"groups": []string{"g1"}}), func(o *Options) { o.NeedGroups = true },
			func(p *Principal) bool { return slices.Equal(p.Groups, []string{"g1"}) && !p.GroupsOverage }},
		{"overage where groups are not needed", v2Token().with(map[string]any{"hasgroups": true}), nil,
			func(p *Principal) bool { return p.GroupsOverage }},
		{"expired within the skew", v2Token().with(map[string]any{"exp": start.Add(-4 * time.Minute).Unix(), "nbf": start.Add(-time.Hour).Unix(), "iat": start.Add(-time.Hour).Unix()}), nil, nil},
		{"valid soon, within the skew", v2Token().with(map[string]any{"nbf": start.Add(5 * time.Minute).Unix()}), nil, nil},
		{"unknown header parameter", v2Token().withHeader(map[string]any{"rh": "x"}), nil, nil},
		{"typ in another case", v2Token().withHeader(map[string]any{"typ": "jwt"}), nil, nil},
		{"second tenant", v2Token().with(map[string]any{"tid": otherTenant, "iss": "https://login.microsoftonline.com/" + otherTenant + "/v2.0"}),
			func(o *Options) { o.TenantIDs = []string{testTenant, strings.ToUpper(otherTenant)} },
			func(p *Principal) bool { return p.Key() == otherTenant+"/"+testPerson }},
		{"allowed client", v2Token(), func(o *Options) { o.AllowedClients = []string{strings.ToUpper(testClient)} }, nil},
		{"long scope configured, short in the token", v2Token(), func(o *Options) { o.RequiredScopes = []string{testURI + "/" + testScope} }, nil},
		{"any of several scopes", v2Token(), func(o *Options) { o.RequiredScopes = []string{"Other", "Mcp.Admin"} }, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, err := verify(t, tt.token.sign(), tt.options)
			if err != nil {
				t.Fatal(err)
			}
			if tt.check != nil && !tt.check(p) {
				t.Errorf("unexpected principal %+v", p)
			}
		})
	}
}

// TestClouds admits each cloud's own tokens, and only those.
func TestClouds(t *testing.T) {
	hosts := map[Cloud]struct{ v1, v2 string }{
		CloudGlobal: {"sts.windows.net", "login.microsoftonline.com"},
		CloudUSGov:  {"sts.windows.net", "login.microsoftonline.us"},
		CloudChina:  {"sts.chinacloudapi.cn", "login.partner.microsoftonline.cn"},
	}
	for server, own := range hosts {
		for from, issuer := range hosts {
			for _, version := range []string{"1.0", "2.0"} {
				t.Run(string(server)+" server, "+string(from)+" token "+version, func(t *testing.T) {
					token, iss, same := v2Token(), "https://"+issuer.v2+"/"+testTenant+"/v2.0", issuer.v2 == own.v2
					if version == "1.0" {
						token, iss, same = v1Token(), "https://"+issuer.v1+"/"+testTenant+"/", issuer.v1 == own.v1
					}
					f := newFakeAuthority()
					f.keyIssuer = "https://" + own.v2 + "/{tenantid}/v2.0"
					o := testOptions(f, newClock())
					o.Cloud = server
					_, err := newVerifier(t, o).Verify(context.Background(), token.with(map[string]any{"iss": iss}).sign())
					if same {
						// The v1 issuer of Global and US Gov is the same; there the keys
						// decide, and this authority's own key signed.
						if err != nil {
							t.Fatal(err)
						}
						for _, u := range f.requests {
							if !strings.HasPrefix(u, "https://"+own.v2+"/") {
								t.Errorf("keys were fetched from %s", u)
							}
						}
						return
					}
					wantRule(t, err, RuleForeignCloud)
					if n := f.fetches(); n != 0 {
						t.Errorf("a foreign token caused %d fetches", n)
					}
				})
			}
		}
	}
}

// TestCloudKeysDecide sends a v1 token of the global cloud, whose issuer is the
// same as US Gov's, to a US Gov server: the key is not published there.
func TestCloudKeysDecide(t *testing.T) {
	f := newFakeAuthority()
	f.keys = map[string]any{"kid-gov": otherKey()}
	o := testOptions(f, newClock())
	o.Cloud = CloudUSGov
	_, err := newVerifier(t, o).Verify(context.Background(), v1Token().sign())
	wantRule(t, err, RuleUnknownKey)
}

func TestKeyIssuer(t *testing.T) {
	tests := []struct {
		name, keyIssuer string
		token           *testToken
		want            Rule
	}{
		{"template", "https://login.microsoftonline.com/{tenantid}/v2.0", v2Token(), ""},
		{"own tenant", "https://login.microsoftonline.com/" + testTenant + "/v2.0", v2Token(), ""},
		{"none", "", v2Token(), ""},
		{"other tenant", "https://login.microsoftonline.com/" + otherTenant + "/v2.0", v2Token(), RuleKeyIssuer},
		{"personal accounts", "https://login.microsoftonline.com/" + personalTenant + "/v2.0", v2Token(), RuleKeyIssuer},
		{"other cloud", "https://login.microsoftonline.us/{tenantid}/v2.0", v2Token(), RuleKeyIssuer},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFakeAuthority()
			f.keyIssuer = tt.keyIssuer
			_, err := newVerifier(t, testOptions(f, newClock())).Verify(context.Background(), tt.token.sign())
			if tt.want == "" && err != nil {
				t.Fatal(err)
			}
			if tt.want != "" {
				wantRule(t, err, tt.want)
			}
		})
	}
}

// TestRequiredScopesAreShort: what the metadata lists in full is compared short.
func TestRequiredScopesAreShort(t *testing.T) {
	o := testOptions(newFakeAuthority(), newClock())
	o.RequiredScopes = []string{testURI + "/" + testScope, "Mcp.Admin"}
	if got := newVerifier(t, o).RequiredScopes(); !slices.Equal(got, []string{testScope, "Mcp.Admin"}) {
		t.Errorf("got %v", got)
	}
}

// TestDefaults makes a verifier for Microsoft's own hosts, which it must not
// ask before a token comes.
func TestDefaults(t *testing.T) {
	v, err := New(Options{TenantIDs: []string{testTenant}, Audiences: []string{testAPI}, RequiredScopes: []string{testScope}})
	if err != nil {
		t.Fatal(err)
	}
	if got := v.AuthorizationServers(); !slices.Equal(got, []string{"https://login.microsoftonline.com/" + testTenant + "/v2.0"}) {
		t.Errorf("authorization servers %v", got)
	}
	if v.MaxTokenBytes() != DefaultMaxTokenBytes || v.skew != DefaultSkew {
		t.Errorf("limits %d, %v", v.MaxTokenBytes(), v.skew)
	}
	if err := v.Close(); err != nil {
		t.Error(err)
	}
}

// TestConcurrentUse verifies while keys come and go, for the race detector.
func TestConcurrentUse(t *testing.T) {
	f, c := newFakeAuthority(), newClock()
	o := testOptions(f, c)
	o.CacheSize = 5
	v := newVerifier(t, o)
	tokens := make([]string, 20)
	for i := range tokens {
		tokens[i] = v2Token().with(m{"uti": fmt.Sprint(i), "exp": start.Add(1000 * time.Hour).Unix()}).sign()
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 200 {
				if _, err := v.Verify(context.Background(), tokens[i%len(tokens)]); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Go(func() {
		for i := range 50 {
			f.set(func(f *fakeAuthority) {
				f.keys = map[string]any{"kid-1": testKey(), fmt.Sprint("kid-new-", i): otherKey()}
			})
			c.Advance(time.Hour)
		}
	})
	wg.Wait()
}

func TestOptionFaults(t *testing.T) {
	tests := []struct {
		name   string
		change func(*Options)
		want   string
	}{
		{"no tenant", func(o *Options) { o.TenantIDs = nil }, "no tenant"},
		{"common", func(o *Options) { o.TenantIDs = []string{"common"} }, "use the GUID"},
		{"consumers", func(o *Options) { o.TenantIDs = []string{personalTenant} }, "personal Microsoft accounts"},
		{"unknown cloud", func(o *Options) { o.Cloud = "mars" }, "global, usgov or china"},
		{"remote authority", func(o *Options) { o.Authority = "https://login.example/" + testTenant }, "loopback IP address"},
		{"authority by name", func(o *Options) { o.Authority = "https://localhost:9443/" + testTenant }, "loopback IP address"},
		{"plain authority", func(o *Options) { o.Authority = "http://127.0.0.1:9443/" + testTenant }, "must be https://"},
		{"authority without tenant", func(o *Options) { o.Authority = "https://127.0.0.1:9443/" }, "tenant's GUID"},
		{"authority of another tenant", func(o *Options) { o.Authority = "https://127.0.0.1:9443/" + otherTenant }, "not among the tenants"},
		{"authority and cloud", func(o *Options) {
			o.Cloud, o.Authority = CloudGlobal, "https://127.0.0.1:9443/"+testTenant
		}, "exclude each other"},
		{"no audience", func(o *Options) { o.Audiences = nil }, "no audience is a client id"},
		{"Graph as audience", func(o *Options) { o.Audiences = append(o.Audiences, "https://graph.microsoft.com/") }, "cannot be this server's own"},
		{"scope of another resource", func(o *Options) { o.RequiredScopes = []string{"https://other.example/Mcp.Access"} }, "neither a short name"},
		{"nothing required", func(o *Options) { o.RequiredScopes, o.RequiredRoles = nil, nil }, "neither a scope nor a role"},
		{"client by name", func(o *Options) { o.AllowedClients = []string{"vscode"} }, "not a client id"},
		{"skew too large", func(o *Options) { o.Skew = time.Hour }, "skew"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := testOptions(newFakeAuthority(), newClock())
			tt.change(&o)
			_, err := New(o)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want an error with %q", err, tt.want)
			}
		})
	}
	t.Run("all faults at once", func(t *testing.T) {
		_, err := New(Options{Cloud: "mars", Skew: time.Hour})
		for _, want := range []string{"mars", "skew", "no tenant", "no audience", "neither a scope"} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("error %v lacks %q", err, want)
			}
		}
	})
}

func wantRule(t *testing.T, err error, want Rule) *Refusal {
	t.Helper()
	var refusal *Refusal
	if !errors.As(err, &refusal) {
		t.Fatalf("got %v, want a refusal by rule %s", err, want)
	}
	if refusal.Rule != want {
		t.Fatalf("refused by rule %s (%s), want %s", refusal.Rule, refusal.Description, want)
	}
	return refusal
}
