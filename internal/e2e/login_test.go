package e2e_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
)

// deviceCode is what mcpctl login tells a person without a terminal.
var deviceCode = regexp.MustCompile(`open (\S+) and enter the code (\S+) `)

// login signs upn in at url with a device code, as a person would: mcpctl login
// says what to enter where, and the person does.
func (d desk) login(t *testing.T, url, caFile, upn string, flags ...string) {
	t.Helper()
	ctx := testContext(t)
	p := d.start(t, append([]string{"login", url, "--dev-ca", caFile, "--device-code", "--token-store", "file"}, flags...)...)
	told, err := p.stderr.await(ctx, deviceCode)
	if err != nil {
		t.Fatalf("mcpctl login shows no code: %v\n%s", err, p.stderr)
	}
	enterCode(ctx, t, told[1], told[2], caFile, upn)
	if code := p.wait(); code != 0 {
		t.Fatalf("mcpctl login ended with %d:\n%s", code, p.stderr)
	}
}

// enterCode submits the form of the authority's device page.
func enterCode(ctx context.Context, t *testing.T, page, code, caFile, upn string) {
	t.Helper()
	pem, err := os.ReadFile(caFile)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}
	defer transport.CloseIdleConnections()
	form := url.Values{"user_code": {code}, "person": {upn}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, page, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		t.Fatalf("entering the code: %v", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("entering the code: %s", resp.Status)
	}
}
