package server

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// writePair makes a certificate for 127.0.0.1 with a serial number.
func writePair(t *testing.T, files TLS, serial int64, until time.Time) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: until,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{files.CertFile: {Type: "CERTIFICATE", Bytes: der}, files.KeyFile: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func TestCertificateIsReadAnew(t *testing.T) {
	dir := t.TempDir()
	files := TLS{CertFile: filepath.Join(dir, "tls.crt"), KeyFile: filepath.Join(dir, "tls.key")}
	writePair(t, files, 1, time.Now().Add(time.Hour))
	var log bytes.Buffer
	c, err := loadCertificate(files, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	c.now = func() time.Time { return now }
	serial := func() int64 { return c.get().Leaf.SerialNumber.Int64() }
	renew := func(serial int64) {
		writePair(t, files, serial, time.Now().Add(time.Hour))
		later := time.Now().Add(time.Duration(serial) * time.Minute) // file systems may have coarse times
		if err := os.Chtimes(files.CertFile, later, later); err != nil {
			t.Fatal(err)
		}
	}
	renew(2)
	if serial() != 1 {
		t.Error("the files are looked at for each handshake")
	}
	now = now.Add(certificateCheck)
	if serial() != 2 {
		t.Error("the renewed certificate is not in force")
	}
	// Half a pair changes nothing; SIGHUP does at once.
	if err := os.WriteFile(files.KeyFile, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	now = now.Add(certificateCheck)
	if serial() != 2 || !strings.Contains(log.String(), "the old one stays in force") {
		t.Errorf("serial %d, log %s", serial(), log.String())
	}
	if c.reload() == nil {
		t.Error("half a pair was taken over")
	}
	renew(3)
	if err := c.reload(); err != nil || serial() != 3 {
		t.Errorf("%v, serial %d", err, serial())
	}
}

func TestTLSVersions(t *testing.T) {
	dir := t.TempDir()
	files := TLS{CertFile: filepath.Join(dir, "tls.crt"), KeyFile: filepath.Join(dir, "tls.key")}
	root := writePair(t, files, 1, time.Now().Add(time.Hour))
	o, err := minimalConfig(t)
	if err != nil {
		t.Fatal(err)
	}
	o.TLS = files
	s, err := Listen(t.Context(), Options{Config: o})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = s.http.Serve(s.listener) }()
	defer func() { s.Close(); <-ended }()
	if !strings.HasPrefix(s.PublicURL(), "https://127.0.0.1:") {
		t.Error(s.PublicURL())
	}
	pool := x509.NewCertPool()
	pool.AddCert(root)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true, DisableKeepAlives: true}
	resp, err := (&http.Client{Transport: transport}).Get(strings.TrimSuffix(s.PublicURL(), "mcp") + "healthz")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.ProtoMajor != 2 || resp.StatusCode != 200 {
		t.Errorf("%s %d", resp.Proto, resp.StatusCode)
	}
	old := &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11} // what is refused
	if conn, err := tls.Dial("tcp", s.listener.Addr().String(), old); err == nil {
		conn.Close()
		t.Error("TLS 1.1 is spoken")
	}
}

// minimalConfig is one that needs no authority before the first token.
func minimalConfig(t *testing.T) (Config, error) {
	t.Helper()
	return ParseConfig("mcpctl.yaml", []byte(`
listen: 127.0.0.1:0
entra:
  tenant_id: 00000000-0000-0000-0000-000000000001
  client_id: 00000000-0000-0000-0000-000000000002
  required_scopes: [Mcp.Access]
upstreams: [{name: me, builtin: [whoami]}]
`))
}
