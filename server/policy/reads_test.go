package policy

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
)

func flat(prefix string, r reads) []string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(r)) {
		if name == anyName {
			all = append(all, prefix+"*")
			all = append(all, flat(prefix+"*.", r[name])...)
			continue
		}
		all = append(all, prefix+name)
		all = append(all, flat(prefix+name+".", r[name])...)
	}
	return all
}

// However an expression names an argument, it is known to read it.
func TestReadsOf(t *testing.T) {
	env, err := newEnv()
	if err != nil {
		t.Fatal(err)
	}
	for expression, want := range map[string]string{
		`true`:                                     "",
		`user.name == "path"`:                      "",
		`args.path == "x"`:                         "path",
		`has(args.path) && args["mode"] == 1`:      "mode path",
		`"path" in args`:                           "path",
		`args.a.b.c == 1 || args.a.d == 2`:         "a a.b a.b.c a.d",
		`args.list[0].id == 1`:                     "list list.id",
		`args.items.all(i, i.path != "x")`:         "items items.path",
		`args.items.exists(i, has(i.to.host))`:     "items items.to items.to.host",
		`args.items.map(i, i.path)[0] == "x"`:      "items items.path",
		`args.all(k, k in ["path"])`:               "",
		`[args.a, {"x": args.b}].size() == 2`:      "a b",
		`(args.force ? args.to : args.to2) == "x"`: "force to to2",
		`args[user.name] == 1`:                     "*",
		`args.to[user.name].host == "x"`:           "to to.host to.* to.*.host",
		`args.to.all(k, has(args.to[k].host))`:     "to to.host to.* to.*.host",
		`args.items.filter(i, true)[0].path == 1`:  "items items.path",
		`args.items.map(i, i.to)[0].host == 1`:     "items items.to items.to.host",
		`[args.a, args.b].all(x, x.path == 1)`:     "a a.path b b.path",
		`(args.a + args.b).all(x, has(x.path))`:    "a a.path b b.path",
		`{"x": args.a}["x"].path == 1`:             "a a.path",
		`dyn(args).path == 1`:                      "path",
		`sets.contains([args.one], ["x"])`:         "one",
		`args.path.lowerAscii().startsWith("/x")`:  "path",
	} {
		compiled, issues := env.Compile(expression)
		if issues.Err() != nil {
			t.Errorf("%s: %v", expression, issues.Err())
			continue
		}
		if got := strings.Join(flat("", readsOf(compiled.NativeRep().Expr())), " "); got != want {
			t.Errorf("%s reads %q, want %q", expression, got, want)
		}
	}
}

// A client can't get round a rule by another spelling of what the rule reads.
func TestOtherSpellings(t *testing.T) {
	never := []Rule{{Allow: "true"}, {Name: "never", Deny: `has(args.path) && args.path.startsWith("/etc")`}}
	unless := []Rule{{Name: "unless", Allow: `!has(args.options.path) || args.options.path.startsWith("/srv")`}}
	one := []Rule{{Allow: "true"}, {Name: "one", Deny: `tool.name == "other" && has(args.path) && args.path == "x"`}}
	role := []Rule{{Name: "role", Allow: `"Writer" in user.roles`}, {Allow: `args.path == "x"`}}
	for name, tt := range map[string]struct {
		rules []Rule
		args  string
		want  string // "allow", or who denies and why
	}{
		"as the rule has it":                    {never, `{"path":"/etc/shadow"}`, "never: "},
		"allowed":                               {never, `{"path":"/srv"}`, "allow"},
		"not there":                             {never, `{"other":"/etc"}`, "allow"},
		"in capitals":                           {never, `{"Path":"/etc/shadow"}`, `never: the argument "Path" is taken for "path" by some servers`},
		"with a long s":                         {[]Rule{{Allow: "true"}, {Name: "s", Deny: `has(args.class) && args.class == 1`}}, `{"claſs":1}`, `s: the argument "claſs" is taken for "class"`},
		"below, in capitals":                    {unless, `{"options":{"PATH":"/etc"}}`, `unless: the argument "PATH"`},
		"the object above, in capitals":         {unless, `{"Options":{"path":"/etc"}}`, `unless: the argument "Options"`},
		"elsewhere, in capitals":                {unless, `{"options":{},"PATH":"/etc"}`, "allow"},
		"in a list":                             {[]Rule{{Allow: "true"}, {Name: "list", Deny: `args.items.exists(i, has(i.path) && i.path == "x")`}}, `{"items":[{},{"Path":"x"}]}`, `list: the argument "Path"`},
		"beside the one that the rule reads":    {unless, `{"options":{"path":"/srv/a","Path":"/etc"}}`, `unless: the argument "Path"`},
		"with a Kelvin sign":                    {[]Rule{{Allow: "true"}, {Name: "k", Deny: `has(args.key) && args.key == 1`}}, `{"\u212aey":1}`, "k: the argument \"\u212aey\""},
		"escaped":                               {never, `{"\u0050ath":"/etc"}`, `never: the argument "Path"`},
		"in a list of lists":                    {[]Rule{{Allow: "true"}, {Name: "list", Deny: `args.m.exists(l, l.exists(i, has(i.path)))`}}, `{"m":[[{"Path":"x"}]]}`, `list: the argument "Path"`},
		"in what is filtered":                   {[]Rule{{Allow: "true"}, {Name: "filter", Deny: `has(args.items.filter(i, true)[0].path)`}}, `{"items":[{"Path":"x"}]}`, `filter: the argument "Path"`},
		"below any name":                        {[]Rule{{Allow: "true"}, {Name: "any", Deny: `args.to.exists(k, has(args.to[k].path))`}}, `{"to":{"x":{"Path":1}}}`, `any: the argument "Path"`},
		"of both spellings that the rule reads": {[]Rule{{Name: "both", Allow: `!has(args.path) && args.Path == "x"`}}, `{"Path":"x"}`, "allow"},
		"of a tool that the rule is not about":  {one, `{"Path":"x"}`, "allow"},
		"where another rule allows":             {role, `{"Path":"x"}`, "allow"},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := Compile(tt.rules)
			if err != nil {
				t.Fatal(err)
			}
			d := p.Decide(t.Context(), Input{User: ada, Tool: writer, Args: json.RawMessage(tt.args)})
			got := d.Rule + ": " + d.Ambiguous
			if d.Allowed {
				got = "allow"
			}
			if tt.want == "allow" && got != "allow" || !strings.HasPrefix(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
