package gateway

import (
	"bytes"
	"context"
	"net/http"
	"strings"

	"github.com/mark3labs/mcp-go/mcp"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// maxMirrored bounds of how many tools a hub remembers the schema.
const maxMirrored = 1000

// mirroringKeyword is the annotation of arguments that travel in headers, too.
var mirroringKeyword = []byte("x-mcp-header")

// CheckParams compares the Mcp-Param-* fields of a stateless tools/call with its
// arguments (MCP 2026-07-28, basic/transports/streamable-http, Custom Headers
// from Tool Parameters); it is wire.FrontOptions.CheckParams. The tool's schema
// is the one that its caller was last shown: of a tool never shown nothing is
// known, and nothing compared.
func (g *Gateway) CheckParams(ctx context.Context, f wire.Frame, h http.Header) error {
	if f.Method != "tools/call" {
		return nil
	}
	hub := g.openHub(g.hubKey(ctx, wire.LookupString(f.Raw, "params", "_meta", wire.MetaProtocol), f))
	if hub == nil {
		return nil
	}
	params := wire.Lookup(f.Raw, "params")
	tool := hub.mirroring(wire.LookupString(params, "name"))
	if tool == nil {
		return nil
	}
	return mcp.ValidateParamHeadersLookup(func(name string) (string, bool) {
		values := h.Values(name)
		return strings.Join(values, ", "), len(values) > 0
	}, tool, params)
}

// openHub returns the hub with the key, nil where there is none yet.
func (g *Gateway) openHub(key string) *hub {
	g.hubs.mu.Lock()
	defer g.hubs.mu.Unlock()
	use := g.hubs.open[key]
	if use == nil {
		return nil
	}
	select {
	case <-use.ready:
		return use.hub
	default:
		return nil
	}
}

func (h *hub) mirroring(tool string) *mcp.Tool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.tools[tool]
}

// learn remembers from the answer to a tools/list which tools mirror arguments.
func (h *hub) learn(request, answer wire.Frame) {
	first := wire.Lookup(request.Raw, "params", "cursor") == nil
	list := wire.Lookup(answer.Raw, "result", "tools")
	h.mu.Lock()
	defer h.mu.Unlock()
	if first || h.tools == nil {
		h.tools = map[string]*mcp.Tool{}
	}
	if !bytes.Contains(list, mirroringKeyword) {
		return
	}
	_ = wire.Elements(list, func(element []byte) error {
		schema := wire.Lookup(element, "inputSchema")
		if name := wire.LookupString(element, "name"); bytes.Contains(schema, mirroringKeyword) && len(h.tools) < maxMirrored {
			h.tools[name] = &mcp.Tool{Name: name, RawInputSchema: bytes.Clone(schema)}
		}
		return nil
	})
}
