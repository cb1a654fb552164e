package memnet

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// pair returns both ends of a connection.
func pair(t *testing.T, n *Network) (client, server net.Conn) {
	t.Helper()
	ln, err := n.Listen("server:80")
	if err != nil {
		t.Fatal(err)
	}
	if client, err = n.DialContext(t.Context(), "tcp", "server:80"); err != nil {
		t.Fatal(err)
	}
	if server, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	_ = ln.Close()
	t.Cleanup(func() { _ = client.Close(); _ = server.Close() })
	return client, server
}

func TestBytesArriveInOrder(t *testing.T) {
	client, server := pair(t, &Network{})
	sent := bytes.Repeat([]byte("0123456789"), 100_000)
	go func() {
		_, _ = client.Write(sent)
		_ = client.Close()
	}()
	got, err := io.ReadAll(server)
	if err != nil || !bytes.Equal(got, sent) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

func TestWhatGoesWrong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &Network{}
		if _, err := n.DialContext(t.Context(), "tcp", "server:80"); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("nobody listens: %v", err)
		}
		n.FailDials(NoSuchHost)
		var dns *net.DNSError
		if _, err := n.DialContext(t.Context(), "tcp", "server:80"); !errors.As(err, &dns) {
			t.Errorf("no such host: %v", err)
		}
		n.FailDials(nil)
		client, server := pair(t, n)

		n.Freeze()
		_, _ = client.Write([]byte("late"))
		_ = server.SetReadDeadline(time.Now().Add(time.Hour))
		b := make([]byte, 10)
		if _, err := server.Read(b); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("frozen: %v", err)
		}
		n.Thaw()
		_ = server.SetReadDeadline(time.Time{})
		if k, err := server.Read(b); err != nil || string(b[:k]) != "late" {
			t.Errorf("thawed: %q, %v", b[:k], err)
		}
		if n.Cut() != 1 || n.Open() != 0 {
			t.Error("the connection is still there")
		}
		for _, c := range []net.Conn{client, server} {
			if _, err := c.Read(b); !errors.Is(err, ErrReset) {
				t.Errorf("cut: %v", err)
			}
		}
	})
}

// net/http works on it, with all that it does to connections.
func TestHTTP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &Network{}
		ln, err := n.Listen("server:80")
		if err != nil {
			t.Fatal(err)
		}
		srv := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			select {
			case <-time.After(time.Hour):
			case <-r.Context().Done():
			}
			body, _ := io.ReadAll(r.Body)
			_, _ = w.Write(body)
		})}
		go func() { _ = srv.Serve(ln) }()
		defer srv.Close()
		tr := &http.Transport{DialContext: n.DialContext}
		defer tr.CloseIdleConnections()
		for range 2 {
			req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://server/", bytes.NewReader(make([]byte, 200_000)))
			resp, err := tr.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			got, _ := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if len(got) != 200_000 {
				t.Errorf("%d bytes", len(got))
			}
		}
		if n.Dials() != 1 {
			t.Errorf("%d connections for two requests", n.Dials())
		}
	})
}
