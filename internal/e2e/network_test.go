package e2e_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mcpctl/mcpctl/internal/fakeentra"
	"github.com/mcpctl/mcpctl/internal/profile"
)

// corporate is an MCP server as companies have them: its name is in no DNS that
// a desk knows, so that only the forward proxy reaches it; its certificate comes
// from the company's own authority; and it wants one of the client too.
type corporate struct {
	url           string // https://mcp.contoso.example/mcp
	proxy         string
	ca, cert, key string // files
	devCA         string

	mu       sync.Mutex
	asked    []string // of the proxy
	requests []string // of the server: method, and who has shown a certificate
}

func newCorporate(t *testing.T) *corporate {
	t.Helper()
	c := &corporate{url: "https://mcp.contoso.example/mcp"}
	authority, err := fakeentra.Start(fakeentra.Options{Lifetimes: quick})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = authority.Close() })
	sample, err := authority.AddSample(c.url)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	put := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	c.devCA = put("dev-ca.pem", authority.CAPEM())

	root, rootKey := issue(t, &x509.Certificate{Subject: pkix.Name{CommonName: "Contoso Root"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, nil, nil)
	leaf, leafKey := issue(t, &x509.Certificate{DNSNames: []string{"mcp.contoso.example"}}, root, rootKey)
	client, clientKey := issue(t, &x509.Certificate{Subject: pkix.Name{CommonName: "desk 7"}}, root, rootKey)
	c.ca = put("contoso root.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Raw}))
	c.cert = put("desk.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: client.Raw}))
	keyDER, err := x509.MarshalPKCS8PrivateKey(clientKey)
	if err != nil {
		t.Fatal(err)
	}
	c.key = put("desk.key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}))

	roots := x509.NewCertPool()
	roots.AddCert(root)
	server := httptest.NewUnstartedServer(c.protected(authority.Authority(), sample))
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	server.EnableHTTP2 = true
	server.TLS = &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{leaf.Raw}, PrivateKey: leafKey}},
		ClientAuth:   tls.RequireAndVerifyClientCert, ClientCAs: roots,
	}
	server.StartTLS()
	t.Cleanup(server.Close)
	c.proxy = c.forwardProxy(t, server.Listener.Addr().String())
	return c
}

// issue makes a certificate; one without parent signs itself.
func issue(t *testing.T, template, parent *x509.Certificate, parentKey *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	if parent == nil {
		parent, parentKey = template, key
	} else {
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), parentKey)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

// protected answers as a resource server does (RFC 9728), and to any token as
// an MCP server with one tool.
func (c *corporate) protected(authority string, sample fakeentra.Sample) http.Handler {
	mux := http.NewServeMux()
	const metadata = "/.well-known/oauth-protected-resource/mcp"
	mux.HandleFunc("GET "+metadata, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{
			"resource": c.url, "authorization_servers": []string{authority}, "scopes_supported": []string{sample.Scope()}, "mcpctl_client_id": sample.Client.ClientID,
		})
	})
	mux.HandleFunc("/mcp", func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		c.requests = append(c.requests, r.Proto+" "+r.Method+" "+r.TLS.PeerCertificates[0].Subject.CommonName)
		c.mu.Unlock()
		if !strings.HasPrefix(r.Header.Get("Authorization"), "Bearer ey") {
			w.Header().Set("WWW-Authenticate", `Bearer resource_metadata="https://mcp.contoso.example`+metadata+`"`)
			http.Error(w, "sign in", http.StatusUnauthorized)
			return
		}
		answerMCP(w, r)
	})
	return mux
}

// answerMCP is an MCP server with one tool and no notifications.
func answerMCP(w http.ResponseWriter, r *http.Request) {
	var call struct {
		ID     json.RawMessage `json:"id"`
		Method string          `json:"method"`
	}
	if r.Method != http.MethodPost || json.NewDecoder(r.Body).Decode(&call) != nil {
		http.Error(w, "POST only", http.StatusMethodNotAllowed)
		return
	}
	if call.ID == nil {
		w.WriteHeader(http.StatusAccepted)
		return
	}
	result := `{"tools":[{"name":"ping","inputSchema":{"type":"object"}}]}`
	if call.Method == "initialize" {
		result = `{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"corporate","version":"1"}}`
		w.Header().Set("Mcp-Session-Id", "1")
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":%s}`, call.ID, result)
}

// forwardProxy starts a proxy that knows CONNECT (RFC 9110 section 9.3.6) and
// one server.
func (c *corporate) forwardProxy(t *testing.T, target string) string {
	t.Helper()
	var tunnels sync.WaitGroup
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		c.asked = append(c.asked, r.Method+" "+r.Host)
		c.mu.Unlock()
		if r.Method != http.MethodConnect || r.Host != "mcp.contoso.example:443" {
			http.Error(w, "not through here", http.StatusForbidden)
			return
		}
		tunnels.Add(1) // before hijacking, which Close doesn't wait for
		defer tunnels.Done()
		server, err := net.Dial("tcp", target)
		if err != nil {
			http.Error(w, "no answer", http.StatusBadGateway)
			return
		}
		client, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			_ = server.Close()
			return
		}
		_, _ = io.WriteString(client, "HTTP/1.1 200 Connection established\r\n\r\n")
		pipe := func(to, from net.Conn) {
			_, _ = io.Copy(to, from)
			_ = to.Close()
			_ = from.Close()
		}
		tunnels.Go(func() { pipe(client, server) })
		tunnels.Go(func() { pipe(server, client) })
	}))
	t.Cleanup(func() {
		proxy.Close()
		tunnels.Wait()
	})
	return proxy.URL
}

