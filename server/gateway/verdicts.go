package gateway

import (
	"sync"

	"github.com/mcpctl/mcpctl/internal/era"
)

// Verdicts remembers which era upstreams speak, for all connections of a
// gateway. The zero value is ready for use.
type Verdicts struct{ known sync.Map }

// Get implements era.VerdictStore.
func (m *Verdicts) Get(origin string) (era.Verdict, bool) {
	v, ok := m.known.Load(origin)
	if !ok {
		return era.Verdict{}, false
	}
	verdict, ok := v.(era.Verdict)
	return verdict, ok
}

// Put implements era.VerdictStore.
func (m *Verdicts) Put(origin string, v era.Verdict) { m.known.Store(origin, v) }
