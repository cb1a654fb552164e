package gateway

import (
	"sync"

	"github.com/mcpctl/mcpctl/internal/era"
)

// verdictMemory remembers which era upstreams speak, for all connections of a
// gateway. The zero value is ready for use.
type verdictMemory struct{ known sync.Map }

// Get implements era.VerdictStore.
func (m *verdictMemory) Get(origin string) (era.Verdict, bool) {
	v, ok := m.known.Load(origin)
	if !ok {
		return era.Verdict{}, false
	}
	verdict, ok := v.(era.Verdict)
	return verdict, ok
}

// Put implements era.VerdictStore.
func (m *verdictMemory) Put(origin string, v era.Verdict) { m.known.Store(origin, v) }
