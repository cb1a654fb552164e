package builtin_test

import (
	"strings"
	"testing"
)

// Arguments that a tool's schema forbids are told of in words, as an error of
// the tool, and the tool does not run.
func TestArgumentsAreChecked(t *testing.T) {
	p := open(t, newServer(t, "market", "whoami"))
	for _, tc := range []struct{ tool, args, want string }{
		{"get_quote", `{"symbol":5}`, "symbol: must be a string, not number"},
		{"get_quote", `{}`, "missing argument symbol (string)"},
		{"get_quote", `{"symbol":"CTSO","symbl":1}`, "unknown argument symbl; did you mean symbol?"},
		{"place_order", `{"symbol":"CTSO","side":"sel","quantity":1}`, "side: must be one of buy, sell, not sel; did you mean sell?"},
		{"place_order", `{"symbol":"CTSO","side":"buy","quantity":0}`, "quantity: "},
		{"whoami", `{"a":1}`, "unknown argument a; it takes none"},
		{"whoami", `[1]`, "must be an object, not array"},
	} {
		f := p.tool(tc.tool, tc.args)
		text := at(f, "result.content")
		if at(f, "result.isError") != "true" || !strings.Contains(text, tc.want) || strings.Contains(text, "&{") || !strings.Contains(text, "The arguments of "+tc.tool) {
			t.Errorf("%s %s: %s", tc.tool, tc.args, f.Raw)
		}
	}
	if f := p.tool("get_quote", `{"symbol":"CTSO"}`); at(f, "result.isError") == "true" {
		t.Errorf("a good call: %s", f.Raw)
	}
}
