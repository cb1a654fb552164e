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
	{"OwnersLoseIdleSessions", ownersLose},
	{"OwnersAreBoundedAtOnce", ownersBoundedAtOnce},
}

func sessions(t *testing.T, _ Harness, s state.Store) {
	ctx := t.Context()
	in := state.Session{ID: "s1", Owner: "ada", Replica: "r1", Created: time.Unix(1, 0).UTC()}
	must(t, s.PutSession(ctx, in, time.Minute, state.Quota{}))
	got, err := s.Session(ctx, "s1", "ada", time.Minute)
	must(t, err)
	if got.ID != "s1" || got.Owner != "ada" || got.Replica != "r1" || !got.Created.Equal(in.Created) {
		t.Errorf("got %+v", got)
	}
	for _, other := range []string{"grace", "", "ADA", "ada ", "s1"} {
		_, err = s.Session(ctx, "s1", other, time.Minute)
		want(t, err, state.ErrNotFound)
		want(t, s.DeleteSession(ctx, "s1", other), state.ErrNotFound)
		want(t, s.PutSession(ctx, state.Session{ID: "s1", Owner: other, Replica: "r2"}, time.Minute, state.Quota{}), state.ErrConflict)
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
	must(t, s.PutSession(ctx, state.Session{ID: "s1", Owner: "grace"}, time.Minute, state.Quota{})) // free again
}

func sessionsReplaced(t *testing.T, h Harness, s state.Store) {
	ctx := t.Context()
	must(t, s.PutSession(ctx, state.Session{ID: "s1", Owner: "ada", Replica: "r1", Created: time.Unix(1, 0)}, time.Minute, state.Quota{Max: 1}))
	h.Advance(50 * time.Second)
	must(t, s.PutSession(ctx, state.Session{ID: "s1", Owner: "ada", Replica: "r2", Created: time.Unix(2, 0)}, time.Minute, state.Quota{Max: 1}))
	h.Advance(50 * time.Second)
	got, err := s.Session(ctx, "s1", "ada", time.Minute)
	must(t, err)
	if got.Replica != "r2" || !got.Created.Equal(time.Unix(2, 0)) {
		t.Errorf("got %+v", got)
	}
}

func sessionsExpire(t *testing.T, h Harness, s state.Store) {
	ctx := t.Context()
	must(t, s.PutSession(ctx, state.Session{ID: "s1", Owner: "ada"}, time.Minute, state.Quota{}))
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
	must(t, s.PutSession(ctx, state.Session{ID: "s1", Owner: "grace"}, time.Minute, state.Quota{})) // free again
}

func ownersBounded(t *testing.T, h Harness, s state.Store) {
	ctx := t.Context()
	for i := range 2 {
		must(t, s.PutSession(ctx, state.Session{ID: fmt.Sprint(i), Owner: "ada"}, time.Minute, state.Quota{Max: 2}))
	}
	want(t, s.PutSession(ctx, state.Session{ID: "2", Owner: "ada"}, time.Minute, state.Quota{Max: 2}), state.ErrFull)
	must(t, s.PutSession(ctx, state.Session{ID: "1", Owner: "ada"}, time.Minute, state.Quota{Max: 2})) // replaces
	must(t, s.PutSession(ctx, state.Session{ID: "3", Owner: "grace"}, time.Minute, state.Quota{Max: 2}))
	must(t, s.DeleteSession(ctx, "0", "ada"))
	must(t, s.PutSession(ctx, state.Session{ID: "2", Owner: "ada"}, time.Minute, state.Quota{Max: 2}))
	want(t, s.PutSession(ctx, state.Session{ID: "0", Owner: "ada"}, time.Minute, state.Quota{Max: 2}), state.ErrFull)
	h.Advance(2 * time.Minute)
	must(t, s.PutSession(ctx, state.Session{ID: "0", Owner: "ada"}, time.Minute, state.Quota{Max: 2})) // expired ones do not count
}

func ownersLose(t *testing.T, h Harness, s state.Store) {
	const ttl = time.Hour
	ctx := t.Context()
	quota := state.Quota{Max: 2, Idle: time.Minute}
	put := func(id, owner string) error {
		return s.PutSession(ctx, state.Session{ID: id, Owner: owner}, ttl, quota)
	}
	must(t, put("others", "grace"))
	must(t, put("1", "ada"))
	add(t, s, "1", 1, 1, "x", roomy)
	h.Advance(30 * time.Second)
	must(t, put("2", "ada"))
	want(t, put("3", "ada"), state.ErrFull) // none is idle for long enough
	h.Advance(40 * time.Second)
	_, err := s.Session(ctx, "1", "ada", ttl) // in use again
	must(t, err)
	want(t, put("3", "ada"), state.ErrFull)
	h.Advance(30 * time.Second)
	must(t, put("3", "ada")) // in place of 2
	_, err = s.Session(ctx, "2", "ada", ttl)
	want(t, err, state.ErrNotFound)
	h.Advance(2 * time.Minute)
	must(t, put("3", "ada")) // takes no room
	must(t, put("4", "ada")) // in place of 1
	_, err = s.Session(ctx, "1", "ada", ttl)
	want(t, err, state.ErrNotFound)
	expect(t, s, "1", 1, 0, 10, nil) // its events are gone too
	for id, owner := range map[string]string{"3": "ada", "4": "ada", "others": "grace"} {
		_, err = s.Session(ctx, id, owner, ttl)
		must(t, err)
	}
}

func ownersBoundedAtOnce(t *testing.T, _ Harness, s state.Store) {
	const bound = 10
	ctx := t.Context()
	var opened atomic.Int64
	var opening sync.WaitGroup
	for i := range 100 {
		opening.Go(func() {
			if s.PutSession(ctx, state.Session{ID: fmt.Sprint(i), Owner: "ada"}, time.Minute, state.Quota{Max: bound}) == nil {
				opened.Add(1)
			}
		})
	}
	opening.Wait()
	if n := opened.Load(); n != bound {
		t.Errorf("%d sessions of at most %d were opened at once", n, bound)
	}
}
