package cmd

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	gosdk "github.com/modelcontextprotocol/go-sdk/mcp"

	mcpgo "github.com/mark3labs/mcp-go/mcp"
	mcpgoserver "github.com/mark3labs/mcp-go/server"
)

type greeting struct {
	Name string `json:"name" jsonschema:"whom to greet"`
}

// goSDKServer is a server of the initialize era: stateful handlers of go-sdk
// do not speak 2026-07-28.
func goSDKServer(t *testing.T) string {
	t.Helper()
	s := gosdk.NewServer(&gosdk.Implementation{Name: "go-sdk", Version: "1"}, nil)
	gosdk.AddTool(s, &gosdk.Tool{Name: "greet", Description: "Greets"}, func(_ context.Context, _ *gosdk.CallToolRequest, in greeting) (*gosdk.CallToolResult, any, error) {
		return &gosdk.CallToolResult{Content: []gosdk.Content{&gosdk.TextContent{Text: "Hello " + in.Name}}}, nil, nil
	})
	server := httptest.NewServer(gosdk.NewStreamableHTTPHandler(func(*http.Request) *gosdk.Server { return s }, nil))
	t.Cleanup(server.Close)
	return server.URL + "/mcp"
}

// mcpGoServer speaks both eras.
func mcpGoServer(t *testing.T) string {
	t.Helper()
	s := mcpgoserver.NewMCPServer("mcp-go", "1")
	s.AddTool(mcpgo.NewTool("greet", mcpgo.WithDescription("Greets"), mcpgo.WithString("name", mcpgo.Required())), func(_ context.Context, r mcpgo.CallToolRequest) (*mcpgo.CallToolResult, error) {
		return mcpgo.NewToolResultText("Hello " + r.GetString("name", "")), nil
	})
	server := httptest.NewServer(mcpgoserver.NewStreamableHTTPServer(s))
	t.Cleanup(server.Close)
	return server.URL + "/mcp"
}

func TestServersOfOtherMakes(t *testing.T) {
	t.Setenv("MCPCTL_CONFIG_DIR", t.TempDir())
	for _, tt := range []struct{ name, url, protocol string }{
		{"go-sdk", goSDKServer(t), "2025-11-25"},
		{"mcp-go", mcpGoServer(t), "2026-07-28"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code, stdout, stderr := run(t, "inspect", tt.url, "--no-auth", "-o", "json")
			if code != 0 || stderr != "" {
				t.Fatalf("exit code %d: %s", code, stderr)
			}
			var got struct {
				ProtocolVersion string
				Transport       string
				Tools           []struct{ Name string }
			}
			if err := json.Unmarshal([]byte(stdout), &got); err != nil {
				t.Fatal(err)
			}
			if got.ProtocolVersion != tt.protocol || got.Transport != "http" || len(got.Tools) != 1 || got.Tools[0].Name != "greet" {
				t.Errorf("inspected %+v", got)
			}
			code, stdout, stderr = run(t, "call", tt.url, "greet", "name=Ada", "--no-auth")
			if code != 0 || strings.TrimSpace(stdout) != "Hello Ada" {
				t.Errorf("exit code %d, %q: %s", code, stdout, stderr)
			}
			if code, _, stderr = run(t, "call", tt.url, "greet", "nam=Ada", "--no-auth"); code != exitUsage || !strings.Contains(stderr, "name") {
				t.Errorf("exit code %d: %s", code, stderr)
			}
		})
	}
}
