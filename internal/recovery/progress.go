package recovery

import (
	"context"
	"strconv"
	"sync"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// progress is how far a request has come, as its client knows. One that is sent
// again begins anew on the server; to the client its progress only grows (MCP
// basic/utilities/progress).
type progress struct {
	mu    sync.Mutex
	known bool
	again bool // the request was sent more than once
	last  float64
}

type progressKey struct{}

// follow returns the context for a request's attempts.
func (a *attempts) follow(ctx context.Context) context.Context {
	return context.WithValue(ctx, progressKey{}, &a.progress)
}

// advances reports whether a step of progress is news. Steps that don't come on
// their request's own stream always are.
func advances(ctx context.Context, f wire.Frame) bool {
	p, ok := ctx.Value(progressKey{}).(*progress)
	if !ok {
		return true
	}
	now, err := strconv.ParseFloat(string(wire.Lookup(f.Raw, "params", "progress")), 64)
	if err != nil {
		return true // the client may make of it what it likes
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known && p.again && now <= p.last {
		return false
	}
	p.known, p.last = true, now
	return true
}

// repeats notes that the request is sent again.
func (p *progress) repeats() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.again = true
}
