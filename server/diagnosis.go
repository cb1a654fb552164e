package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/mcpctl/mcpctl/server/auth"
	"github.com/mcpctl/mcpctl/server/gateway"
	"github.com/mcpctl/mcpctl/server/obo"
)

// diagnosisPath, below the public URL's path, is where mcpctl doctor asks what
// the server can do in a caller's name. Reverse proxies that pass on the
// endpoint pass it on too.
const diagnosisPath = "/.well-known/mcpctl-diagnosis"

// diagnosisTimeout bounds all exchanges together.
const diagnosisTimeout = 5 * time.Second

// An exchange is what an upstream needs that is used on behalf of callers.
type exchange struct {
	upstream string
	source   obo.Source
}

// noDiagnosis is Config.Diagnosis where nobody may ask.
const noDiagnosis = "none"

// exchanged is how an exchange ended. The field names are stable.
type exchanged struct {
	Upstream string     `json:"upstream"`
	OK       bool       `json:"ok"`
	Reason   obo.Reason `json:"reason,omitempty"`
	Text     string     `json:"text,omitempty"`
	Fix      string     `json:"fix,omitempty"`

	took time.Duration
}

// A caller may ask this often; doctor asks once a run. Entra ID turns away a
// server that asks it for too much (AADSTS50196), and all its callers with it.
const (
	diagnosesPerMinute = 60
	diagnosesAtOnce    = 60
)

// diagnose gets the tokens that upstreams would be used with on behalf of the
// caller, as a call would, and says whether that went well. It answers nobody
// but the caller, and with no token. No rule of the policy is asked: those are
// about what is used, and nothing is.
func (s *Server) diagnose(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "POST", http.StatusMethodNotAllowed)
		return
	}
	ok, wait, err := s.endpoints.store.Take(r.Context(), "diagnosis:"+principal(r.Context()), diagnosesPerMinute/60.0, diagnosesAtOnce)
	switch {
	case err != nil:
		s.log.Error("limits can't be checked", "reason", err)
		tellDiagnosis(w, http.StatusServiceUnavailable, map[string]any{"error": "temporarily_unavailable"})
		return
	case !ok:
		s.metrics.refused(ruleDiagnosisRate)
		s.audit.denied(r.Context(), auditRecord{Rule: ruleDiagnosisRate, Method: methodDiagnosis, Status: http.StatusTooManyRequests})
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
		tellDiagnosis(w, http.StatusTooManyRequests, map[string]any{
			"error": "too_many_requests", "error_description": fmt.Sprintf("The diagnosis is limited to %d a minute.", diagnosesPerMinute),
		})
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), diagnosisTimeout)
	defer cancel()
	results := make([]exchanged, len(s.exchanges))
	var all sync.WaitGroup
	for i, e := range s.exchanges {
		all.Go(func() { results[i] = e.attempt(ctx) })
	}
	all.Wait()
	for _, result := range results {
		if err := s.audit.diagnosed(r.Context(), result); err != nil {
			s.log.Warn("a diagnosis was withheld", "reason", err)
			tellDiagnosis(w, http.StatusServiceUnavailable, map[string]any{"error": "temporarily_unavailable"})
			return
		}
	}
	tellDiagnosis(w, http.StatusOK, map[string]any{"exchanges": results})
}

func tellDiagnosis(w http.ResponseWriter, status int, answer map[string]any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(answer) // the caller may be gone
}

func (e exchange) attempt(ctx context.Context) exchanged {
	began := time.Now()
	_, err := e.source.Credential(ctx)
	result := exchanged{Upstream: e.upstream, OK: err == nil, took: time.Since(began)}
	if err != nil {
		failed := &obo.Error{Reason: obo.ReasonUnavailable, Text: "The sign-in authority did not answer in time.", Fix: "Try again shortly."}
		_ = errors.As(err, &failed)
		result.Reason, result.Text, result.Fix = failed.Reason, failed.Text, failed.Fix
	}
	return result
}

// How records and counts name a diagnosis, and one that comes too soon.
const (
	methodDiagnosis   = "mcpctl/diagnosis"
	ruleDiagnosisRate = "rate-limit"
)

// diagnosed records that a token was asked for in a caller's name.
func (a *auditLog) diagnosed(ctx context.Context, e exchanged) error {
	r := auditRecord{
		Time: time.Now().UTC(), Decision: "allow", Method: methodDiagnosis, Upstream: e.Upstream, Outcome: string(gateway.OK),
		DurationMS: milliseconds(e.took), Remote: remoteOf(ctx),
	}
	if !e.OK {
		r.Outcome, r.Rule = string(gateway.Failed), string(e.Reason)
	}
	p, _ := auth.FromContext(ctx)
	r.by(p)
	return a.write(r)
}
