package entra

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestNewRefuses(t *testing.T) {
	good := Options{Authority: globalAuthority(t), ClientID: testClientID, Scopes: []string{testScope}, Cache: newMemoryCache()}
	tests := []struct {
		name string
		edit func(*Options)
		want string
	}{
		{"no authority", func(o *Options) { o.Authority = Authority{} }, "authority"},
		{"no client id", func(o *Options) { o.ClientID = "" }, "client id"},
		{"a client id that is no GUID", func(o *Options) { o.ClientID = "mcpctl" }, "GUID"},
		{"no scope", func(o *Options) { o.Scopes = nil }, "--scope"},
		{"only an OpenID scope", func(o *Options) { o.Scopes = []string{"openid"} }, "--scope"},
		{"Graph's scope", func(o *Options) { o.Scopes = []string{"https://graph.microsoft.com/.default"} }, "Microsoft Graph"},
		{"a resource that is no address", func(o *Options) { o.Resource = "mcp" }, "not an address"},
		{"no cache", func(o *Options) { o.Cache = nil }, "cache"},
	}
	for _, tt := range tests {
		o := good
		tt.edit(&o)
		_, err := New(o)
		if err == nil {
			t.Errorf("%s: accepted", tt.name)
			continue
		}
		mustContain(t, err, tt.want)
	}
}

func TestTokenFromCacheNeedsNoLockAndNoRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, store := &scriptedAuthority{t: t}, newMemoryCache()
		signedIn(t, a, store, "at-1", time.Hour, "")
		unlock, _ := store.Lock(t.Context()) // someone else holds it
		defer unlock()
		cold := newTestClient(t, store, roundTripper(func(r *http.Request) (*http.Response, error) {
			t.Errorf("a request to %s", r.URL)
			return nil, errors.New("no network")
		}))
		token, err := cold.Token(t.Context())
		if err != nil || token.Value.Reveal() != "at-1" || len(token.Scopes) != 1 {
			t.Errorf("got %+v, %v", token, err)
		}
	})
}

func TestManyProcessesRefreshOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, store := &scriptedAuthority{t: t}, newMemoryCache()
		signedIn(t, a, store, "at-1", time.Hour, "")
		time.Sleep(58 * time.Minute) // less than MSAL's five minutes are left
		a.script(func(r *http.Request, form url.Values) (*http.Response, error) {
			time.Sleep(200 * time.Millisecond)
			return answerWith(r, 200, tokenBody("at-2", time.Hour, "")), nil
		}, respond(400, `{"error":"invalid_grant"}`))
		var wg sync.WaitGroup
		for range 20 {
			c := newTestClient(t, store, a)
			for range 3 {
				wg.Go(func() {
					if token, err := c.Token(t.Context()); err != nil || token.Value.Reveal() != "at-2" {
						t.Errorf("got %v, %v", token, err)
					}
				})
			}
		}
		wg.Wait()
		forms := a.tokenRequests()
		if len(forms) != 1 || forms[0].Get("refresh_token") != "refresh-of-at-1" || !strings.Contains(forms[0].Get("claims"), "CP1") {
			t.Errorf("token requests: %v", forms)
		}
	})
}

func TestNobodySignedIn(t *testing.T) {
	a, store := &scriptedAuthority{t: t}, newMemoryCache()
	for _, account := range []string{"", "someone.else"} {
		c := newTestClient(t, store, a, func(o *Options) { o.Account = account })
		_, err := c.Token(t.Context())
		if !errors.Is(err, ErrSignInRequired) {
			t.Errorf("account %q: %v", account, err)
		}
		mustContain(t, err, "nobody is signed in", "mcpctl login")
		if _, err := c.Refresh(t.Context(), NewSecret("x"), ""); !errors.Is(err, ErrSignInRequired) {
			t.Errorf("account %q: refreshing: %v", account, err)
		}
	}
	if len(a.hosts) != 0 {
		t.Errorf("requests to %v", a.hosts)
	}
}

func TestRefreshAheadOfTimeToleratesAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, store := &scriptedAuthority{t: t}, newMemoryCache()
		c := signedIn(t, a, store, "at-1", 24*time.Hour, `,"refresh_in":3600`)
		time.Sleep(2 * time.Hour)
		a.script(respond(503, ""))
		token, err := c.Token(t.Context())
		if err != nil || token.Value.Reveal() != "at-1" {
			t.Errorf("during an outage: %v, %v", token, err)
		}
		if len(a.tokenRequests()) == 0 {
			t.Error("nothing was tried")
		}

		a.script(respond(503, ""))
		time.Sleep(2 * memoryLimit)
		if _, err = c.Token(t.Context()); err != nil || len(a.tokenRequests()) != 0 {
			t.Errorf("soon after a failure: %v, %d requests; want none", err, len(a.tokenRequests()))
		}

		time.Sleep(aheadPause)
		unlock, _ := store.Lock(t.Context())
		a.script(issue("at-x", time.Hour, ""))
		token, err = c.Token(t.Context())
		if err != nil || token.Value.Reveal() != "at-1" || len(a.tokenRequests()) != 0 {
			t.Errorf("while another process refreshes: %v, %v, %d requests", token.Value.Reveal(), err, len(a.tokenRequests()))
		}
		unlock()

		time.Sleep(memoryLimit)
		a.script(issue("at-2", 24*time.Hour, ""))
		if token, err = c.Token(t.Context()); err != nil || token.Value.Reveal() != "at-2" {
			t.Errorf("afterwards: %v, %v", token.Value.Reveal(), err)
		}
	})
}

