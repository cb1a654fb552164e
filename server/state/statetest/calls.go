package statetest

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/mcpctl/mcpctl/server/state"
)

var callParts = []part{
	{"ArgumentsAreBounded", bounded},
	{"CancelledCallsDoNothing", cancelled},
	{"ClosedStoreRefuses", closed},
	{"ClosingEndsWhatWaits", closing},
}

// calls makes one call of each method, with key as its first argument.
func calls(s state.Store) map[string]func(ctx context.Context, key string) error {
	return map[string]func(ctx context.Context, key string) error{
		"PutSession": func(ctx context.Context, key string) error {
			return s.PutSession(ctx, state.Session{ID: key, Owner: "ada"}, time.Minute, state.Quota{})
		},
		"Session": func(ctx context.Context, key string) error {
			_, err := s.Session(ctx, key, "ada", time.Minute)
			return err
		},
		"DeleteSession": func(ctx context.Context, key string) error { return s.DeleteSession(ctx, key, "ada") },
		"AppendEvent": func(ctx context.Context, key string) error {
			return s.AppendEvent(ctx, key, 1, state.Event{Seq: 1}, roomy)
		},
		"EventsAfter": func(ctx context.Context, key string) error { _, err := s.EventsAfter(ctx, key, 1, 0, 1); return err },
		"Send":        func(ctx context.Context, key string) error { _, err := s.Send(ctx, key, nil); return err },
		"Listen":      func(ctx context.Context, key string) error { return s.Listen(ctx, key, nil, func([]byte) {}) },
		"Cached":      func(ctx context.Context, key string) error { _, err := s.Cached(ctx, key); return err },
		"PutCached": func(ctx context.Context, key string) error {
			return s.PutCached(ctx, key, []byte("v"), time.Minute, "t")
		},
		"DropCached": func(ctx context.Context, key string) error { return s.DropCached(ctx, key) },
		"Take":       func(ctx context.Context, key string) error { _, _, err := s.Take(ctx, key, 0, 1); return err },
		"Enter": func(ctx context.Context, key string) error {
			_, _, err := s.Enter(ctx, key, 1, time.Minute)
			return err
		},
	}
}

func bounded(t *testing.T, _ Harness, s state.Store) {
	long := strings.Repeat("k", state.MaxKey+1)
	ctx := patient(t)
	for name, call := range calls(s) {
		if err := call(ctx, long); !errors.Is(err, state.ErrTooLarge) {
			t.Errorf("%s of a key above the bound: %v", name, err)
		}
	}
	longest := long[1:]
	must(t, s.PutSession(ctx, state.Session{ID: longest, Owner: longest, Replica: longest}, time.Minute, state.Quota{}))
	_, err := s.Session(ctx, longest, longest, time.Minute)
	must(t, err)
	want(t, s.PutSession(ctx, state.Session{ID: "s", Owner: long}, time.Minute, state.Quota{}), state.ErrTooLarge)
	want(t, s.PutSession(ctx, state.Session{ID: "s", Replica: long}, time.Minute, state.Quota{}), state.ErrTooLarge)
	want(t, s.PutCached(ctx, "k", nil, time.Minute, "t", long), state.ErrTooLarge)

	large := make([]byte, state.MaxValue+1)
	want(t, s.PutCached(ctx, "k", large, time.Minute), state.ErrTooLarge)
	want(t, s.AppendEvent(ctx, "s", 1, state.Event{Seq: 1, Data: large}, roomy), state.ErrTooLarge)
	_, err = s.Send(ctx, "a", large)
	want(t, err, state.ErrTooLarge)
	expectNotCached(t, s, "k")
	expect(t, s, "s", 1, 0, 1, nil)
}

func cancelled(t *testing.T, _ Harness, s state.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	must(t, s.PutSession(t.Context(), state.Session{ID: "kept", Owner: "ada"}, time.Minute, state.Quota{}))
	must(t, s.PutCached(t.Context(), "kept", []byte("v"), time.Minute, "kept"))
	for name, call := range calls(s) {
		for _, key := range []string{"k", "kept"} {
			if err := call(ctx, key); !errors.Is(err, context.Canceled) {
				t.Errorf("%s with a cancelled context: %v", name, err)
			}
		}
	}
	_, err := s.Session(t.Context(), "k", "ada", time.Minute)
	want(t, err, state.ErrNotFound)
	_, err = s.Session(t.Context(), "kept", "ada", time.Minute)
	must(t, err)
	expect(t, s, "k", 1, 0, 1, nil)
	expectNotCached(t, s, "k")
	expectCached(t, s, "kept", "v")
	if ok, _, err := s.Take(t.Context(), "k", 0, 1); err != nil || !ok {
		t.Errorf("a use was taken: %v", err)
	}
	if _, ok, err := s.Enter(t.Context(), "k", 1, time.Minute); err != nil || !ok {
		t.Errorf("a place was taken: %v", err)
	}
}

func closed(t *testing.T, _ Harness, s state.Store) {
	must(t, s.PutCached(t.Context(), "k", []byte("v"), time.Minute))
	leave, _, err := s.Enter(t.Context(), "k", 1, time.Minute)
	must(t, err)
	must(t, s.Close())
	must(t, s.Close())
	for name, call := range calls(s) {
		if err := call(patient(t), "k"); !errors.Is(err, state.ErrClosed) {
			t.Errorf("%s of a closed store: %v", name, err)
		}
	}
	leave() // does no harm
}

func closing(t *testing.T, _ Harness, s state.Store) {
	ready, listened, sent := make(chan struct{}), make(chan struct{}), make(chan struct{})
	hold := make(chan struct{})
	go func() {
		defer close(listened)
		if err := s.Listen(t.Context(), "a", ready, func([]byte) { <-hold }); !errors.Is(err, state.ErrClosed) {
			t.Errorf("Listen ended with %v", err)
		}
	}()
	within(t, "a listener", ready)
	waiting := make(chan struct{}, 1)
	go func() {
		defer close(sent)
		data := make([]byte, 1<<20)
		for {
			if _, err := s.Send(t.Context(), "a", data); err != nil {
				if !errors.Is(err, state.ErrClosed) {
					t.Errorf("Send ended with %v", err)
				}
				return
			}
			select {
			case waiting <- struct{}{}:
			default:
			}
		}
	}()
	<-waiting
	must(t, s.Close())
	within(t, "a sender's end", sent)
	close(hold)
	within(t, "a listener's end", listened)
}
