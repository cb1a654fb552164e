package server_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/mcpctl/mcpctl/server"
)

func TestFullDiskWithholdsAnswers(t *testing.T) {
	w := start(t, whoami, func(o *server.Options) { o.Config.Audit.File = "/dev/full" })
	_, body := w.do("POST", "/mcp", w.token(w.sample.Ada), initialize)
	if !strings.Contains(body, "withholds the answer") || strings.Contains(body, "serverInfo") {
		t.Errorf("got %s", body)
	}
	if !strings.Contains(w.log.String(), "no space left") {
		t.Error("the log does not say why")
	}
}

// Where the configuration says so, calls go on without records.
func TestFullDiskStopsNothingWhereConfigured(t *testing.T) {
	addr, telemetry := withTelemetry(t)
	w := start(t, whoami, telemetry, func(o *server.Options) { o.Config.Audit.File, o.Config.Audit.OnFailure = "/dev/full", "continue" })
	s := w.streamable(w.token(w.sample.Ada))
	if f, _ := s.tool("whoami", `{}`); f.Failed {
		t.Errorf("got %s", f.Raw)
	}
	if status, _ := get(t, "http://"+addr+"/readyz"); status != http.StatusOK {
		t.Errorf("/readyz: %d", status)
	}
	if _, metrics := get(t, "http://"+addr+"/metrics"); !strings.Contains(metrics, "mcpctl_audit_failures_total 2") {
		t.Error("the metrics do not tell")
	}
	if !strings.Contains(w.log.String(), "audit records are lost") {
		t.Error("the log does not tell")
	}
}

// No token is asked for without evidence.
func TestDiagnosisNeedsTheAuditLog(t *testing.T) {
	w := delegated(t, server.Upstream{Name: "crm", URL: crmServer(t), OnBehalfOf: server.OnBehalfOf{Scopes: []string{crmURI + "/.default"}}},
		func(o *server.Options) { o.Config.Audit.File = "/dev/full" })
	if resp, body := w.do(http.MethodPost, diagnosisPath, w.token(w.sample.Ada), ""); resp.StatusCode != http.StatusServiceUnavailable || strings.Contains(body, "exchanges") {
		t.Errorf("HTTP %d %s", resp.StatusCode, body)
	}
}