func TestRefreshAfterRejection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, store := &scriptedAuthority{t: t}, newMemoryCache()
		signedIn(t, a, store, "at-1", time.Hour, "")
		claims := base64.StdEncoding.EncodeToString([]byte(`{"access_token":{"nbf":{"essential":true,"value":"1"}}}`))
		a.script(issue("at-2", time.Hour, ""), issue("at-3", time.Hour, ""))
		var wg sync.WaitGroup
		for range 20 {
			c := newTestClient(t, store, a)
			wg.Go(func() {
				token, err := c.Refresh(t.Context(), NewSecret("at-1"), claims)
				if err != nil || token.Value.Reveal() != "at-2" {
					t.Errorf("got %v, %v", token.Value.Reveal(), err)
				}
				if token, err = c.Token(t.Context()); err != nil || token.Value.Reveal() != "at-2" {
					t.Errorf("the next call got %v, %v", token.Value.Reveal(), err)
				}
			})
		}
		wg.Wait()
		forms := a.tokenRequests()
		if len(forms) != 1 {
			t.Fatalf("%d token requests, want 1", len(forms))
		}
		if got := forms[0].Get("claims"); !strings.Contains(got, "essential") || !strings.Contains(got, "CP1") {
			t.Errorf("claims sent: %s", got)
		}

		c := newTestClient(t, store, a)
		token, err := c.Refresh(t.Context(), NewSecret("at-2"), "")
		if err != nil || token.Value.Reveal() != "at-3" {
			t.Errorf("without claims: %v, %v", token.Value.Reveal(), err)
		}
	})
}

func TestRefreshRefusesMalformedClaims(t *testing.T) {
	c := newTestClient(t, newMemoryCache(), &scriptedAuthority{t: t})
	for _, claims := range []string{"***", "{", "[]", "bnVsbA==", `{"access_token":1}`, `{"access_token":{"xms_cc":{"values":["x"]}}}`, strings.Repeat("A", maxClaims+1)} {
		if _, err := c.Refresh(t.Context(), NewSecret("x"), claims); err == nil || errors.Is(err, ErrSignInRequired) {
			t.Errorf("claims %q: %v", clip(claims), err)
		}
	}
}

func TestRefreshFailures(t *testing.T) {
	leak := tokenBody("secret-access-token", time.Hour, "")
	tests := []struct {
		name   string
		answer func(*http.Request, url.Values) (*http.Response, error)
		kind   Kind
		want   string
	}{
		{"revoked", respond(400, `{"error":"invalid_grant","error_codes":[50173],"error_description":"AADSTS50173: The grant was revoked.\r\nTrace ID: x","correlation_id":"c-1"}`), KindSignInRequired, "revoked"},
		{"step-up", respond(400, `{"error":"interaction_required","suberror":"basic_action","error_codes":[50076],"claims":"{\"access_token\":{\"a\":1}}"}`), KindSignInRequired, "second factor"},
		{"throttled", respond(429, "", "Retry-After", "60"), KindThrottled, "wait"},
		{"outage", respond(503, "<html>"), KindOutage, "503"},
		{"HTML with 200", respond(200, "<html>hello</html>", "Content-Type", "text/html"), KindOutage, "other than JSON"},
		{"no expiry, tokens inside", respond(200, strings.Replace(leak, `"expires_in":3600,`, "", 1)), KindOutage, "when it expires"},
		{"fewer scopes", respond(200, strings.Replace(leak, testScope, "api://x/Other", 1)), KindConsentRequired, testScope},
		{"an error with 200", respond(200, `{"error":"invalid_grant","expires_in":1,"access_token":"x"}`), KindSignInRequired, "invalid_grant"},
		{"cut off JSON", respond(200, leak[:len(leak)-20]), KindOutage, "other than JSON"},
		{"redirect", respond(307, "", "Location", "https://evil.example/token"), KindUntrusted, "evil.example"},
		{"connection lost", func(*http.Request, url.Values) (*http.Response, error) {
			return nil, errors.New("unexpected EOF")
		}, KindNetwork, "login.microsoftonline.com"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, store := &scriptedAuthority{t: t}, newMemoryCache()
				c := signedIn(t, a, store, "at-1", time.Hour, "")
				time.Sleep(2 * time.Hour)
				a.script(tt.answer)
				_, err := c.Token(t.Context())
				var e *Error
				if !errors.As(err, &e) || e.Kind != tt.kind {
					t.Fatalf("error is %#v, want kind %v", err, tt.kind)
				}
				mustContain(t, err, tt.want)
				assertNoSecret(t, err)
				if e.Kind == KindThrottled && e.RetryAfter != time.Minute {
					t.Errorf("RetryAfter is %s", e.RetryAfter)
				}
				if tt.name == "step-up" && !strings.Contains(e.Claims, "access_token") {
					t.Errorf("claims are %q", e.Claims)
				}

				asked := len(a.tokenRequests())
				a.script(issue("at-2", time.Hour, ""))
				if _, again := c.Token(t.Context()); again == nil || again.Error() != err.Error() || len(a.tokenRequests()) != 0 {
					t.Errorf("at once after %d requests: %v, and %d more; want the same failure and none", asked, again, len(a.tokenRequests()))
				}
				time.Sleep(time.Minute)
				if token, err := c.Token(t.Context()); err != nil || token.Value.Reveal() != "at-2" {
					t.Errorf("afterwards: %v, %v; the cache must survive a failure", token.Value.Reveal(), err)
				}
			})
		})
	}
}

