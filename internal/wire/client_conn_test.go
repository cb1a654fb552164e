package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// fakeRemote is a Remote whose exchanges a test decides about.
type fakeRemote struct {
	deliver  Deliver
	exchange func(ctx context.Context, f Frame) error
	mu       sync.Mutex
	sent     []string
	listens  int
	ended    bool
}

func (r *fakeRemote) Exchange(ctx context.Context, f Frame) error {
	r.mu.Lock()
	r.sent = append(r.sent, f.Kind.String()+" "+f.Method+string(f.ID))
	r.mu.Unlock()
	return r.exchange(ctx, f)
}

func (r *fakeRemote) Listen(ctx context.Context) error {
	r.mu.Lock()
	r.listens++
	r.mu.Unlock()
	<-ctx.Done()
	return ctx.Err()
}

func (r *fakeRemote) End(context.Context) error { r.ended = true; return nil }

func (r *fakeRemote) log() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.sent, ", ")
}

func (r *fakeRemote) answer(ctx context.Context, f Frame) error {
	return r.deliver(ctx, NewResult(f.ID, map[string]any{}))
}

func fakeConn(t *testing.T, opts ClientConnOptions, exchange func(r *fakeRemote, ctx context.Context, f Frame) error) (*ClientConn, *fakeRemote) {
	t.Helper()
	r := &fakeRemote{}
	r.exchange = func(ctx context.Context, f Frame) error { return exchange(r, ctx, f) }
	c, err := NewClientConn(opts, func(d Deliver) (Remote, error) { r.deliver = d; return r, nil })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c, r
}

func write(t *testing.T, c Conn, raw string) {
	t.Helper()
	if err := c.Write(t.Context(), MustParse(raw)); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, c Conn) string {
	t.Helper()
	f, err := c.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer f.Release()
	return string(f.Raw)
}

const (
	initializeRequest = `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{}}`
	initializedNote   = `{"jsonrpc":"2.0","method":"notifications/initialized"}`
	cancelNote        = `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":7}}`
)

// Nothing is sent before initialize is answered, nothing but initialized before
// that is accepted, and the server's own stream is opened after it.
func TestHandshakeOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		proceed := make(chan struct{})
		c, r := fakeConn(t, ClientConnOptions{}, func(r *fakeRemote, ctx context.Context, f Frame) error {
			if f.Method == "initialize" || f.Method == "notifications/initialized" {
				<-proceed
			}
			if f.Kind != Request {
				return nil
			}
			return r.answer(ctx, f)
		})
		write(t, c, initializeRequest)
		write(t, c, initializedNote)
		write(t, c, listRequest)
		synctest.Wait()
		if got := r.log(); got != "request initialize0" {
			t.Errorf("sent %s", got)
		}
		proceed <- struct{}{}
		synctest.Wait()
		if got := r.log(); got != "request initialize0, notification notifications/initialized" {
			t.Errorf("sent %s", got)
		}
		proceed <- struct{}{}
		synctest.Wait()
		if got := r.log(); !strings.HasSuffix(got, "request tools/list7") || r.listens != 1 {
			t.Errorf("sent %s, %d listeners", got, r.listens)
		}
		_ = c.Close()
	})
}

