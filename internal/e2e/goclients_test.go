package e2e_test

import (
	"os/exec"
	"testing"

	mcpgo "github.com/mark3labs/mcp-go/client"
	"github.com/mark3labs/mcp-go/mcp"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// TestGoClients puts the stdio clients of mcp-go and go-sdk before the bridge
// and server-everything behind the server.
func TestGoClients(t *testing.T) {
	t.Parallel()
	s, d := newStack(t, everything(t)), newDesk(t)
	for _, transport := range transports {
		url := transport.address(s.url, s.sse)
		d.login(t, url, s.caFile, ada)
		t.Run(transport.flag+"/mcp-go", func(t *testing.T) {
			t.Parallel()
			ctx := testContext(t)
			c, err := mcpgo.NewStdioMCPClient(mcpctl, d.env(), "bridge", url)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			var hello mcp.InitializeRequest
			hello.Params.ProtocolVersion = mcp.LATEST_PROTOCOL_VERSION
			hello.Params.ClientInfo = mcp.Implementation{Name: "e2e", Version: "1"}
			if _, err := c.Initialize(ctx, hello); err != nil {
				t.Fatal(err)
			}
			if tools, err := c.ListTools(ctx, mcp.ListToolsRequest{}); err != nil || len(tools.Tools) == 0 {
				t.Errorf("listing tools: %v, %v", tools, err)
			}
			var call mcp.CallToolRequest
			call.Params.Name, call.Params.Arguments = "echo", map[string]any{"message": "hello"}
			result, err := c.CallTool(ctx, call)
			if err != nil {
				t.Fatal(err)
			}
			if text, ok := result.Content[0].(mcp.TextContent); !ok || text.Text != "Echo: hello" {
				t.Errorf("echo answers %v", result.Content)
			}
		})
		t.Run(transport.flag+"/go-sdk", func(t *testing.T) {
			t.Parallel()
			ctx := testContext(t)
			cmd := exec.Command(mcpctl, "bridge", url)
			cmd.Env = d.env()
			c := sdk.NewClient(&sdk.Implementation{Name: "e2e", Version: "1"}, nil)
			session, err := c.Connect(ctx, &sdk.CommandTransport{Command: cmd}, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer session.Close()
			if tools, err := session.ListTools(ctx, nil); err != nil || len(tools.Tools) == 0 {
				t.Errorf("listing tools: %v, %v", tools, err)
			}
			result, err := session.CallTool(ctx, &sdk.CallToolParams{Name: "echo", Arguments: map[string]any{"message": "hello"}})
			if err != nil {
				t.Fatal(err)
			}
			if text, ok := result.Content[0].(*sdk.TextContent); !ok || text.Text != "Echo: hello" {
				t.Errorf("echo answers %v", result.Content)
			}
		})
	}
}
