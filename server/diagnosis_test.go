package server_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/mcpctl/mcpctl/internal/fakeentra"
	"github.com/mcpctl/mcpctl/server"
)

const diagnosisPath = "/mcp/.well-known/mcpctl-diagnosis"

// A caller learns whether the server gets tokens in their name, and sees none.
func TestDiagnosisTriesTheExchange(t *testing.T) {
	crm := server.Upstream{Name: "crm", URL: crmServer(t), OnBehalfOf: server.OnBehalfOf{Scopes: []string{crmURI + "/.default"}}}
	for _, tt := range []struct {
		name              string
		fault             *fakeentra.Fault
		reason, text, fix string
	}{
		{"it works", nil, "", "", ""},
		{"nobody agreed", faultAt(fakeentra.FaultConsentRequired()), "consent", "AADSTS65001", "adminconsent"},
		{"a second factor is missing", faultAt(fakeentra.FaultMFA()), "claims", "AADSTS50076", "Sign in again"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := delegated(t, crm)
			if tt.fault != nil {
				w.authority.Inject(*tt.fault)
			}
			resp, body := w.do(http.MethodPost, diagnosisPath, w.token(w.sample.Ada), "")
			if resp.StatusCode != http.StatusOK || strings.Contains(body, "eyJ") {
				t.Fatalf("HTTP %d: %s", resp.StatusCode, body)
			}
			var said struct {
				Exchanges []struct {
					Upstream, Reason, Text, Fix string
					OK                          bool
				}
			}
			if err := json.Unmarshal([]byte(body), &said); err != nil || len(said.Exchanges) != 1 || said.Exchanges[0].Upstream != "crm" {
				t.Fatalf("%v: %s", err, body)
			}
			w.diagnosed(w.sample.Ada, tt.reason)
			e := said.Exchanges[0]
			if e.OK != (tt.fault == nil) || e.Reason != tt.reason || !strings.Contains(e.Text, tt.text) || !strings.Contains(e.Fix, tt.fix) {
				t.Errorf("got %+v", e)
			}
		})
	}
}

// Only callers are told, and the metadata says where.
func TestDiagnosisIsForCallers(t *testing.T) {
	w := start(t, server.Upstream{Name: "me", Builtin: []string{"whoami"}})
	if resp, _ := w.do(http.MethodPost, diagnosisPath, "", ""); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("nobody gets HTTP %d", resp.StatusCode)
	}
	if resp, _ := w.do(http.MethodGet, diagnosisPath, w.token(w.sample.Ada), ""); resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("GET gets HTTP %d", resp.StatusCode)
	}
	if resp, body := w.do(http.MethodPost, diagnosisPath, w.token(w.sample.Ada), ""); resp.StatusCode != http.StatusOK || strings.TrimSpace(body) != `{"exchanges":[]}` {
		t.Errorf("a server that needs no tokens answers HTTP %d %s", resp.StatusCode, body)
	}
	_, body := w.do(http.MethodGet, "/.well-known/oauth-protected-resource/mcp", "", "")
	var doc struct {
		At string `json:"mcpctl_diagnosis_uri"`
	}
	if err := json.Unmarshal([]byte(body), &doc); err != nil || doc.At != w.server.PublicURL()+"/.well-known/mcpctl-diagnosis" {
		t.Errorf("%v: the metadata is %s", err, body)
	}
}

func faultAt(f fakeentra.Fault) *fakeentra.Fault {
	f = f.At(fakeentra.GrantOnBehalfOf)
	return &f
}

// diagnosed checks that the audit log says for whom a token was asked for.
func (w *world) diagnosed(who fakeentra.Person, reason string) {
	w.t.Helper()
	outcome := "ok"
	if reason != "" {
		outcome = "error"
	}
	for _, r := range w.records() {
		rule, _ := r["rule"].(string)
		if r["method"] == "mcpctl/diagnosis" && r["oid"] == who.OID && r["upstream"] == "crm" && r["outcome"] == outcome && rule == reason && r["remote"] != nil {
			return
		}
	}
	w.t.Errorf("the audit log does not say so: %v", w.records())
}

// askedTooOften asks until Ada is turned away; places come back meanwhile.
func (w *world) askedTooOften() (resp *http.Response, body string, asked int) {
	w.t.Helper()
	for ; asked < 1000; asked++ {
		resp, body = w.do(http.MethodPost, diagnosisPath, w.token(w.sample.Ada), "")
		switch resp.StatusCode {
		case http.StatusOK:
		case http.StatusTooManyRequests:
			return resp, body, asked
		default:
			w.t.Fatalf("HTTP %d %s", resp.StatusCode, body)
		}
	}
	w.t.Fatal("nobody is turned away")
	return nil, "", 0
}

// Nobody makes the server ask Entra ID as often as they like: not with one token,
// and not with many.
func TestDiagnosisIsLimited(t *testing.T) {
	w := delegated(t, server.Upstream{Name: "crm", URL: crmServer(t), OnBehalfOf: server.OnBehalfOf{Scopes: []string{crmURI + "/.default"}}})
	resp, body, asked := w.askedTooOften()
	if asked < 60 || resp.Header.Get("Retry-After") == "" || !strings.Contains(body, "too_many_requests") {
		t.Errorf("after %d: Retry-After %q: %s", asked, resp.Header.Get("Retry-After"), body)
	}
	if resp, _ := w.do(http.MethodPost, diagnosisPath, w.token(w.sample.Grace), ""); resp.StatusCode != http.StatusOK {
		t.Errorf("somebody else gets HTTP %d", resp.StatusCode)
	}
	last := w.records()
	if r := last[len(last)-2]; r["decision"] != "deny" || r["rule"] != "rate-limit" || r["oid"] != w.sample.Ada.OID || r["method"] != "mcpctl/diagnosis" {
		t.Errorf("the audit log says %v", r)
	}
}

// An operator who doesn't want it has no such address, and nobody is told one.
func TestNoDiagnosis(t *testing.T) {
	w := start(t, server.Upstream{Name: "me", Builtin: []string{"whoami"}}, func(o *server.Options) { o.Config.Diagnosis = "none" })
	if resp, body := w.do(http.MethodPost, diagnosisPath, w.token(w.sample.Ada), ""); resp.StatusCode == http.StatusOK || strings.Contains(body, "exchanges") {
		t.Errorf("HTTP %d %s", resp.StatusCode, body)
	}
	if _, body := w.do(http.MethodGet, "/.well-known/oauth-protected-resource/mcp", "", ""); strings.Contains(body, "diagnosis") {
		t.Errorf("the metadata is %s", body)
	}
}
