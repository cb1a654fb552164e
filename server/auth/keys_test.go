package auth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// bubble runs a test in a synctest bubble, whose clock starts anew and moves
// only when everything waits, with a verifier on that clock.
func bubble(t *testing.T, test func(t *testing.T, f *fakeAuthority, v *Verifier)) {
	t.Helper()
	testKey()
	otherKey() // slow to make; not inside the bubble
	synctest.Test(t, func(t *testing.T) {
		f := newFakeAuthority()
		o := testOptions(f, newClock())
		o.Now = time.Now
		v := newVerifier(t, o)
		test(t, f, v)
	})
}

// serial makes tokens differ, so that none is answered from the cache.
var serial atomic.Int64

// fresh is a token that is valid from now on, unlike any before.
func fresh(kid string, lifetime time.Duration) string { return freshToken(kid, lifetime).sign() }

func freshToken(kid string, lifetime time.Duration) *testToken {
	now := time.Now()
	return v2Token().withHeader(m{"kid": kid}).with(m{
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(lifetime).Unix(), "uti": fmt.Sprint(serial.Add(1)),
	})
}

// madeUp is like fresh, with a signature that costs nothing.
func madeUp(kid string) string {
	t := freshToken(kid, time.Hour)
	return b64([]byte(mustJSON(t.header))) + "." + b64([]byte(mustJSON(t.claims))) + ".AAAA"
}

func wantUnavailable(t *testing.T, err error) *UnavailableError {
	t.Helper()
	var unavailable *UnavailableError
	if !errors.As(err, &unavailable) {
		t.Fatalf("got %v, want the authority to be unavailable", err)
	}
	if unavailable.RetryAfter < time.Second {
		t.Fatalf("retry after %v is less than a second", unavailable.RetryAfter)
	}
	return unavailable
}

func wantGood(t *testing.T, v *Verifier, raw string) {
	t.Helper()
	if _, err := v.Verify(context.Background(), raw); err != nil {
		t.Fatal(err)
	}
}

func wantFetches(t *testing.T, f *fakeAuthority, want int) {
	t.Helper()
	synctest.Wait() // for a refresh in the background
	if got := f.fetches(); got != want {
		t.Fatalf("%d fetches, want %d", got, want)
	}
}

func TestKeysAreFetchedOnceAndHourly(t *testing.T) {
	bubble(t, func(t *testing.T, f *fakeAuthority, v *Verifier) {
		wantFetches(t, f, 0) // not before they are needed
		for range 5 {
			wantGood(t, v, fresh("kid-1", time.Hour))
		}
		wantFetches(t, f, 1)
		time.Sleep(59 * time.Minute)
		wantGood(t, v, fresh("kid-1", time.Hour))
		wantFetches(t, f, 1)
		time.Sleep(time.Minute)
		wantGood(t, v, fresh("kid-1", time.Hour))
		wantFetches(t, f, 2)
	})
}

func TestCachedTokensKeepKeysFresh(t *testing.T) {
	bubble(t, func(t *testing.T, f *fakeAuthority, v *Verifier) {
		token := fresh("kid-1", 48*time.Hour)
		for range 6 {
			wantGood(t, v, token)
			time.Sleep(time.Hour)
		}
		wantFetches(t, f, 6)
	})
}

func TestRefreshDoesNotDelayRequests(t *testing.T) {
	bubble(t, func(t *testing.T, f *fakeAuthority, v *Verifier) {
		wantGood(t, v, fresh("kid-1", time.Hour))
		time.Sleep(2 * time.Hour)
		f.set(func(f *fakeAuthority) { f.hold = make(chan struct{}) })
		before := time.Now()
		wantGood(t, v, fresh("kid-1", time.Hour))
		if waited := time.Since(before); waited != 0 {
			t.Errorf("the request waited %v for a refresh", waited)
		}
		close(f.hold)
	})
}

func TestSimultaneousRequestsShareOneFetch(t *testing.T) {
	bubble(t, func(t *testing.T, f *fakeAuthority, v *Verifier) {
		hold := make(chan struct{})
		f.set(func(f *fakeAuthority) { f.hold = hold })
		var wg sync.WaitGroup
		for range 50 {
			token := fresh("kid-1", time.Hour)
			wg.Go(func() { wantGoodIn(t, v, token) })
		}
		synctest.Wait()
		close(hold)
		wg.Wait()
		wantFetches(t, f, 1)
	})
}

