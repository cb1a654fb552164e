package server_test

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/mcpctl/mcpctl/server"
)

// freeAddr is an address that nobody listens on.
func freeAddr(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// get asks an address that needs no token.
func get(t *testing.T, url string) (status int, body string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	resp, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func withTelemetry(t *testing.T) (addr string, change func(*server.Options)) {
	addr = freeAddr(t)
	return addr, func(o *server.Options) { o.Config.Telemetry.Listen = addr }
}

func TestMetrics(t *testing.T) {
	addr, telemetry := withTelemetry(t)
	w := start(t, commandUpstream(t), telemetry)
	token := w.token(w.sample.Ada)
	s := w.streamable(token)
	s.tool("echo", `{"customer":"secret-customer"}`)
	s.tool("fail", `{}`)
	w.do("POST", "/mcp", "", initialize)
	w.do("POST", "/mcp", "x.y.z", initialize)
	_, body := get(t, "http://"+addr+"/metrics")
	for _, want := range []string{
		`mcpctl_requests_total{method="tools/call",outcome="ok"} 1`,
		`mcpctl_requests_total{method="tools/call",outcome="tool_error"} 1`,
		`mcpctl_requests_total{method="initialize",outcome="ok"} 1`,
		`mcpctl_request_duration_seconds_count{method="tools/call"} 2`,
		`mcpctl_refusals_total{rule="no-token"} 1`,
		`mcpctl_token_verifications_total{result="cold"} 1`,
		`mcpctl_token_verifications_total{result="refused"} 1`,
		`mcpctl_key_refreshes_total{outcome="ok"} 1`,
		`mcpctl_http_requests_total{method="POST",status="4xx"} 2`,
		`mcpctl_sessions{transport="streamable-http"} 1`,
		`mcpctl_sessions{transport="sse"} 0`,
		`mcpctl_upstream_processes{upstream="helper"} 1`,
		`mcpctl_upstream_starts_total{outcome="ok",upstream="helper"} 1`,
		`mcpctl_audit_failures_total 0`,
		`mcpctl_build_info{goversion="go`,
		`go_goroutines `,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("no %s", want)
		}
	}
	if !regexp.MustCompile(`mcpctl_token_verifications_total\{result="cached"\} [1-9]`).MatchString(body) {
		t.Error("no cached verification")
	}
	for _, private := range []string{w.sample.Ada.OID, w.sample.Ada.UPN, w.authority.TenantID(), "secret-customer", token} {
		if strings.Contains(body, private) {
			t.Errorf("metrics contain %.20s", private)
		}
	}
	if t.Failed() {
		t.Log(body)
	}
	// They are not for those who call.
	if resp, _ := w.do("GET", "/metrics", "", ""); resp.StatusCode != http.StatusNotFound {
		t.Errorf("/metrics on the public address: %d", resp.StatusCode)
	}
}

func TestReadiness(t *testing.T) {
	addr, telemetry := withTelemetry(t)
	w := start(t, whoami, telemetry, func(o *server.Options) { o.Config.DrainDelay = time.Second })
	ready := func(want int) map[string]string {
		t.Helper()
		var answer struct{ Checks map[string]string }
		for until := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
			status, body := get(t, "http://"+addr+"/readyz")
			if err := json.Unmarshal([]byte(body), &answer); err != nil {
				t.Fatalf("%v: %s", err, body)
			}
			if status == want {
				return answer.Checks
			}
			if time.Now().After(until) {
				t.Fatalf("%d %s, want %d", status, body, want)
			}
		}
	}
	if checks := ready(200); checks["authority"] != "ok" || checks["audit"] != "ok" || checks["running"] != "ok" {
		t.Errorf("got %v", checks)
	}
	if status, body := get(t, "http://"+addr+"/healthz"); status != 200 || body != "ok\n" {
		t.Errorf("/healthz: %d %q", status, body)
	}
	// While it is not ready any more it goes on serving for a moment.
	w.cancel()
	if checks := ready(503); checks["running"] != "the server is stopping" {
		t.Errorf("got %v", checks)
	}
	if resp, _ := w.do("GET", "/healthz", "", ""); resp.StatusCode != 200 {
		t.Errorf("/healthz while draining: %d", resp.StatusCode)
	}
	w.stop()
}

func TestNotReadyWithoutKeys(t *testing.T) {
	addr, telemetry := withTelemetry(t)
	o, w := options(t, whoami)
	telemetry(&o)
	o.Config.Entra.Authority = "https://127.0.0.1:1/" + w.authority.TenantID()
	s, err := server.Listen(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for until := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		status, body := get(t, "http://"+addr+"/readyz")
		if status != 503 {
			t.Fatalf("%d %s", status, body)
		}
		if strings.Contains(body, "can't be fetched") {
			break
		}
		if time.Now().After(until) {
			t.Fatal(body)
		}
	}
}

func TestTelemetryAddressTaken(t *testing.T) {
	o, _ := options(t, whoami)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	o.Config.Telemetry.Listen = taken.Addr().String()
	s, err := server.Listen(t.Context(), o)
	if err == nil {
		s.Close()
		t.Fatal("it listens")
	}
	if !strings.Contains(err.Error(), "telemetry.listen") {
		t.Error(err)
	}
}

func TestAccessLog(t *testing.T) {
	file := t.TempDir() + "/access.jsonl"
	w := start(t, whoami, func(o *server.Options) {
		o.Config.AccessLog = server.AccessLog{Enabled: true, File: file}
		o.Config.TrustedProxies = []string{"127.0.0.1"}
	})
	token := w.token(w.sample.Ada)
	w.do("POST", "/messages?sessionId=secret-session&access_token="+token, token, "{}", "X-Forwarded-For", "198.51.100.7")
	s := w.streamable(token)
	s.tool("whoami", `{}`)
	w.stop()
	text := readFile(t, file)
	first, _, _ := strings.Cut(text, "\n")
	var line map[string]any
	if err := json.Unmarshal([]byte(first), &line); err != nil {
		t.Fatal(err)
	}
	if line["path"] != "/messages" || line["method"] != "POST" || line["status"] != float64(401) || !strings.HasPrefix(line["remote"].(string), "198.51.100.7:") {
		t.Errorf("got %s", first)
	}
	if strings.Contains(text, "secret-session") || strings.Contains(text, "eyJ") {
		t.Errorf("a secret in %s", text)
	}
	// The client's address is in the evidence, too.
	if r := w.records()[0]; !strings.HasPrefix(r["remote"].(string), "198.51.100.7:") {
		t.Errorf("recorded as %v", r)
	}
}
