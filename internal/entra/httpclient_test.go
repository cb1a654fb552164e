package entra

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func globalAuthority(t *testing.T) Authority {
	t.Helper()
	a, err := ParseAuthority(scriptedBase, "")
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestHTTPClientRetries(t *testing.T) {
	refused := &net.OpError{Op: "dial", Err: errors.New("connection refused")}
	reset := &net.OpError{Op: "read", Err: errors.New("connection reset")}
	type step struct {
		status int
		after  string
		err    error
	}
	tests := []struct {
		name    string
		method  string
		steps   []step // the last one stays
		sent    int
		status  int
		minWait time.Duration
		maxWait time.Duration
	}{
		{"GET after 500", "GET", []step{{500, "", nil}, {200, "", nil}}, 2, 200, 300 * time.Millisecond, time.Second},
		{"GET gives up after three", "GET", []step{{502, "", nil}}, 3, 502, 900 * time.Millisecond, 2 * time.Second},
		{"GET after a reset", "GET", []step{{0, "", reset}, {200, "", nil}}, 2, 200, 0, time.Second},
		{"POST after 429 obeys Retry-After", "POST", []step{{429, "7", nil}, {200, "", nil}}, 2, 200, 7 * time.Second, 7 * time.Second},
		{"POST after 503", "POST", []step{{503, "", nil}, {200, "", nil}}, 2, 200, 300 * time.Millisecond, time.Second},
		{"POST after 500 is not repeated", "POST", []step{{500, "", nil}}, 1, 500, 0, 0},
		{"POST after a reset is not repeated", "POST", []step{{0, "", reset}}, 1, 0, 0, 0},
		{"POST after a refused connection", "POST", []step{{0, "", refused}, {200, "", nil}}, 2, 200, 300 * time.Millisecond, time.Second},
		{"a long Retry-After is reported", "POST", []step{{429, "120", nil}}, 1, 429, 0, 0},
		{"400 is an answer", "POST", []step{{400, "", nil}}, 1, 400, 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sent, steps := 0, tt.steps
				transport := roundTripper(func(r *http.Request) (*http.Response, error) {
					if r.Body != nil {
						if body, _ := io.ReadAll(r.Body); string(body) != "form" {
							t.Errorf("attempt %d sent %q", sent+1, body)
						}
					}
					sent++
					s := steps[0]
					if len(steps) > 1 {
						steps = steps[1:]
					}
					if s.err != nil {
						return nil, s.err
					}
					return answerWith(r, s.status, "", "Retry-After", s.after), nil
				})
				client := NewHTTPClient(globalAuthority(t), transport)
				var body io.Reader
				if tt.method == "POST" {
					body = strings.NewReader("form")
				}
				req, _ := http.NewRequestWithContext(t.Context(), tt.method, scriptedBase+"/oauth2/v2.0/token", body)
				start := time.Now()
				resp, err := client.Do(req)
				waited := time.Since(start)
				status := 0
				if err == nil {
					status = resp.StatusCode
				}
				if sent != tt.sent || status != tt.status {
					t.Errorf("sent %d times, status %d, err %v; want %d times, status %d", sent, status, err, tt.sent, tt.status)
				}
				if waited < tt.minWait || waited > tt.maxWait {
					t.Errorf("waited %s, want %s to %s", waited, tt.minWait, tt.maxWait)
				}
			})
		})
	}
}

func TestHTTPClientDoesNotWaitBeyondTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := NewHTTPClient(globalAuthority(t), roundTripper(func(r *http.Request) (*http.Response, error) {
			return answerWith(r, 429, "", "Retry-After", "9"), nil
		}))
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		req, _ := http.NewRequestWithContext(ctx, "GET", scriptedBase, nil)
		start := time.Now()
		resp, err := client.Do(req)
		if err != nil || resp.StatusCode != 429 || time.Since(start) != 0 {
			t.Errorf("got %v, %v after %s; want the 429 at once", resp, err, time.Since(start))
		}
	})
}

