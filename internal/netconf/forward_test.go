package netconf

import (
	"crypto/tls"
	"encoding/base64"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// forwardProxy is an HTTP proxy that knows CONNECT (RFC 9110 section 9.3.6). It
// connects to one server, whatever name is asked for: the names of the tests
// are in no DNS.
type forwardProxy struct {
	*httptest.Server
	target string // host and port
	user   string // "user:password" it wants, or ""
	offers string // what it offers to whoever has none
	status int    // answered in place of connecting, or 0
	tunnel sync.WaitGroup

	mu    sync.Mutex
	asked []string
}

func newForwardProxy(t *testing.T, target string) *forwardProxy {
	t.Helper()
	p := &forwardProxy{target: target, offers: "Basic realm=\"corp\""}
	p.Server = httptest.NewServer(p)
	t.Cleanup(func() {
		p.Close()
		p.tunnel.Wait()
	})
	return p
}

func (p *forwardProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.asked = append(p.asked, r.Method+" "+r.Host)
	p.mu.Unlock()
	want := "Basic " + base64.StdEncoding.EncodeToString([]byte(p.user))
	switch {
	case r.Method != http.MethodConnect:
		http.Error(w, "CONNECT only", http.StatusMethodNotAllowed)
	case p.status != 0:
		w.WriteHeader(p.status)
	case p.user != "" && r.Header.Get("Proxy-Authorization") != want:
		w.Header().Set("Proxy-Authenticate", p.offers)
		w.WriteHeader(http.StatusProxyAuthRequired)
	default:
		p.connect(w)
	}
}

func (p *forwardProxy) connect(w http.ResponseWriter) {
	p.tunnel.Add(1) // before hijacking, which Close doesn't wait for
	server, err := net.Dial("tcp", p.target)
	if err != nil {
		p.tunnel.Done()
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	client, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		_ = server.Close()
		p.tunnel.Done()
		return
	}
	_, _ = io.WriteString(client, "HTTP/1.1 200 Connection established\r\n\r\n")
	go func() {
		defer p.tunnel.Done()
		tunnel(client, server)
	}()
}

// tunnel passes bytes both ways until both ends have closed.
func tunnel(a, b net.Conn) {
	var both sync.WaitGroup
	copyTo := func(to, from net.Conn) {
		_, _ = io.Copy(to, from)
		_ = to.Close()
		_ = from.Close()
	}
	both.Go(func() { copyTo(a, b) })
	copyTo(b, a)
	both.Wait()
}

func (p *forwardProxy) requests() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.asked...)
}

const remoteName = "mcp.contoso.example"

// behindProxy is a server that only a proxy can reach by its name.
func behindProxy(t *testing.T) (ca *authority, proxy *forwardProxy, address string) {
	t.Helper()
	ca = newAuthority(t, "Contoso Root")
	s := startTLS(t, &tls.Config{Certificates: []tls.Certificate{ca.server()}})
	return ca, newForwardProxy(t, s.Listener.Addr().String()), "https://" + remoteName + "/mcp"
}

func TestForwardProxy(t *testing.T) {
	ca, proxy, address := behindProxy(t)
	n := open(t, Settings{Proxy: proxy.URL, CAFiles: []string{ca.file}})
	if _, err := fetch(t, n, address); err != nil {
		t.Fatal(err)
	}
	if got := proxy.requests(); len(got) != 1 || got[0] != "CONNECT "+remoteName+":443" {
		t.Errorf("the proxy was asked for %q", got)
	}
}

