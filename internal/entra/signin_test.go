package entra

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func typeName(v any) string { return fmt.Sprintf("%T", v) }

func TestDeviceCodeSignIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, store := &scriptedAuthority{t: t}, newMemoryCache()
		eof := func(*http.Request, url.Values) (*http.Response, error) { return nil, io.ErrUnexpectedEOF }
		a.script(pendingAnswer(), respond(400, `{"error":"slow_down"}`), respond(503, ""), eof, respond(429, "", "Retry-After", "30"), pendingAnswer(),
			issue("at-1", time.Hour, ""))
		c := newTestClient(t, store, a)
		var shown DeviceCode
		got, err := c.SignInDeviceCode(t.Context(), func(code DeviceCode) error { shown = code; return nil })
		if err != nil {
			t.Fatal(err)
		}
		if shown.UserCode != "ABCD" || shown.VerificationURL != "https://microsoft.com/devicelogin" || strings.Contains(shown.Message, "\n") ||
			time.Until(shown.ExpiresOn) <= 0 {
			t.Errorf("shown: %+v", shown)
		}
		if got.Account.Username != "ada@contoso.example" || got.Account.Name != "Ada Lovelace" || got.Account.TenantID != testTenant ||
			got.Account.HomeAccountID == "" || len(got.Scopes) != 1 || got.ExpiresOn.IsZero() {
			t.Errorf("signed in: %+v", got)
		}
		if token, err := c.Token(t.Context()); err != nil || token.Value.Reveal() != "at-1" {
			t.Errorf("token: %v, %v", token.Value.Reveal(), err)
		}
		for i := 1; i < len(a.times); i++ {
			if gap := a.times[i].Sub(a.times[i-1]); gap < 5*time.Second && i < 3 {
				t.Errorf("poll %d came %s after the one before; the interval is 5 s", i+1, gap)
			}
		}
		if gap := a.times[2].Sub(a.times[1]); gap < 10*time.Second {
			t.Errorf("after slow_down the next poll came after %s, want 10 s", gap)
		}
		if len(store.gate) != 0 {
			t.Error("the lock is still held")
		}
	})
}

func TestDeviceCodeSignInLeavesTheLockFree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, store := &scriptedAuthority{t: t}, newMemoryCache()
		a.script(pendingAnswer(), func(r *http.Request, _ url.Values) (*http.Response, error) {
			if len(store.gate) != 0 {
				t.Error("the lock is held while a person types")
			}
			return answerWith(r, 200, tokenBody("at-1", time.Hour, "")), nil
		})
		if _, err := newTestClient(t, store, a).SignInDeviceCode(t.Context(), ignoreCode); err != nil {
			t.Fatal(err)
		}
	})
}

func TestDeviceCodeFailures(t *testing.T) {
	tests := []struct {
		name   string
		device string
		answer func(*http.Request, url.Values) (*http.Response, error)
		kind   Kind
		want   string
	}{
		{"blocked by policy", "", respond(400, `{"error":"invalid_grant","error_codes":[53003],"error_description":"AADSTS53003: Blocked"}`), KindDeviceCodeBlocked, "--browser"},
		{"declined", "", respond(400, `{"error":"authorization_declined"}`), KindDeclined, "mcpctl login"},
		{"the server says expired", "", respond(400, `{"error":"expired_token","error_codes":[70019]}`), KindExpired, "mcpctl login"},
		{"nobody types", "", pendingAnswer(), KindExpired, "expired"},
		{"an outage that lasts", "", respond(503, ""), KindOutage, "503"},
		{"public client flows off", "", respond(401, `{"error":"invalid_client","error_codes":[7000218]}`), KindMisconfigured, "public client flows"},
		{"a page over http", `{"user_code":"A","device_code":"d","verification_uri":"http://microsoft.com/devicelogin","expires_in":900}`, pendingAnswer(), KindUntrusted, "not trusted"},
		{"a script as page", `{"user_code":"A","device_code":"d","verification_uri":"file:///etc/passwd","expires_in":900}`, pendingAnswer(), KindUntrusted, "not trusted"},
		{"no code", `{"verification_uri":"https://microsoft.com/devicelogin","expires_in":900}`, pendingAnswer(), KindOutage, "no usable device code"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := &scriptedAuthority{t: t, device: tt.device}
				a.script(tt.answer)
				start := time.Now()
				_, err := newTestClient(t, newMemoryCache(), a).SignInDeviceCode(t.Context(), ignoreCode)
				var e *Error
				if !errors.As(err, &e) || e.Kind != tt.kind {
					t.Fatalf("error is %v (%T), want kind %v", err, err, tt.kind)
				}
				mustContain(t, err, tt.want)
				assertNoSecret(t, err)
				if time.Since(start) > 901*time.Second {
					t.Errorf("took %s, longer than the code lives", time.Since(start))
				}
			})
		})
	}
}

func TestDeviceCodeSignInEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &scriptedAuthority{t: t}
		a.script(pendingAnswer())
		ctx, cancel := context.WithCancel(t.Context())
		c := newTestClient(t, newMemoryCache(), a)
		time.AfterFunc(time.Minute, cancel)
		if _, err := c.SignInDeviceCode(ctx, ignoreCode); !errors.Is(err, context.Canceled) {
			t.Errorf("error is %v", err)
		}
		shown := errors.New("no terminal")
		if _, err := c.SignInDeviceCode(t.Context(), func(DeviceCode) error { return shown }); !errors.Is(err, shown) {
			t.Errorf("error is %v", err)
		}
	})
}

