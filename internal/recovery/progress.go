package recovery

import (
	"strconv"
	"sync"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// progressMemory is how far requests have come, as their client knows. One that
// is sent again begins anew on the server; to the client its progress only grows
// (MCP basic/utilities/progress).
type progressMemory struct {
	mu sync.Mutex
	by map[string]*progress // by the key of a progress token
}

type progress struct {
	again bool // the request was sent more than once
	last  float64
}

// Bounds of what is remembered. A longer token's steps are all taken for news.
const (
	maxProgress = 10_000 // tokens
	maxToken    = 1 << 10
)

// advances reports whether a step of progress is news to the client.
func (m *progressMemory) advances(f wire.Frame) bool {
	token := wire.ID(wire.Lookup(f.Raw, "params", "progressToken"))
	now, err := strconv.ParseFloat(string(wire.Lookup(f.Raw, "params", "progress")), 64)
	if token == nil || len(token) > maxToken || err != nil {
		return true // the client may make of it what it likes
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	key := token.Key()
	p := m.by[key]
	switch {
	case p != nil && p.again && now <= p.last:
		return false
	case p != nil:
		p.last = now
	case m.by == nil || len(m.by) >= maxProgress:
		// Most are of requests that are over: steps can come late, or with tokens
		// that nobody has given out.
		m.by = map[string]*progress{}
		fallthrough
	default:
		m.by[key] = &progress{last: now}
	}
	return true
}

// repeats notes that a request is sent again.
func (m *progressMemory) repeats(f wire.Frame) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if p := m.by[m.keyLocked(f)]; p != nil {
		p.again = true
	}
}

// done forgets a request.
func (m *progressMemory) done(f wire.Frame) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.by, m.keyLocked(f))
}

// keyLocked is the key of a request's token. A request is looked into only where
// there is any progress at all: it may be large.
func (m *progressMemory) keyLocked(f wire.Frame) string {
	if len(m.by) == 0 {
		return ""
	}
	return wire.ID(wire.Lookup(f.Raw, "params", "_meta", "progressToken")).Key()
}