func TestForwardProxyWithPassword(t *testing.T) {
	ca, proxy, address := behindProxy(t)
	proxy.user = "alice:hunter2"
	with, err := url.Parse(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	with.User = url.UserPassword("alice", "hunter2")
	if _, err := fetch(t, open(t, Settings{Proxy: with.String(), CAFiles: []string{ca.file}}), address); err != nil {
		t.Errorf("with the password: %v", err)
	}
	_, err = fetch(t, open(t, Settings{Proxy: proxy.URL, CAFiles: []string{ca.file}}), address)
	if err == nil || !strings.Contains(err.Error(), "HTTPS_PROXY=http://USER:PASSWORD@"+with.Host) {
		t.Errorf("without the password: %v", err)
	}
	with.User = url.UserPassword("alice", "Summer99")
	_, err = fetch(t, open(t, Settings{Proxy: with.String(), CAFiles: []string{ca.file}}), address)
	if err == nil || strings.Contains(err.Error(), "Summer99") {
		t.Errorf("with a wrong password: %v", err)
	}
	proxy.offers = "Negotiate"
	_, err = fetch(t, open(t, Settings{Proxy: proxy.URL, CAFiles: []string{ca.file}}), address)
	if err == nil || !strings.Contains(err.Error(), "Negotiate") || !strings.Contains(err.Error(), "Cntlm") {
		t.Errorf("with a sign-in that isn't spoken: %v", err)
	}
}

func TestForwardProxyFails(t *testing.T) {
	ca, proxy, address := behindProxy(t)
	n := open(t, Settings{Proxy: proxy.URL, CAFiles: []string{ca.file}})
	for status, want := range map[int]string{http.StatusForbidden: "--no-proxy HOST", http.StatusBadGateway: "HTTP 502"} {
		proxy.status = status
		if _, err := fetch(t, n, address); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("HTTP %d: %v, want %q in it", status, err, want)
		}
	}
	proxy.Close()
	if _, err := fetch(t, n, address); err == nil || !strings.Contains(err.Error(), "--proxy none") {
		t.Errorf("with the proxy gone: %v", err)
	}
}

// Where only a script is set up, a failure to connect says so.
func TestProxyScriptIsNamedWhereConnectingFails(t *testing.T) {
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = gone.Close()
	n, err := Open(Options{System: noSystem, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	n.current.PAC = "http://wpad.example/wpad.dat"
	if _, err := fetch(t, n, "https://"+gone.Addr().String()); err == nil || !strings.Contains(err.Error(), "wpad.dat") {
		t.Errorf("got %v", err)
	}
}

// socksProxy speaks as much of RFC 1928 as a client without a password needs,
// and connects to target. It returns its address and the name it was asked for.
func socksProxy(t *testing.T, target string) (address string, asked <-chan string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	names := make(chan string, 1)
	var running sync.WaitGroup
	running.Go(func() {
		client, err := ln.Accept()
		if err != nil {
			return
		}
		head := make([]byte, 3) // version, one method, no authentication
		_, _ = io.ReadFull(client, head)
		_, _ = client.Write([]byte{5, 0})
		head = make([]byte, 5) // version, connect, reserved, name, its length
		_, _ = io.ReadFull(client, head)
		name := make([]byte, int(head[4])+2)
		_, _ = io.ReadFull(client, name)
		names <- string(name[:len(name)-2])
		_, _ = client.Write([]byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0})
		server, err := net.Dial("tcp", target)
		if err != nil {
			_ = client.Close()
			return
		}
		tunnel(client, server)
	})
	t.Cleanup(func() {
		_ = ln.Close()
		running.Wait()
	})
	return ln.Addr().String(), names
}

func TestSOCKS5(t *testing.T) {
	ca := newAuthority(t, "Contoso Root")
	s := startTLS(t, &tls.Config{Certificates: []tls.Certificate{ca.server()}})
	address, asked := socksProxy(t, s.Listener.Addr().String())
	if _, err := fetch(t, open(t, Settings{Proxy: "socks5://" + address, CAFiles: []string{ca.file}}), "https://"+remoteName+"/"); err != nil {
		t.Fatal(err)
	}
	if got := <-asked; got != remoteName {
		t.Errorf("the proxy was asked for %q", got)
	}
}

// What a proxy turned away has not reached the server, and may be sent again.
func TestRefusalByProxyIsNotSent(t *testing.T) {
	_, proxy, address := behindProxy(t)
	proxy.status = http.StatusServiceUnavailable
	for _, setting := range []string{proxy.URL, "http://127.0.0.1:1", "socks5://127.0.0.1:1"} {
		c := newCaller(t, open(t, Settings{Proxy: setting}), address)
		err := c.Exchange(t.Context(), wire.MustParse(`{"jsonrpc":"2.0","id":1,"method":"ping"}`))
		if !errors.Is(err, wire.ErrNotSent) {
			t.Errorf("%s: got %v, want ErrNotSent", setting, err)
		}
	}
}
