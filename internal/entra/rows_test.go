package entra

import (
	"bytes"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// posted is a scriptedAuthority that keeps every form.
type posted struct {
	*scriptedAuthority
	mu    sync.Mutex
	forms []url.Values
}

func (p *posted) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		form, _ := url.ParseQuery(string(body))
		p.mu.Lock()
		p.forms = append(p.forms, form)
		p.mu.Unlock()
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	return p.scriptedAuthority.RoundTrip(r)
}

// TestRow03ResourceIsInTheScope: what a token is for is said by its scope, byte
// for byte, whether that begins with api:// or with the server's address. Entra
// wants no resource parameter beside it: one that differs from the scope's is
// AADSTS9010010, and the same one adds nothing.
//
// TestRow06: a refresh asks for the same qualified scope as the sign-in; without
// one it would be AADSTS90009.
func TestRow03ResourceIsInTheScope(t *testing.T) {
	for _, scope := range []string{testScope, "https://mcp.contoso.com/mcp/Mcp.Access", "https://mcp.contoso.com/MCP%20a/Tools.Read"} {
		t.Run(scope, func(t *testing.T) { signInAndRefresh(t, scope) })
	}
}

func TestRow06RefreshAsksForTheSameScope(t *testing.T) { signInAndRefresh(t, testScope) }

func signInAndRefresh(t *testing.T, scope string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		a, store := &posted{scriptedAuthority: &scriptedAuthority{t: t}}, newMemoryCache()
		granted := func(token string) func(*http.Request, url.Values) (*http.Response, error) {
			return respond(200, strings.Replace(tokenBody(token, time.Hour, ""), testScope, scope, 1))
		}
		a.script(granted("at-1"), granted("at-2"))
		c := newTestClient(t, store, a, func(o *Options) { o.Scopes = []string{scope} })
		if _, err := c.SignInDeviceCode(t.Context(), ignoreCode); err != nil {
			t.Fatal(err)
		}
		time.Sleep(59 * time.Minute)
		if token, err := c.Token(t.Context()); err != nil || token.Value.Reveal() != "at-2" {
			t.Fatalf("refreshed: %v", err)
		}
		asked := 0
		for _, form := range a.forms {
			if form.Has("resource") {
				t.Errorf("a request names the resource %q", form.Get("resource"))
			}
			if form.Has("scope") {
				asked++
				if !slices.Contains(strings.Fields(form.Get("scope")), scope) {
					t.Errorf("asked for %q", form.Get("scope"))
				}
			}
		}
		refresh := a.forms[len(a.forms)-1]
		if refresh.Get("grant_type") != "refresh_token" || !refresh.Has("scope") || asked < 2 {
			t.Errorf("%d requests with a scope, the last a %s", asked, refresh.Get("grant_type"))
		}
	})
}

// TestRow26ProofKeyWithoutAdvertisement: Entra's metadata does not advertise
// PKCE; the browser sign-in there uses S256 all the same. Authorities that are
// not Entra's are refused, whatever they advertise.
func TestRow26ProofKeyWithoutAdvertisement(t *testing.T) {
	defer http.DefaultClient.CloseIdleConnections()
	a := &scriptedAuthority{t: t}
	a.script(issue("at-1", time.Hour, ""))
	c := newTestClient(t, newMemoryCache(), a)
	var asked url.Values
	_, err := c.SignInBrowser(t.Context(), func(address string) error {
		u, _ := url.Parse(address)
		asked = u.Query()
		go func() { browse(t, address, url.Values{"code": {"the-code"}}, true) }()
		return nil
	})
	if err != nil || asked.Get("code_challenge_method") != "S256" || len(asked.Get("code_challenge")) != 43 {
		t.Errorf("asked for %v: %v", asked, err)
	}
	if _, err := ParseAuthority("https://login.example.com/"+testTenant, ""); err == nil || !strings.Contains(err.Error(), "not one of Microsoft's") {
		t.Errorf("another authority: %v", err)
	}
}
