// Package statetest is the contract that every implementation of state.Store
// has to keep, as tests.
package statetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mcpctl/mcpctl/server/state"
)

// Harness makes stores for the contract.
type Harness struct {
	// Open returns an empty store; the contract closes it.
	Open func(t *testing.T) state.Store
	// Advance lets time pass for every open store.
	Advance func(d time.Duration)
}

// Run tests the whole contract.
func Run(t *testing.T, h Harness) {
	for _, part := range []struct {
		name string
		test func(*testing.T, Harness, state.Store)
	}{
		{"SessionsBelongToTheirOwner", sessions},
		{"SessionsExpire", sessionsExpire},
		{"OwnersAreBounded", ownersBounded},
		{"EventsResume", events},
		{"EventsAreBounded", eventsBounded},
		{"EventsGoWithTheirSession", eventsGo},
		{"MailReachesEveryListener", mail},
		{"MailWaitsForSlowListeners", mailWaits},
		{"CacheExpiresAndDrops", cached},
		{"BucketsRefill", buckets},
		{"PlacesAreBounded", places},
		{"ArgumentsAreBounded", bounded},
		{"ConcurrentUse", concurrent},
		{"Closing", closing},
	} {
		t.Run(part.name, func(t *testing.T) {
			s := h.Open(t)
			defer s.Close() //nolint:errcheck // closing twice is allowed
			part.test(t, h, s)
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func want(t *testing.T, err, wanted error) {
	t.Helper()
	if !errors.Is(err, wanted) {
		t.Fatalf("error %v, want %v", err, wanted)
	}
}

func sessions(t *testing.T, _ Harness, s state.Store) {
	ctx := t.Context()
	in := state.Session{ID: "s1", Owner: "ada", Replica: "r1", Data: []byte("x"), Created: time.Unix(1, 0).UTC()}
	must(t, s.PutSession(ctx, in, time.Minute, 0))
	in.Data[0] = 'y' // the store has a copy
	got, err := s.Session(ctx, "s1", "ada", time.Minute)
	must(t, err)
	if string(got.Data) != "x" || got.Replica != "r1" || !got.Created.Equal(in.Created) {
		t.Errorf("got %+v", got)
	}
	_, err = s.Session(ctx, "s1", "grace", time.Minute)
	want(t, err, state.ErrNotFound)
	want(t, s.DeleteSession(ctx, "s1", "grace"), state.ErrNotFound)
	want(t, s.PutSession(ctx, state.Session{ID: "s1", Owner: "grace"}, time.Minute, 0), state.ErrNotFound)
	must(t, s.DeleteSession(ctx, "s1", "ada"))
	_, err = s.Session(ctx, "s1", "ada", time.Minute)
	want(t, err, state.ErrNotFound)
}

func sessionsExpire(t *testing.T, h Harness, s state.Store) {
	ctx := t.Context()
	must(t, s.PutSession(ctx, state.Session{ID: "s1", Owner: "ada"}, time.Minute, 0))
	h.Advance(50 * time.Second)
	_, err := s.Session(ctx, "s1", "ada", time.Minute) // lives on from here
	must(t, err)
	h.Advance(50 * time.Second)
	_, err = s.Session(ctx, "s1", "ada", time.Minute)
	must(t, err)
	h.Advance(61 * time.Second)
	_, err = s.Session(ctx, "s1", "ada", time.Minute)
	want(t, err, state.ErrNotFound)
	n, err := s.CountSessions(ctx, "ada")
	must(t, err)
	if n != 0 {
		t.Errorf("%d sessions are counted", n)
	}
}

func ownersBounded(t *testing.T, h Harness, s state.Store) {
	ctx := t.Context()
	for i := range 2 {
		must(t, s.PutSession(ctx, state.Session{ID: fmt.Sprint(i), Owner: "ada"}, time.Minute, 2))
	}
	want(t, s.PutSession(ctx, state.Session{ID: "2", Owner: "ada"}, time.Minute, 2), state.ErrFull)
	must(t, s.PutSession(ctx, state.Session{ID: "1", Owner: "ada"}, time.Minute, 2)) // replaces
	must(t, s.PutSession(ctx, state.Session{ID: "3", Owner: "grace"}, time.Minute, 2))
	h.Advance(2 * time.Minute)
	must(t, s.PutSession(ctx, state.Session{ID: "2", Owner: "ada"}, time.Minute, 2))
}

func events(t *testing.T, _ Harness, s state.Store) {
	ctx := t.Context()
	for i := range 5 {
		for _, stream := range []string{"a", "b"} {
			id, err := s.AppendEvent(ctx, "s1", stream, fmt.Append(nil, stream, i), 100, time.Minute)
			must(t, err)
			if id != uint64(i+1) {
				t.Errorf("event %d of %s has id %d", i, stream, id)
			}
		}
	}
	got, err := s.EventsAfter(ctx, "s1", "a", 2, 2)
	must(t, err)
	if len(got) != 2 || got[0].ID != 3 || string(got[0].Data) != "a2" || string(got[1].Data) != "a3" {
		t.Errorf("got %+v", got)
	}
	got, err = s.EventsAfter(ctx, "s1", "a", 5, 10)
	must(t, err)
	if len(got) != 0 {
		t.Errorf("got %+v after the last", got)
	}
	_, err = s.EventsAfter(ctx, "s1", "a", 9, 10)
	want(t, err, state.ErrGap)
	_, err = s.EventsAfter(ctx, "other", "a", 1, 10)
	want(t, err, state.ErrGap)
}

func eventsBounded(t *testing.T, h Harness, s state.Store) {
	ctx := t.Context()
	for i := range 10 {
		_, err := s.AppendEvent(ctx, "s1", "a", fmt.Append(nil, i), 3, time.Minute)
		must(t, err)
	}
	got, err := s.EventsAfter(ctx, "s1", "a", 2, 10)
	want(t, err, state.ErrGap)
	if len(got) != 3 || got[0].ID != 8 {
		t.Errorf("got %+v", got)
	}
	got, err = s.EventsAfter(ctx, "s1", "a", 7, 10)
	must(t, err)
	if len(got) != 3 {
		t.Errorf("got %+v", got)
	}
	h.Advance(2 * time.Minute)
	_, err = s.EventsAfter(ctx, "s1", "a", 7, 10)
	want(t, err, state.ErrGap)
}

func eventsGo(t *testing.T, _ Harness, s state.Store) {
	ctx := t.Context()
	must(t, s.PutSession(ctx, state.Session{ID: "s1", Owner: "ada"}, time.Minute, 0))
	_, err := s.AppendEvent(ctx, "s1", "a", []byte("x"), 3, time.Minute)
	must(t, err)
	must(t, s.DeleteSession(ctx, "s1", "ada"))
	if got, _ := s.EventsAfter(ctx, "s1", "a", 0, 10); len(got) != 0 {
		t.Errorf("events outlive their session: %+v", got)
	}
}

// listen starts a listener and returns once it is ready.
func listen(t *testing.T, ctx context.Context, s state.Store, topic string, handle func([]byte)) *sync.WaitGroup { //nolint:revive // t comes first in tests
	t.Helper()
	ready := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		if err := s.Listen(ctx, topic, ready, handle); !errors.Is(err, context.Canceled) {
			t.Errorf("Listen: %v", err)
		}
	})
	<-ready
	return &running
}

func mail(t *testing.T, _ Harness, s state.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	if n, err := s.Send(ctx, "a", []byte("lost")); err != nil || n != 0 {
		t.Errorf("without listeners: %d, %v", n, err)
	}
	const messages = 200
	var mu sync.Mutex
	var got [2][]string
	var all sync.WaitGroup
	all.Add(2 * messages)
	var running []*sync.WaitGroup
	for i := range got {
		running = append(running, listen(t, ctx, s, "a", func(data []byte) {
			mu.Lock()
			defer mu.Unlock()
			got[i] = append(got[i], string(data))
			all.Done()
		}))
	}
	other := listen(t, ctx, s, "b", func(data []byte) { t.Errorf("topic b got %q", data) })
	var sent []string
	for i := range messages {
		text := fmt.Sprint("m", i)
		sent = append(sent, text)
		if n, err := s.Send(ctx, "a", []byte(text)); err != nil || n != 2 {
			t.Fatalf("%d listeners, %v", n, err)
		}
	}
	all.Wait()
	cancel()
	for i, r := range append(running, other) {
		r.Wait()
		if i < 2 && !slices.Equal(got[i], sent) {
			t.Errorf("listener %d got %d messages, not in order", i, len(got[i]))
		}
	}
}

func mailWaits(t *testing.T, _ Harness, s state.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	hold := make(chan struct{})
	var got sync.WaitGroup
	got.Add(1000)
	running := listen(t, ctx, s, "a", func([]byte) { <-hold; got.Done() })
	sent := make(chan int)
	go func() {
		n := 0
		for range 1000 {
			if _, err := s.Send(ctx, "a", []byte("x")); err == nil {
				n++
			}
		}
		sent <- n
	}()
	close(hold)
	if n := <-sent; n != 1000 {
		t.Errorf("%d messages were sent", n)
	}
	got.Wait()
	cancel()
	running.Wait()
}

func cached(t *testing.T, h Harness, s state.Store) {
	ctx := t.Context()
	_, err := s.Cached(ctx, "k")
	want(t, err, state.ErrNotFound)
	value := []byte("v")
	must(t, s.PutCached(ctx, "k", value, time.Minute, "t1", "t2"))
	must(t, s.PutCached(ctx, "k2", []byte("v2"), time.Minute, "t2"))
	must(t, s.PutCached(ctx, "k3", []byte("v3"), time.Minute))
	value[0] = 'x'
	got, err := s.Cached(ctx, "k")
	must(t, err)
	if string(got) != "v" {
		t.Errorf("got %q", got)
	}
	must(t, s.DropCached(ctx, "t1"))
	_, err = s.Cached(ctx, "k")
	want(t, err, state.ErrNotFound)
	_, err = s.Cached(ctx, "k2")
	must(t, err)
	must(t, s.PutCached(ctx, "k2", []byte("new"), time.Minute)) // replaces, without tags
	must(t, s.DropCached(ctx, "t2"))
	got, err = s.Cached(ctx, "k2")
	must(t, err)
	if string(got) != "new" {
		t.Errorf("got %q", got)
	}
	h.Advance(2 * time.Minute)
	_, err = s.Cached(ctx, "k3")
	want(t, err, state.ErrNotFound)
}

func buckets(t *testing.T, h Harness, s state.Store) {
	ctx := t.Context()
	take := func(key string) (bool, time.Duration) {
		t.Helper()
		ok, wait, err := s.Take(ctx, key, 2, 3)
		must(t, err)
		return ok, wait
	}
	for i := range 3 {
		if ok, _ := take("a"); !ok {
			t.Fatalf("use %d of 3 was refused", i+1)
		}
	}
	ok, wait := take("a")
	if ok || wait <= 0 || wait > time.Second {
		t.Errorf("the fourth: %v, wait %v", ok, wait)
	}
	if ok, _ := take("b"); !ok {
		t.Error("another key is limited too")
	}
	h.Advance(wait + 10*time.Millisecond)
	if ok, _ := take("a"); !ok {
		t.Error("after the wait there is still none")
	}
	h.Advance(time.Hour)
	for range 3 {
		if ok, _ := take("a"); !ok {
			t.Error("it does not fill up")
		}
	}
	if ok, _ := take("a"); ok {
		t.Error("it fills above its burst")
	}
}

func places(t *testing.T, h Harness, s state.Store) {
	ctx := t.Context()
	enter := func() (func(), bool) {
		t.Helper()
		leave, ok, err := s.Enter(ctx, "a", 2, time.Minute)
		must(t, err)
		return leave, ok
	}
	first, _ := enter()
	if _, ok := enter(); !ok {
		t.Fatal("the second was refused")
	}
	if leave, ok := enter(); ok || leave != nil {
		t.Error("the third got a place")
	}
	first()
	first() // leaving twice frees one place
	if _, ok := enter(); !ok {
		t.Error("a place that was left is not free")
	}
	if _, ok := enter(); ok {
		t.Error("leaving twice freed two places")
	}
	h.Advance(2 * time.Minute)
	if _, ok := enter(); !ok {
		t.Error("an abandoned place is never free again")
	}
}

func bounded(t *testing.T, _ Harness, s state.Store) {
	ctx := t.Context()
	long := strings.Repeat("k", state.MaxKey+1)
	want(t, s.PutSession(ctx, state.Session{ID: long}, time.Minute, 0), state.ErrTooLarge)
	_, err := s.AppendEvent(ctx, "s", long, nil, 1, time.Minute)
	want(t, err, state.ErrTooLarge)
	_, err = s.Send(ctx, long, nil)
	want(t, err, state.ErrTooLarge)
	want(t, s.PutCached(ctx, "k", make([]byte, state.MaxValue+1), time.Minute), state.ErrTooLarge)
	_, _, err = s.Take(ctx, long, 1, 1)
	want(t, err, state.ErrTooLarge)
}

func concurrent(t *testing.T, _ Harness, s state.Store) {
	ctx := t.Context()
	var wg sync.WaitGroup
	var taken atomic.Int64
	for i := range 20 {
		wg.Go(func() {
			id := fmt.Sprint("s", i)
			for range 50 {
				_ = s.PutSession(ctx, state.Session{ID: id, Owner: "ada"}, time.Minute, 0)
				_, _ = s.AppendEvent(ctx, id, "a", []byte("x"), 10, time.Minute)
				_ = s.PutCached(ctx, id, []byte("v"), time.Minute, "t")
				_ = s.DropCached(ctx, "t")
				if ok, _, err := s.Take(ctx, "shared", 0, 100); err == nil && ok {
					taken.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if taken.Load() != 100 {
		t.Errorf("%d uses were taken from a bucket of 100", taken.Load())
	}
	n, err := s.CountSessions(ctx, "ada")
	must(t, err)
	if n != 20 {
		t.Errorf("%d sessions", n)
	}
}

func closing(t *testing.T, _ Harness, s state.Store) {
	ready := make(chan struct{})
	ended := make(chan error, 1)
	go func() { ended <- s.Listen(t.Context(), "a", ready, func([]byte) {}) }()
	<-ready
	must(t, s.Close())
	must(t, s.Close())
	if err := <-ended; err == nil {
		t.Error("Listen ended without an error")
	}
	_, err := s.Cached(t.Context(), "k")
	want(t, err, state.ErrClosed)
}
