package server

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/mcpctl/mcpctl/internal/wire"
	"github.com/mcpctl/mcpctl/server/auth"
)

// How many refusals get a line of their own, so that whoever sends bad tokens
// can't fill the disk: so many at once, then one a second on average. The rest
// is counted, and the counts are written once a minute.
const (
	refusalBurst  = 120
	refusalEvery  = time.Second
	refusalReport = time.Minute
	maxRefusals   = 1000 // kinds that are counted apart
)

// refusalKind is what refusals are counted by.
type refusalKind struct {
	rule   string
	status int
	caller string // tenant and object id of a proven caller
}

// refusalCounts decides which refusals get a line.
type refusalCounts struct {
	write func(auditRecord) error

	mu      sync.Mutex
	tokens  float64
	filled  time.Time
	counts  map[refusalKind]*auditRecord
	timer   *time.Timer
	closed  bool
	writing sync.WaitGroup
}

func newRefusalCounts(write func(auditRecord) error) *refusalCounts {
	return &refusalCounts{write: write, tokens: refusalBurst, counts: map[refusalKind]*auditRecord{}}
}

// add writes or counts one refusal.
func (c *refusalCounts) add(r auditRecord) {
	if c.take(r.Time) {
		_ = c.write(r) // the answer is a refusal either way
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	kind := refusalKind{r.Rule, r.Status, r.TenantID + "/" + r.ObjectID}
	if c.counts[kind] == nil && len(c.counts) >= maxRefusals {
		kind = refusalKind{rule: "other"}
	}
	sum := c.counts[kind]
	if sum == nil {
		sum = &auditRecord{Decision: "deny", Outcome: "refused", Rule: kind.rule, Status: kind.status, Method: "refusals"}
		if kind.rule != "other" {
			sum.TenantID, sum.ObjectID, sum.ClientID = r.TenantID, r.ObjectID, r.ClientID
		}
		c.counts[kind] = sum
	}
	sum.Count++
	if c.timer == nil && !c.closed {
		c.writing.Add(1)
		c.timer = time.AfterFunc(refusalReport, func() {
			defer c.writing.Done()
			c.report()
		})
	}
}

// take reports whether there is room for a line.
func (c *refusalCounts) take(now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.filled.IsZero() {
		c.tokens = min(refusalBurst, c.tokens+now.Sub(c.filled).Seconds()/refusalEvery.Seconds())
	}
	c.filled = now
	if c.tokens < 1 {
		return false
	}
	c.tokens--
	return true
}

// report writes the counts.
func (c *refusalCounts) report() {
	c.mu.Lock()
	counts := c.counts
	c.counts, c.timer = map[refusalKind]*auditRecord{}, nil
	c.mu.Unlock()
	for _, sum := range counts {
		sum.Time = time.Now().UTC()
		_ = c.write(*sum) // logged and counted there
	}
}

// close writes what is counted.
func (c *refusalCounts) close() {
	c.mu.Lock()
	c.closed = true
	if c.timer != nil && c.timer.Stop() {
		c.writing.Done()
	}
	c.mu.Unlock()
	c.writing.Wait()
	c.report()
}

// ruleUnavailable stands for what could not be decided.
const ruleUnavailable = "authority-unavailable"

// refused is told of every request that is not let in: see
// auth.GuardOptions.OnRefusal.
func (a *auditLog) refused(req *http.Request, err error) {
	if a.opts.File == "" {
		return
	}
	r := auditRecord{
		Time: time.Now().UTC(), Decision: "deny", Method: shorten(req.Method), Target: shorten(req.URL.Path),
		Outcome: "refused", Remote: req.RemoteAddr,
	}
	var refusal *auth.Refusal
	if errors.As(err, &refusal) {
		r.Rule, r.Status = string(refusal.Rule), refusal.Status
		r.by(refusal.Principal)
	} else {
		r.Rule = ruleUnavailable
	}
	a.refusals.add(r)
}

// ruleParamMismatch is for calls whose Mcp-Param-* fields say something else than
// their arguments (MCP 2026-07-28, basic/transports/streamable-http).
const ruleParamMismatch = "header-mismatch"

// mismatched is told of a call whose header fields contradict it.
func (a *auditLog) mismatched(ctx context.Context, f wire.Frame) {
	a.denied(ctx, auditRecord{
		Rule: ruleParamMismatch, Method: shorten(f.Method), Target: shorten(wire.LookupString(f.Raw, "params", "name")),
		Status: http.StatusBadRequest, BytesIn: len(f.Raw),
	})
}

// denied adds to r who asked, and writes or counts it.
func (a *auditLog) denied(ctx context.Context, r auditRecord) {
	if a.opts.File == "" {
		return
	}
	r.Time, r.Decision, r.Outcome, r.Remote = time.Now().UTC(), "deny", "refused", remoteOf(ctx)
	p, _ := auth.FromContext(ctx)
	r.by(p)
	a.refusals.add(r)
}