func wantGoodIn(t *testing.T, v *Verifier, raw string) {
	if _, err := v.Verify(context.Background(), raw); err != nil {
		t.Error(err)
	}
}

func TestOneImpatientCallerDoesNotSpoilTheFetch(t *testing.T) {
	bubble(t, func(t *testing.T, f *fakeAuthority, v *Verifier) {
		hold := make(chan struct{})
		f.set(func(f *fakeAuthority) { f.hold = hold })
		patient := make(chan error, 1)
		token := fresh("kid-1", time.Hour)
		go func() {
			_, err := v.Verify(context.Background(), token)
			patient <- err
		}()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if _, err := v.Verify(ctx, fresh("kid-1", time.Hour)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the caller's own deadline", err)
		}
		close(hold)
		if err := <-patient; err != nil {
			t.Error(err)
		}
	})
}

func TestRollover(t *testing.T) {
	bubble(t, func(t *testing.T, f *fakeAuthority, v *Verifier) {
		wantGood(t, v, fresh("kid-1", time.Hour))
		f.set(func(f *fakeAuthority) { f.keys["kid-2"] = testKey() })
		wantGood(t, v, fresh("kid-2", time.Hour)) // fetched at once
		wantGood(t, v, fresh("kid-1", time.Hour))
		wantFetches(t, f, 2)
	})
}

// TestWithdrawnKey replaces the key as after a theft: cached verdicts that rest
// on it must go with it.
func TestWithdrawnKey(t *testing.T) {
	for name, replacement := range map[string]map[string]any{
		"removed":                   {"kid-2": otherKey()},
		"same id, other key":        {"kid-1": otherKey()},
		"weak key":                  {"kid-1": weakJWK(), "kid-2": otherKey()},
		"ambiguous":                 {"kid-1": testKey(), "again": publicJWK("kid-1", &otherKey().PublicKey), "kid-2": otherKey()},
		"not for signatures":        {"kid-1": changedJWK("use", "enc"), "kid-2": otherKey()},
		"for another algorithm":     {"kid-1": changedJWK("alg", "RS512"), "kid-2": otherKey()},
		"of another cloud instance": {"kid-1": changedJWK("cloud_instance_name", "microsoftonline.us"), "kid-2": otherKey()},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, f *fakeAuthority, v *Verifier) {
				f.set(func(f *fakeAuthority) { f.cloud = "microsoftonline.com" })
				token := fresh("kid-1", 24*time.Hour)
				wantGood(t, v, token)
				f.set(func(f *fakeAuthority) { f.keys = replacement })
				time.Sleep(time.Hour)
				wantGood(t, v, token) // sets off the refresh
				synctest.Wait()
				_, err := v.Verify(context.Background(), token)
				var refusal *Refusal
				if !errors.As(err, &refusal) || refusal.Rule != RuleUnknownKey && refusal.Rule != RuleSignature {
					t.Errorf("got %v, want the withdrawn key to be noticed", err)
				}
			})
		})
	}
}

func weakJWK() map[string]any {
	jwk := publicJWK("kid-1", &testKey().PublicKey)
	jwk["n"] = b64(testKey().N.Bytes()[:64])
	return jwk
}

func changedJWK(name, value string) map[string]any {
	jwk := publicJWK("kid-1", &testKey().PublicKey)
	jwk[name] = value
	return jwk
}

func TestFloodOfUnknownKeys(t *testing.T) {
	bubble(t, func(t *testing.T, f *fakeAuthority, v *Verifier) {
		wantGood(t, v, fresh("kid-1", time.Hour))
		for minute := range 20 {
			for i := range 50 {
				_, err := v.Verify(context.Background(), madeUp(fmt.Sprintf("made-up-%d-%d", minute, i)))
				wantRule(t, err, RuleUnknownKey)
			}
			wantGood(t, v, fresh("kid-1", time.Hour)) // others are not disturbed
			time.Sleep(time.Minute)
		}
		wantFetches(t, f, 1+20/5) // the first, then one every five minutes
	})
}

