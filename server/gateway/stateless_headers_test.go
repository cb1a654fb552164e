package gateway

import (
	"net/http"
	"testing"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// Header fields that stand for arguments are compared with them, by the schema
// that the caller was shown.
func TestCheckParams(t *testing.T) {
	list := wire.MustParse(`{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{}}`)
	next := wire.MustParse(`{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"cursor":"2"}}`)
	shown := wire.MustParse(`{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"plain","inputSchema":{"type":"object"}},` +
		`{"name":"sql","inputSchema":{"type":"object","properties":{"region":{"type":"string","x-mcp-header":"Region"}}}}]}}`)
	empty := wire.MustParse(`{"jsonrpc":"2.0","id":1,"result":{"tools":[]}}`)
	h := &hub{}
	call := func(tool, arguments string, values ...string) error {
		f := wire.MustParse(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"` + tool + `","arguments":` + arguments +
			`,"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`)
		g := &Gateway{}
		ready := make(chan struct{})
		close(ready)
		g.hubs.open = map[string]*hubUse{g.hubKey(t.Context(), "2026-07-28", f): {ready: ready, hub: h}}
		return g.CheckParams(t.Context(), f, http.Header{"Mcp-Param-Region": values})
	}
	if err := call("sql", `{"region":"eu"}`); err != nil {
		t.Errorf("before it was shown: %v", err)
	}
	h.learn(list, shown)
	h.learn(next, empty) // the second page
	for name, test := range map[string]struct {
		tool, arguments string
		values          []string
		ok              bool
	}{
		"the same":            {"sql", `{"region":"eu"}`, []string{"eu"}, true},
		"the same, encoded":   {"sql", `{"region":"世界"}`, []string{"=?base64?5LiW55WM?="}, true},
		"another value":       {"sql", `{"region":"eu"}`, []string{"us"}, false},
		"no field":            {"sql", `{"region":"eu"}`, nil, false},
		"no argument":         {"sql", `{}`, nil, true},
		"a field for nothing": {"sql", `{}`, []string{"eu"}, false},
		"twice":               {"sql", `{"region":"eu"}`, []string{"eu", "eu"}, false},
		"wrongly encoded":     {"sql", `{"region":"eu"}`, []string{"=?base64?ZXU?="}, false},
		"a plain tool":        {"plain", `{"region":"eu"}`, nil, true},
		"an unknown tool":     {"other", `{"region":"eu"}`, []string{"us"}, true},
	} {
		if err := call(test.tool, test.arguments, test.values...); (err == nil) != test.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
	h.learn(list, empty)
	if err := call("sql", `{"region":"eu"}`); err != nil {
		t.Errorf("after it was gone: %v", err)
	}
}
