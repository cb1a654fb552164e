package server

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/mcpctl/mcpctl/server/auth"
	"github.com/mcpctl/mcpctl/server/gateway"
)

// auditRecord is one line of the audit log. Arguments are hashed: the log
// proves what was asked without holding it.
type auditRecord struct {
	Time       time.Time `json:"time"`
	Decision   string    `json:"decision"` // allow or deny
	Rule       string    `json:"rule,omitempty"`
	TenantID   string    `json:"tid,omitempty"`
	ObjectID   string    `json:"oid,omitempty"`
	Username   string    `json:"username,omitempty"`
	ClientID   string    `json:"client_id,omitempty"`
	AppOnly    bool      `json:"app_only,omitempty"`
	TokenID    string    `json:"uti,omitempty"` // as in Entra's sign-in log; no secret
	Session    string    `json:"session,omitempty"`
	Method     string    `json:"method"`
	Target     string    `json:"target,omitempty"`
	ArgsSHA256 string    `json:"args_sha256,omitempty"`
	Outcome    string    `json:"outcome"` // a gateway.Outcome, or refused
	Status     int       `json:"status,omitempty"`
	DurationMS float64   `json:"duration_ms"`
	BytesIn    int       `json:"bytes_in"`
	BytesOut   int       `json:"bytes_out"`
	Remote     string    `json:"remote,omitempty"`
}

// auditLog appends records to a file, one JSON object a line; without a file it
// keeps nothing. Methods may be called concurrently.
type auditLog struct {
	mu sync.Mutex
	f  *os.File // stays when closed: a record that comes too late is an error
}

func openAudit(path string) (*auditLog, error) {
	if path == "" {
		return &auditLog{}, nil
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the audit log: %w. Check audit.file", err)
	}
	return &auditLog{f: f}, nil
}

func (a *auditLog) Close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.f == nil {
		return nil
	}
	if err := a.f.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return fmt.Errorf("closing the audit log: %w", err)
	}
	return nil
}

// write appends one record in one write, so that lines stay whole.
func (a *auditLog) write(r auditRecord) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.f == nil {
		return nil
	}
	line, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encoding an audit record: %w", err)
	}
	if _, err := a.f.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("writing an audit record: %w", err)
	}
	return nil
}

func (r *auditRecord) by(p *auth.Principal) {
	if p == nil {
		return
	}
	r.TenantID, r.ObjectID, r.Username = p.TenantID, p.ObjectID, p.Username
	r.ClientID, r.AppOnly, r.TokenID = p.ClientID, p.AppOnly, p.UTI
}

// maxAuditText bounds what a client can put into a line, in bytes.
const maxAuditText = 512

// shorten keeps a client from filling the disk with the name of a tool.
func shorten(s string) string {
	if len(s) <= maxAuditText {
		return s
	}
	return strings.ToValidUTF8(s[:maxAuditText], "") + "…"
}

// record is gateway.Options.Record.
func (a *auditLog) record(ctx context.Context, g gateway.Record) error {
	r := auditRecord{
		Time: time.Now().UTC(), Decision: "allow", Session: g.Session[:min(8, len(g.Session))],
		Method: shorten(g.Method), Target: shorten(g.Target), Outcome: string(g.Outcome),
		DurationMS: float64(g.Duration.Microseconds()) / 1000, BytesIn: g.BytesIn, BytesOut: g.BytesOut,
	}
	if p, ok := auth.FromContext(ctx); ok {
		r.by(p)
	}
	if g.Arguments != nil {
		sum := sha256.Sum256(g.Arguments)
		r.ArgsSHA256 = hex.EncodeToString(sum[:])
	}
	return a.write(r)
}

// refused is auth.GuardOptions.OnRefusal. The answer is a refusal either way,
// so a record that can't be written changes nothing.
func (a *auditLog) refused(req *http.Request, err error) {
	r := auditRecord{
		Time: time.Now().UTC(), Decision: "deny", Method: shorten(req.Method), Target: shorten(req.URL.Path),
		Outcome: "refused", Remote: req.RemoteAddr,
	}
	var refusal *auth.Refusal
	if errors.As(err, &refusal) {
		r.Rule, r.Status = string(refusal.Rule), refusal.Status
		r.by(refusal.Principal)
	} else {
		r.Rule = "authority-unavailable"
	}
	_ = a.write(r)
}
