package wire

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// elsewhereRegistry has every session in another process.
type elsewhereRegistry struct{ there http.Handler }

func (elsewhereRegistry) Register(context.Context, string, string) error { return nil }
func (elsewhereRegistry) Renew(context.Context, string, string) error    { return nil }
func (elsewhereRegistry) Remove(context.Context, string, string) error   { return nil }
func (e elsewhereRegistry) Find(context.Context, string, string) (http.Handler, error) {
	return e.there, nil
}

// A body on its way to another process is not waited for longer than others.
func TestFrontIsAsPatientForOthers(t *testing.T) {
	read := make(chan error, 1)
	there := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(r.Body)
		read <- err
	})
	ft := startFrontWith(t, FrontOptions{Registry: elsewhereRegistry{there}, ReadTimeout: 50 * time.Millisecond}, &script{})
	body, rest := io.Pipe()
	defer rest.Close()
	c := &frontClient{t: t, url: ft.server.URL, session: "there", version: "2025-11-25"}
	req := c.request(t.Context(), http.MethodPost, "", map[string]string{"Content-Type": "application/json"})
	req.Body = body
	done := make(chan struct{})
	go func() {
		defer close(done)
		if resp, err := http.DefaultClient.Do(req); err == nil {
			_ = resp.Body.Close()
		}
	}()
	select {
	case err := <-read:
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("reading ended with %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("a body that does not come is still waited for")
	}
	_ = body.Close()
	_ = rest.Close()
	<-done
}

// fullRegistry has no room, or has some when it is too late.
type fullRegistry struct {
	elsewhereRegistry
	register func(ctx context.Context) error
	removed  *atomic.Int32
}

func (r fullRegistry) Register(ctx context.Context, _, _ string) error { return r.register(ctx) }
func (r fullRegistry) Remove(context.Context, string, string) error {
	r.removed.Add(1)
	return nil
}

// Sessions that the registry refuses are counted as such, and one that it may
// know though its client has gone is taken back.
func TestFrontCountsWhatTheRegistryRefuses(t *testing.T) {
	full := func(context.Context) error { return ErrTooManySessions }
	gone := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	for name, c := range map[string]struct {
		register func(context.Context) error
		want     Stats
		removed  int32
	}{
		"full": {full, Stats{Refused: 1}, 0},
		"gone": {gone, Stats{}, 1},
	} {
		var removed atomic.Int32
		front := NewStreamableFront(FrontOptions{
			Serve:    func(context.Context, *Session) { t.Error("a session was opened") },
			Registry: fullRegistry{register: c.register, removed: &removed},
		})
		ctx, cancel := context.WithCancel(t.Context())
		if name == "gone" {
			cancel()
		}
		r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/mcp", strings.NewReader(initializeMessage("2025-11-25")))
		r.Header.Set("Content-Type", "application/json")
		front.ServeHTTP(httptest.NewRecorder(), r)
		cancel()
		if st := front.Stats(); st != c.want || removed.Load() != c.removed {
			t.Errorf("%s: %+v, %d removed", name, st, removed.Load())
		}
		if err := front.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// A client that goes away while it opens a session leaves none behind.
func TestFrontForgetsASessionThatNeverBegan(t *testing.T) {
	front := NewStreamableFront(FrontOptions{Serve: func(ctx context.Context, _ *Session) { <-ctx.Done() }})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 50 { // it is taken in or not, as it happens
		r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/mcp", strings.NewReader(initializeMessage("2025-11-25")))
		r.Header.Set("Content-Type", "application/json")
		front.ServeHTTP(httptest.NewRecorder(), r)
	}
	if n := front.Stats().Sessions; n != 0 {
		t.Errorf("%d are left", n)
	}
	if err := front.Close(t.Context()); err != nil {
		t.Error(err)
	}
}
