package builtin

import (
	"encoding/json"
	"testing"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// Whatever a peer writes, mcp-go reads the method and the parameters that an
// exact reading finds, under the id that was given.
func FuzzCanonical(f *testing.F) {
	for _, seed := range []string{
		`{"jsonrpc":"2.0","id":1,"method":"ping"}`,
		`{"jsonrpc":"2.0","id":"a","method":"tools/call","params":{"name":"x","Name":"y","arguments":{"a":9007199254740993}}}`,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","Method":"ping","params":{"n\u0061me":"x"},"PARAMS":{}}`,
		`{"jsonrpc":"2.0","id":1,"method":"m","params":null}`,
		`{"jsonrpc":"2.0","id":1,"method":"m","params":[1]}`,
		`{"jsonrpc":"2.0","id":1,"method":"\ud800","params":{"name":"\ud800"}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		in, err := wire.Parse(raw)
		if err != nil || in.Kind != wire.Request {
			return
		}
		out, err := canonical(in, 42)
		if err != nil {
			return
		}
		var read struct {
			ID     json.Number
			Method string
			Params struct{ Name json.RawMessage }
		}
		if err := json.Unmarshal(out.Raw, &read); err != nil {
			t.Fatalf("%s became %s: %v", raw, out.Raw, err)
		}
		if out.Kind != wire.Request || read.ID != "42" || read.Method != out.Method {
			t.Errorf("%s became %s", raw, out.Raw)
		}
		want := wire.LookupString(in.Raw, "params", "name")
		if got := wire.LookupString(out.Raw, "params", "name"); got != want {
			t.Errorf("name %q became %q", want, got)
		}
		var got string
		if json.Unmarshal(read.Params.Name, &got) == nil && got != want {
			t.Errorf("name %q is read as %q", want, got)
		}
	})
}