// browse plays the browser: it hands address's answer to the loopback
// listener, after whatever else reaches such a port.
func browse(t *testing.T, address string, values url.Values, post bool) (status int, page string) {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	redirect := u.Query().Get("redirect_uri")
	if values.Get("state") == "" {
		values.Set("state", u.Query().Get("state"))
	}
	var resp *http.Response
	if post {
		resp, err = http.PostForm(redirect, values)
	} else {
		resp, err = http.Get(redirect + "/?" + values.Encode())
	}
	if err != nil {
		t.Error(err)
		return 0, ""
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body)
}

func TestBrowserSignIn(t *testing.T) {
	defer http.DefaultClient.CloseIdleConnections()
	for _, post := range []bool{true, false} {
		t.Run(fmt.Sprintf("post=%v", post), func(t *testing.T) {
			a, store := &scriptedAuthority{t: t}, newMemoryCache()
			a.script(issue("at-1", time.Hour, ""))
			c := newTestClient(t, store, a)
			pages := make(chan string, 1)
			var asked url.Values
			got, err := c.SignInBrowser(t.Context(), func(address string) error {
				u, _ := url.Parse(address)
				asked = u.Query()
				go func() {
					redirect := asked.Get("redirect_uri")
					for _, stray := range []string{redirect, redirect + "/favicon.ico", redirect + "/?state=wrong&code=evil", redirect + "/?error=access_denied"} {
						if resp, err := http.Get(stray); err != nil || resp.StatusCode < 400 {
							t.Errorf("a stray request to %s: %v, %v", stray, resp, err)
						} else {
							resp.Body.Close()
						}
					}
					browse(t, address, url.Values{"code": {"evil"}, "iss": {"https://evil.example/"}}, post)
					_, page := browse(t, address, url.Values{"code": {"the-code"}}, post)
					pages <- page
				}()
				return nil
			}, WithLoginHint("ada@contoso.example"), WithClaims(`{"access_token":{"acrs":{"essential":true,"value":"c1"}}}`))
			if err != nil {
				t.Fatal(err)
			}
			if page := <-pages; !strings.Contains(page, "close this tab") {
				t.Errorf("the page says %q", page)
			}
			if got.Account.Username != "ada@contoso.example" {
				t.Errorf("signed in: %+v", got)
			}
			if asked.Get("code_challenge_method") != "S256" || asked.Get("response_mode") != "form_post" || asked.Get("login_hint") == "" ||
				asked.Get("client_id") != testClientID || !strings.Contains(asked.Get("scope"), "offline_access") ||
				!strings.Contains(asked.Get("claims"), "c1") || !strings.HasPrefix(asked.Get("redirect_uri"), "http://localhost:") {
				t.Errorf("asked for %v", asked)
			}
			forms := a.tokenRequests()
			if len(forms) != 1 || forms[0].Get("code") != "the-code" || len(forms[0].Get("code_verifier")) < 43 || forms[0].Get("redirect_uri") != asked.Get("redirect_uri") {
				t.Errorf("token requests: %v", forms)
			}
			if token, err := c.Token(t.Context()); err != nil || token.Value.Reveal() != "at-1" {
				t.Errorf("token: %v, %v", token.Value.Reveal(), err)
			}
		})
	}
}

func TestBrowserSignInFailures(t *testing.T) {
	defer http.DefaultClient.CloseIdleConnections()
	tests := []struct {
		name   string
		reply  url.Values
		answer func(*http.Request, url.Values) (*http.Response, error)
		kind   Kind
		want   string
	}{
		{"the person cancels", url.Values{"error": {"access_denied"}, "error_description": {"AADSTS65004: declined <b>"}}, nil, KindDeclined, "65004"},
		{"not assigned", url.Values{"error": {"interaction_required"}, "error_description": {"AADSTS50105: not assigned"}}, nil, KindSignInRequired, "Users and groups"},
		{"the code is refused", url.Values{"code": {"the-code"}}, respond(400, `{"error":"invalid_grant","error_codes":[53003]}`), KindBlocked, "Conditional Access"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := &scriptedAuthority{t: t}
			a.script(tt.answer)
			pages := make(chan string, 1)
			_, err := newTestClient(t, newMemoryCache(), a).SignInBrowser(t.Context(), func(address string) error {
				go func() {
					_, page := browse(t, address, tt.reply, true)
					pages <- page
				}()
				return nil
			})
			var e *Error
			if !errors.As(err, &e) || e.Kind != tt.kind {
				t.Fatalf("error is %v, want kind %v", err, tt.kind)
			}
			mustContain(t, err, tt.want)
			assertNoSecret(t, err)
			if page := <-pages; !strings.Contains(page, "failed") || strings.Contains(page, "<b>") {
				t.Errorf("the page says %q", page)
			}
		})
	}
}

func TestBrowserThatDoesNotOpen(t *testing.T) {
	no := errors.New("no browser")
	c := newTestClient(t, newMemoryCache(), &scriptedAuthority{t: t})
	if _, err := c.SignInBrowser(t.Context(), func(string) error { return no }); !errors.Is(err, no) {
		t.Errorf("error is %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := c.SignInBrowser(ctx, func(string) error { cancel(); return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
}

func TestBrowserSignInThatNobodyFinishes(t *testing.T) {
	cb, err := listenCallback("state", "login.microsoftonline.com")
	if err != nil {
		t.Fatal(err)
	}
	defer cb.close()
	opened := make(chan error, 1)
	opened <- nil
	_, err = cb.wait(t.Context(), opened, time.Millisecond)
	var e *Error
	if !errors.As(err, &e) || e.Kind != KindExpired {
		t.Errorf("error is %v", err)
	}
}
