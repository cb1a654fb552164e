package e2e_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/gofrs/flock"

	"github.com/mcpctl/mcpctl/internal/fakeentra"
)

// tokenClaims reads the token of a request. It is no check of the token.
func tokenClaims(r *http.Request) (claims struct {
	Scp  string   `json:"scp"`
	ACRs []string `json:"acrs"`
}) {
	parts := strings.Split(r.Header.Get("Authorization"), ".")
	if len(parts) == 3 {
		payload, _ := base64.RawURLEncoding.DecodeString(parts[1])
		_ = json.Unmarshal(payload, &claims)
	}
	return claims
}

// challenge answers 401 with a challenge.
func challenge(w http.ResponseWriter, format string, args ...any) bool {
	w.Header().Set("WWW-Authenticate", fmt.Sprintf("Bearer "+format, args...))
	w.WriteHeader(http.StatusUnauthorized)
	return true
}

// A claims challenge (continuous access evaluation) at a running bridge that only
// the person can meet: the sign-in in band carries the claims, and its token
// satisfies the server.
func TestClaimsChallengeInBand(t *testing.T) {
	t.Parallel()
	const claims = `{"access_token":{"acrs":{"essential":true,"values":["c1"]}}}`
	for _, kind := range guestKinds {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			s, d := newStack(t, scripted(t)), newDesk(t)
			d.login(t, s.url, s.caFile, ada)
			ctx := testContext(t)
			g := s.guest(d, kind)
			g.greet(ctx)
			g.came(g.ask(ctx, "tools/call", bigCall))
			s.meddleWith(func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method != http.MethodPost || slices.Contains(tokenClaims(r).ACRs, "c1") {
					return false
				}
				return challenge(w, `error="insufficient_claims", claims=%q`, base64.StdEncoding.EncodeToString([]byte(claims)))
			})
			at, done := g.asksFor(ctx, "tools/call", bigCall)
			enterCode(ctx, t, at.url, at.code, s.caFile, ada)
			g.came(done())
			if n := s.refused(50076); n != 1 {
				t.Errorf("the authority was asked %d times to do without the person", n)
			}
		})
	}
}

// refused counts the authority's refusals to refresh, by their number.
func (s *stack) refused(number int) int {
	n := 0
	for _, r := range s.authority.Requests() {
		if r.Grant == fakeentra.GrantRefreshToken && r.AADSTS == number {
			n++
		}
	}
	return n
}

// A claims challenge that the authority meets by itself costs one refresh and
// nobody's time.
func TestClaimsChallengeSilently(t *testing.T) {
	t.Parallel()
	s, d := newStack(t, scripted(t)), newDesk(t)
	d.login(t, s.url, s.caFile, ada)
	ctx := testContext(t)
	g := s.guest(d, guestKinds[0])
	g.greet(ctx)
	var old atomic.Value
	s.meddleWith(func(w http.ResponseWriter, r *http.Request) bool {
		token := r.Header.Get("Authorization")
		if old.CompareAndSwap(nil, token) || old.Load() == token {
			return challenge(w, `error="insufficient_claims", claims=%q`, base64.StdEncoding.EncodeToString([]byte(`{"access_token":{"nbf":{"essential":true,"value":"1"}}}`)))
		}
		return false
	})
	g.came(g.ask(ctx, "tools/call", bigCall))
	s.refreshes(1)
}

// A server that no longer keeps to what the person has agreed to is refused, with
// what changed, and its bridge's token goes nowhere else.
func TestPinIsEnforced(t *testing.T) {
	t.Parallel()
	const otherTenant, otherClient = "11111111-2222-4333-8444-555555555555", "99999999-2222-4333-8444-555555555555"
	metadata := func(s *stack, tenant, client, scope string) meddler {
		prm := "/.well-known/oauth-protected-resource/mcp"
		return func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path != prm {
				return challenge(w, `error="invalid_token", resource_metadata="http://%s%s"`, s.address, prm)
			}
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(map[string]any{
				"resource": s.url, "authorization_servers": []string{tenant}, "scopes_supported": []string{scope}, "mcpctl_client_id": client,
			})
			return true
		}
	}
	for _, tc := range []struct {
		name, transport string
		meddle          func(s *stack, evil string) meddler
		wants           []string
	}{
		{"metadata elsewhere", "http", func(_ *stack, evil string) meddler {
			return func(w http.ResponseWriter, _ *http.Request) bool {
				return challenge(w, `resource_metadata="%s/prm"`, evil)
			}
		}, []string{"metadata", "EVIL/prm", "does not follow"}},
		{"another authority", "http", func(*stack, string) meddler {
			return func(w http.ResponseWriter, _ *http.Request) bool {
				return challenge(w, `authorization_uri="https://login.microsoftonline.com/%s/oauth2/authorize"`, otherTenant)
			}
		}, []string{"authority", otherTenant, "does not follow"}},
		{"another tenant", "http", func(s *stack, _ string) meddler {
			return metadata(s, "https://login.microsoftonline.com/"+otherTenant+"/v2.0", s.sample.Client.ClientID, s.url+"/Mcp.Access")
		}, []string{"tenant", otherTenant, "does not follow"}},
		{"another client", "http", func(s *stack, _ string) meddler {
			return metadata(s, s.authority.Authority(), otherClient, s.url+"/Mcp.Access")
		}, []string{"client", otherClient, "does not follow"}},
		{"another scope", "http", func(s *stack, _ string) meddler {
			return metadata(s, s.authority.Authority(), s.sample.Client.ClientID, s.url+"/Everything")
		}, []string{"scope", "Everything", "does not follow"}},
		{"redirect to another origin", "http", func(_ *stack, evil string) meddler {
			return func(w http.ResponseWriter, r *http.Request) bool {
				http.Redirect(w, r, evil+"/mcp", http.StatusTemporaryRedirect)
				return true
			}
		}, []string{"redirects", "EVIL/mcp", "does not follow"}},
		{"stream's endpoint at another origin", "sse", func(_ *stack, evil string) meddler {
			return func(w http.ResponseWriter, _ *http.Request) bool {
				w.Header().Set("Content-Type", "text/event-stream")
				_, _ = fmt.Fprintf(w, "event: endpoint\ndata: %s/messages\n\n", evil)
				return true
			}
		}, []string{"another origin", "EVIL"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var visits atomic.Int32
			evil := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				visits.Add(1)
				w.WriteHeader(http.StatusNotFound)
			}))
			t.Cleanup(evil.Close)
			s, d := newStack(t, scripted(t)), newDesk(t)
			d.login(t, s.url, s.caFile, ada)
			s.meddleWith(tc.meddle(s, evil.URL))
			ctx := testContext(t)
			p, _ := d.bridge(t, s.url, "--transport", tc.transport, "--retry-time", "1s")
			m := p.openSignedOut(ctx)
			for _, want := range tc.wants {
				p.refused(m, strings.ReplaceAll(want, "EVIL", evil.URL))
			}
			if n := visits.Load(); n != 0 {
				t.Errorf("the other origin was visited %d times", n)
			}
		})
	}
}

