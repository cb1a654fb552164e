package fakeentra_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"sync"
	"testing"

	"github.com/mcpctl/mcpctl/internal/fakeentra"
	"github.com/mcpctl/mcpctl/internal/nodetest"
)

// The pages in a real Chromium: under their content security policy, by mouse
// and keyboard, in light and dark, checked for accessibility by axe.
func TestPagesInABrowser(t *testing.T) {
	srv, sample := start(t, fakeentra.Options{})
	app := startApp(t)

	codes, polls := map[string]map[string]string{}, map[string]string{}
	for _, scheme := range []string{"light", "dark"} {
		codes[scheme] = map[string]string{}
		for _, use := range []string{"approve", "decline", "refused"} {
			dc := post(t, srv, "devicecode", params("client_id", sample.Client.ClientID, "scope", sample.Scope()))
			codes[scheme][use] = dc.UserCode
			polls[scheme+" "+use] = dc.DeviceCode
		}
	}
	authorize := map[string]string{}
	for _, mode := range []string{"form_post", "query", "fragment"} {
		authorize[mode] = authorizeURL(srv, sample, "response_mode", mode, "redirect_uri", app.redirectURI, "state", mode)
	}

	nodetest.InBrowser(t, filepath.Join("testdata", "browser", "pages.mjs"), map[string]string{
		"DEVICE_URL": srv.BaseURL() + "/devicelogin", "TRUST_ANY": "1",
		"USER_CODES": marshal(t, codes), "AUTHORIZE": marshal(t, authorize),
	})

	for use, want := range map[string]string{"approve": "", "decline": "authorization_declined", "refused": "authorization_pending"} {
		for _, scheme := range []string{"light", "dark"} {
			r := post(t, srv, "token", params("client_id", sample.Client.ClientID, "grant_type", "device_code", "device_code", polls[scheme+" "+use]))
			if r.Error != want {
				t.Errorf("%s, %s: polling ends in %q, want %q", scheme, use, r.Error, want)
			}
		}
	}
	for _, mode := range []string{"form_post", "query", "fragment"} {
		r := post(t, srv, "token", params("client_id", sample.Client.ClientID, "grant_type", "authorization_code", "code", app.code(mode),
			"redirect_uri", app.redirectURI, "code_verifier", verifier, "scope", sample.Scope()+" openid profile"))
		if r.Error != "" {
			t.Fatalf("%s: %s", mode, r.Description)
		}
		if _, claims := verify(t, srv, r.IDToken); claims["preferred_username"] != sample.Grace.UPN {
			t.Errorf("%s: signed in as %v", mode, claims["preferred_username"])
		}
	}
}

// nativeApp is an app that waits for its code on http://localhost.
type nativeApp struct {
	redirectURI string
	mu          sync.Mutex
	codes       map[string]string // by state
}

func startApp(t *testing.T) *nativeApp {
	app := &nativeApp{codes: map[string]string{}}
	listener := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		app.mu.Lock()
		defer app.mu.Unlock()
		if code := r.FormValue("code"); code != "" {
			app.codes[r.FormValue("state")] = code
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, `<!DOCTYPE html><html lang="en"><link rel="icon" href="data:,"><title>App</title><p>You are back at the app.</p></html>`)
	}))
	t.Cleanup(listener.Close)
	u, err := url.Parse(listener.URL)
	if err != nil {
		t.Fatal(err)
	}
	app.redirectURI = "http://localhost:" + u.Port()
	return app
}

func (a *nativeApp) code(state string) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.codes[state]
}

func marshal(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
