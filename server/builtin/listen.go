package builtin

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/mark3labs/mcp-go/mcp"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// isListen reports a well-formed subscriptions/listen (MCP 2026-07-28). What is
// not well-formed is left to mcp-go to refuse.
func isListen(f wire.Frame) bool {
	version := wire.LookupString(f.Raw, "params", "_meta", mcp.MetaKeyProtocolVersion)
	capabilities := wire.Lookup(f.Raw, "params", "_meta", mcp.MetaKeyClientCapabilities)
	return f.Method == string(mcp.MethodSubscriptionsListen) &&
		mcp.IsModernProtocol(version) && mcp.IsValidProtocolVersion(version) &&
		len(capabilities) > 0 && capabilities[0] == '{'
}

// listen serves subscriptions/listen until the call is cancelled: first what
// was granted, then an update for each change. mcp-go's own handler would
// acknowledge and then stay silent. Every message carries the peer's id as it
// was written; lists never change here, so only resources can be granted.
func (c *call) listen(ctx context.Context) wire.Frame {
	var params struct {
		Notifications mcp.SubscriptionFilter `json:"notifications"`
	}
	if err := json.Unmarshal(wire.Lookup(c.frame.Raw, "params"), &params); err != nil {
		return wire.NewError(c.id, wire.CodeInvalidParams, "Invalid params: notifications: "+err.Error(), nil)
	}
	meta := map[string]json.RawMessage{mcp.MetaKeySubscriptionID: json.RawMessage(c.id)}

	var granted mcp.SubscriptionFilter
	if market := c.conn.server.market; market != nil {
		for _, uri := range params.Notifications.ResourceSubscriptions {
			if _, err := market.symbolOf(uri); err == nil && !slices.Contains(granted.ResourceSubscriptions, uri) {
				granted.ResourceSubscriptions = append(granted.ResourceSubscriptions, uri)
			}
		}
	}
	err := c.notify(mcp.MethodNotificationSubscriptionsAcknowledged, map[string]any{"_meta": meta, "notifications": granted})
	if err == nil && !granted.IsEmpty() {
		c.conn.server.market.watch(ctx, granted.ResourceSubscriptions, func(uri string) error {
			return c.notify(mcp.MethodNotificationResourceUpdated, map[string]any{"_meta": meta, "uri": uri})
		})
	}
	return wire.NewResult(c.id, map[string]any{"_meta": meta, "resultType": mcp.ResultTypeComplete})
}
