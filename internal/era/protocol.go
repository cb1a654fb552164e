package era

import (
	"encoding/json"
	"slices"

	"github.com/mark3labs/mcp-go/mcp"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// Members of _meta that MCP 2026-07-28 reserves (basic/index, _meta).
const (
	metaVersion      = mcp.MetaKeyProtocolVersion
	metaClientInfo   = mcp.MetaKeyClientInfo
	metaCapabilities = mcp.MetaKeyClientCapabilities
	metaLogLevel     = mcp.MetaKeyLogLevel
	metaServerInfo   = mcp.MetaKeyServerInfo
	metaSubscription = mcp.MetaKeySubscriptionID
)

// Error codes of MCP. The first three belong to 2026-07-28 (schema, Errors) and
// are sent by modern servers only; the others to older revisions.
const (
	codeHeaderMismatch     = mcp.HEADER_MISMATCH
	codeMissingCapability  = mcp.MISSING_REQUIRED_CLIENT_CAPABILITY
	codeUnsupportedVersion = mcp.UNSUPPORTED_PROTOCOL_VERSION
	codeResourceNotFound   = -32002
	codeURLElicitation     = -32042
)

// extensionTasks is the tasks extension. Its design and that of the tasks of
// 2025-11-25 have nothing but the name in common, so neither is passed on.
const extensionTasks = "io.modelcontextprotocol/tasks"

// The newest revision of either era that this package speaks.
const (
	modernVersion = mcp.ProtocolVersion20260728
	legacyVersion = mcp.ProtocolVersion20251125
)

// logLevels from most to least talkative (RFC 5424 §6.2.1).
var logLevels = []string{"debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"}

// knownModern returns the newest of the versions that is modern and known, "".
func knownModern(versions []string) string {
	if slices.Contains(versions, modernVersion) {
		return modernVersion
	}
	return ""
}

// onlyLegacy reports a list that names revisions and none of the modern era.
func onlyLegacy(versions []string) bool {
	return len(versions) > 0 && !slices.ContainsFunc(versions, mcp.IsModernProtocol)
}

// mayAskForInput reports methods whose result may be input_required (MCP
// 2026-07-28 basic/patterns/mrtr, Supported Requests).
func mayAskForInput(method string) bool {
	return method == "tools/call" || method == "prompts/get" || method == "resources/read"
}

// cacheable reports methods whose results carry ttlMs and cacheScope (MCP
// 2026-07-28 server/utilities/caching).
func cacheable(method string) bool {
	switch method {
	case "server/discover", "tools/list", "prompts/list", "resources/list", "resources/templates/list", "resources/read":
		return true
	}
	return false
}

// errorCode reads the code of an error response, 0 where there is none.
func errorCode(f wire.Frame) int {
	var code int
	if !f.Failed || json.Unmarshal(wire.Lookup(f.Raw, "error", "code"), &code) != nil {
		return 0
	}
	return code
}

// stringsAt reads an array of strings, nil where there is none.
func stringsAt(raw []byte, path ...string) []string {
	var list []string
	if json.Unmarshal(wire.Lookup(raw, path...), &list) != nil {
		return nil
	}
	return list
}

// isObject reports that a JSON value is an object.
func isObject(value []byte) bool { return len(value) > 0 && value[0] == '{' }

// quote returns s as a JSON string.
func quote(s string) []byte {
	b, err := json.Marshal(s)
	if err != nil {
		return []byte(`""`) // strings always marshal
	}
	return b
}
