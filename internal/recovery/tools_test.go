package recovery

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// What a server says of a tool last decides, however many tools it has.
func TestToolsThatAreNoLongerSafe(t *testing.T) {
	var m toolMemory
	list := func(n int, readOnly bool) {
		tools := make([]any, n)
		for i := range tools {
			tools[i] = map[string]any{"name": fmt.Sprint("tool", i), "annotations": map[string]any{"readOnlyHint": readOnly}}
		}
		id := wire.ID("1")
		m.expect(id)
		m.learn(wire.NewResult(id, map[string]any{"tools": tools}))
	}
	repeatable := func(i int) bool {
		params, err := json.Marshal(map[string]any{"name": fmt.Sprint("tool", i)})
		if err != nil {
			t.Fatal(err)
		}
		return m.repeatable(wire.MustParse(`{"jsonrpc":"2.0","id":2,"method":"tools/call","params":` + string(params) + `}`))
	}
	list(maxTools+1, true)
	if !repeatable(0) || repeatable(maxTools) || len(m.safe) != maxTools {
		t.Errorf("%d tools may be called twice", len(m.safe))
	}
	list(maxTools+1, false)
	if repeatable(0) {
		t.Error("a tool that changes something is called twice")
	}
}
