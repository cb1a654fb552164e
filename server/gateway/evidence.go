package gateway

import (
	"context"
	"sync"
)

// Evidence collects what was decided about one request on its way through the
// gateway, for its audit record. It is safe for concurrent use; the nil
// Evidence keeps nothing.
type Evidence struct {
	mu       sync.Mutex
	denied   bool
	rule     string
	upstream string
	cached   bool
	trace    string
	narrowed bool
	target   string // what is left of it, where it was narrowed
}

type evidenceKey struct{}

// WithEvidence returns a context for one request that carries new evidence.
func WithEvidence(ctx context.Context) (context.Context, *Evidence) {
	e := &Evidence{}
	return context.WithValue(ctx, evidenceKey{}, e), e
}

func evidenceOf(ctx context.Context) *Evidence {
	e, _ := ctx.Value(evidenceKey{}).(*Evidence)
	return e
}

func (e *Evidence) decided(allowed bool, rule string) {
	if e == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.denied, e.rule = !allowed, rule
}

func (e *Evidence) sentTo(upstream string) {
	if e == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.upstream = upstream
}

// narrowTo notes what a request names after what is denied was taken out.
func (e *Evidence) narrowTo(target string) {
	if e == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.narrowed, e.target = true, target
}

// Narrowed returns what a request still names where a policy took something out;
// ok is false where it took nothing.
func (e *Evidence) Narrowed() (target string, ok bool) {
	if e == nil {
		return "", false
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.target, e.narrowed
}

func (e *Evidence) fromCache() {
	if e == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.cached = true
}

// Decision returns whether the request was denied, and by which rule; no rule
// where nothing was decided.
func (e *Evidence) Decision() (denied bool, rule string) {
	if e == nil {
		return false, ""
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.denied, e.rule
}

// Route returns the upstream that got the request, and whether the answer came
// from the cache instead.
func (e *Evidence) Route() (upstream string, cached bool) {
	if e == nil {
		return "", false
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.upstream, e.cached
}

// Traced notes the id of the trace that the request belongs to.
func (e *Evidence) Traced(id string) {
	if e == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.trace = id
}

// Trace returns the id of the trace that the request belongs to, "" for none.
func (e *Evidence) Trace() string {
	if e == nil {
		return ""
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.trace
}

// EvidenceFrom returns the evidence that ctx carries, nil where it has none.
func EvidenceFrom(ctx context.Context) *Evidence { return evidenceOf(ctx) }