// Starting a bridge, and all that clients do to find out what it can, disturbs
// nobody: no code, no browser, and no lock that another process might hold, with
// a sign-in and without.
func TestStartAndProbesDisturbNobody(t *testing.T) {
	t.Parallel()
	for _, signedIn := range []bool{true, false} {
		t.Run(fmt.Sprintf("signed in=%v", signedIn), func(t *testing.T) {
			t.Parallel()
			s, d := newStack(t, scripted(t)), newDesk(t)
			d.login(t, s.url, s.caFile, ada)
			if !signedIn {
				d.forget(t)
			}
			codes := s.authority.CountRequests(fakeentra.EndpointDeviceCode, "")
			// Somebody else refreshes, or signs in, for as long as this takes.
			held := 0
			err := filepath.WalkDir(d.dir, func(path string, e os.DirEntry, err error) error {
				if err != nil || filepath.Ext(path) != ".lock" || strings.Contains(e.Name(), "log") {
					return err
				}
				lock := flock.New(path)
				t.Cleanup(func() { _ = lock.Unlock() })
				ok, err := lock.TryLock()
				if ok {
					held++
				}
				return err
			})
			if err != nil || held == 0 {
				t.Fatalf("%d locks held, %v", held, err)
			}
			opened := filepath.Join(t.TempDir(), "opened")
			browser := "touch " + opened + " %s"
			if runtime.GOOS == "windows" {
				browser = "cmd /c copy nul " + opened
			}
			ctx := testContext(t)
			for _, kind := range guestKinds {
				p := start(t, append(d.env(), "BROWSER="+browser, "DISPLAY=:0"), mcpctl, "bridge", s.url)
				g := &guest{peer: newPeer(p), s: s, kind: kind}
				if kind.modern {
					g.ask(ctx, "server/discover", `"x":1`)
				} else {
					g.greet(ctx)
					g.ask(ctx, "ping", `"x":1`)
					g.ask(ctx, "resources/list", `"x":1`)
				}
				want := "sign_in"
				if signedIn {
					want = "big"
				}
				if m := g.ask(ctx, "tools/list", `"x":1`); !strings.Contains(string(m.raw), `"name":"`+want+`"`) {
					t.Errorf("%s: got %s", kind.name, m.raw)
				}
			}
			if n := s.authority.CountRequests(fakeentra.EndpointDeviceCode, "") - codes; n != 0 {
				t.Errorf("%d codes", n)
			}
			if _, err := os.Stat(opened); err == nil {
				t.Error("a browser was opened")
			}
		})
	}
}

// A sign-in in a terminal while the bridge runs without a profile brings the
// transport that it pins: this server takes no other, and is too polite to say so
// in a way that makes a client try.
func TestLateProfileBringsItsTransport(t *testing.T) {
	t.Parallel()
	for _, kind := range guestKinds {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			s, d := newStack(t, scripted(t)), newDesk(t)
			s.url = s.sse
			s.meddleWith(func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method != http.MethodPost || r.URL.Path != "/sse" || r.Header.Get("Authorization") == "" {
					return false
				}
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(http.StatusBadRequest)
				_, _ = fmt.Fprint(w, `{"jsonrpc":"2.0","id":1,"error":{"code":-32600,"message":"not like this"}}`)
				return true
			})
			ctx := testContext(t)
			g := s.guest(d, kind)
			g.greet(ctx)
			g.refused(g.ask(ctx, "tools/call", bigCall), "mcpctl login "+s.url)
			d.login(t, s.url, s.caFile, ada, "--transport", "sse")
			m := g.ask(ctx, "tools/call", bigCall)
			for m.Error != nil && m.Error.Code == codeSignIn {
				m = g.ask(ctx, "tools/call", bigCall) // the bridge notices within a second or so
			}
			g.came(m)
		})
	}
}
