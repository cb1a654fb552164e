package policy

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

var (
	ada    = User{TenantID: "t", ObjectID: "o1", Name: "Ada", Roles: []string{"Writer"}, Scopes: []string{"Mcp.Access", "Tools.Write"}}
	grace  = User{TenantID: "t", ObjectID: "o2", Name: "Grace", Groups: []string{"g1"}, Scopes: []string{"Mcp.Access"}}
	reader = Tool{Kind: KindTool, Name: "read", Upstream: "files", Annotations: Annotations{ReadOnlyHint: true}}
	writer = Tool{Kind: KindTool, Name: "write", Upstream: "files", Annotations: Annotations{DestructiveHint: true}}
)

func TestDecide(t *testing.T) {
	design := []Rule{{Allow: "tool.annotations.readOnlyHint"}, {Allow: `"Writer" in user.roles`}}
	for _, tc := range []struct {
		name  string
		rules []Rule
		in    Input
		want  string // "allow RULE", "deny RULE" or "deny RULE needs SCOPES"
	}{
		{"no rules", nil, Input{User: grace, Tool: writer}, "allow default"},
		{"reading is allowed", design, Input{User: grace, Tool: reader}, "allow rule 1"},
		{"writing needs the role", design, Input{User: grace, Tool: writer}, "deny default"},
		{"the writer may", design, Input{User: ada, Tool: writer}, "allow rule 2"},
		{"nothing matches", []Rule{{Allow: "false"}}, Input{User: ada, Tool: reader}, "deny default"},
		{"a denial outweighs", []Rule{{Allow: "true"}, {Name: "no files", Deny: `tool.upstream == "files"`}}, Input{User: ada, Tool: reader}, "deny no files"},
		{"a later denial outweighs", append(design[:2:2], Rule{Deny: `user.name == "Ada"`}), Input{User: ada, Tool: reader}, "deny rule 3"},
		{"by group", []Rule{{Allow: `"g1" in user.groups`}}, Input{User: grace, Tool: writer}, "allow rule 1"},
		{"by client", []Rule{{Allow: `client.id == "c" && !client.app_only`}}, Input{User: grace, Client: Client{ID: "c"}, Tool: writer}, "allow rule 1"},
		{"by argument", []Rule{{Allow: `args.path.startsWith("/srv/")`}}, Input{User: grace, Tool: writer, Args: json.RawMessage(`{"path":"/srv/x"}`)}, "allow rule 1"},
		{"by another argument", []Rule{{Allow: `args.path.startsWith("/srv/")`}}, Input{User: grace, Tool: writer, Args: json.RawMessage(`{"path":"/etc"}`)}, "deny default"},
		{"a missing argument does not allow", []Rule{{Allow: `args.path == "x"`}}, Input{User: grace, Tool: writer}, "deny default"},
		{"a missing argument denies", []Rule{{Allow: "true"}, {Deny: `args.path == "x"`}}, Input{User: grace, Tool: writer}, "deny rule 2"},
		{"has() asks first", []Rule{{Allow: "true"}, {Deny: `has(args.path) && args.path == "x"`}}, Input{User: grace, Tool: writer}, "allow rule 1"},
		{"arguments that are no object", []Rule{{Allow: "true"}}, Input{User: grace, Tool: writer, Args: json.RawMessage(`[1]`)}, "deny default"},
		{"a scope is missing", []Rule{{Name: "w", Allow: "true", Scopes: []string{"Tools.Write", "Mcp.Access"}}}, Input{User: grace, Tool: writer}, "deny w needs [Tools.Write Mcp.Access]"},
		{"the scope is there", []Rule{{Allow: "true", Scopes: []string{"Tools.Write"}}}, Input{User: ada, Tool: writer}, "allow rule 1"},
		{"applications can't ask for scopes", []Rule{{Allow: "true", Scopes: []string{"Tools.Write"}}}, Input{User: grace, Client: Client{AppOnly: true}, Tool: writer}, "deny default"},
		{"another rule allows without", []Rule{{Allow: "true", Scopes: []string{"X"}}, {Allow: "true"}}, Input{User: grace, Tool: writer}, "allow rule 2"},
		{"only arguments that are known", []Rule{{Allow: `args.all(name, name in ["path"]) && args.path.startsWith("/srv/") && !args.path.contains("..")`}}, Input{User: grace, Tool: writer, Args: json.RawMessage(`{"path":"/srv/x"}`)}, "allow rule 1"},
		{"and another one", []Rule{{Allow: `args.all(name, name in ["path"]) && args.path.startsWith("/srv/") && !args.path.contains("..")`}}, Input{User: grace, Tool: writer, Args: json.RawMessage(`{"path":"/srv/x","file":"/etc"}`)}, "deny default"},
		{"too costly", []Rule{{Allow: `args.l.all(a, args.l.all(b, args.l.all(c, a + b + c >= 0)))`}}, Input{User: grace, Tool: writer, Args: list(200)}, "deny default"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p, err := Compile(tc.rules)
			if err != nil {
				t.Fatal(err)
			}
			d := p.Decide(t.Context(), tc.in)
			got := map[bool]string{true: "allow ", false: "deny "}[d.Allowed] + d.Rule
			if d.MissingScopes != nil {
				got += fmt.Sprint(" needs ", d.MissingScopes)
			}
			if got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func list(n int) json.RawMessage {
	return json.RawMessage(`{"l":[0` + strings.Repeat(",1", n-1) + `]}`)
}

// What could be allowed with some arguments is shown; what can't is not.
func TestVisible(t *testing.T) {
	for _, tc := range []struct {
		rule Rule
		want bool
	}{
		{Rule{Allow: `args.path == "/srv"`}, true},
		{Rule{Allow: `tool.name == "write" && args.path == "/srv"`}, true},
		{Rule{Allow: `tool.name == "other" && args.path == "/srv"`}, false},
		{Rule{Allow: `"Admin" in user.roles`}, false},
	} {
		p, err := Compile([]Rule{tc.rule})
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Visible(t.Context(), Input{User: ada, Tool: writer}); got != tc.want {
			t.Errorf("%s: visible %v", tc.rule.Allow, got)
		}
	}
	deny, err := Compile([]Rule{{Allow: "true"}, {Deny: `args.force == true`}})
	if err != nil {
		t.Fatal(err)
	}
	if !deny.Visible(t.Context(), Input{User: ada, Tool: writer}) {
		t.Error("a tool that only some arguments deny is hidden")
	}
}

// Every fault is told at once, when the rules are read.
func TestCompileFaults(t *testing.T) {
	_, err := Compile([]Rule{
		{Allow: "tool.annotation.readOnlyHint"},
		{Allow: "user.role == 'x'"},
		{Allow: "1 + 1"},
		{Allow: "(("},
		{},
		{Allow: "true", Deny: "true"},
		{Name: "mine", Deny: "true", Scopes: []string{"x"}},
		{Allow: "true"},
	})
	if err == nil {
		t.Fatal("faulty rules were taken")
	}
	for _, want := range []string{"rule 1: ", "annotation", "rule 2: ", "role", "rule 3: the expression is of type int", "rule 4: ", "rule 5: write either", "rule 6: write either", "mine: scopes go with allow"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the report lacks %q:\n%v", want, err)
		}
	}
	if strings.Contains(err.Error(), "rule 8") {
		t.Errorf("a good rule is blamed:\n%v", err)
	}
}

func TestParseAnnotations(t *testing.T) {
	for raw, want := range map[string]Annotations{
		``:                                    {DestructiveHint: true, OpenWorldHint: true},
		`{}`:                                  {DestructiveHint: true, OpenWorldHint: true},
		`{"readOnlyHint":true}`:               {ReadOnlyHint: true, DestructiveHint: true, OpenWorldHint: true},
		`{"destructiveHint":false}`:           {OpenWorldHint: true},
		`{"readOnlyHint":"yes"}`:              {DestructiveHint: true, OpenWorldHint: true},
		`{"title":"T","openWorldHint":false}`: {Title: "T", DestructiveHint: true},
	} {
		if got := ParseAnnotations(json.RawMessage(raw)); got != want {
			t.Errorf("%s: %+v", raw, got)
		}
	}
}

func FuzzCompile(f *testing.F) {
	f.Add(`tool.annotations.readOnlyHint`, `{"a":1}`)
	f.Add(`args.a.b[0] in user.roles`, `{"a":{"b":[null,1e400]}}`)
	f.Fuzz(func(t *testing.T, expr, args string) {
		p, err := Compile([]Rule{{Allow: expr}})
		if err != nil {
			return
		}
		p.Decide(t.Context(), Input{User: ada, Tool: writer, Args: json.RawMessage(args)})
		p.Visible(t.Context(), Input{User: ada, Tool: writer})
	})
}

func BenchmarkDecide(b *testing.B) {
	p, err := Compile([]Rule{{Allow: "tool.annotations.readOnlyHint"}, {Allow: `"Writer" in user.roles`}})
	if err != nil {
		b.Fatal(err)
	}
	in := Input{User: ada, Tool: writer, Args: json.RawMessage(`{"path":"/srv/data/x","n":3}`)}
	for b.Loop() {
		p.Decide(b.Context(), in)
	}
}
