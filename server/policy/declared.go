package policy

import (
	"encoding/json"

	"cel.dev/cel-go/common/ast"
)

// ReadsArguments reports whether any rule looks at arguments at all.
func (p *Policy) ReadsArguments() bool { return p != nil && p.readsArguments }

// mentionsArguments reports an expression in which args stands.
func mentionsArguments(e *ast.AST) bool {
	return len(ast.MatchDescendants(ast.NavigateAST(e), func(n ast.NavigableExpr) bool {
		return n.Kind() == ast.IdentKind && n.AsIdent() == "args"
	})) > 0
}

// Declared are the names that a tool declares for its arguments, at every depth.
// A nil Declared has none.
type Declared struct{ names reads }

// maxSchemaDepth bounds how deep a schema is read.
const maxSchemaDepth = 32

// DeclaredBy reads a tool's input schema (JSON Schema; MCP 2025-11-25 schema,
// Tool.inputSchema). What is behind a $ref is not followed.
func DeclaredBy(inputSchema json.RawMessage) *Declared {
	names := reads{}
	names.declare(inputSchema, maxSchemaDepth)
	return &Declared{names}
}

// Misspelt finds an argument that the tool does not declare and that differs only
// in upper and lower case from one that it does. Rules that go through all
// arguments would not know it, and the tool may.
func (d *Declared) Misspelt(args json.RawMessage) (name, declared string) {
	var value map[string]any
	if d == nil || len(d.names) == 0 || json.Unmarshal(args, &value) != nil {
		return "", ""
	}
	return d.names.variant(value)
}

// declare adds the names that a schema declares. A boolean schema, and a keyword
// of an unexpected type, declares nothing.
func (r reads) declare(schema json.RawMessage, depth int) {
	var keywords map[string]json.RawMessage
	if depth == 0 || json.Unmarshal(schema, &keywords) != nil {
		return
	}
	below := func(name string, schema json.RawMessage) {
		if r[name] == nil {
			r[name] = reads{}
		}
		r[name].declare(schema, depth-1)
	}
	for keyword, value := range keywords {
		switch keyword {
		case "properties":
			for name, property := range members(value) {
				below(name, property)
			}
		case "patternProperties":
			for _, property := range members(value) {
				below(anyName, property)
			}
		case "additionalProperties", "unevaluatedProperties":
			below(anyName, value)
		case "items", "prefixItems", "additionalItems", "unevaluatedItems", "contains", // lists are transparent
			"allOf", "anyOf", "oneOf", "if", "then", "else":
			for _, one := range oneOrMore(value) {
				r.declare(one, depth-1)
			}
		}
	}
}

func members(value json.RawMessage) (all map[string]json.RawMessage) {
	_ = json.Unmarshal(value, &all)
	return all
}

func oneOrMore(value json.RawMessage) (all []json.RawMessage) {
	if json.Unmarshal(value, &all) != nil {
		return []json.RawMessage{value}
	}
	return all
}
