package statetest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/mcpctl/mcpctl/server/state"
)

var cacheParts = []part{
	{"CacheDropsByTag", cached},
	{"CacheReplaces", cacheReplaces},
	{"CacheExpires", cacheExpires},
	{"CacheUsedAtOnce", cacheAtOnce},
}

func expectCached(t *testing.T, s state.Store, key, wanted string) {
	t.Helper()
	got, err := s.Cached(t.Context(), key)
	must(t, err)
	if string(got) != wanted {
		t.Errorf("%s is %q, want %q", key, got, wanted)
	}
}

func expectNotCached(t *testing.T, s state.Store, key string) {
	t.Helper()
	_, err := s.Cached(t.Context(), key)
	want(t, err, state.ErrNotFound)
}

func cached(t *testing.T, _ Harness, s state.Store) {
	ctx := t.Context()
	expectNotCached(t, s, "k")
	value := []byte("v")
	must(t, s.PutCached(ctx, "k", value, time.Minute, "t1", "t2"))
	must(t, s.PutCached(ctx, "k2", []byte("v2"), time.Minute, "t2"))
	must(t, s.PutCached(ctx, "k3", []byte("v3"), time.Minute))
	value[0] = 'x' // the store has a copy
	got, err := s.Cached(ctx, "k")
	must(t, err)
	got[0] = 'y' // and so has the caller
	expectCached(t, s, "k", "v")
	must(t, s.DropCached(ctx, "none"))
	must(t, s.DropCached(ctx, "k2")) // a key is no tag
	must(t, s.DropCached(ctx, "t1"))
	expectNotCached(t, s, "k")
	expectCached(t, s, "k2", "v2")
	must(t, s.DropCached(ctx, "t2"))
	expectNotCached(t, s, "k2")
	expectCached(t, s, "k3", "v3")
}

func cacheReplaces(t *testing.T, _ Harness, s state.Store) {
	ctx := t.Context()
	must(t, s.PutCached(ctx, "k", []byte("old"), time.Minute, "t1"))
	must(t, s.PutCached(ctx, "k", []byte("new"), time.Minute, "t2"))
	must(t, s.DropCached(ctx, "t1")) // the old value's tag
	expectCached(t, s, "k", "new")
	must(t, s.DropCached(ctx, "t2"))
	expectNotCached(t, s, "k")
	must(t, s.PutCached(ctx, "k", nil, time.Minute)) // empty is a value
	expectCached(t, s, "k", "")
}

func cacheExpires(t *testing.T, h Harness, s state.Store) {
	ctx := t.Context()
	must(t, s.PutCached(ctx, "short", []byte("v"), 30*time.Second, "t"))
	must(t, s.PutCached(ctx, "long", []byte("v"), 5*time.Minute, "t"))
	must(t, s.PutCached(ctx, "again", []byte("v"), 30*time.Second))
	must(t, s.PutCached(ctx, "again", []byte("v"), 5*time.Minute))
	h.Advance(20 * time.Second)
	expectCached(t, s, "short", "v") // reading does not prolong it
	h.Advance(20 * time.Second)
	expectNotCached(t, s, "short")
	expectCached(t, s, "long", "v")
	expectCached(t, s, "again", "v")
	h.Advance(5 * time.Minute)
	expectNotCached(t, s, "long")
}

func cacheAtOnce(t *testing.T, _ Harness, s state.Store) {
	ctx := t.Context()
	var working sync.WaitGroup
	for i := range 20 {
		working.Go(func() {
			for n := range 50 {
				key, value := fmt.Sprint("k", n%5), fmt.Sprint(n%5, " ", i)
				if err := s.PutCached(ctx, key, []byte(value), time.Minute, "t", key); err != nil {
					t.Error(err)
				}
				var k, who int
				if got, err := s.Cached(ctx, key); err == nil {
					if _, err := fmt.Sscan(string(got), &k, &who); err != nil || k != n%5 {
						t.Errorf("%s is %q", key, got)
					}
				}
				if err := s.DropCached(ctx, key); err != nil {
					t.Error(err)
				}
			}
		})
	}
	working.Wait()
	must(t, s.DropCached(ctx, "t"))
	for n := range 5 {
		expectNotCached(t, s, fmt.Sprint("k", n))
	}
}
