package wire

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"
)

type labelKey struct{}

func labelled(ctx context.Context, label string) context.Context {
	return context.WithValue(ctx, labelKey{}, label)
}

func labelOf(ctx context.Context) string {
	label, _ := ctx.Value(labelKey{}).(string)
	return label
}

// writeAs writes with a context that ends as soon as Write has returned.
func writeAs(t *testing.T, c Conn, label, message string) {
	t.Helper()
	ctx, cancel := context.WithCancel(labelled(t.Context(), label))
	defer cancel()
	if err := c.Write(ctx, MustParse(message)); err != nil {
		t.Fatal(err)
	}
}

// readFrom reads a message and says which message's context it came with.
func readFrom(t *testing.T, c *ClientConn) (Frame, string) {
	t.Helper()
	in, err := c.ReadWith(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := in.Request.Err(); err != nil {
		t.Errorf("the context of %s has ended: %v", in.Raw, err)
	}
	return in.Frame, labelOf(in.Request)
}

func TestExchangeHasTheValuesOfItsMessage(t *testing.T) {
	seen := make(chan string, 10)
	c, _ := fakeConn(t, ClientConnOptions{}, func(r *fakeRemote, ctx context.Context, f Frame) error {
		if err := ctx.Err(); err != nil {
			t.Errorf("%s: the exchange began with %v", f.Method, err)
		}
		seen <- f.Method + " " + labelOf(ctx)
		if f.Kind == Request {
			return r.answer(ctx, f)
		}
		return nil
	})
	for _, message := range []string{initializeRequest, listRequest, initializedNote, `{"jsonrpc":"2.0","id":1,"result":{}}`} {
		f := MustParse(message)
		writeAs(t, c, "by "+f.Method, message)
		if got, want := <-seen, f.Method+" by "+f.Method; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		if f.Kind == Request {
			if _, got := readFrom(t, c); got != "by "+f.Method {
				t.Errorf("the answer to %s came with %q", f.Method, got)
			}
		}
	}
}

func TestExchangeEndsWithItsConnectionOnly(t *testing.T) {
	began, ended := make(chan struct{}), make(chan error, 1)
	c, _ := fakeConn(t, ClientConnOptions{}, func(_ *fakeRemote, ctx context.Context, _ Frame) error {
		close(began)
		if _, bounded := ctx.Deadline(); bounded {
			t.Error("the exchange has the message's deadline")
		}
		<-ctx.Done()
		ended <- ctx.Err()
		return ctx.Err()
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	if err := c.Write(ctx, MustParse(listRequest)); err != nil {
		t.Fatal(err)
	}
	<-began
	cancel()
	_ = c.Close()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the exchange ended with %v", err)
	}
}

// Answers made on this side belong to their request too.
func TestFailureComesWithTheValuesOfItsRequest(t *testing.T) {
	c, _ := fakeConn(t, ClientConnOptions{}, func(*fakeRemote, context.Context, Frame) error { return errors.New("no") })
	writeAs(t, c, "mine", listRequest)
	if f, got := readFrom(t, c); got != "mine" || !f.Failed {
		t.Errorf("got %s with %q", f.Raw, got)
	}
}

// What a server sends on the stream of a request can be told from what it sends
// on that of another, and from what belongs to none.
func TestMessagesComeWithTheContextOfTheirRequest(t *testing.T) {
	sc := &script{hold: make(chan struct{}), sessions: make(chan *Session, 1)}
	front := NewStreamableFront(FrontOptions{Serve: sc.serve})
	server := newTestServer(t, front, front.Close)
	c, err := NewClientConn(ClientConnOptions{}, func(deliver Deliver) (Remote, error) {
		return NewStreamableClient(ClientOptions{URL: server.URL, HTTP: wideClient(t), Deliver: deliver})
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	writeAs(t, c, "opening", initializeMessage("2025-11-25"))
	readFrom(t, c)
	writeAs(t, c, "opened", initializedNote)
	s := <-sc.sessions
	eventually(t, "the server's own stream", func() bool { return s.connections() == 1 })
	if err := s.Write(t.Context(), logNote(0)); err != nil {
		t.Fatal(err)
	}
	if f, got := readFrom(t, c); got != "opened" {
		t.Errorf("%s came with %q", f.Raw, got)
	}
	for _, id := range []string{"1", "2", "3"} {
		writeAs(t, c, "request "+id, request(id, "test/hold", "{}"))
	}
	eventually(t, "the requests", func() bool { return s.connections() == 4 })
	for _, id := range []string{"3", "1", "2"} {
		// Neither names the request that it belongs to.
		for _, message := range []string{`{"jsonrpc":"2.0","id":"r` + id + `","method":"roots/list"}`, string(logNote(1).Raw)} {
			if err := s.WriteRelated(t.Context(), MustParse(message), ID(id)); err != nil {
				t.Fatal(err)
			}
			if f, got := readFrom(t, c); got != "request "+id {
				t.Errorf("%s came with %q", f.Raw, got)
			}
		}
	}
	close(sc.hold)
	for range 3 {
		if f, got := readFrom(t, c); got != "request "+string(f.ID) {
			t.Errorf("%s came with %q", f.Raw, got)
		}
	}
}

func (s *Session) connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.connected
}

// The context package must recognise the connection's context, or each exchange
// costs a goroutine.
func TestExchangeContextCostsNoGoroutine(t *testing.T) {
	c, _ := fakeConn(t, ClientConnOptions{}, func(*fakeRemote, context.Context, Frame) error { return http.ErrAbortHandler })
	cost := testing.AllocsPerRun(100, func() {
		_, cancel := context.WithCancel(c.during(t.Context()))
		cancel()
	})
	plain := testing.AllocsPerRun(100, func() {
		_, cancel := context.WithCancel(c.work)
		cancel()
	})
	if cost > plain+1 {
		t.Errorf("%v allocations, %v without the message's values", cost, plain)
	}
}
