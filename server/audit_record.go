package server

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"
	"time"

	"github.com/mcpctl/mcpctl/server/auth"
	"github.com/mcpctl/mcpctl/server/gateway"
)

// auditRecord is one line of the audit log. Arguments are hashed unless the
// configuration says otherwise: the log proves what was asked without holding it.
type auditRecord struct {
	Time       time.Time       `json:"time"`
	Decision   string          `json:"decision,omitempty"` // allow or deny
	Rule       string          `json:"rule,omitempty"`
	TenantID   string          `json:"tid,omitempty"`
	ObjectID   string          `json:"oid,omitempty"`
	Username   string          `json:"username,omitempty"`
	ClientID   string          `json:"client_id,omitempty"`
	AppOnly    bool            `json:"app_only,omitempty"`
	Agent      string          `json:"agent_blueprint,omitempty"`
	TokenID    string          `json:"uti,omitempty"` // as in Entra's sign-in log; no secret
	Session    string          `json:"session,omitempty"`
	Method     string          `json:"method"`
	Target     string          `json:"target,omitempty"`
	Upstream   string          `json:"upstream,omitempty"`
	Cached     bool            `json:"cached,omitempty"`
	ArgsSHA256 string          `json:"args_sha256,omitempty"`
	Arguments  json.RawMessage `json:"arguments,omitempty"`
	Outcome    string          `json:"outcome"` // a gateway.Outcome, refused, or lost
	Status     int             `json:"status,omitempty"`
	Count      int             `json:"count,omitempty"` // of what one line stands for
	DurationMS float64         `json:"duration_ms"`
	BytesIn    int             `json:"bytes_in"`
	BytesOut   int             `json:"bytes_out"`
	Remote     string          `json:"remote,omitempty"`
	TraceID    string          `json:"trace_id,omitempty"`
}

func (r *auditRecord) by(p *auth.Principal) {
	if p == nil {
		return
	}
	r.TenantID, r.ObjectID, r.Username = p.TenantID, p.ObjectID, p.Username
	r.ClientID, r.AppOnly, r.Agent, r.TokenID = p.ClientID, p.AppOnly, p.AgentBlueprint, p.UTI
}

// maxAuditText bounds what a client can put into a line, in bytes.
const maxAuditText = 512

// maxAuditArguments bounds arguments that are kept in full; of larger ones there
// is the hash.
const maxAuditArguments = 64 << 10

// shorten keeps a client from filling the disk with the name of a tool.
func shorten(s string) string {
	if len(s) <= maxAuditText {
		return s
	}
	return strings.ToValidUTF8(s[:maxAuditText], "") + "…"
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// record is told of every request: see gateway.Options.Record.
func (a *auditLog) record(ctx context.Context, g gateway.Record) error {
	if a.opts.File == "" {
		return nil
	}
	r := auditRecord{
		Time: time.Now().UTC(), Decision: "allow", Session: g.Session[:min(8, len(g.Session))],
		Method: shorten(g.Method), Target: shorten(g.Target), Outcome: string(g.Outcome),
		DurationMS: milliseconds(g.Duration), BytesIn: g.BytesIn, BytesOut: g.BytesOut,
		Remote: remoteOf(ctx), TraceID: g.Evidence.Trace(),
	}
	denied, rule := g.Evidence.Decision()
	if denied {
		r.Decision = "deny"
	}
	r.Rule = shorten(rule)
	if left, narrowed := g.Evidence.Narrowed(); narrowed {
		r.Target = shorten(left)
	}
	r.Upstream, r.Cached = g.Evidence.Route()
	if p, ok := auth.FromContext(ctx); ok {
		r.by(p)
	}
	a.arguments(&r, g.Arguments)
	return a.write(r)
}

func (a *auditLog) arguments(r *auditRecord, raw []byte) {
	a.mu.Lock()
	keep := a.opts.Arguments
	a.mu.Unlock()
	if raw == nil || keep == "none" {
		return
	}
	if keep == "full" && len(raw) <= maxAuditArguments {
		r.Arguments = raw
		return
	}
	sum := sha256.Sum256(raw)
	r.ArgsSHA256 = hex.EncodeToString(sum[:])
}
