package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// sseServer speaks HTTP+SSE by hand: a stream fed from a channel, and a message
// address that hands on what is POSTed.
type sseServer struct {
	*httptest.Server
	stream chan string // events to send; closing it ends the stream
	posted chan string
	status int
}

func newSSEServer(t *testing.T, endpoint string) *sseServer {
	t.Helper()
	s := &sseServer{stream: make(chan string, 100), posted: make(chan string, 100), status: http.StatusAccepted}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /sse", func(w http.ResponseWriter, r *http.Request) {
		sse(w, "event: endpoint\ndata: "+endpoint)
		for {
			select {
			case e, ok := <-s.stream:
				if !ok {
					return
				}
				_, _ = io.WriteString(w, e+"\n\n")
				_ = http.NewResponseController(w).Flush()
			case <-r.Context().Done():
				return
			}
		}
	})
	mux.HandleFunc("POST /messages", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.WriteHeader(s.status)
		s.posted <- r.URL.RawQuery + " " + string(body)
	})
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

func connectSSE(t *testing.T, url string) (*SSEClient, *sink, error) {
	t.Helper()
	got := newSink()
	transport := NewTransport()
	t.Cleanup(transport.CloseIdleConnections)
	c, err := ConnectSSE(t.Context(), ClientOptions{URL: url, Deliver: got.deliver, MaxMessage: 1 << 20, HTTP: &http.Client{Transport: transport}})
	if err == nil {
		t.Cleanup(func() { _ = c.End(context.Background()) })
	}
	return c, got, err
}

func TestSSEExchange(t *testing.T) {
	s := newSSEServer(t, "/messages?sessionId=5")
	c, got, err := connectSSE(t, s.URL+"/sse")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- c.Exchange(t.Context(), MustParse(callRequest)) }()
	if p := <-s.posted; p != "sessionId=5 "+callRequest {
		t.Errorf("posted %q", p)
	}
	s.stream <- "event: message\ndata: " + progress
	s.stream <- "data: " + okAnswer
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if want := []string{progress, okAnswer}; fmt.Sprint(got.texts()) != fmt.Sprint(want) {
		t.Errorf("delivered %q", got.texts())
	}
	// A second answer to the same id goes nowhere.
	s.stream <- "data: " + okAnswer
	s.stream <- "data: " + progress
	got.await(t, 3)
	if n := len(got.texts()); n != 3 {
		t.Errorf("delivered %d messages", n)
	}
}

// With two requests in flight the answers may come in any order, and a null id
// can't be told apart; with one it is that one's.
func TestSSEAnswersOutOfOrder(t *testing.T) {
	s := newSSEServer(t, "/messages")
	c, got, err := connectSSE(t, s.URL+"/sse")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 2)
	for _, id := range []string{`"a"`, `"b"`} {
		go func() { done <- c.Exchange(t.Context(), MustParse(`{"jsonrpc":"2.0","id":`+id+`,"method":"ping"}`)) }()
	}
	<-s.posted
	<-s.posted
	s.stream <- `data: {"jsonrpc":"2.0","id":null,"error":{"code":1,"message":""}}`
	s.stream <- `data: {"jsonrpc":"2.0","id":"b","result":{}}`
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	s.stream <- `data: {"jsonrpc":"2.0","id":null,"error":{"code":1,"message":""}}`
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if last := got.texts()[1]; !strings.Contains(last, `"id":"a"`) {
		t.Errorf("the null id became %s", last)
	}
}

func TestSSEStreamEndFailsWhatWaits(t *testing.T) {
	s := newSSEServer(t, "/messages")
	c, _, err := connectSSE(t, s.URL+"/sse")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- c.Exchange(t.Context(), MustParse(callRequest)) }()
	<-s.posted
	close(s.stream)
	if err := <-done; !errors.Is(err, ErrNoAnswer) {
		t.Errorf("Exchange: %v", err)
	}
	if err := c.Listen(t.Context()); err == nil {
		t.Error("Listen returned no error")
	}
	if err := c.Exchange(t.Context(), MustParse(callRequest)); !errors.Is(err, ErrSessionLost) || !errors.Is(err, ErrNotSent) {
		t.Errorf("Exchange after the end: %v", err)
	}
}

func TestSSETooLargeResponse(t *testing.T) {
	s := newSSEServer(t, "/messages")
	c, got, err := connectSSE(t, s.URL+"/sse")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- c.Exchange(t.Context(), MustParse(callRequest)) }()
	<-s.posted
	s.stream <- `data: {"jsonrpc":"2.0","result":"` + strings.Repeat("x", 2<<20) + `","id":7}`
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if a := got.texts()[0]; !strings.Contains(a, `"id":7`) || !strings.Contains(a, "more than the limit") {
		t.Errorf("answer %.300s", a)
	}
}

func TestSSEConnectFails(t *testing.T) {
	t.Run("foreign endpoint", func(t *testing.T) {
		s := newSSEServer(t, "http://127.0.0.1:1/messages")
		if _, _, err := connectSSE(t, s.URL+"/sse"); !errors.Is(err, ErrForeignEndpoint) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("no such stream", func(t *testing.T) {
		s := newSSEServer(t, "/messages")
		var status *StatusError
		if _, _, err := connectSSE(t, s.URL+"/other"); !errors.As(err, &status) || status.Status != 404 {
			t.Errorf("error %v", err)
		}
	})
	t.Run("no endpoint in time", func(t *testing.T) {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			sse(w, ": wait")
			<-r.Context().Done()
		}))
		defer s.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		transport := NewTransport()
		defer transport.CloseIdleConnections()
		_, err := ConnectSSE(ctx, ClientOptions{URL: s.URL, Deliver: newSink().deliver, HTTP: &http.Client{Transport: transport}})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("POST refused", func(t *testing.T) {
		s := newSSEServer(t, "/messages")
		s.status = http.StatusForbidden
		c, _, err := connectSSE(t, s.URL+"/sse")
		if err != nil {
			t.Fatal(err)
		}
		var status *StatusError
		if err := c.Exchange(t.Context(), MustParse(callRequest)); !errors.As(err, &status) || status.Status != 403 {
			t.Errorf("error %v", err)
		}
	})
}
