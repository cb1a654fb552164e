package wire

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestListenAcknowledgesFirst(t *testing.T) {
	written := make(chan error, 10)
	proceed := make(chan struct{})
	_, c := startModern(t, FrontOptions{Stateless: func(ctx context.Context, c *Call) {
		written <- c.Write(ctx, logNote(1))
		written <- c.Write(ctx, logNote(2))
		<-proceed
		written <- c.Write(ctx, ackOf(c.Frame.ID))
		written <- c.Write(ctx, logNote(3))
		<-ctx.Done()
	}}, nil)
	done := make(chan *listenTest)
	go func() { done <- c.listen("7") }()
	for range 2 {
		if err := <-written; err != nil {
			t.Error(err)
		}
	}
	close(proceed)
	sub := <-done
	if f := sub.mustNext(); string(f.Raw) != string(ackOf(ID("7")).Raw) {
		t.Errorf("the first message is %s", f.Raw)
	}
	for i := 1; i <= 3; i++ {
		if f := sub.mustNext(); string(f.Raw) != string(logNote(i).Raw) {
			t.Errorf("message %d is %s", i, f.Raw)
		}
	}
}

func TestListenWithoutAcknowledgement(t *testing.T) {
	overflow := make(chan error, 1)
	_, c := startModern(t, FrontOptions{Queue: 3, Stateless: func(ctx context.Context, c *Call) {
		for range 3 {
			_ = c.Write(ctx, logNote(1))
		}
		overflow <- c.Write(ctx, logNote(1))
		_ = c.Write(ctx, NewError(c.Frame.ID, CodeMethodNotFound, "Method not found", nil))
	}}, nil)
	resp := c.send(modern("7", listenMethod, ""))
	if got := readMessages(t, resp); resp.StatusCode != http.StatusNotFound || len(got) != 1 || !got[0].Failed {
		t.Errorf("HTTP %d %v", resp.StatusCode, texts(got))
	}
	if err := <-overflow; !errors.Is(err, errNoAck) {
		t.Errorf("got %v", err)
	}
}

func TestListenCarriesNotifications(t *testing.T) {
	sc := &modernScript{feed: make(chan string)}
	ft, c := startModern(t, FrontOptions{}, sc)
	sub := c.listen("7")
	sub.mustNext()
	for range 1000 {
		go func() { sc.feed <- `{"jsonrpc":"2.0","method":"notifications/vendor","params":{"z":1e400}}` }()
	}
	for range 1000 {
		if f := sub.mustNext(); f.Method != "notifications/vendor" {
			t.Fatalf("got %s", f.Raw)
		}
	}
	sub.cancel()
	eventually(t, "the end of the subscription", func() bool { return ft.front.Stats().Listens == 0 })
}

func TestListenNeverTimesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sc := &modernScript{feed: make(chan string)}
		front := NewStreamableFront(FrontOptions{Serve: (&script{}).serve, Stateless: sc.serve})
		ctx, cancel := context.WithCancel(t.Context())
		w := httptest.NewRecorder()
		done := make(chan struct{})
		go func() {
			defer close(done)
			front.ServeHTTP(w, modernRequest(ctx, modern("1", listenMethod, "")))
		}()
		time.Sleep(24 * time.Hour)
		sc.feed <- string(logNote(1).Raw)
		synctest.Wait()
		cancel()
		<-done
		body := w.Body.String()
		if n := strings.Count(body, ": keep-alive"); n < 5000 || !strings.HasPrefix(body, "event: message\ndata: "+string(ackOf(ID("1")).Raw)) || !strings.Contains(body, string(logNote(1).Raw)) {
			t.Errorf("%d comments, %q", n, body[:min(len(body), 300)])
		}
		if err := front.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
}
