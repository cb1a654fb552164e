package policy

import (
	"encoding/json"
	"testing"
)

// An argument that a tool may take for one that it declares is found, wherever
// the schema declares it.
func TestMisspelt(t *testing.T) {
	const object = `{"properties":{"path":{"type":"string"},"key":true}}`
	for _, tc := range []struct{ name, schema, args, want string }{
		{"as declared", object, `{"path":1,"other":2}`, ""},
		{"in capitals", object, `{"Path":1}`, "Path path"},
		{"folded", object, `{"` + "\u212a" + `ey":1}`, "\u212aey key"},
		{"declared in both spellings", `{"properties":{"path":{},"Path":{}}}`, `{"Path":1}`, ""},
		{"below", `{"properties":{"to":` + object + `}}`, `{"to":{"PATH":1}}`, "PATH path"},
		{"elsewhere", `{"properties":{"to":` + object + `}}`, `{"PATH":1}`, ""},
		{"in a list", `{"properties":{"all":{"items":` + object + `}}}`, `{"all":[{},{"Path":1}]}`, "Path path"},
		{"in a tuple", `{"properties":{"all":{"prefixItems":[` + object + `]}}}`, `{"all":[{"Path":1}]}`, "Path path"},
		{"below any name", `{"additionalProperties":` + object + `}`, `{"x":{"Path":1}}`, "Path path"},
		{"in an alternative", `{"anyOf":[{"type":"object"},` + object + `]}`, `{"Path":1}`, "Path path"},
		{"nothing is declared", `{"type":"object","properties":{},"additionalProperties":false}`, `{"Path":1}`, ""},
		{"no schema", ``, `{"Path":1}`, ""},
		{"a strange schema", `{"properties":[1],"items":"x","anyOf":{}}`, `{"Path":1}`, ""},
		{"no arguments", object, ``, ""},
	} {
		name, declared := DeclaredBy(json.RawMessage(tc.schema)).Misspelt(json.RawMessage(tc.args))
		if got := name + " " + declared; got != tc.want && got != tc.want+" " {
			t.Errorf("%s: got %q, want %q", tc.name, got, tc.want)
		}
	}
}

func TestReadsArguments(t *testing.T) {
	for expression, want := range map[string]bool{
		`true`: false, `user.name == "args"`: false, `args.all(k, k == "x")`: true, `size(args) == 0`: true, `has(args.x)`: true,
	} {
		p, err := Compile([]Rule{{Allow: `tool.name == "x"`}, {Deny: expression}})
		if err != nil || p.ReadsArguments() != want {
			t.Errorf("%s: %v, %v", expression, !want, err)
		}
	}
	if (*Policy)(nil).ReadsArguments() {
		t.Error("no policy reads arguments")
	}
}

func FuzzDeclaredBy(f *testing.F) {
	f.Add(`{"properties":{"a":{"items":[{"properties":{"b":{}}}]}},"allOf":[{"additionalProperties":{}}]}`, `{"A":[{"B":1}]}`)
	f.Fuzz(func(_ *testing.T, schema, args string) {
		DeclaredBy(json.RawMessage(schema)).Misspelt(json.RawMessage(args))
	})
}
