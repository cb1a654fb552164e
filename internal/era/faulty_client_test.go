package era

import (
	"context"
	"net/http"
	"testing"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// strict is a server of both eras that refuses a server/discover without the
// client's capabilities, as MCP 2026-07-28 asks of it.
func strict(r *fakeRemote, ctx context.Context, f wire.Frame) error {
	switch {
	case f.Method == "server/discover" && wire.Lookup(f.Raw, "params", "_meta", metaCapabilities) == nil:
		return refuse(http.StatusBadRequest, f, wire.CodeInvalidParams, nil)
	case f.Method == "server/discover":
		return r.answer(ctx, f, discovered)
	}
	return r.answer(ctx, f, `{"resultType":"complete","ttlMs":7,"tools":[]}`)
}

// What a client does wrong is answered by the server, and tells nothing of the
// server's era.
func TestFaultyClient(t *testing.T) {
	for name, raw := range map[string]string{
		"discover without _meta":        `{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{}}`,
		"discover without capabilities": `{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}`,
		"initialize in the modern era":  `{"jsonrpc":"2.0","id":1,"method":"initialize","params":` + modernParams("{}", "", "") + `}`,
	} {
		t.Run(name, func(t *testing.T) {
			p := newPeer(t, Options{}, strict)
			p.send("%s", raw)
			if f := p.read(); !f.Failed {
				t.Errorf("the client got %s", f.Raw)
			}
			p.ask("2", "tools/list", modernParams("{}", "", ""))
			p.want(`{"jsonrpc":"2.0","id":2,"result":{"resultType":"complete","ttlMs":7,"tools":[]}}`)
			for _, method := range p.remote.methods() {
				if method == "initialize" {
					t.Error("the remote was sent initialize")
				}
			}
		})
	}
}

// server/discover names its era by itself, so that a server can say what is
// missing in it.
func TestAnnotateDiscoverWithoutMeta(t *testing.T) {
	p := newPeer(t, Options{}, strict)
	h := http.Header{}
	p.tr.Annotate(wire.MustParse(`{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{}}`), h)
	if h.Get("Mcp-Protocol-Version") != modernVersion || h.Get("Mcp-Method") != "server/discover" {
		t.Errorf("got %v", h)
	}
}
