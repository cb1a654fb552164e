package auth

import (
	"context"
	"fmt"
	"testing"
	"time"
)

func TestVerdictEndsWithTheToken(t *testing.T) {
	c := newClock()
	v := newVerifier(t, testOptions(newFakeAuthority(), c))
	token := v2Token().with(m{"exp": start.Add(10 * time.Minute).Unix()}).sign()
	first, err := v.Verify(context.Background(), token)
	if err != nil {
		t.Fatal(err)
	}
	c.Advance(10*time.Minute - time.Second)
	if p, err := v.Verify(context.Background(), token); err != nil || p != first {
		t.Errorf("got %p, %v; want the remembered caller", p, err)
	}
	c.Advance(time.Second) // within the skew, but not from the cache
	if p, err := v.Verify(context.Background(), token); err != nil || p == first {
		t.Errorf("got %p, %v; want the token examined anew", p, err)
	}
	c.Advance(5 * time.Minute)
	_, err = v.Verify(context.Background(), token)
	wantRule(t, err, RuleExpired)
}

func TestCacheIsBounded(t *testing.T) {
	o := testOptions(newFakeAuthority(), newClock())
	o.CacheSize = 3
	v := newVerifier(t, o)
	tokens := make([]string, 5)
	callers := make([]*Principal, 5)
	for i := range tokens {
		tokens[i] = v2Token().with(m{"uti": fmt.Sprint(i)}).sign()
		callers[i], _ = v.Verify(context.Background(), tokens[i])
		// The first token is used all the time, so it stays.
		if p, _ := v.Verify(context.Background(), tokens[0]); p != callers[0] {
			t.Fatalf("the most used token was forgotten after %d", i)
		}
	}
	if n := len(v.cache.entries); n != 3 || v.cache.recent.Len() != 3 {
		t.Errorf("%d verdicts are kept, want 3", n)
	}
	for i, kept := range []bool{true, false, false, true, true} {
		if p := v.cache.get(sumOf(tokens[i]), start); (p != nil) != kept {
			t.Errorf("token %d kept: %v, want %v", i, p != nil, kept)
		}
	}
}

func TestRefusalsAreNotRemembered(t *testing.T) {
	v := newVerifier(t, testOptions(newFakeAuthority(), newClock()))
	for i := range 20 {
		_, _ = v.Verify(context.Background(), v2Token().with(m{"scp": fmt.Sprint("Other", i)}).sign())
	}
	if n := len(v.cache.entries); n != 0 {
		t.Errorf("%d refusals are kept", n)
	}
}