func (c *corporate) seen() (proxy, server []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.asked), slices.Clone(c.requests)
}

// bare is the environment that MCP clients pass on, and no more.
func (d desk) bare() []string {
	env := []string{profile.DirVariable + "=" + d.dir, "GORACE=atexit_sleep_ms=0"}
	for _, name := range []string{"HOME", "LOGNAME", "PATH", "SHELL", "TERM", "USER", "USERPROFILE", "APPDATA", "LOCALAPPDATA", "SYSTEMROOT", "TEMP"} {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// What a company's network asks for is told to login once. Bridges that are
// started with a bare environment live on it, and what they did can be looked
// up afterwards.
func TestCorporateNetwork(t *testing.T) {
	c, d := newCorporate(t), newDesk(t)
	ctx := testContext(t)
	d.login(t, c.url, c.devCA, "ada@contoso.example", "--proxy", c.proxy, "--ca-file", c.ca, "--client-cert", c.cert, "--client-key", c.key)

	process := start(t, d.bare(), mcpctl, "bridge", c.url)
	p := newPeer(process)
	p.open(ctx)
	p.works(ctx)
	_ = process.stdin.Close()
	if code := process.wait(); code != 0 {
		t.Errorf("the bridge ended with %d", code)
	}
	asked, requests := c.seen()
	for _, got := range asked {
		if got != "CONNECT mcp.contoso.example:443" {
			t.Errorf("the proxy was asked for %q: the authority on this machine is not reached through it", got)
		}
	}
	if !slices.Contains(requests, "HTTP/2.0 DELETE desk 7") {
		t.Errorf("the server saw %q, want the session ended over HTTP/2 by the holder of the certificate", requests)
	}

	out, code := d.run(t, "logs", c.url)
	if code != 0 || !strings.Contains(out, "bridge started") || !strings.Contains(out, "the MCP client closed its end") {
		t.Errorf("mcpctl logs: %d\n%s", code, out)
	}
	if out, code = d.run(t, "logout", c.url); code != 0 {
		t.Errorf("mcpctl logout: %d\n%s", code, out)
	}
	if files, _ := filepath.Glob(filepath.Join(d.dir, "logs", "*")); len(files) > 0 {
		t.Errorf("logout leaves %q", files)
	}
}

// A proxy that only the terminal knows of is told to be kept, since bridges
// won't hear of it.
func TestLoginTellsOfTheTerminalsProxy(t *testing.T) {
	c, d := newCorporate(t), newDesk(t)
	ctx := testContext(t)
	process := start(t, append(d.env(), "HTTPS_PROXY="+c.proxy, "https_proxy="), mcpctl, "login", c.url, "--dev-ca", c.devCA, "--device-code", "--token-store", "file",
		"--ca-file", c.ca, "--client-cert", c.cert, "--client-key", c.key)
	told, err := process.stderr.await(ctx, deviceCode)
	if err != nil {
		t.Fatalf("%v\n%s", err, process.stderr)
	}
	enterCode(ctx, t, told[1], told[2], c.devCA, "ada@contoso.example")
	if code := process.wait(); code != 0 || !strings.Contains(process.stderr.String(), "mcpctl login "+c.url+" --proxy "+c.proxy) {
		t.Errorf("%d\n%s", code, process.stderr)
	}
}

// Each thing that is missing on the way is named, with the flag that helps.
func TestCorporateNetworkExplains(t *testing.T) {
	c, d := newCorporate(t), newDesk(t)
	ctx := testContext(t)
	for name, test := range map[string]struct {
		flags []string
		retry string
		want  string
	}{
		"CA":          {[]string{"--proxy", c.proxy}, "10m", "so nothing was sent. The certificate of"},
		"certificate": {[]string{"--proxy", c.proxy, "--ca-file", c.ca}, "10m", "--client-cert FILE"},
		"proxy":       {[]string{"--proxy", "http://127.0.0.1:1"}, "1s", "The proxy 127.0.0.1:1, from --proxy, could not be used"},
	} {
		t.Run(name, func(t *testing.T) {
			process := start(t, d.bare(), append([]string{mcpctl, "bridge", c.url, "--no-auth", "--retry-time", test.retry}, test.flags...)...)
			p := newPeer(process)
			// What won't pass by itself is said at once, not after ten minutes.
			p.refused(p.call(ctx, "initialize", initialize), test.want)
			_ = process.stdin.Close()
			process.wait()
		})
	}
	process := start(t, d.bare(), mcpctl, "login", c.url, "--proxy", c.proxy)
	if code := process.wait(); code != 1 || !strings.Contains(process.stderr.String(), "Contoso Root") {
		t.Errorf("mcpctl login without the CA: %d\n%s", code, process.stderr)
	}
}

// Credentials of one's own come from the environment or a private file, replace
// the person's token, and are in no log at any level.
func TestHeadersOfOnesOwn(t *testing.T) {
	d := newDesk(t)
	ctx := testContext(t)
	var mu sync.Mutex
	var got []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		got = append(got, r.Header.Get("Authorization")+" | "+r.Header.Get("X-Team"))
		mu.Unlock()
		answerMCP(w, r)
	}))
	t.Cleanup(server.Close)
	file := filepath.Join(t.TempDir(), "headers")
	if err := os.WriteFile(file, []byte("# the team\nX-Team: ${TEAM_KEY}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const key, team = "swordfish-swordfish", "barracuda-barracuda"
	log := filepath.Join(t.TempDir(), "a folder", "bridge.log")
	process := start(t, append(d.bare(), "EXAMPLE_KEY="+key, "TEAM_KEY="+team), mcpctl, "bridge", server.URL+"/mcp",
		"--header", "Authorization: Key ${EXAMPLE_KEY}", "--header-file", file, "--log-level", "debug", "--log-file", log)
	p := newPeer(process)
	p.open(ctx)
	p.works(ctx)
	_ = process.stdin.Close()
	process.wait()
	mu.Lock()
	defer mu.Unlock()
	for _, line := range got {
		if line != "Key "+key+" | "+team {
			t.Errorf("the server got %q", line)
		}
	}
	logs, _ := filepath.Glob(filepath.Join(d.dir, "logs", "*.log"))
	for _, path := range append(logs, log) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if s := string(text); strings.Contains(s, key) || strings.Contains(s, team) || !strings.Contains(s, "bridge started") {
			t.Errorf("%s:\n%s", path, s)
		}
	}
	process = start(t, d.bare(), mcpctl, "bridge", server.URL+"/mcp", "--header", "Authorization: Key ${EXAMPLE_KEY}")
	if code := process.wait(); code != 2 || !strings.Contains(process.stderr.String(), "EXAMPLE_KEY is not set") {
		t.Errorf("with the variable missing: %d\n%s", code, process.stderr)
	}
}

