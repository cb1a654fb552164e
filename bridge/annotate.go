package bridge

import (
	"net/http"

	"github.com/mark3labs/mcp-go/mcp"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// annotate adds the standard request headers of MCP 2026-07-28 (basic/transports)
// to a message of that revision: the version it names in _meta, its method and
// what it acts on. A client that began with initialize speaks an older one.
func (r *remote) annotate(f wire.Frame, h http.Header) {
	if f.Method == "initialize" {
		r.legacy.Store(true)
	}
	if r.legacy.Load() || f.Method == "" {
		return
	}
	version := wire.LookupString(f.Raw, "params", "_meta", wire.MetaProtocol)
	if version == "" {
		return
	}
	h.Set(wire.HeaderProtocol, version)
	for name, value := range mcp.StandardHeaders(version, mcp.MCPMethod(f.Method), wire.Lookup(f.Raw, "params")) {
		h.Set(name, value)
	}
}
