package builtin

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/mark3labs/mcp-go/mcp"
)

// structured is the result of a tool: a line for people, the same facts as
// structured content, and as JSON text for clients that know no structured
// content (MCP 2025-11-25, Tools: "SHOULD also return the serialized JSON").
func structured(summary string, value any) (*mcp.CallToolResult, error) {
	raw, err := marshal(value)
	if err != nil {
		return nil, fmt.Errorf("encoding result: %w", err)
	}
	return &mcp.CallToolResult{
		Content:           []mcp.Content{mcp.NewTextContent(summary), mcp.NewTextContent(string(raw))},
		StructuredContent: value,
	}, nil
}

// readOnly annotates a tool that changes nothing and stays inside the server.
func readOnly(title string) mcp.ToolOption {
	return mcp.WithToolAnnotation(mcp.ToolAnnotation{
		Title:           title,
		ReadOnlyHint:    mcp.ToBoolPtr(true),
		DestructiveHint: mcp.ToBoolPtr(false),
		IdempotentHint:  mcp.ToBoolPtr(true),
		OpenWorldHint:   mcp.ToBoolPtr(false),
	})
}

// output declares T as what a tool's structured content looks like. The schema
// that mcp-go derives lets every slice be null; results here write [] instead,
// and some clients don't read a list of types.
func output[T any]() mcp.ToolOption {
	return func(tool *mcp.Tool) {
		mcp.WithOutputSchema[T]()(tool)
		schema, err := json.Marshal(tool.OutputSchema)
		if err != nil {
			panic("builtin: schema of " + tool.Name + ": " + err.Error())
		}
		schema = bytes.ReplaceAll(schema, []byte(`"type":["null","array"]`), []byte(`"type":"array"`))
		tool.OutputSchema = mcp.ToolOutputSchema{}
		mcp.WithRawOutputSchema(schema)(tool)
	}
}
