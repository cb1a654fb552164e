package recovery

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// undelivered has the scripted remote answer that it passed a request on to
// nobody, as a gateway does over HTTP+SSE whose upstream has ended.
func (s *scripted) undelivered(ctx context.Context, f wire.Frame) error {
	return s.deliver(ctx, wire.NewUndelivered(f.ID, -31010, "The session has ended"))
}

// An answer that says of itself that its request was not delivered is kept from
// the client; the request is sent again in a new session.
func TestUndeliveredIsSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s *scripted
		var got *[]string
		var r *Remote
		lose := 0
		r, s, got = recovering(t, nil)
		s.exchange = func(ctx context.Context, f wire.Frame) (bool, error) {
			if f.Method != "tools/call" || lose == 0 {
				return false, nil
			}
			lose--
			return true, s.undelivered(ctx, f)
		}
		handshake(t, r)
		lose = 1
		if err := r.Exchange(t.Context(), request("tools/call")); err != nil {
			t.Fatal(err)
		}
		if want := "[0 notifications/tools/list_changed 5]"; fmt.Sprint(*got) != want {
			t.Errorf("the client got %v, want %s", *got, want)
		}
		if want := "initialize notifications/initialized tools/call initialize notifications/initialized tools/call"; s.log() != want {
			t.Errorf("sent %s", s.log())
		}
	})
}

// Where nothing helps, the client gets the server's own words, once.
func TestUndeliveredForGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, s, got := recovering(t, nil)
		s.exchange = func(ctx context.Context, f wire.Frame) (bool, error) {
			if f.Method != "tools/call" {
				return false, nil
			}
			return true, s.undelivered(ctx, f)
		}
		handshake(t, r)
		if err := r.Exchange(t.Context(), request("tools/call")); err != nil {
			t.Error(err)
		}
		if n := strings.Count(fmt.Sprint(*got), " 5"); n != 1 {
			t.Errorf("the client got %v", *got)
		}
		if n := strings.Count(s.log(), "initialize "); n > maxRestorations+1 {
			t.Errorf("%d handshakes", n)
		}
	})
}

// An error of that kind to a request that nobody waits for any more is not kept.
func TestUndeliveredLate(t *testing.T) {
	r, s, got := recovering(t, nil)
	handshake(t, r)
	if err := s.undelivered(t.Context(), request("tools/call")); err != nil {
		t.Fatal(err)
	}
	if err := r.Exchange(t.Context(), request("tools/call")); err != nil {
		t.Fatal(err)
	}
	if len(r.held.answers) != 0 || fmt.Sprint(*got) != "[0 5 5]" { // whoever is before us drops the first
		t.Errorf("%d are held, the client got %v", len(r.held.answers), *got)
	}
}

// A request that its client takes back while it has a session established again
// takes nobody with it.
func TestRestorationOutlivesItsRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		established := 0
		r, _, _ := recovering(t, func(_ int, f wire.Frame) error {
			if f.Method == "initialize" {
				if established++; established > 1 {
					time.Sleep(5 * time.Second)
				}
			}
			if f.Method == "tools/call" && established < 2 {
				return errLost
			}
			return nil
		})
		handshake(t, r)
		first, cancel := context.WithCancel(t.Context())
		var calls sync.WaitGroup
		calls.Go(func() {
			if err := r.Exchange(first, request("tools/call")); err == nil {
				t.Error("a cancelled request was answered")
			}
		})
		synctest.Wait()
		calls.Go(func() {
			if err := r.Exchange(t.Context(), request("tools/call")); err != nil {
				t.Errorf("another request: %v", err)
			}
		})
		time.Sleep(time.Second)
		cancel()
		calls.Wait()
		if established != 2 {
			t.Errorf("%d handshakes", established)
		}
		end(t, r)
	})
}

// A server that takes the handshake and never answers does not hold up what
// waits for the session for ever; nor the end.
func TestRestorationIsBounded(t *testing.T) {
	for _, ended := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			established := 0
			r, s, _ := recovering(t, nil)
			s.exchange = func(ctx context.Context, f wire.Frame) (bool, error) {
				switch {
				case f.Method == "tools/call":
					return true, errLost
				case f.Method == "initialize":
					if established++; established > 1 {
						<-ctx.Done()
						return true, ctx.Err()
					}
				}
				return false, nil
			}
			handshake(t, r)
			start := time.Now()
			var calls sync.WaitGroup
			calls.Go(func() {
				if err := r.Exchange(t.Context(), request("tools/call")); err == nil {
					t.Error("answered without a session")
				}
			})
			if ended {
				synctest.Wait()
				end(t, r)
			}
			calls.Wait()
			if took := time.Since(start); took > 3*restorationTime || ended && took > time.Second {
				t.Errorf("ended=%v: it took %v", ended, took)
			}
		})
	}
}

