package auth

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Readiness follows the keys: fetched when first asked for, last known good
// during an outage, gone a day later, back when the authority is.
func TestKeysHeld(t *testing.T) {
	bubble(t, func(t *testing.T, f *fakeAuthority, v *Verifier) {
		want := func(text string) {
			t.Helper()
			synctest.Wait()
			err := v.KeysHeld()
			if text == "" && err != nil || text != "" && (err == nil || !strings.Contains(err.Error(), text)) {
				t.Errorf("got %v, want %q", err, text)
			}
		}
		want("1 of 1 tenants are being fetched")
		want("")
		f.set(func(f *fakeAuthority) { f.status = http.StatusBadGateway })
		time.Sleep(23 * time.Hour)
		want("") // last known good
		time.Sleep(2 * time.Hour)
		want("being fetched") // too old now
		want("can't be fetched")
		f.set(func(f *fakeAuthority) { f.status = http.StatusOK })
		time.Sleep(retryMost)
		_ = v.KeysHeld() // asks again
		want("")
	})
}

func TestFetchKeys(t *testing.T) {
	bubble(t, func(t *testing.T, f *fakeAuthority, v *Verifier) {
		if err := v.FetchKeys(context.Background()); err != nil {
			t.Error(err)
		}
		f.set(func(f *fakeAuthority) { f.status = http.StatusBadGateway })
		err := v.FetchKeys(context.Background())
		if err == nil || strings.Count(err.Error(), testTenant) < 2 {
			t.Errorf("got %v, want a reason for each version", err)
		}
	})
}

func TestObserver(t *testing.T) {
	f := newFakeAuthority()
	o := testOptions(f, newClock())
	var mu sync.Mutex
	var results []string
	fetches := 0
	o.Observer = Observer{
		Verified: func(result string) { mu.Lock(); defer mu.Unlock(); results = append(results, result) },
		Fetched:  func(error) { mu.Lock(); defer mu.Unlock(); fetches++ },
	}
	v := newVerifier(t, o)
	token := v2Token().sign()
	wantGood(t, v, token)
	wantGood(t, v, token)
	if _, err := v.Verify(context.Background(), "x.y.z"); err == nil {
		t.Error("a bad token is good")
	}
	mu.Lock()
	defer mu.Unlock()
	if !slices.Equal(results, []string{"cold", "cached", "refused"}) || fetches != 1 {
		t.Errorf("%v after %d fetches", results, fetches)
	}
}

// Other permissions hold for tokens that were good before, and need no
// authority.
func TestWithPermissions(t *testing.T) {
	f := newFakeAuthority()
	v := newVerifier(t, testOptions(f, newClock()))
	token := v2Token().sign()
	wantGood(t, v, token)
	f.set(func(f *fakeAuthority) { f.status = http.StatusBadGateway })
	stricter, err := v.WithPermissions(Options{RequiredScopes: []string{"Another"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stricter.Verify(context.Background(), token); err == nil {
		t.Error("a token without the scope is good")
	} else {
		wantRule(t, err, RuleScope)
	}
	again, err := stricter.WithPermissions(Options{RequiredScopes: []string{testScope}})
	if err != nil {
		t.Fatal(err)
	}
	wantGood(t, again, token)
	if _, err := v.WithPermissions(Options{}); err == nil {
		t.Error("nobody could come in")
	}
}
