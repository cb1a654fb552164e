package gateway

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mcpctl/mcpctl/internal/wire"
	"github.com/mcpctl/mcpctl/server/state"
)

type callerKey struct{}

func as(ctx context.Context, owner string) context.Context {
	return context.WithValue(ctx, callerKey{}, owner)
}

func ownerOf(ctx context.Context) string { s, _ := ctx.Value(callerKey{}).(string); return s }

// movingStore is a store whose clock a test moves.
func movingStore(t *testing.T) (*state.Memory, func(time.Duration)) {
	t.Helper()
	now := time.Unix(1_000_000, 0)
	m := state.NewMemory(state.MemoryOptions{Now: func() time.Time { return now }})
	t.Cleanup(func() { _ = m.Close() })
	return m, func(d time.Duration) { now = now.Add(d) }
}

// heldRemote answers when it is told to.
type heldRemote struct {
	deliver wire.Deliver
	hold    chan struct{} // nil: at once
	entered chan struct{} // told when a held exchange has begun
	called  int
}

func (h *heldRemote) Exchange(ctx context.Context, f wire.Frame) error {
	h.called++
	if h.hold != nil {
		h.entered <- struct{}{}
		<-h.hold
	}
	return h.deliver(ctx, wire.NewResult(f.ID, map[string]any{"n": h.called}))
}
func (h *heldRemote) Listen(context.Context) error { return wire.ErrNoListen }
func (h *heldRemote) End(context.Context) error    { return nil }

func limiting(t *testing.T, o LimitOptions) (*limiter, *heldRemote, func(time.Duration)) {
	t.Helper()
	store, advance := movingStore(t)
	h := &heldRemote{}
	l, err := newLimiter(limitsConfig{
		Listed: func(name string) string { return name },
		Limits: func() LimitOptions { return o }, Store: store, Owner: ownerOf,
		Upstream: func(name string) string { up, _, _ := strings.Cut(name, "__"); return up }, Logger: slog.New(slog.DiscardHandler),
	}, func(context.Context, wire.Frame) error { return nil }, func(d wire.Deliver) (wire.Remote, error) { h.deliver = d; return h, nil })
	if err != nil {
		t.Fatal(err)
	}
	return l, h, advance
}

func toolCall(name string) wire.Frame {
	return wire.MustParse(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"` + name + `"}}`)
}

func refusedWith(t *testing.T, err error, text string) {
	t.Helper()
	var r *wire.Refusal
	if !errors.As(err, &r) || r.Status != http.StatusTooManyRequests || r.Header.Get("Retry-After") == "" || !strings.Contains(string(r.Answer.Raw), text) {
		t.Errorf("error %v, want 429 about %q", err, text)
	}
}

// Rates bound a user, a user's calls of a tool, and all use of an upstream.
func TestRates(t *testing.T) {
	l, _, advance := limiting(t, LimitOptions{
		User:     Rate{PerMinute: 60, Burst: 5},
		Tool:     map[string]Rate{"crm__slow": {PerMinute: 6, Burst: 1}},
		Upstream: map[string]Rate{"tiny": {PerMinute: 60, Burst: 1}},
	})
	ada, grace := as(t.Context(), "ada"), as(t.Context(), "grace")
	if err := l.Exchange(ada, toolCall("crm__slow")); err != nil {
		t.Fatal(err)
	}
	refusedWith(t, l.Exchange(ada, toolCall("crm__slow")), "crm__slow")
	if err := l.Exchange(grace, toolCall("crm__slow")); err != nil {
		t.Errorf("another user's calls count: %v", err)
	}
	if err := l.Exchange(grace, toolCall("tiny__x")); err != nil {
		t.Fatal(err)
	}
	refusedWith(t, l.Exchange(ada, toolCall("tiny__x")), `upstream \"tiny\"`)
	for range 2 {
		if err := l.Exchange(ada, toolCall("crm__x")); err != nil {
			t.Fatal(err)
		}
	}
	refusedWith(t, l.Exchange(ada, toolCall("crm__x")), "your use of this server")
	advance(2 * time.Second)
	if err := l.Exchange(ada, toolCall("crm__x")); err != nil {
		t.Errorf("after two seconds: %v", err)
	}
	// A handshake and a ping are never refused.
	for _, m := range []string{"initialize", "ping"} {
		for range 20 {
			if err := l.Exchange(ada, wire.MustParse(`{"jsonrpc":"2.0","id":1,"method":"`+m+`"}`)); err != nil {
				t.Fatalf("%s: %v", m, err)
			}
		}
	}
}

func TestConcurrencyLimits(t *testing.T) {
	var o LimitOptions
	o.Concurrent.User = 1
	l, h, _ := limiting(t, o)
	h.hold, h.entered = make(chan struct{}), make(chan struct{}, 10)
	done := make(chan error)
	ada := as(t.Context(), "ada")
	go func() { done <- l.Exchange(ada, toolCall("a__x")) }()
	<-h.entered
	refusedWith(t, l.Exchange(ada, toolCall("a__x")), "at a time")
	h.hold <- struct{}{}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	go func() { h.hold <- struct{}{} }()
	if err := l.Exchange(ada, toolCall("a__x")); err != nil {
		t.Errorf("after the first has ended: %v", err)
	}
}