// assertNoSecret walks the whole chain of err.
func assertNoSecret(t *testing.T, err error) {
	t.Helper()
	for e := err; e != nil; e = errors.Unwrap(e) {
		for _, secret := range []string{"secret-access-token", "refresh-of", "at-1", "the-device-code", "the-code"} {
			if strings.Contains(e.Error(), secret) {
				t.Errorf("error holds %q: %v", secret, e)
			}
		}
		if strings.Contains(strings.ToLower(strings.TrimPrefix(strings.TrimPrefix(typeName(e), "*"), "errors.")), "callerr") {
			t.Errorf("MSAL's error is in the chain: %T", e)
		}
	}
}

func TestForeignTokenEndpointIsRefused(t *testing.T) {
	tests := []struct{ name, host, want string }{
		{"anyone's", "evil.example", "evil.example"},
		{"another cloud's", "login.microsoftonline.us", "usgov"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := &scriptedAuthority{t: t, metadata: strings.ReplaceAll(
				`{"issuer":"BASE/v2.0","authorization_endpoint":"BASE/oauth2/v2.0/authorize","token_endpoint":"https://`+tt.host+`/t/oauth2/v2.0/token"}`, "BASE", scriptedBase)}
			c := newTestClient(t, newMemoryCache(), a)
			_, err := c.SignInDeviceCode(t.Context(), ignoreCode)
			var e *Error
			if !errors.As(err, &e) || e.Kind != KindUntrusted {
				t.Fatalf("error is %v", err)
			}
			mustContain(t, err, tt.want)
			for _, host := range a.hosts {
				if host != "login.microsoftonline.com" {
					t.Errorf("%s was contacted", host)
				}
			}
		})
	}
}

func TestWaitForTheLockIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, store := &scriptedAuthority{t: t}, newMemoryCache()
		c := signedIn(t, a, store, "at-1", time.Hour, "")
		time.Sleep(2 * time.Hour)
		unlock, _ := store.Lock(t.Context())
		defer unlock()
		start := time.Now()
		_, err := c.Token(t.Context())
		var e *Error
		if !errors.As(err, &e) || e.Kind != KindBusy || time.Since(start) != silentLimit {
			t.Errorf("error is %v after %s", err, time.Since(start))
		}

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.Token(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the caller's own limit gives %v", err)
		}
	})
}

func TestAuthorityThatNeverAnswersIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, store := &scriptedAuthority{t: t}, newMemoryCache()
		c := signedIn(t, a, store, "at-1", time.Hour, "")
		time.Sleep(2 * time.Hour)
		a.script(func(r *http.Request, _ url.Values) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
		start := time.Now()
		_, err := c.Token(t.Context())
		var e *Error
		if !errors.As(err, &e) || e.Kind != KindNetwork || time.Since(start) > silentLimit {
			t.Errorf("error is %v after %s", err, time.Since(start))
		}
	})
}

func TestStoreErrorsKeepTheirIdentity(t *testing.T) {
	broken := errors.New("keyring unavailable")
	store := newMemoryCache()
	store.broken = broken
	for _, account := range []string{"", "a.b"} {
		c := newTestClient(t, store, &scriptedAuthority{t: t}, func(o *Options) { o.Account = account })
		_, err := c.Token(t.Context())
		var e *Error
		if !errors.Is(err, broken) || errors.Is(err, ErrSignInRequired) || !errors.As(err, &e) || e.Kind != KindStore {
			t.Errorf("account %q: error is %v", account, err)
		}
	}
}

func TestSignOutElsewhereCountsWithinASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, store := &scriptedAuthority{t: t}, newMemoryCache()
		bridge := signedIn(t, a, store, "at-1", time.Hour, "")
		if _, err := bridge.Token(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := newTestClient(t, store, a).SignOut(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(memoryLimit)
		if _, err := bridge.Token(t.Context()); !errors.Is(err, ErrSignInRequired) {
			t.Errorf("after the sign-out: %v", err)
		}
		if strings.Contains(string(store.blob), "at-1") {
			t.Error("the token is still in the store")
		}
	})
}
