package builtin

import (
	"context"
	"fmt"
	"strings"

	"github.com/mark3labs/mcp-go/mcp"
)

// identity is what whoami answers.
type identity struct {
	Kind     string   `json:"kind" jsonschema:"user, or app where an application calls on its own behalf"`
	Name     string   `json:"name" jsonschema:"display name; not an identity"`
	Username string   `json:"username" jsonschema:"sign-in name; may change hands"`
	TenantID string   `json:"tenant_id" jsonschema:"directory that the account belongs to"`
	ObjectID string   `json:"object_id" jsonschema:"the account's id in that directory"`
	ClientID string   `json:"client_id" jsonschema:"application id of the client in use"`
	Scopes   []string `json:"scopes" jsonschema:"what the client may do for the user"`
	Roles    []string `json:"roles" jsonschema:"roles that the caller was given"`
}

func (s *Server) registerWhoami() {
	tool := mcp.NewTool("whoami",
		mcp.WithToolTitle("Who am I"),
		mcp.WithDescription("Says which account, client application, scopes and roles the server sees for this call."),
		mcp.WithSchemaAdditionalProperties(false),
		output[identity](),
		readOnly("Who am I"))
	s.mcp.AddTool(tool, func(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return whoami(s.caller(ctx))
	})
}

func whoami(c Caller) (*mcp.CallToolResult, error) {
	if c.TenantID == "" && c.ObjectID == "" && c.ClientID == "" {
		return mcp.NewToolResultError("Nobody is signed in: the server received this call without a proven identity."), nil
	}
	id := identity{
		Kind: "user", Name: c.Name, Username: c.Username,
		TenantID: c.TenantID, ObjectID: c.ObjectID, ClientID: c.ClientID,
		// [] rather than null, whatever the caller left out.
		Scopes: append([]string{}, c.Scopes...),
		Roles:  append([]string{}, c.Roles...),
	}
	who := fmt.Sprintf("%s (%s)", c.Name, c.Username)
	if c.AppOnly {
		id.Kind = "app"
		who = "the application " + c.ClientID
	}
	summary := fmt.Sprintf("You are %s, object %s in tenant %s, through client %s. Scopes: %s. Roles: %s.",
		who, c.ObjectID, c.TenantID, c.ClientID, listed(c.Scopes), listed(c.Roles))
	return structured(summary, id)
}

func listed(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}
