package recovery

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

	"github.com/mcpctl/mcpctl/internal/wire"
)

// scripted is a remote whose outcomes a test writes down.
type scripted struct {
	mu      sync.Mutex
	deliver wire.Deliver
	sent    []string
	answer  func(n int, f wire.Frame) error // nil: answered
	// exchange may take a message in answer's stead.
	exchange func(ctx context.Context, f wire.Frame) (taken bool, err error)
	listen   func(ctx context.Context, n int) error
	listens  int
}

func (s *scripted) Exchange(ctx context.Context, f wire.Frame) error {
	s.mu.Lock()
	n := len(s.sent)
	s.sent = append(s.sent, f.Method)
	s.mu.Unlock()
	if s.exchange != nil {
		if taken, err := s.exchange(ctx, f); taken {
			return err
		}
	}
	if s.answer != nil {
		if err := s.answer(n, f); err != nil {
			return err
		}
	}
	if f.Kind != wire.Request {
		return nil
	}
	return s.deliver(ctx, wire.NewResult(f.ID, map[string]any{
		"capabilities": map[string]any{"tools": map[string]any{}},
		"tools": []any{
			map[string]any{"name": "read", "annotations": map[string]any{"readOnlyHint": true}},
			map[string]any{"name": "write"},
		},
	}))
}

func (s *scripted) Listen(ctx context.Context) error {
	s.mu.Lock()
	n := s.listens
	s.listens++
	s.mu.Unlock()
	return s.listen(ctx, n)
}

func (s *scripted) End(context.Context) error { return nil }

func (s *scripted) log() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.sent, " ")
}

func recovering(t *testing.T, answer func(n int, f wire.Frame) error) (*Remote, *scripted, *[]string) {
	t.Helper()
	s := &scripted{answer: answer, listen: func(ctx context.Context, _ int) error { <-ctx.Done(); return ctx.Err() }}
	var mu sync.Mutex
	var got []string
	r, err := New(Options{
		Deliver: func(_ context.Context, f wire.Frame) error {
			mu.Lock()
			defer mu.Unlock()
			got = append(got, f.Method+string(f.ID))
			return nil
		},
		Final: func(err error) bool { return errors.Is(err, errFinal) },
		Deaf:  func(err error) bool { return errors.Is(err, errFinal) },
	},
		func(d wire.Deliver) (wire.Remote, error) { s.deliver = d; return s, nil })
	if err != nil {
		t.Fatal(err)
	}
	return r, s, &got
}

// errFinal is what a credential that can't be had stands for.
var errFinal = errors.New("there is no credential")

const initialize = `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`

func request(method string) wire.Frame {
	return wire.MustParse(`{"jsonrpc":"2.0","id":5,"method":"` + method + `","params":{"uri":"a:b","name":"write"}}`)
}

var errLost = fmt.Errorf("%w: %w", wire.ErrSessionLost, &wire.StatusError{Status: 404})

// handshake plays a client's start.
func handshake(t *testing.T, r *Remote) {
	t.Helper()
	for _, raw := range []string{initialize, `{"jsonrpc":"2.0","method":"notifications/initialized"}`} {
		if err := r.Exchange(t.Context(), wire.MustParse(raw)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestRow08LostSession: 404 with a session id is recovered invisibly: handshake,
// log level and subscriptions are replayed, list_changed is told, the rejected
// request is sent again.
func TestRow08LostSession(t *testing.T) {
	for name, loss := range map[string]error{
		"404":                 errLost,
		"400 with a body":     &wire.StatusError{Status: 400, Body: []byte(`{"error":{"message":"Bad Request: No valid session ID provided"}}`)},
		"400 not initialized": &wire.StatusError{Status: 400, Body: []byte(`Bad Request: Server not initialized`)},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				lose := false
				r, s, got := recovering(t, func(_ int, f wire.Frame) error {
					if lose && f.Method == "tools/call" {
						lose = false
						return loss
					}
					return nil
				})
				handshake(t, r)
				for _, m := range []string{"logging/setLevel", "resources/subscribe"} {
					if err := r.Exchange(t.Context(), request(m)); err != nil {
						t.Fatal(err)
					}
				}
				lose = true
				if err := r.Exchange(t.Context(), request("tools/call")); err != nil {
					t.Fatal(err)
				}
				want := "initialize notifications/initialized logging/setLevel resources/subscribe tools/call " +
					"initialize notifications/initialized logging/setLevel resources/subscribe tools/call"
				if s.log() != want {
					t.Errorf("sent %s", s.log())
				}
				if want := "[0 5 5 notifications/tools/list_changed 5]"; fmt.Sprint(*got) != want {
					t.Errorf("the client got %v, want %s", *got, want)
				}
			})
		})
	}
}

// Many requests that find the session lost share one restoration.
func TestOneRestorationForMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var generation atomic.Int64
		r, s, _ := recovering(t, func(_ int, f wire.Frame) error {
			if f.Method == "initialize" {
				time.Sleep(time.Second)
				generation.Add(1)
			}
			if f.Method == "tools/call" && generation.Load() < 2 {
				return errLost
			}
			return nil
		})
		handshake(t, r)
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				if err := r.Exchange(t.Context(), request("tools/call")); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := strings.Count(s.log(), "initialize "); n != 2 {
			t.Errorf("%d handshakes", n)
		}
	})
}

