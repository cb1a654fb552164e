package era

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"testing"

	"github.com/mcpctl/mcpctl/internal/wire"
)

func TestAnnotate(t *testing.T) {
	tr, err := New(Options{Deliver: func(context.Context, wire.Frame) error { return nil }}, func(wire.Deliver) (wire.Remote, error) { return &fakeRemote{}, nil })
	if err != nil {
		t.Fatal(err)
	}
	list := newSplice([]byte(`{"tools":[{"name":"sql","inputSchema":{"type":"object","properties":{"region":{"type":"string","x-mcp-header":"Region"},"n":{"type":"integer","x-mcp-header":"N"},"deep":{"type":"object","properties":{"flag":{"type":"boolean","x-mcp-header":"Flag"}}}}}}]}`))
	tr.tools.filter(list, tr.opts.Logger, nil)
	if list.changed() {
		t.Error("a tool without fault was changed")
	}
	for name, test := range map[string]struct {
		method, more string
		want         map[string]string
	}{
		"list":      {"tools/list", "", map[string]string{"Mcp-Method": "tools/list"}},
		"call":      {"tools/call", `,"name":"plain"`, map[string]string{"Mcp-Method": "tools/call", "Mcp-Name": "plain"}},
		"read":      {"resources/read", `,"uri":"file:///a b"`, map[string]string{"Mcp-Method": "resources/read", "Mcp-Name": "file:///a b"}},
		"task":      {"tasks/get", `,"taskId":"7"`, map[string]string{"Mcp-Method": "tasks/get", "Mcp-Name": "7"}},
		"non-ASCII": {"prompts/get", `,"name":"世界"`, map[string]string{"Mcp-Method": "prompts/get", "Mcp-Name": "=?base64?5LiW55WM?="}},
		"arguments": {
			"tools/call", `,"name":"sql","arguments":{"region":" us","n":-42,"deep":{"flag":true}}`,
			map[string]string{"Mcp-Method": "tools/call", "Mcp-Name": "sql", "Mcp-Param-Region": "=?base64?IHVz?=", "Mcp-Param-N": "-42", "Mcp-Param-Flag": "true"},
		},
		"arguments that are absent": {
			"tools/call", `,"name":"sql","arguments":{"region":null,"deep":{}}`, map[string]string{"Mcp-Method": "tools/call", "Mcp-Name": "sql"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := http.Header{}
			tr.Annotate(wire.MustParse(fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":%q,"params":%s}`, test.method, modernParams("{}", "", test.more))), h)
			got := map[string]string{}
			for name := range h {
				got[name] = h.Get(name)
			}
			test.want["Mcp-Protocol-Version"] = modernVersion
			if !maps.Equal(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
	h := http.Header{}
	tr.Annotate(wire.MustParse(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`), h)
	tr.Annotate(wire.MustParse(hello), h)
	if len(h) > 0 {
		t.Errorf("messages of the legacy era got %v", h)
	}
}

// Annotations that break a rule of MCP 2026-07-28 basic/transports/streamable-http,
// Schema Extension, cost the tool its place in the list.
func TestAnnotationsAtFault(t *testing.T) {
	for name, test := range map[string]struct {
		schema string
		valid  bool
	}{
		"string":             {`{"properties":{"a":{"type":"string","x-mcp-header":"A"}}}`, true},
		"nested":             {`{"properties":{"a":{"properties":{"b":{"type":"boolean","x-mcp-header":"A"}}}}}`, true},
		"a property's name":  {`{"properties":{"x-mcp-header":{"type":"object"}}}`, true},
		"in an example":      {`{"properties":{"a":{"type":"object","default":{"x-mcp-header":1}}}}`, true},
		"empty":              {`{"properties":{"a":{"type":"string","x-mcp-header":""}}}`, false},
		"no string":          {`{"properties":{"a":{"type":"string","x-mcp-header":7}}}`, false},
		"space":              {`{"properties":{"a":{"type":"string","x-mcp-header":"A B"}}}`, false},
		"line break":         {`{"properties":{"a":{"type":"string","x-mcp-header":"A\r\nB"}}}`, false},
		"number":             {`{"properties":{"a":{"type":"number","x-mcp-header":"A"}}}`, false},
		"object":             {`{"properties":{"a":{"type":"object","x-mcp-header":"A"}}}`, false},
		"without a type":     {`{"properties":{"a":{"x-mcp-header":"A"}}}`, false},
		"twice":              {`{"properties":{"a":{"type":"string","x-mcp-header":"A"},"b":{"type":"string","x-mcp-header":"a"}}}`, false},
		"at the root":        {`{"type":"string","x-mcp-header":"A"}`, false},
		"in items":           {`{"properties":{"a":{"type":"array","items":{"type":"string","x-mcp-header":"A"}}}}`, false},
		"in a choice":        {`{"anyOf":[{},{"properties":{"a":{"type":"string","x-mcp-header":"A"}}}]}`, false},
		"in a condition":     {`{"then":{"properties":{"a":{"type":"string","x-mcp-header":"A"}}}}`, false},
		"behind a reference": {`{"$defs":{"d":{"type":"string","x-mcp-header":"A"}}}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := mirroredArguments([]byte(test.schema)); (err == nil) != test.valid {
				t.Errorf("got %v", err)
			}
		})
	}
}

// Headers that are refused cost one look at the tools and one more try, for
// either kind of client.
func TestRefusedHeaders(t *testing.T) {
	server := func(calls *int) func(r *fakeRemote, ctx context.Context, f wire.Frame) error {
		return modernOnly(func(r *fakeRemote, ctx context.Context, f wire.Frame) error {
			if f.Method == "tools/list" {
				if wire.Lookup(f.Raw, "params", "cursor") == nil {
					return r.answer(ctx, f, `{"resultType":"complete","tools":[],"nextCursor":"2"}`)
				}
				return r.answer(ctx, f, `{"resultType":"complete","tools":[{"name":"t","inputSchema":{"properties":{"a":{"type":"string","x-mcp-header":"A"}}}}]}`)
			}
			if *calls++; *calls == 1 {
				return refuse(400, f, codeHeaderMismatch, nil)
			}
			return r.answer(ctx, f, `{"resultType":"complete"}`)
		})
	}
	t.Run("legacy client", func(t *testing.T) {
		calls := 0
		p := newPeer(t, Options{}, server(&calls))
		p.greet()
		p.send(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","arguments":{"a":"x"}}}`)
		p.want(`{"jsonrpc":"2.0","id":1,"result":{}}`)
		h := http.Header{}
		p.tr.Annotate(p.remote.sent("tools/call")[1], h)
		if calls != 2 || h.Get("Mcp-Param-A") != "x" {
			t.Errorf("%d calls, headers %v", calls, h)
		}
	})
	for name, known := range map[string]Era{"modern client": Unknown, "modern client, known server": Dual} {
		t.Run(name, func(t *testing.T) {
			calls := 0
			p := newPeer(t, Options{Verdicts: &memory{v: Verdict{Era: known}}}, server(&calls))
			p.ask("1", "tools/call", modernParams("{}", "", `,"name":"t","arguments":{"a":"x"}`))
			p.want(`{"jsonrpc":"2.0","id":1,"result":{"resultType":"complete"}}`)
			if calls != 2 {
				t.Errorf("%d calls", calls)
			}
		})
	}
}
