package recovery

import (
	"encoding/json"
	"sync"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// maxTools bounds how many tools are remembered that may be called twice.
const maxTools = 10_000

// toolMemory knows from tools/list which tools may be called twice.
type toolMemory struct {
	mu      sync.Mutex
	pending map[string]bool // ids of tools/list requests
	safe    map[string]bool // names of tools that may be called twice
}

func (t *toolMemory) expect(id wire.ID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.pending == nil || len(t.pending) > 100 {
		t.pending = map[string]bool{}
	}
	t.pending[id.Key()] = true
}

func (t *toolMemory) learn(f wire.Frame) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.pending) == 0 || !t.pending[f.ID.Key()] {
		return
	}
	delete(t.pending, f.ID.Key())
	var list struct {
		Tools []struct {
			Name        string
			Annotations struct{ ReadOnlyHint, IdempotentHint bool }
		}
	}
	if f.Failed || json.Unmarshal(wire.Lookup(f.Raw, "result"), &list) != nil {
		return
	}
	if t.safe == nil {
		t.safe = map[string]bool{}
	}
	for _, tool := range list.Tools {
		switch safe := tool.Annotations.ReadOnlyHint || tool.Annotations.IdempotentHint; {
		case !safe:
			delete(t.safe, tool.Name) // it may have been, before its server changed
		case len(t.safe) < maxTools: // the others are taken for such that may not be called twice
			t.safe[tool.Name] = true
		}
	}
}

// repeatable reports messages that may be sent twice: reads, and calls of tools
// that their server declares read-only or idempotent.
func (t *toolMemory) repeatable(f wire.Frame) bool {
	if f.Kind != wire.Request {
		return f.Kind == wire.Notification
	}
	if f.Method != "tools/call" {
		return wire.Repeatable(f.Method) || f.Method == "resources/subscribe" || f.Method == "resources/unsubscribe" || f.Method == "logging/setLevel"
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.safe[wire.LookupString(f.Raw, "params", "name")]
}
