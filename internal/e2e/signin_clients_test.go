package e2e_test

import (
	"context"
	"os/exec"
	"testing"

	mcpgo "github.com/mark3labs/mcp-go/client"
	"github.com/mark3labs/mcp-go/mcp"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// signedOut is a desk at which somebody has signed in to s before, and whose
// tokens are gone.
func (s *stack) signedOut() desk {
	s.t.Helper()
	d := newDesk(s.t)
	d.login(s.t, s.url, s.caFile, ada)
	d.forget(s.t)
	return d
}

// Clients of other people's make that open pages sign their person in, in the
// way of their era, and notice nothing else of it.
func TestClientsSignIn(t *testing.T) {
	t.Parallel()
	for _, client := range []struct{ name, kind, mode string }{
		{"TypeScript v1", "sdk", ""},
		{"TypeScript v2 2025-11-25", "client", "legacy"},
		{"TypeScript v2 2026-07-28", "client", "auto"},
	} {
		t.Run(client.name, func(t *testing.T) {
			t.Parallel()
			s := newStack(t, scripted(t))
			d := s.signedOut()
			env := d.variables()
			env["CA"], env["PERSON"] = s.caFile, ada
			checks := []string{"the person signs in and the call comes through", "the tools are the server's", "nothing but JSON-RPC came"}
			runChecks(t, "signin.mjs", client.kind, checks, input{Bridge: []string{mcpctl, "bridge", s.url}, Env: env, Mode: client.mode})
		})
	}
	for _, version := range []string{"2025-11-25", "2026-07-28"} {
		t.Run("go-sdk "+version, func(t *testing.T) {
			t.Parallel()
			s := newStack(t, scripted(t))
			ctx, asked := testContext(t), 0
			c := sdk.NewClient(&sdk.Implementation{Name: "e2e", Version: "1"}, &sdk.ClientOptions{
				Capabilities: &sdk.ClientCapabilities{Elicitation: &sdk.ElicitationCapabilities{URL: &sdk.URLElicitationCapabilities{}}},
				ElicitationHandler: func(ctx context.Context, r *sdk.ElicitRequest) (*sdk.ElicitResult, error) {
					asked++
					s.signsIn(ctx, r.Params.URL, r.Params.Message)
					return &sdk.ElicitResult{Action: "accept"}, nil
				},
			})
			cmd := exec.Command(mcpctl, "bridge", s.url)
			cmd.Env = s.signedOut().env()
			session, err := c.Connect(ctx, &sdk.CommandTransport{Command: cmd}, &sdk.ClientSessionOptions{ProtocolVersion: version})
			if err != nil {
				t.Fatal(err)
			}
			defer session.Close()
			result, err := session.CallTool(ctx, &sdk.CallToolParams{Name: "big", Arguments: map[string]any{"bytes": 3}})
			if err != nil {
				t.Fatal(err)
			}
			if text, ok := result.Content[0].(*sdk.TextContent); !ok || text.Text != "012" || asked != 1 {
				t.Errorf("asked %d times, then %v", asked, result.Content)
			}
		})
	}
	t.Run("mcp-go", func(t *testing.T) {
		t.Parallel()
		s := newStack(t, scripted(t))
		ctx := testContext(t)
		// It declares forms only, so that it is not asked but has the tool.
		c, err := mcpgo.NewStdioMCPClient(mcpctl, s.signedOut().env(), "bridge", s.url)
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
		var call mcp.CallToolRequest
		call.Params.Name = "sign_in"
		result, err := c.CallTool(ctx, call)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := result.Content[0].(mcp.TextContent)
		at := toOpen.FindStringSubmatch(text.Text)
		if at == nil {
			t.Fatalf("sign_in says %v", result.Content)
		}
		enterCode(ctx, t, at[1], at[2], s.caFile, ada)
		if result, err = c.CallTool(ctx, call); err != nil || result.IsError {
			t.Fatalf("sign_in ends with %v, %v", result, err)
		}
		call.Params.Name, call.Params.Arguments = "big", map[string]any{"bytes": 3}
		if result, err = c.CallTool(ctx, call); err != nil {
			t.Fatal(err)
		}
		if text, ok := result.Content[0].(mcp.TextContent); !ok || text.Text != "012" {
			t.Errorf("got %v", result.Content)
		}
	})
}

// signsIn is the person to whom a client shows a page.
func (s *stack) signsIn(ctx context.Context, url, message string) {
	code := codeToEnter.FindStringSubmatch(message)
	if code == nil {
		s.t.Errorf("no code in %s", message)
		return
	}
	enterCode(ctx, s.t, url, code[1], s.caFile, ada)
}