// A server that loses every session is given up, with an error.
func TestRestorationBrake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, s, _ := recovering(t, func(_ int, f wire.Frame) error {
			if f.Method == "tools/call" {
				return errLost
			}
			return nil
		})
		handshake(t, r)
		if err := r.Exchange(t.Context(), request("tools/call")); !errors.Is(err, wire.ErrSessionLost) {
			t.Errorf("error %v", err)
		}
		if n := strings.Count(s.log(), "initialize "); n > maxRestorations+1 {
			t.Errorf("%d handshakes", n)
		}
	})
}

// What may be repeated, and what must not.
func TestRepeats(t *testing.T) {
	busy := func(status int, after string) error {
		h := http.Header{}
		if after != "" {
			h.Set("Retry-After", after)
		}
		return &wire.StatusError{Status: status, Header: h}
	}
	for _, tc := range []struct {
		name   string
		err    error
		method string
		tool   string
		again  bool
	}{
		{"not sent", wire.ErrNotSent, "tools/call", "write", true},
		{"429", busy(429, "2"), "tools/call", "write", true},
		{"503 with Retry-After", busy(503, "2"), "tools/call", "write", true},
		{"503 without, a write", busy(503, ""), "tools/call", "write", false},
		{"503 without, a read", busy(503, ""), "tools/list", "", true},
		{"502, a write", busy(502, ""), "tools/call", "write", false},
		{"502, a read", busy(502, ""), "resources/read", "", true},
		{"row 31: cut, a write tool", wire.ErrNoAnswer, "tools/call", "write", false},
		{"cut, a read-only tool", wire.ErrNoAnswer, "tools/call", "read", true},
		{"cut, an unknown tool", wire.ErrNoAnswer, "tools/call", "other", false},
		{"cut, a list", wire.ErrNoAnswer, "prompts/list", "", true},
		{"cut, an unknown method", wire.ErrNoAnswer, "vendor/act", "", false},
		{"reset", errors.New("connection reset"), "tools/call", "write", false},
		{"500", busy(500, ""), "tools/list", "", false},
		{"403", busy(403, ""), "tools/list", "", false},
		{"final", errFinal, "tools/list", "", false},
		{"asks to wait too long", busy(429, "3600"), "tools/list", "", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fail := false
				r, _, _ := recovering(t, func(int, wire.Frame) error {
					if fail {
						fail = false
						return tc.err
					}
					return nil
				})
				handshake(t, r)
				if err := r.Exchange(t.Context(), request("tools/list")); err != nil {
					t.Fatal(err)
				}
				fail = true
				f := wire.MustParse(`{"jsonrpc":"2.0","id":9,"method":"` + tc.method + `","params":{"name":"` + tc.tool + `"}}`)
				err := r.Exchange(t.Context(), f)
				if (err == nil) != tc.again {
					t.Errorf("error %v", err)
				}
				if !tc.again && !errors.Is(err, tc.err) {
					t.Errorf("the reason was errLost: %v", err)
				}
			})
		})
	}
}

// A server that stays away is waited for, but not for ever.
func TestPatienceEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _, _ := recovering(t, func(int, wire.Frame) error { return wire.ErrNotSent })
		start := time.Now()
		err := r.Exchange(t.Context(), wire.MustParse(initialize))
		if took := time.Since(start); !errors.Is(err, wire.ErrNotSent) || took < 10*time.Second || took > 20*time.Second {
			t.Errorf("%v after %v", err, took)
		}
	})
}

func TestListenGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		r, s, got := recovering(t, func(int, wire.Frame) error { return nil })
		handshake(t, r)
		s.listen = func(ctx context.Context, n int) error {
			switch n {
			case 0:
				return &wire.StatusError{Status: 502}
			case 1:
				return errLost
			case 2:
				return fmt.Errorf("%w: EOF", wire.ErrStreamEnded)
			default:
				<-ctx.Done()
				return ctx.Err()
			}
		}
		done := make(chan error)
		go func() { done <- r.Listen(ctx) }()
		time.Sleep(time.Minute)
		synctest.Wait()
		if s.listens != 4 || strings.Count(s.log(), "initialize ") != 3 {
			t.Errorf("%d streams, sent %s", s.listens, s.log())
		}
		if n := strings.Count(fmt.Sprint(*got), "list_changed"); n != 2 {
			t.Errorf("the client got %v", *got)
		}
		r.Woke() // the machine slept: the stream is opened anew
		time.Sleep(time.Minute)
		synctest.Wait()
		if s.listens != 5 {
			t.Errorf("%d streams after a sleep", s.listens)
		}
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Listen: %v", err)
		}
	})
}

// TestRow28NoListen: a server without a stream of its own is not asked again.
func TestRow28NoListen(t *testing.T) {
	r, s, _ := recovering(t, func(int, wire.Frame) error { return nil })
	s.listen = func(context.Context, int) error { return wire.ErrNoListen }
	if err := r.Listen(t.Context()); !errors.Is(err, wire.ErrNoListen) || s.listens != 1 {
		t.Errorf("%v after %d tries", err, s.listens)
	}
}