func TestFloodOnAColdServer(t *testing.T) {
	bubble(t, func(t *testing.T, f *fakeAuthority, v *Verifier) {
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() { _, _ = v.Verify(context.Background(), madeUp(fmt.Sprint("made-up-", i))) })
		}
		wg.Wait()
		synctest.Wait()
		if n := f.fetches(); n > 2 {
			t.Errorf("%d fetches for 100 unknown keys", n)
		}
	})
}

func TestOutageAtStart(t *testing.T) {
	bubble(t, func(t *testing.T, f *fakeAuthority, v *Verifier) {
		f.set(func(f *fakeAuthority) { f.err = errors.New("connection refused") })
		for range 100 {
			_, err := v.Verify(context.Background(), fresh("kid-1", time.Hour))
			if !strings.Contains(wantUnavailable(t, err).Error(), "connection refused") {
				t.Fatalf("%v does not say why", err)
			}
		}
		wantFetches(t, f, 1) // further attempts wait
		f.set(func(f *fakeAuthority) { f.err = nil })
		time.Sleep(time.Second)
		wantGood(t, v, fresh("kid-1", time.Hour))
	})
}

func TestLongOutageIsNotHammered(t *testing.T) {
	bubble(t, func(t *testing.T, f *fakeAuthority, v *Verifier) {
		f.set(func(f *fakeAuthority) { f.status = http.StatusServiceUnavailable })
		for range 3600 {
			_, err := v.Verify(context.Background(), madeUp("kid-1"))
			wantUnavailable(t, err)
			time.Sleep(time.Second)
		}
		if n := f.fetches(); n < 60 || n > 70 {
			t.Errorf("%d attempts in an hour, want about one a minute", n)
		}
	})
}

func TestSilentAuthorityIsGivenUp(t *testing.T) {
	bubble(t, func(t *testing.T, f *fakeAuthority, v *Verifier) {
		f.set(func(f *fakeAuthority) { f.hold = make(chan struct{}) })
		before := time.Now()
		_, err := v.Verify(context.Background(), fresh("kid-1", time.Hour))
		wantUnavailable(t, err)
		if waited := time.Since(before); waited != fetchTimeout {
			t.Errorf("gave up after %v, want %v", waited, fetchTimeout)
		}
	})
}

func TestLastKnownGoodIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T, f *fakeAuthority, v *Verifier) {
		token := fresh("kid-1", 48*time.Hour)
		wantGood(t, v, token)
		f.set(func(f *fakeAuthority) { f.err = errors.New("no route to host") })
		for range 23 {
			time.Sleep(time.Hour)
			wantGood(t, v, token)                     // cached
			wantGood(t, v, fresh("kid-1", time.Hour)) // new
		}
		// A key we do not have may be new: not the caller's fault.
		_, err := v.Verify(context.Background(), fresh("kid-2", time.Hour))
		wantUnavailable(t, err)

		time.Sleep(time.Hour)
		for _, raw := range []string{token, fresh("kid-1", time.Hour)} {
			_, err := v.Verify(context.Background(), raw)
			wantUnavailable(t, err)
		}
		f.set(func(f *fakeAuthority) { f.err = nil })
		time.Sleep(retryMost)
		wantGood(t, v, token)
	})
}

