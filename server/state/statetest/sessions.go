package statetest

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mcpctl/mcpctl/server/state"
)

var sessionParts = []part{
	{"SessionsBelongToTheirOwner", sessions},
	{"SessionsAreReplacedWhole", sessionsReplaced},
	{"SessionsExpire", sessionsExpire},
	{"OwnersAreBounded", ownersBounded},
	{"OwnersAreBoundedAtOnce", ownersBoundedAtOnce},
}

func sessions(t *testing.T, _ Harness, s state.Store) {
	ctx := t.Context()
	in := state.Session{ID: "s1", Owner: "ada", Replica: "r1", Created: time.Unix(1, 0).UTC()}
	must(t, s.PutSession(ctx, in, time.Minute, 0))
	got, err := s.Session(ctx, "s1", "ada", time.Minute)
	must(t, err)
	if got.ID != "s1" || got.Owner != "ada" || got.Replica != "r1" || !got.Created.Equal(in.Created) {
		t.Errorf("got %+v", got)
	}
	for _, other := range []string{"grace", "", "ADA", "ada ", "s1"} {
		_, err = s.Session(ctx, "s1", other, time.Minute)
		want(t, err, state.ErrNotFound)
		want(t, s.DeleteSession(ctx, "s1", other), state.ErrNotFound)
		want(t, s.PutSession(ctx, state.Session{ID: "s1", Owner: other, Replica: "r2"}, time.Minute, 0), state.ErrConflict)
	}
	// None of that has changed anything.
	got, err = s.Session(ctx, "s1", "ada", time.Minute)
	must(t, err)
	if got.Replica != "r1" {
		t.Errorf("got %+v", got)
	}
	must(t, s.DeleteSession(ctx, "s1", "ada"))
	_, err = s.Session(ctx, "s1", "ada", time.Minute)
	want(t, err, state.ErrNotFound)
	want(t, s.DeleteSession(ctx, "s1", "ada"), state.ErrNotFound)
	must(t, s.PutSession(ctx, state.Session{ID: "s1", Owner: "grace"}, time.Minute, 0)) // free again
}

func sessionsReplaced(t *testing.T, h Harness, s state.Store) {
	ctx := t.Context()
	must(t, s.PutSession(ctx, state.Session{ID: "s1", Owner: "ada", Replica: "r1", Created: time.Unix(1, 0)}, time.Minute, 1))
	h.Advance(50 * time.Second)
	must(t, s.PutSession(ctx, state.Session{ID: "s1", Owner: "ada", Replica: "r2", Created: time.Unix(2, 0)}, time.Minute, 1))
	h.Advance(50 * time.Second)
	got, err := s.Session(ctx, "s1", "ada", time.Minute)
	must(t, err)
	if got.Replica != "r2" || !got.Created.Equal(time.Unix(2, 0)) {
		t.Errorf("got %+v", got)
	}
}

func sessionsExpire(t *testing.T, h Harness, s state.Store) {
	ctx := t.Context()
	must(t, s.PutSession(ctx, state.Session{ID: "s1", Owner: "ada"}, time.Minute, 0))
	for range 3 {
		h.Advance(50 * time.Second)
		_, err := s.Session(ctx, "s1", "ada", time.Minute) // lives on from here
		must(t, err)
	}
	h.Advance(50 * time.Second)
	_, err := s.Session(ctx, "s1", "grace", time.Hour) // does not prolong it
	want(t, err, state.ErrNotFound)
	h.Advance(11 * time.Second)
	_, err = s.Session(ctx, "s1", "ada", time.Minute)
	want(t, err, state.ErrNotFound)
	want(t, s.DeleteSession(ctx, "s1", "ada"), state.ErrNotFound)
	must(t, s.PutSession(ctx, state.Session{ID: "s1", Owner: "grace"}, time.Minute, 0)) // free again
}

func ownersBounded(t *testing.T, h Harness, s state.Store) {
	ctx := t.Context()
	for i := range 2 {
		must(t, s.PutSession(ctx, state.Session{ID: fmt.Sprint(i), Owner: "ada"}, time.Minute, 2))
	}
	want(t, s.PutSession(ctx, state.Session{ID: "2", Owner: "ada"}, time.Minute, 2), state.ErrFull)
	must(t, s.PutSession(ctx, state.Session{ID: "1", Owner: "ada"}, time.Minute, 2)) // replaces
	must(t, s.PutSession(ctx, state.Session{ID: "3", Owner: "grace"}, time.Minute, 2))
	must(t, s.DeleteSession(ctx, "0", "ada"))
	must(t, s.PutSession(ctx, state.Session{ID: "2", Owner: "ada"}, time.Minute, 2))
	want(t, s.PutSession(ctx, state.Session{ID: "0", Owner: "ada"}, time.Minute, 2), state.ErrFull)
	h.Advance(2 * time.Minute)
	must(t, s.PutSession(ctx, state.Session{ID: "0", Owner: "ada"}, time.Minute, 2)) // expired ones do not count
}

func ownersBoundedAtOnce(t *testing.T, _ Harness, s state.Store) {
	const bound = 10
	ctx := t.Context()
	var opened atomic.Int64
	var opening sync.WaitGroup
	for i := range 100 {
		opening.Go(func() {
			if s.PutSession(ctx, state.Session{ID: fmt.Sprint(i), Owner: "ada"}, time.Minute, bound) == nil {
				opened.Add(1)
			}
		})
	}
	opening.Wait()
	if n := opened.Load(); n != bound {
		t.Errorf("%d sessions of at most %d were opened at once", n, bound)
	}
}
