package builtin

import (
	"encoding/json"
	"fmt"

	"github.com/mark3labs/mcp-go/mcp"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// paramNames are the members of params that requests to these servers can have.
func paramNames() []string {
	return []string{
		"_meta", "name", "arguments", "uri", "cursor", "level", "notifications",
		"protocolVersion", "capabilities", "clientInfo",
	}
}

// canonical returns the request as mcp-go is to read it, with bytes of its own:
// an id that survives its float64, and no member under another spelling.
//
// encoding/json takes "Name" for "name". Whoever decided about this message
// before, by its exact names, would have decided about another one than is run.
func canonical(f wire.Frame, id int64) (wire.Frame, error) {
	message := struct {
		Version string          `json:"jsonrpc"`
		ID      int64           `json:"id"`
		Method  string          `json:"method"`
		Params  json.RawMessage `json:"params,omitempty"`
	}{mcp.JSONRPC_VERSION, id, f.Method, nil}

	if raw := wire.Lookup(f.Raw, "params"); raw != nil {
		var params map[string]json.RawMessage
		if err := json.Unmarshal(raw, &params); err != nil {
			return wire.Frame{}, fmt.Errorf("reading params: %w", err)
		}
		known := make(map[string]json.RawMessage, len(params))
		for _, name := range paramNames() {
			if value, ok := params[name]; ok {
				known[name] = value
			}
		}
		var err error
		if message.Params, err = marshal(known); err != nil {
			return wire.Frame{}, fmt.Errorf("reading params: %w", err)
		}
	}
	raw, err := marshal(message)
	if err != nil {
		return wire.Frame{}, fmt.Errorf("reading request: %w", err)
	}
	return wire.Parse(raw)
}
