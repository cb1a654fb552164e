package builtin

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"github.com/mcpctl/mcpctl/internal/mcpclient/arguments"
)

// checkArguments keeps from a tool what its input schema forbids, and tells the
// model in words what that is, as an error of the tool, so that it can do better
// (MCP 2025-11-25, Tools, Error Handling). mcp-go's own check prints the
// validator's data.
func (s *Server) checkArguments(next server.ToolHandlerFunc) server.ToolHandlerFunc {
	return func(ctx context.Context, req mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		schema, err := json.Marshal(s.mcp.GetTool(req.Params.Name).Tool.InputSchema)
		if err != nil {
			return nil, fmt.Errorf("reading the input schema: %w", err)
		}
		given := []byte("{}")
		if req.Params.Arguments != nil {
			if given, err = json.Marshal(req.Params.Arguments); err != nil {
				return nil, fmt.Errorf("reading the arguments: %w", err)
			}
		}
		report, err := arguments.Check(schema, given)
		if err != nil {
			return nil, err
		}
		if len(report.Problems) > 0 {
			return mcp.NewToolResultError(fmt.Sprintf("The arguments of %s can't be used: %s.", req.Params.Name, strings.Join(report.Problems, "; "))), nil
		}
		return next(ctx, req)
	}
}
