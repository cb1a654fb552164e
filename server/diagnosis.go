package server

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"sync"
	"time"

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

// exchanged is how an exchange ended. The field names are stable.
type exchanged struct {
	Upstream string     `json:"upstream"`
	OK       bool       `json:"ok"`
	Reason   obo.Reason `json:"reason,omitempty"`
	Text     string     `json:"text,omitempty"`
	Fix      string     `json:"fix,omitempty"`
}

// diagnose gets the tokens that upstreams would be used with on behalf of the
// caller, as a call would, and says whether that went well. It answers nobody
// but the caller, and with no token.
func (s *Server) diagnose(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "POST", http.StatusMethodNotAllowed)
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
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(map[string]any{"exchanges": results}) // the caller may be gone
}

func (e exchange) attempt(ctx context.Context) exchanged {
	_, err := e.source.Credential(ctx)
	if err == nil {
		return exchanged{Upstream: e.upstream, OK: true}
	}
	failed := &obo.Error{Reason: obo.ReasonUnavailable, Text: "The sign-in authority did not answer in time.", Fix: "Try again shortly."}
	_ = errors.As(err, &failed)
	return exchanged{Upstream: e.upstream, Reason: failed.Reason, Text: failed.Text, Fix: failed.Fix}
}
