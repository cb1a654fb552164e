package netconf

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// h2Server answers each JSON-RPC request with the id it had, on an event
// stream, once release is closed.
type h2Server struct {
	*httptest.Server
	arrived chan string // remote address of each request
	release chan struct{}
	goAway  string // the id in whose answer the server announces the connection's end
}

func startH2(t *testing.T, ca *authority, listen string) *h2Server {
	t.Helper()
	s := &h2Server{arrived: make(chan string, 1000), release: make(chan struct{})}
	s.Server = httptest.NewUnstartedServer(s)
	if listen != "" {
		ln, err := net.Listen("tcp", listen)
		if err != nil {
			t.Fatal(err)
		}
		_ = s.Listener.Close()
		s.Listener = ln
	}
	s.TLS = &tls.Config{Certificates: []tls.Certificate{ca.server()}}
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

func (s *h2Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var call struct{ ID json.RawMessage }
	if err := json.NewDecoder(r.Body).Decode(&call); err != nil || r.ProtoMajor != 2 {
		http.Error(w, r.Proto, http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	if string(call.ID) == s.goAway {
		w.Header().Set("Connection", "close") // net/http sends GOAWAY
	}
	_ = http.NewResponseController(w).Flush()
	s.arrived <- r.RemoteAddr
	<-s.release
	_, _ = fmt.Fprintf(w, "data: {\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":{}}\n\n", call.ID)
}

// caller is the wire client over a network's transport.
type caller struct {
	*wire.StreamableClient
	mu  sync.Mutex
	ids map[string]int
}

func newCaller(t *testing.T, n *Network, url string) *caller {
	t.Helper()
	c := &caller{ids: map[string]int{}}
	transport := n.Transport()
	t.Cleanup(transport.CloseIdleConnections)
	var err error
	c.StreamableClient, err = wire.NewStreamableClient(wire.ClientOptions{
		URL: url, HTTP: &http.Client{Transport: n.RoundTripper(transport), CheckRedirect: wire.NoRedirect},
		Deliver: func(_ context.Context, f wire.Frame) error {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.ids[string(f.ID)]++
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *caller) call(t *testing.T, id int) {
	f := wire.MustParse(fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":"x"}}`, id))
	if err := c.Exchange(t.Context(), f); err != nil {
		t.Errorf("call %d: %v", id, err)
	}
}

// answered fails the test unless each of the ids from 1 to n got one answer.
func (c *caller) answered(t *testing.T, n int) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for id := 1; id <= n; id++ {
		if got := c.ids[strconv.Itoa(id)]; got != 1 {
			t.Errorf("call %d got %d answers", id, got)
		}
	}
}

// 128 calls at a time share one connection, and none waits for another.
func TestHTTP2(t *testing.T) {
	ca := newAuthority(t, "Contoso Root")
	s := startH2(t, ca, "")
	c := newCaller(t, open(t, Settings{CAFiles: []string{ca.file}}), s.URL)
	const calls = 128
	var running sync.WaitGroup
	for id := 1; id <= calls; id++ {
		running.Go(func() { c.call(t, id) })
	}
	connections := map[string]bool{}
	for range calls {
		connections[<-s.arrived] = true
	}
	close(s.release)
	running.Wait()
	c.answered(t, calls)
	t.Logf("%d calls over %d connections", calls, len(connections))
	if len(connections) > 8 { // calls that begin together may dial before the first connection says that it is HTTP/2
		t.Errorf("%d calls took %d connections", calls, len(connections))
	}
}

// A server that is rolled over says GOAWAY: what it has accepted is finished,
// what comes after takes another connection.
func TestHTTP2GoAway(t *testing.T) {
	ca := newAuthority(t, "Contoso Root")
	s := startH2(t, ca, "")
	s.goAway = "2"
	c := newCaller(t, open(t, Settings{CAFiles: []string{ca.file}}), s.URL)
	var running sync.WaitGroup
	running.Go(func() { c.call(t, 1) })
	first := <-s.arrived
	running.Go(func() { c.call(t, 2) })
	if second := <-s.arrived; second != first {
		t.Errorf("the second call took %s, want the connection in use, %s", second, first)
	}
	last, later := 2, first
	for later == first && last < 200 { // GOAWAY may still be on its way
		last++
		id := last
		running.Go(func() { c.call(t, id) })
		later = <-s.arrived
	}
	close(s.release)
	running.Wait()
	if later == first {
		t.Error("calls still take the connection that the server wants to end")
	}
	c.answered(t, last)
}

func TestIPv6Literal(t *testing.T) {
	ca := newAuthority(t, "Contoso Root")
	s := startH2(t, ca, "[::1]:0")
	close(s.release)
	if !strings.HasPrefix(s.URL, "https://[::1]:") {
		t.Fatalf("the server is at %s", s.URL)
	}
	c := newCaller(t, open(t, Settings{CAFiles: []string{ca.file}, Proxy: "http://127.0.0.1:1"}), s.URL+"/mcp")
	c.call(t, 1)
	c.answered(t, 1)
}