func TestHTTPClientStaysOnTheAuthority(t *testing.T) {
	sent := 0
	client := NewHTTPClient(globalAuthority(t), roundTripper(func(r *http.Request) (*http.Response, error) {
		sent++
		return answerWith(r, 307, "", "Location", "https://evil.example/token"), nil
	}))
	for _, address := range []string{
		"https://evil.example/token",
		"http://login.microsoftonline.com/x",
		"https://login.microsoftonline.com:8443/x",
		"https://u:p@login.microsoftonline.com/x",
		"https://login.microsoftonline.us/x",
	} {
		req, _ := http.NewRequestWithContext(t.Context(), "POST", address, strings.NewReader("refresh_token=x"))
		if _, err := client.Do(req); err == nil {
			t.Errorf("%s was contacted", address)
		}
	}
	if sent != 0 {
		t.Fatalf("%d requests left", sent)
	}
	req, _ := http.NewRequestWithContext(t.Context(), "POST", scriptedBase+"/token", strings.NewReader("refresh_token=x"))
	resp, err := client.Do(req)
	if err != nil || resp.StatusCode != 307 || sent != 1 {
		t.Errorf("a redirect gave %v, %v after %d requests; want it returned unfollowed", resp, err, sent)
	}
}

func TestHTTPClientBoundsBodies(t *testing.T) {
	client := NewHTTPClient(globalAuthority(t), roundTripper(func(r *http.Request) (*http.Response, error) {
		resp := answerWith(r, 200, "")
		resp.Body, resp.ContentLength = io.NopCloser(io.LimitReader(zeros{}, maxBody+1)), -1
		return resp, nil
	}))
	req, _ := http.NewRequestWithContext(t.Context(), "POST", scriptedBase, nil)
	_, err := client.Do(req)
	mustContain(t, err, "longer than")
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestDevelopmentTrustsItsCAOnly(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }))
	defer server.Close()
	get := func(ca string) error {
		authority, err := ParseAuthority(server.URL+"/"+testTenant, ca)
		if err != nil {
			t.Fatal(err)
		}
		client := NewHTTPClient(authority, nil)
		defer client.CloseIdleConnections()
		req, _ := http.NewRequestWithContext(t.Context(), "GET", server.URL, nil)
		_, err = client.Do(req)
		return err
	}
	own := writePEM(t, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	if err := get(own); err != nil {
		t.Errorf("with its own CA: %v", err)
	}
	var verification *tls.CertificateVerificationError
	var unknown x509.UnknownAuthorityError
	if err := get(writeTestCA(t)); !errors.As(err, &verification) || !errors.As(err, &unknown) {
		t.Errorf("with another CA: %v", err)
	}
}

func TestDevelopmentDialsLoopbackOnly(t *testing.T) {
	for _, addr := range []string{"192.0.2.1:443", "example.com:443", "localhost:443", "no-port"} {
		var untrusted *untrustedError
		if _, err := dialLoopback(t.Context(), "tcp", addr); !errors.As(err, &untrusted) {
			t.Errorf("%s: %v", addr, err)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	tests := []struct {
		value string
		want  time.Duration
	}{
		{"", 0}, {"5", 5 * time.Second}, {" 5 ", 5 * time.Second}, {"-5", 0}, {"soon", 0},
		{"99999999999", 0}, {"9999999", 24 * time.Hour},
		{"Thu, 01 Jan 2026 00:00:30 GMT", 30 * time.Second}, {"Thu, 01 Jan 2025 00:00:30 GMT", 0},
	}
	for _, tt := range tests {
		if got := retryAfter(http.Header{"Retry-After": {tt.value}}, now); got != tt.want && tt.value != "99999999999" {
			t.Errorf("Retry-After %q = %s, want %s", tt.value, got, tt.want)
		}
	}
}