// Windows keeps programs in folders with spaces and parentheses. Nothing of
// mcpctl goes through a shell that would take them apart.
func TestProgramInAFolderWithSpaces(t *testing.T) {
	d := newDesk(t)
	ctx := testContext(t)
	dir := filepath.Join(t.TempDir(), "Program Files (x86)", "My & Tools")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, filepath.Base(mcpctl))
	copyProgram(t, program, mcpctl)
	serverProgram := filepath.Join(dir, "server "+filepath.Base(scripted(t)[0]))
	copyProgram(t, serverProgram, scripted(t)[0])

	server := httptest.NewServer(http.HandlerFunc(answerMCP))
	t.Cleanup(server.Close)
	process := start(t, d.env(), program, "bridge", server.URL+"/mcp", "--no-auth", "--log-file", filepath.Join(dir, "a log.txt"))
	p := newPeer(process)
	p.open(ctx)
	p.works(ctx)
	_ = process.stdin.Close()
	if code := process.wait(); code != 0 {
		t.Errorf("the bridge ended with %d:\n%s", code, process.stderr)
	}

	// The command of an upstream is a list of words as well.
	s := newStack(t, []string{serverProgram, scriptedServer})
	d.login(t, s.url, s.caFile, "ada@contoso.example")
	q, process := d.bridge(t, s.url)
	q.open(ctx)
	q.works(ctx)
	_ = process.stdin.Close()
	process.wait()
}

func copyProgram(t *testing.T, to, from string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, data, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
}