// A slow call holds up no other.
func TestNoHeadOfLineBlocking(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := fakeConn(t, ClientConnOptions{}, func(r *fakeRemote, ctx context.Context, f Frame) error {
			if string(f.ID) == "1" {
				time.Sleep(time.Hour)
			}
			return r.answer(ctx, f)
		})
		for i := 1; i <= 100; i++ {
			write(t, c, fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"ping"}`, i))
		}
		start := time.Now()
		for range 99 {
			read(t, c)
		}
		if d := time.Since(start); d != 0 {
			t.Errorf("99 quick answers took %v", d)
		}
		if got := read(t, c); !strings.Contains(got, `"id":1,`) {
			t.Errorf("last answer %s", got)
		}
		_ = c.Close()
	})
}

func TestCancelLegacy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, r := fakeConn(t, ClientConnOptions{CancelGrace: time.Minute}, func(r *fakeRemote, ctx context.Context, f Frame) error {
			if f.Kind == Notification {
				return nil
			}
			select { // answers late, as if it had not seen the cancellation
			case <-time.After(time.Second):
				return r.answer(ctx, f)
			case <-ctx.Done():
				t.Error("the stream of a cancelled request was cut at once")
				return ctx.Err()
			}
		})
		write(t, c, callRequest)
		write(t, c, cancelNote)
		synctest.Wait()
		if got := r.log(); !strings.Contains(got, "notifications/cancelled") {
			// The request was never reported as written: sent when the exchange ends.
			time.Sleep(2 * time.Second)
			synctest.Wait()
		}
		if got := r.log(); got != "request tools/call7, notification notifications/cancelled" {
			t.Errorf("sent %s", got)
		}
		write(t, c, `{"jsonrpc":"2.0","id":8,"method":"ping"}`)
		if got := read(t, c); !strings.Contains(got, `"id":8`) {
			t.Errorf("the late answer came through: %s", got)
		}
		_ = c.Close()
	})
}

func TestCancelModernClosesTheStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, r := fakeConn(t, ClientConnOptions{}, func(_ *fakeRemote, ctx context.Context, _ Frame) error {
			<-ctx.Done()
			return ctx.Err()
		})
		write(t, c, `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}`)
		synctest.Wait()
		write(t, c, cancelNote)
		synctest.Wait()
		if got := r.log(); got != "request tools/call7" {
			t.Errorf("sent %s", got)
		}
		c.Drain(t.Context())
		if _, err := c.Read(t.Context()); !errors.Is(err, io.EOF) {
			t.Errorf("a cancelled request was answered: %v", err)
		}
		_ = c.Close()
	})
}

func TestInitializeCannotBeCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := fakeConn(t, ClientConnOptions{}, func(r *fakeRemote, ctx context.Context, f Frame) error {
			if f.Kind == Notification {
				return nil
			}
			time.Sleep(time.Second)
			return r.answer(ctx, f)
		})
		write(t, c, initializeRequest)
		write(t, c, `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":0}}`)
		if got := read(t, c); !strings.Contains(got, `"id":0`) {
			t.Errorf("answer %s", got)
		}
		_ = c.Close()
	})
}

func TestRefusedRequests(t *testing.T) {
	hold := make(chan struct{})
	c, _ := fakeConn(t, ClientConnOptions{MaxInFlight: 2}, func(r *fakeRemote, ctx context.Context, f Frame) error {
		select {
		case <-hold:
		case <-ctx.Done():
		}
		return r.answer(ctx, f)
	})
	write(t, c, `{"jsonrpc":"2.0","id":1,"method":"ping"}`)
	write(t, c, `{"jsonrpc":"2.0","id":1,"method":"ping"}`)
	if got := read(t, c); !strings.Contains(got, "still in flight") {
		t.Errorf("duplicate id: %s", got)
	}
	write(t, c, `{"jsonrpc":"2.0","id":2,"method":"ping"}`)
	write(t, c, `{"jsonrpc":"2.0","id":3,"method":"ping"}`)
	if got := read(t, c); !strings.Contains(got, `"id":3`) || !strings.Contains(got, "too many") {
		t.Errorf("one too many: %s", got)
	}
	close(hold)
	read(t, c)
	read(t, c)
	write(t, c, `{"jsonrpc":"2.0","id":1,"method":"ping"}`)
	if got := read(t, c); !strings.Contains(got, `"result"`) {
		t.Errorf("an id may be used again once answered: %s", got)
	}
}

