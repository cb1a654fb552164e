package netconf

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	pkcs12 "software.sslmate.com/src/go-pkcs12"
)

// startTLS starts a server that says whose client certificate it saw.
func startTLS(t *testing.T, config *tls.Config) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.TLS.PeerCertificates) > 0 {
			_, _ = io.WriteString(w, r.TLS.PeerCertificates[0].Subject.CommonName)
		}
	}))
	s.TLS = config
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

// open opens a network on a machine without settings of its own.
func open(t *testing.T, s Settings) *Network {
	t.Helper()
	n, err := Open(Options{Settings: s, System: noSystem})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// fetch asks for url as the bridge would.
func fetch(t *testing.T, n *Network, url string) (string, error) {
	t.Helper()
	transport := n.Transport()
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := n.RoundTripper(transport).RoundTrip(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}

func TestPrivateCA(t *testing.T) {
	ca := newAuthority(t, "Contoso Root")
	s := startTLS(t, &tls.Config{Certificates: []tls.Certificate{ca.server()}})
	_, err := fetch(t, open(t, Settings{}), s.URL)
	text, ok := ExplainTLS(err)
	for _, want := range []string{"Contoso Root", "mcp.contoso.example", "--ca-file FILE"} {
		if !ok || !strings.Contains(text, want) {
			t.Errorf("without the CA: %v, %q; want %q in it", err, text, want)
		}
	}
	if _, err := fetch(t, open(t, Settings{CAFiles: []string{ca.file}}), s.URL); err != nil {
		t.Errorf("with the CA: %v", err)
	}
	der := writeFile(t, "ca.cer", ca.cert.Raw)
	if _, err := fetch(t, open(t, Settings{CAFiles: []string{newAuthority(t, "Other").file, der}}), s.URL); err != nil {
		t.Errorf("with the CA in DER, second of two: %v", err)
	}
}

// People who come from npm have this variable in their client's configuration.
func TestNodeExtraCACerts(t *testing.T) {
	ca := newAuthority(t, "Contoso Root")
	s := startTLS(t, &tls.Config{Certificates: []tls.Certificate{ca.server()}})
	var log bytes.Buffer
	n, err := Open(Options{System: noSystem, Getenv: env("NODE_EXTRA_CA_CERTS", ca.file), Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fetch(t, n, s.URL); err != nil {
		t.Error(err)
	}
	if !strings.Contains(log.String(), "NODE_EXTRA_CA_CERTS") {
		t.Errorf("the log says nothing of it: %s", &log)
	}
	log.Reset()
	n, err = Open(Options{System: noSystem, Getenv: env("NODE_EXTRA_CA_CERTS", "missing.pem"), Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err == nil {
		_, _ = fetch(t, n, s.URL) // the variables are looked at when there is a certificate to judge
	}
	if err != nil || !strings.Contains(log.String(), "missing.pem") {
		t.Errorf("a missing file must not stop the bridge, and must be told: %v, %q", err, &log)
	}
}

func TestBadFiles(t *testing.T) {
	ca := newAuthority(t, "Contoso Root")
	mine := ca.issue(x509.Certificate{Subject: pkix.Name{CommonName: "alice"}})
	other := ca.issue(x509.Certificate{Subject: pkix.Name{CommonName: "bob"}})
	old := ca.issue(x509.Certificate{NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(-24 * time.Hour)})
	cert := writeFile(t, "cert.pem", pemOf("CERTIFICATE", mine.Certificate[0]))
	key := writeFile(t, "key.pem", keyPEM(t, mine))
	p12, err := pkcs12.Modern.Encode(mine.PrivateKey, mine.Leaf, nil, "hunter2")
	if err != nil {
		t.Fatal(err)
	}
	bundle := writeFile(t, "id.p12", p12)
	tests := []struct {
		name     string
		settings Settings
		want     []string
	}{
		{"missing CA", Settings{CAFiles: []string{"nowhere.pem"}}, []string{"nowhere.pem", "--ca-file FILE"}},
		{"a folder", Settings{CAFiles: []string{t.TempDir()}}, []string{"--ca-file FILE"}},
		{"empty CA", Settings{CAFiles: []string{writeFile(t, "empty.pem", nil)}}, []string{"empty.pem", "it is empty"}},
		{"a key as CA", Settings{CAFiles: []string{key}}, []string{"key.pem", `"PRIVATE KEY"`}},
		{"a page as CA", Settings{CAFiles: []string{writeFile(t, "page.pem", []byte("<html>"))}}, []string{"page.pem", "PEM or DER"}},
		{"damaged CA", Settings{CAFiles: []string{writeFile(t, "bad.pem", pemOf("CERTIFICATE", []byte("x")))}}, []string{"bad.pem", "certificate 1 in it is damaged"}},
		{"missing certificate", Settings{ClientCert: "gone.pem"}, []string{"gone.pem", "--client-cert FILE"}},
		{"certificate without key", Settings{ClientCert: cert}, []string{"cert.pem", "--client-key FILE"}},
		{"key without certificate", Settings{ClientKey: key}, []string{"--client-cert FILE"}},
		{"missing key", Settings{ClientCert: cert, ClientKey: "gone.key"}, []string{"gone.key", "--client-key FILE"}},
		{"another's key", Settings{ClientCert: cert, ClientKey: writeFile(t, "bob.key", keyPEM(t, other))}, []string{"cert.pem", "bob.key", "does not match"}},
		{"protected key", Settings{ClientCert: cert, ClientKey: writeFile(t, "locked.key", pemOf("ENCRYPTED PRIVATE KEY", []byte("x")))}, []string{"locked.key", "openssl pkey"}},
		{"expired", Settings{ClientCert: writeFile(t, "old.pem", append(pemOf("CERTIFICATE", old.Certificate[0]), keyPEM(t, old)...))}, []string{"old.pem", "expired on"}},
		{"PKCS#12 without password", Settings{ClientCert: bundle}, []string{"id.p12", "--client-cert-password-file FILE"}},
		{"PKCS#12 with a wrong one", Settings{ClientCert: bundle, ClientPassword: writeFile(t, "pw", []byte("guess\n"))}, []string{"id.p12", "pw"}},
		{"PKCS#12 with a missing one", Settings{ClientCert: bundle, ClientPassword: "gone.pw"}, []string{"gone.pw", "--client-cert-password-file FILE"}},
		{"neither", Settings{ClientCert: writeFile(t, "x.bin", []byte("x"))}, []string{"x.bin", "neither PEM nor PKCS#12"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := Open(Options{Settings: test.settings, System: noSystem})
			for _, want := range test.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("got %v, want %q in it", err, want)
				}
			}
		})
	}
	_, err = Open(Options{Settings: Settings{CAFiles: []string{"one.pem", "two.pem"}, ClientCert: "three.pem", Proxy: "ftp://x"}})
	for _, want := range []string{"one.pem", "two.pem", "three.pem", "ftp"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("all faults are told at once: %v lacks %q", err, want)
		}
	}
}

func TestClientCertificate(t *testing.T) {
	ca := newAuthority(t, "Contoso Root")
	s := startTLS(t, &tls.Config{Certificates: []tls.Certificate{ca.server()}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: ca.pool()})
	alice := ca.issue(x509.Certificate{Subject: pkix.Name{CommonName: "alice"}})
	cert, key := pemOf("CERTIFICATE", alice.Certificate[0]), keyPEM(t, alice)
	p12, err := pkcs12.Modern.Encode(alice.PrivateKey, alice.Leaf, nil, "hunter2")
	if err != nil {
		t.Fatal(err)
	}
	for name, settings := range map[string]Settings{
		"two files": {ClientCert: writeFile(t, "cert.pem", cert), ClientKey: writeFile(t, "key.pem", key)},
		"one file":  {ClientCert: writeFile(t, "both.pem", append(append([]byte{}, key...), cert...))},
		"PKCS#12":   {ClientCert: writeFile(t, "id.p12", p12), ClientPassword: writeFile(t, "pw", []byte("hunter2\r\n"))},
	} {
		settings.CAFiles = []string{ca.file}
		if got, err := fetch(t, open(t, settings), s.URL); err != nil || got != "alice" {
			t.Errorf("%s: the server saw %q, %v", name, got, err)
		}
	}
	_, err = fetch(t, open(t, Settings{CAFiles: []string{ca.file}}), s.URL)
	if text, ok := ExplainTLS(err); !ok || !strings.Contains(text, "--client-cert") {
		t.Errorf("without one: %v, %q", err, text)
	}
	mallory := newAuthority(t, "Elsewhere").issue(x509.Certificate{Subject: pkix.Name{CommonName: "mallory"}})
	foreign := writeFile(t, "foreign.pem", append(pemOf("CERTIFICATE", mallory.Certificate[0]), keyPEM(t, mallory)...))
	_, err = fetch(t, open(t, Settings{CAFiles: []string{ca.file}, ClientCert: foreign}), s.URL)
	if text, ok := ExplainTLS(err); !ok || !strings.Contains(text, "client certificate") {
		t.Errorf("with another authority's: %v, %q", err, text)
	}
}

// The certificate is the MCP server's business: an authority doesn't see it.
func TestSignInShowsNoClientCertificate(t *testing.T) {
	ca := newAuthority(t, "Contoso Root")
	s := startTLS(t, &tls.Config{Certificates: []tls.Certificate{ca.server()}, ClientAuth: tls.RequestClientCert})
	alice := ca.issue(x509.Certificate{Subject: pkix.Name{CommonName: "alice"}})
	both := writeFile(t, "both.pem", append(pemOf("CERTIFICATE", alice.Certificate[0]), keyPEM(t, alice)...))
	n := open(t, Settings{CAFiles: []string{ca.file}, ClientCert: both})
	transport := n.SignInTransport()
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport}).Get(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, _ := io.ReadAll(resp.Body); len(body) > 0 {
		t.Errorf("the authority saw the certificate of %s", body)
	}
}

// Short-lived certificates are replaced while a bridge runs.
func TestClientCertificateIsReadAgain(t *testing.T) {
	ca := newAuthority(t, "Contoso Root")
	s := startTLS(t, &tls.Config{Certificates: []tls.Certificate{ca.server()}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: ca.pool()})
	path := filepath.Join(t.TempDir(), "id.pem")
	put := func(name string) {
		c := ca.issue(x509.Certificate{Subject: pkix.Name{CommonName: name}})
		if err := os.WriteFile(path, append(pemOf("CERTIFICATE", c.Certificate[0]), keyPEM(t, c)...), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("monday")
	n := open(t, Settings{CAFiles: []string{ca.file}, ClientCert: path})
	put("tuesday")
	if got, err := fetch(t, n, s.URL); err != nil || got != "tuesday" {
		t.Errorf("the server saw %q, %v", got, err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if got, err := fetch(t, n, s.URL); err != nil || got != "tuesday" {
		t.Errorf("with the file gone for a moment the server saw %q, %v", got, err)
	}
}

func TestExplainTLS(t *testing.T) {
	ca := newAuthority(t, "Contoso Root")
	zscaler := newAuthority(t, "Zscaler Root CA")
	expired := ca.issue(x509.Certificate{
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(-24 * time.Hour),
	})
	future := ca.issue(x509.Certificate{
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotBefore: time.Now().Add(24 * time.Hour), NotAfter: time.Now().Add(48 * time.Hour),
	})
	elsewhere := ca.issue(x509.Certificate{DNSNames: []string{"other.example"}})
	plainServer := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(plainServer.Close)
	tests := []struct {
		name string
		url  string
		want []string
	}{
		{"inspected", startTLS(t, &tls.Config{Certificates: []tls.Certificate{zscaler.server()}}).URL, []string{"Zscaler inspects TLS", "--ca-file FILE"}},
		{"expired", startTLS(t, &tls.Config{Certificates: []tls.Certificate{expired}}).URL, []string{"expired on " + day(expired.Leaf.NotAfter), "clock"}},
		{"not yet valid", startTLS(t, &tls.Config{Certificates: []tls.Certificate{future}}).URL, []string{"not valid before", "Check the clock"}},
		{"another host's", startTLS(t, &tls.Config{Certificates: []tls.Certificate{elsewhere}}).URL, []string{"not for 127.0.0.1 but for other.example"}},
		{"no TLS", "https" + strings.TrimPrefix(plainServer.URL, "http"), []string{"does not speak TLS"}},
		{"old TLS", startTLS(t, &tls.Config{Certificates: []tls.Certificate{ca.server()}, MaxVersion: tls.VersionTLS11}).URL, []string{"it needs 1.2 or 1.3"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := fetch(t, open(t, Settings{CAFiles: []string{ca.file}}), test.url)
			text, ok := ExplainTLS(err)
			if !ok {
				t.Fatalf("%v is not explained", err)
			}
			for _, want := range test.want {
				if !strings.Contains(text, want) {
					t.Errorf("%q lacks %q", text, want)
				}
			}
			var explained *Error
			if !errors.As(err, &explained) || explained.Error() != text || errors.Unwrap(explained) == nil {
				t.Errorf("the failure %v doesn't say the same", err)
			}
		})
	}
	if text, ok := ExplainTLS(errors.New("connection refused")); ok {
		t.Errorf("%q explains what is not about TLS", text)
	}
}

func FuzzParseCertificates(f *testing.F) {
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))
	f.Add([]byte{0x30, 0x82})
	f.Fuzz(func(t *testing.T, data []byte) {
		if certs, err := parseCertificates(data); err == nil && len(certs) == 0 {
			t.Error("no certificate and no error")
		}
	})
}

// Over HTTP/2 the alert that refuses a client often gets lost; what is meant is
// said all the same.
func TestClientCertificateOverHTTP2(t *testing.T) {
	ca := newAuthority(t, "Contoso Root")
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.TLS = &tls.Config{Certificates: []tls.Certificate{ca.server()}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: ca.pool()}
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(s.Close)
	n := open(t, Settings{CAFiles: []string{ca.file}})
	for range 20 {
		_, err := fetch(t, n, s.URL)
		if text, ok := ExplainTLS(err); !ok || !strings.Contains(text, "Add --client-cert FILE") {
			t.Fatalf("%v is not explained: %q", err, text)
		}
	}
}
