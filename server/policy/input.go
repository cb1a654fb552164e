package policy

import (
	"encoding/json"
	"fmt"
	"reflect"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/ext"
)

// Input is what rules speak about.
type Input struct {
	User   User
	Client Client
	Tool   Tool
	// Args are the raw arguments of the request, a JSON object or nil.
	Args json.RawMessage
}

// User is who calls: a person, or an application on its own behalf.
type User struct {
	TenantID string   `cel:"tid"`
	ObjectID string   `cel:"oid"`
	Name     string   `cel:"name"`
	Username string   `cel:"username"`
	Roles    []string `cel:"roles"`
	Groups   []string `cel:"groups"`
	Scopes   []string `cel:"scopes"`
}

// Client is the application that obtained the token.
type Client struct {
	ID      string `cel:"id"`
	AppOnly bool   `cel:"app_only"`
	Agent   bool   `cel:"agent"` // an Entra agent identity
}

// Tool is what is used. Prompts and resources are judged by the same rules:
// kind tells them apart, a resource's name is its URI, and reading either is
// read-only by nature.
type Tool struct {
	Kind        string      `cel:"kind"` // tool, prompt or resource
	Name        string      `cel:"name"`
	Upstream    string      `cel:"upstream"`
	Annotations Annotations `cel:"annotations"`
}

// Annotations are a tool's hints, with the defaults of the specification where
// the upstream says nothing (MCP 2025-11-25, schema, ToolAnnotations). They are
// the upstream's word: only as good as the upstream is trusted.
type Annotations struct {
	Title           string `cel:"title"`
	ReadOnlyHint    bool   `cel:"readOnlyHint"`
	DestructiveHint bool   `cel:"destructiveHint"`
	IdempotentHint  bool   `cel:"idempotentHint"`
	OpenWorldHint   bool   `cel:"openWorldHint"`
}

// Kinds of what is used.
const (
	KindTool     = "tool"
	KindPrompt   = "prompt"
	KindResource = "resource"
)

// ParseAnnotations reads a tool's annotations; raw may be nil.
func ParseAnnotations(raw json.RawMessage) Annotations {
	a := struct {
		Title           string
		ReadOnlyHint    *bool
		DestructiveHint *bool
		IdempotentHint  *bool
		OpenWorldHint   *bool
	}{}
	if json.Unmarshal(raw, &a) != nil {
		return Annotations{DestructiveHint: true, OpenWorldHint: true}
	}
	or := func(p *bool, def bool) bool {
		if p == nil {
			return def
		}
		return *p
	}
	return Annotations{
		Title: a.Title, ReadOnlyHint: or(a.ReadOnlyHint, false), DestructiveHint: or(a.DestructiveHint, true),
		IdempotentHint: or(a.IdempotentHint, false), OpenWorldHint: or(a.OpenWorldHint, true),
	}
}

// newEnv declares the variables, typed, so that misspelt fields are found when
// rules are read.
func newEnv() (*cel.Env, error) {
	return cel.NewEnv(
		ext.NativeTypes(ext.ParseStructTags(true), reflect.TypeFor[User](), reflect.TypeFor[Client](), reflect.TypeFor[Tool](), reflect.TypeFor[Annotations]()),
		cel.Variable("user", cel.ObjectType("policy.User")),
		cel.Variable("client", cel.ObjectType("policy.Client")),
		cel.Variable("tool", cel.ObjectType("policy.Tool")),
		cel.Variable("args", cel.MapType(cel.StringType, cel.DynType)),
		ext.Strings(),
		ext.Sets(),
	)
}

// vars binds the variables. With anyArgs, the arguments are unknown.
func (in Input) vars(anyArgs bool) (cel.PartialActivation, error) {
	bound := map[string]any{"user": in.User, "client": in.Client, "tool": in.Tool}
	if anyArgs {
		return cel.PartialVars(bound, cel.AttributePattern("args"))
	}
	args := map[string]any{}
	if len(in.Args) > 0 {
		if err := json.Unmarshal(in.Args, &args); err != nil {
			return nil, fmt.Errorf("reading the arguments: %w", err)
		}
	}
	bound["args"] = args
	return cel.PartialVars(bound)
}