// TestBadDocumentsKeepGoodKeys has the authority answer nonsense.
func TestBadDocumentsKeepGoodKeys(t *testing.T) {
	metadataURL := "https://login.microsoftonline.com/" + testTenant + "/v2.0/.well-known/openid-configuration"
	keysURL := "https://login.microsoftonline.com/" + testTenant + "/discovery/v2.0/keys"
	metadata := func(issuer, keys string) string { return mustJSON(m{"issuer": issuer, "jwks_uri": keys}) }
	issuer := "https://login.microsoftonline.com/" + testTenant + "/v2.0"
	tests := []struct {
		name   string
		change func(*fakeAuthority)
		want   string
	}{
		{"metadata not JSON", func(f *fakeAuthority) { f.override[metadataURL] = "<html>" }, "not the expected JSON"},
		{"metadata too large", func(f *fakeAuthority) { f.override[metadataURL] = strings.Repeat(" ", maxMetadata+1) }, "more than"},
		{"metadata of another issuer", func(f *fakeAuthority) { f.override[metadataURL] = metadata("https://evil.example/", keysURL) }, "not of this tenant"},
		{"metadata of every tenant", func(f *fakeAuthority) {
			f.override[metadataURL] = metadata("https://login.microsoftonline.com/{tenantid}/v2.0", keysURL)
		}, "not of this tenant"},
		{"keys elsewhere", func(f *fakeAuthority) { f.override[metadataURL] = metadata(issuer, "https://evil.example/keys") }, "outside the authority"},
		{"keys in the clear", func(f *fakeAuthority) {
			f.override[metadataURL] = metadata(issuer, strings.Replace(keysURL, "https", "http", 1))
		}, "outside the authority"},
		{"keys at another port", func(f *fakeAuthority) {
			f.override[metadataURL] = metadata(issuer, "https://login.microsoftonline.com:8443/keys")
		}, "outside the authority"},
		{"keys not JSON", func(f *fakeAuthority) { f.override[keysURL] = "oops" }, "not a JSON Web Key Set"},
		{"keys too large", func(f *fakeAuthority) { f.override[keysURL] = strings.Repeat(" ", maxKeyDoc+1) }, "more than"},
		{"too many keys", func(f *fakeAuthority) {
			f.override[keysURL] = `{"keys":[` + strings.Repeat(`{},`, maxKeys) + `{}]}`
		}, "more than 100"},
		{"no keys", func(f *fakeAuthority) { f.override[keysURL] = `{"keys":[]}` }, "no usable signing key"},
		{"only a symmetric key", func(f *fakeAuthority) {
			f.override[keysURL] = `{"keys":[{"kty":"oct","kid":"kid-1","k":"AAAA"}]}`
		}, "no usable signing key"},
		{"redirect", func(f *fakeAuthority) { f.status = http.StatusFound }, "HTTP status 302"},
		{"not found", func(f *fakeAuthority) { f.status = http.StatusNotFound }, "HTTP status 404"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, f *fakeAuthority, v *Verifier) {
				wantGood(t, v, fresh("kid-1", time.Hour))
				f.set(tt.change)
				_, err := v.Verify(context.Background(), fresh("kid-2", time.Hour))
				if unavailable := wantUnavailable(t, err); !strings.Contains(unavailable.Error(), tt.want) {
					t.Errorf("%q lacks %q", unavailable, tt.want)
				}
				wantGood(t, v, fresh("kid-1", time.Hour))
				for _, u := range f.requests {
					if strings.Contains(u, "evil") {
						t.Errorf("%s was asked", u)
					}
				}
			})
		})
	}
}

func TestTenantsDoNotShareKeys(t *testing.T) {
	f := newFakeAuthority()
	o := testOptions(f, newClock())
	o.TenantIDs = []string{testTenant, otherTenant}
	v := newVerifier(t, o)
	wantGood(t, v, v2Token().sign())
	f.set(func(f *fakeAuthority) { f.keys = map[string]any{"kid-1": otherKey()} })
	foreign := v2Token().with(m{"tid": otherTenant, "iss": "https://login.microsoftonline.com/" + otherTenant + "/v2.0"})
	_, err := v.Verify(context.Background(), foreign.sign())
	wantRule(t, err, RuleSignature) // not by the first tenant's key of the same id
}

func TestCloseEndsFetches(t *testing.T) {
	bubble(t, func(t *testing.T, f *fakeAuthority, v *Verifier) {
		f.set(func(f *fakeAuthority) { f.hold = make(chan struct{}) })
		done := make(chan error, 1)
		token := fresh("kid-1", time.Hour)
		go func() {
			_, err := v.Verify(context.Background(), token)
			done <- err
		}()
		synctest.Wait()
		if err := v.Close(); err != nil {
			t.Fatal(err)
		}
		wantUnavailable(t, <-done)
		_, err := v.Verify(context.Background(), fresh("kid-1", time.Hour))
		wantUnavailable(t, err)
	})
}