// Batches belong to 2025-03-26; their members are answered one by one.
func TestBatches(t *testing.T) {
	for _, version := range []string{"2025-03-26", "2025-06-18"} {
		t.Run(version, func(t *testing.T) {
			c, _ := fakeConn(t, ClientConnOptions{}, func(r *fakeRemote, ctx context.Context, f Frame) error {
				if f.Kind != Request {
					return nil
				}
				return r.deliver(ctx, NewResult(f.ID, map[string]any{"protocolVersion": version}))
			})
			write(t, c, initializeRequest)
			read(t, c)
			write(t, c, `[{"jsonrpc":"2.0","id":1,"method":"ping"},{"jsonrpc":"2.0","method":"notifications/x"},1,`+initializeRequest+`]`)
			want := 1
			if version == "2025-03-26" {
				want = 3
			}
			var got []string
			for range want {
				got = append(got, read(t, c))
			}
			if all := strings.Join(got, "\n"); version == "2025-03-26" {
				for _, part := range []string{`"id":1,"result"`, `"id":null`, "must not be part of a batch"} {
					if !strings.Contains(all, part) {
						t.Errorf("answers lack %s:\n%s", part, all)
					}
				}
			} else if !strings.Contains(all, `"id":null`) || !strings.Contains(all, "-32600") {
				t.Errorf("answer %s", all)
			}
		})
	}
}

func TestDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, r := fakeConn(t, ClientConnOptions{}, func(r *fakeRemote, ctx context.Context, f Frame) error {
			d := time.Second
			if string(f.ID) == "2" {
				d = time.Hour
			}
			select {
			case <-time.After(d):
				return r.answer(ctx, f)
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		write(t, c, `{"jsonrpc":"2.0","id":1,"method":"ping"}`)
		write(t, c, `{"jsonrpc":"2.0","id":2,"method":"ping"}`)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		go c.Drain(ctx)
		if got := read(t, c); !strings.Contains(got, `"id":1,"result"`) {
			t.Errorf("first %s", got)
		}
		if got := read(t, c); !strings.Contains(got, `"id":2,"error"`) {
			t.Errorf("second %s", got)
		}
		if _, err := c.Read(t.Context()); !errors.Is(err, io.EOF) {
			t.Errorf("then %v", err)
		}
		if err := c.Close(); err != nil || !r.ended {
			t.Errorf("close: %v, session ended: %v", err, r.ended)
		}
	})
}

// Under random outcomes every request gets exactly one answer.
func TestExactlyOneAnswer(t *testing.T) {
	const n = 2000
	c, _ := fakeConn(t, ClientConnOptions{MaxInFlight: n + 1}, func(r *fakeRemote, ctx context.Context, f Frame) error {
		switch rand.N(6) {
		case 0:
			return ErrNoAnswer
		case 1:
			return nil // says it delivered, and did not
		case 2: // twice
			_ = r.answer(ctx, f)
			return r.answer(ctx, f)
		case 3: // delivered, then failed
			_ = r.answer(ctx, f)
			return ErrNoAnswer
		case 4:
			return &StatusError{Status: 500}
		}
		return r.answer(ctx, f)
	})
	go func() {
		for i := range n {
			_ = c.Write(context.Background(), MustParse(fmt.Sprintf(`{"jsonrpc":"2.0","id":"r%d","method":"ping"}`, i)))
		}
		c.Drain(context.Background())
	}()
	seen := map[string]int{}
	for {
		f, err := c.Read(t.Context())
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		seen[f.ID.Key()]++
		f.Release()
	}
	for id, times := range seen {
		if times != 1 {
			t.Errorf("%s was answered %d times", id, times)
		}
	}
	if len(seen) != n {
		t.Errorf("%d of %d requests were answered", len(seen), n)
	}
}

func TestClosedClientConn(t *testing.T) {
	c, _ := fakeConn(t, ClientConnOptions{}, func(_ *fakeRemote, ctx context.Context, _ Frame) error {
		<-ctx.Done()
		return ctx.Err()
	})
	write(t, c, callRequest)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if err := c.Write(t.Context(), MustParse(callRequest)); !errors.Is(err, ErrClosed) {
		t.Errorf("Write: %v", err)
	}
	if _, err := c.Read(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("Read: %v", err)
	}
}