// An answer that only looks like a lost session costs a new one at most twice.
func TestLooksLikeALostSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		about := &wire.StatusError{Status: 400, Body: []byte("no such session room: choose another")}
		r, s, _ := recovering(t, func(_ int, f wire.Frame) error {
			if f.Method == "tools/call" {
				return about
			}
			return nil
		})
		handshake(t, r)
		if err := r.Exchange(t.Context(), request("tools/call")); !errors.Is(err, about) {
			t.Errorf("error %v", err)
		}
		if n := strings.Count(s.log(), "initialize "); n != 1+maxGuesses {
			t.Errorf("%d handshakes", n)
		}
	})
}

// Patience with an address that refuses is short while nothing was ever there.
func TestPatienceWithWhatRefuses(t *testing.T) {
	refusing := fmt.Errorf("%w: %w", wire.ErrNotSent, syscall.ECONNREFUSED)
	for _, reached := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			up := reached
			r, _, _ := recovering(t, func(int, wire.Frame) error {
				if up {
					return nil
				}
				return refusing
			})
			if reached {
				handshake(t, r)
			}
			up = false
			start := time.Now()
			err := r.Exchange(t.Context(), request("tools/list"))
			took := time.Since(start).Round(time.Second)
			if want := map[bool]time.Duration{true: 20 * time.Second, false: 7 * time.Second}[reached]; !errors.Is(err, refusing) || took != want {
				t.Errorf("reached=%v: %v after %v", reached, err, took)
			}
		})
	}
}

// What is remembered of subscriptions is bounded, and let go of.
func TestSubscriptionsAreBounded(t *testing.T) {
	m := sessionMemory{limit: 10_000}
	subscribe := func(verb string, i int) {
		m.accepted(wire.MustParse(fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"resources/%s","params":{"uri":"x:%d"}}`, verb, i)))
	}
	for range 3 {
		for i := range 1000 {
			subscribe("subscribe", i)
		}
		if n := len(m.subscriptions); n < 20 || n > 50 || m.size > m.limit {
			t.Errorf("%d subscriptions are remembered, %d bytes", n, m.size)
		}
		for i := range 1000 {
			subscribe("unsubscribe", i)
		}
		if len(m.subscriptions) != 0 || m.size != 0 {
			t.Errorf("%d subscriptions, %d bytes are left", len(m.subscriptions), m.size)
		}
	}
}

func end(t *testing.T, r *Remote) {
	t.Helper()
	if err := r.End(t.Context()); err != nil {
		t.Error(err)
	}
}

// To the client the progress of a request only grows, however often it is sent,
// and that of others has nothing to do with it.
func TestProgressOnlyGrows(t *testing.T) {
	step := func(token, n string) wire.Frame {
		return wire.MustParse(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":` + token + `,"progress":` + n + `}}`)
	}
	call := func(token string) wire.Frame {
		return wire.MustParse(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"_meta":{"progressToken":` + token + `}}}`)
	}
	var m progressMemory
	for i, s := range []struct {
		do   func() bool
		news bool
	}{
		{func() bool { return m.advances(step(`"a"`, "1")) }, true},
		{func() bool { return m.advances(step(`"a"`, "2.5")) }, true},
		{func() bool { return m.advances(step(`"b"`, "7")) }, true},
		{func() bool { return m.advances(step(`"a"`, "2")) }, true}, // the server's own fault
		{func() bool { return m.advances(step(`"a"`, "3")) }, true},
		{func() bool { m.repeats(call(`"a"`)); return m.advances(step(`"a"`, "1")) }, false},
		{func() bool { return m.advances(step(`"a"`, "3")) }, false},
		{func() bool { return m.advances(step(`"b"`, "1")) }, true},
		{func() bool { return m.advances(step(`"a"`, "4")) }, true},
		{func() bool { return m.advances(step(`"a"`, `"much"`)) }, true},
		{func() bool { m.done(call(`"a"`)); return m.advances(step(`"a"`, "1")) }, true}, // another request's
		{func() bool { m.done(call(`"a"`)); m.done(call(`"b"`)); return len(m.by) == 0 }, true},
	} {
		if got := s.do(); got != s.news {
			t.Errorf("step %d: %v", i, got)
		}
	}
	for i := range maxProgress + 10 {
		if !m.advances(step(fmt.Sprint(i), "1")) {
			t.Error("a step is not news")
		}
	}
	if len(m.by) > maxProgress {
		t.Errorf("%d tokens are remembered", len(m.by))
	}
	m.advances(step(`"late"`, "5")) // however much nobody wanted to know before
	m.repeats(call(`"late"`))
	if m.advances(step(`"late"`, "4")) {
		t.Error("a step back is news")
	}
	if long := `"` + strings.Repeat("x", maxToken) + `"`; !m.advances(step(long, "1")) || m.by[wire.ID(long).Key()] != nil {
		t.Error("a long token is remembered")
	}
}
