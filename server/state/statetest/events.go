package statetest

import (
	"bytes"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/mcpctl/mcpctl/server/state"
)

var eventParts = []part{
	{"EventsResume", events},
	{"EventsHaveTheirPlace", eventPlaces},
	{"EventsAreBounded", eventsBounded},
	{"EventsAreBoundedInBytes", eventBytes},
	{"EventsExpire", eventsExpire},
	{"EventsGoWithTheirSession", eventsGo},
	{"EventsOfManyStreamsAtOnce", eventsAtOnce},
}

// roomy bounds nothing that the contract adds.
var roomy = state.Keep{Events: 10_000, Bytes: 64 << 20, Age: time.Minute}

func add(t *testing.T, s state.Store, session string, stream, seq uint64, data string, keep state.Keep) {
	t.Helper()
	must(t, s.AppendEvent(t.Context(), session, stream, state.Event{Seq: seq, Data: []byte(data)}, keep))
}

// expect reads what follows a place and compares.
func expect(t *testing.T, s state.Store, session string, stream, after uint64, limit int, wanted error, events ...state.Event) {
	t.Helper()
	got, err := s.EventsAfter(t.Context(), session, stream, after, limit)
	if wanted != nil {
		want(t, err, wanted)
	} else {
		must(t, err)
	}
	same := len(got) == len(events)
	for i := 0; same && i < len(got); i++ {
		same = got[i].Seq == events[i].Seq && bytes.Equal(got[i].Data, events[i].Data)
	}
	if !same {
		t.Fatalf("after %d of stream %d: %v, want %v", after, stream, got, events)
	}
}

func event(seq uint64, data string) state.Event { return state.Event{Seq: seq, Data: []byte(data)} }

func events(t *testing.T, _ Harness, s state.Store) {
	data := []byte("1-1")
	must(t, s.AppendEvent(t.Context(), "s1", 1, state.Event{Seq: 1, Data: data}, roomy))
	data[0] = 'x' // the store has a copy
	add(t, s, "s1", 0, 1, "0-1", roomy)
	for seq := uint64(2); seq <= 5; seq++ {
		for stream := range uint64(2) {
			add(t, s, "s1", stream, seq, fmt.Sprintf("%d-%d", stream, seq), roomy)
		}
	}
	expect(t, s, "s1", 1, 0, 2, nil, event(1, "1-1"), event(2, "1-2"))
	expect(t, s, "s1", 0, 2, 2, nil, event(3, "0-3"), event(4, "0-4"))
	expect(t, s, "s1", 0, 2, 10, nil, event(3, "0-3"), event(4, "0-4"), event(5, "0-5"))
	expect(t, s, "s1", 0, 5, 10, nil)
	expect(t, s, "s1", 0, 9, 10, state.ErrGap) // never was
	expect(t, s, "s1", 7, 0, 10, nil)          // nothing yet
	expect(t, s, "s1", 7, 1, 10, state.ErrGap)
	expect(t, s, "other", 1, 0, 10, nil) // another session's are not seen
	expect(t, s, "other", 1, 1, 10, state.ErrGap)
	got, err := s.EventsAfter(t.Context(), "s1", 1, 0, 1)
	must(t, err)
	got[0].Data[0] = 'x' // the caller has a copy
	expect(t, s, "s1", 1, 0, 1, nil, event(1, "1-1"))
}

func eventPlaces(t *testing.T, _ Harness, s state.Store) {
	ctx := t.Context()
	add(t, s, "s1", 1, 3, "three", roomy) // what came before was not kept
	expect(t, s, "s1", 1, 0, 10, state.ErrGap, event(3, "three"))
	expect(t, s, "s1", 1, 2, 10, nil, event(3, "three"))
	for _, seq := range []uint64{0, 1, 2, 3} {
		want(t, s.AppendEvent(ctx, "s1", 1, event(seq, "again"), roomy), state.ErrConflict)
	}
	add(t, s, "s1", 1, 5, "five", roomy) // four is lost, which is to be seen
	expect(t, s, "s1", 1, 2, 10, nil, event(3, "three"), event(5, "five"))
	expect(t, s, "s1", 1, 3, 10, state.ErrGap, event(5, "five"))
	expect(t, s, "s1", 1, 4, 10, nil, event(5, "five"))
	add(t, s, "s2", 1, 1, "another session's", roomy)
}

