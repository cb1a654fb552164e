package wire

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// liveBounds are bounds that a test changes.
type liveBounds struct{ atomic.Pointer[SessionBounds] }

func (l *liveBounds) get() SessionBounds { return *l.Load() }

func (l *liveBounds) set(perOwner int, idle time.Duration) {
	l.Store(&SessionBounds{PerOwner: perOwner, IdleTTL: idle})
}

// Bounds that change hold for what comes after; no session ends by it that is
// in use.
func TestFrontBoundsChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sc := &script{}
		var now liveBounds
		now.set(2, time.Hour)
		front := NewStreamableFront(FrontOptions{
			Serve: sc.serve, Owner: func(*http.Request) string { return "ada" }, Bounds: now.get,
		})
		defer front.Close(t.Context())
		h := &bubble{t: t, h: front}
		open := func() string { h.session = ""; h.open("2025-06-18"); return h.session }
		alive := func(id string) bool {
			h.session = id
			code, _ := h.post(request("1", "ping", `{}`))
			return code == http.StatusOK
		}
		first, second := open(), open()
		now.set(3, time.Hour)
		third := open()
		now.set(1, time.Hour)
		time.Sleep(30 * time.Minute)
		for _, id := range []string{first, second, third} {
			if !alive(id) {
				t.Error("a session ended because there may be fewer from now on")
			}
		}
		now.set(1, 2*time.Hour)
		time.Sleep(90 * time.Minute)
		if !alive(first) {
			t.Error("a session ended that may be idle for longer from now on")
		}
		now.set(1, time.Minute)
		time.Sleep(2 * time.Minute)
		if alive(first) || alive(second) {
			t.Error("a session that has been idle for too long has not ended")
		}
	})
}

// registered is a SessionRegistry that forgets what is not renewed.
type registered struct {
	mu  sync.Mutex
	ttl func() time.Duration
	end map[string]time.Time
}

func (r *registered) put(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.end[id] = time.Now().Add(r.ttl())
}

func (r *registered) Register(_ context.Context, id, _ string) error { r.put(id); return nil }
func (r *registered) Remove(context.Context, string, string) error   { return nil }
func (r *registered) Renew(_ context.Context, id, _ string) error {
	r.mu.Lock()
	gone := !time.Now().Before(r.end[id])
	r.mu.Unlock()
	if gone {
		return ErrUnknownSession
	}
	r.put(id)
	return nil
}
func (r *registered) Find(context.Context, string, string) (http.Handler, error) {
	return nil, ErrUnknownSession
}

// A session that was registered for a short time is kept registered when sessions
// may be idle for longer.
func TestFrontStaysRegisteredWhenTheBoundGrows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sc := &script{}
		var now liveBounds
		now.set(0, time.Hour)
		front := NewStreamableFront(FrontOptions{
			Serve: sc.serve, Bounds: now.get,
			Registry: &registered{ttl: func() time.Duration { return now.get().IdleTTL }, end: map[string]time.Time{}},
		})
		defer front.Close(t.Context())
		h := &bubble{t: t, h: front}
		h.open("2025-06-18")
		now.set(0, 8*time.Hour)
		for range 20 {
			time.Sleep(10 * time.Minute)
			if code, _ := h.post(request("1", "ping", `{}`)); code != http.StatusOK {
				t.Fatalf("HTTP %d", code)
			}
		}
	})
}