func eventsBounded(t *testing.T, _ Harness, s state.Store) {
	keep := state.Keep{Events: 3, Bytes: 1 << 20, Age: time.Minute}
	for seq := uint64(1); seq <= 10; seq++ {
		add(t, s, "s1", 1, seq, fmt.Sprint(seq), keep)
	}
	expect(t, s, "s1", 1, 2, 10, state.ErrGap, event(8, "8"), event(9, "9"), event(10, "10"))
	expect(t, s, "s1", 1, 7, 10, nil, event(8, "8"), event(9, "9"), event(10, "10"))
	add(t, s, "s2", 1, 1, "x", keep) // another session has room of its own
	expect(t, s, "s1", 1, 7, 1, nil, event(8, "8"))
	// The bound is for all streams of the session together.
	for seq := uint64(1); seq <= 2; seq++ {
		add(t, s, "s1", 2, seq, fmt.Sprint(seq), keep)
	}
	expect(t, s, "s1", 1, 7, 10, state.ErrGap, event(10, "10"))
	expect(t, s, "s1", 2, 0, 10, nil, event(1, "1"), event(2, "2"))
	add(t, s, "s1", 2, 3, "3", keep)
	expect(t, s, "s1", 1, 7, 10, state.ErrGap)
}

func eventBytes(t *testing.T, _ Harness, s state.Store) {
	keep := state.Keep{Events: 100, Bytes: 100, Age: time.Minute}
	text := string(bytes.Repeat([]byte("x"), 40))
	for seq := uint64(1); seq <= 3; seq++ {
		add(t, s, "s1", 1, seq, text, keep)
	}
	expect(t, s, "s1", 1, 0, 10, state.ErrGap, event(2, text), event(3, text))
	huge := string(bytes.Repeat([]byte("x"), 1000))
	add(t, s, "s1", 1, 4, huge, keep) // the newest stays
	expect(t, s, "s1", 1, 0, 10, state.ErrGap, event(4, huge))
	add(t, s, "s1", 1, 5, "small", keep)
	expect(t, s, "s1", 1, 4, 10, nil, event(5, "small"))
	expect(t, s, "s1", 1, 3, 10, state.ErrGap, event(5, "small"))
}

func eventsExpire(t *testing.T, h Harness, s state.Store) {
	add(t, s, "s1", 1, 1, "old", roomy)
	h.Advance(40 * time.Second)
	add(t, s, "s1", 1, 2, "new", roomy)
	expect(t, s, "s1", 1, 0, 10, nil, event(1, "old"), event(2, "new"))
	h.Advance(40 * time.Second)
	expect(t, s, "s1", 1, 0, 10, state.ErrGap, event(2, "new"))
	expect(t, s, "s1", 1, 1, 10, nil, event(2, "new"))
	h.Advance(40 * time.Second)
	expect(t, s, "s1", 1, 1, 10, state.ErrGap)
}

func eventsGo(t *testing.T, _ Harness, s state.Store) {
	ctx := t.Context()
	must(t, s.PutSession(ctx, state.Session{ID: "s1", Owner: "ada"}, time.Minute, state.Quota{}))
	add(t, s, "s1", 1, 1, "x", roomy)
	add(t, s, "s2", 1, 1, "another session's", roomy)
	want(t, s.DeleteSession(ctx, "s1", "grace"), state.ErrNotFound)
	expect(t, s, "s1", 1, 0, 10, nil, event(1, "x"))
	must(t, s.DeleteSession(ctx, "s1", "ada"))
	expect(t, s, "s1", 1, 0, 10, nil)
	expect(t, s, "s1", 1, 1, 10, state.ErrGap)
	expect(t, s, "s2", 1, 0, 10, nil, event(1, "another session's"))
}

func eventsAtOnce(t *testing.T, _ Harness, s state.Store) {
	const streams, each = 20, 50
	var writing sync.WaitGroup
	for stream := range uint64(streams) {
		writing.Go(func() {
			for seq := uint64(1); seq <= each; seq++ {
				if err := s.AppendEvent(t.Context(), "s1", stream, event(seq, fmt.Sprint(stream, seq)), roomy); err != nil {
					t.Errorf("event %d of stream %d: %v", seq, stream, err)
				}
				if _, err := s.EventsAfter(t.Context(), "s1", stream, 0, 10); err != nil {
					t.Errorf("reading stream %d: %v", stream, err)
				}
			}
		})
	}
	writing.Wait()
	for stream := range uint64(streams) {
		var all []state.Event
		for seq := uint64(1); seq <= each; seq++ {
			all = append(all, event(seq, fmt.Sprint(stream, seq)))
		}
		expect(t, s, "s1", stream, 0, each+1, nil, all...)
	}
}
