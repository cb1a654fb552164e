package gateway

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/mcpctl/mcpctl/internal/wire"
	"github.com/mcpctl/mcpctl/server/policy"
)

// upstreamRemote is a remote that lists two tools in two pages and echoes calls.
type upstreamRemote struct {
	deliver wire.Deliver
	called  []string
	last    []byte // the last message that is no list
	during  func() // called before that is answered
	listed  []byte // the last tools/list
	lists   int
}

func (u *upstreamRemote) Exchange(ctx context.Context, f wire.Frame) error {
	u.called = append(u.called, f.Method)
	switch f.Method {
	case "tools/list":
		u.lists++
		u.listed = slices.Clone(f.Raw)
		if wire.LookupString(f.Raw, "params", "cursor") == "" {
			return u.deliver(ctx, wire.MustParse(`{"jsonrpc":"2.0","id":`+string(f.ID)+`,"result":{"tools":[{"name":"read","x":9007199254740993,"annotations":{"readOnlyHint":true}}],"nextCursor":"2","y":1e400}}`))
		}
		return u.deliver(ctx, wire.MustParse(`{"jsonrpc":"2.0","id":`+string(f.ID)+`,"result":{"tools":[{"name":"write","inputSchema":{"properties":{"mode":{},"to":{"properties":{"host":{}}}}}}, {"name":"scoped","annotations":{"destructiveHint":false}}]}}`))
	case "resources/list":
		return u.deliver(ctx, wire.MustParse(`{"jsonrpc":"2.0","id":`+string(f.ID)+`,"result":{"resources":[{"uri":"a://1"},{"uri":"b://2"}]}}`))
	case "prompts/list":
		return u.deliver(ctx, wire.MustParse(`{"jsonrpc":"2.0","id":`+string(f.ID)+`,"result":{"prompts":[]}}`))
	}
	u.last = slices.Clone(f.Raw)
	if u.during != nil {
		u.during()
	}
	return u.deliver(ctx, wire.NewResult(f.ID, map[string]any{"ok": true}))
}
func (u *upstreamRemote) Listen(context.Context) error { return wire.ErrNoListen }
func (u *upstreamRemote) End(context.Context) error    { return nil }

func deciding(t *testing.T, rules []policy.Rule) (*decider, *upstreamRemote, *[]string) {
	t.Helper()
	p, err := policy.Compile(rules)
	if err != nil {
		t.Fatal(err)
	}
	u := &upstreamRemote{}
	var got []string
	d, err := newDecider(PolicyOptions{
		Policy: func() *policy.Policy { return p },
		Caller: func(context.Context) (policy.User, policy.Client) {
			return policy.User{Name: "Grace"}, policy.Client{ID: "c"}
		},
		Challenge: func(_ context.Context, scopes []string) string {
			return `Bearer scope="` + strings.Join(scopes, " ") + `"`
		},
		Upstream: "files", Logger: slog.New(slog.DiscardHandler),
	}, func(_ context.Context, f wire.Frame) error { got = append(got, string(f.Raw)); return nil },
		func(d wire.Deliver) (wire.Remote, error) { u.deliver = d; return u, nil })
	if err != nil {
		t.Fatal(err)
	}
	return d, u, &got
}

var readOnly = []policy.Rule{
	{Name: "reading", Allow: "tool.annotations.readOnlyHint"},
	{Name: "scope", Allow: `tool.name == "scoped"`, Scopes: []string{"Tools.Write"}},
	{Name: "no b", Deny: `tool.kind == "resource" && tool.name.startsWith("b:")`},
	{Name: "no etc", Deny: `tool.name == "write" && has(args.path) && args.path.startsWith("/etc")`},
}

func exchange(t *testing.T, d *decider, raw string) (*Evidence, error) {
	t.Helper()
	ctx, e := WithEvidence(t.Context())
	return e, d.Exchange(ctx, wire.MustParse(raw))
}

func TestPolicyDecidesCalls(t *testing.T) {
	for _, tc := range []struct {
		name, params, want, rule string
		denied                   bool
	}{
		{"allowed", `{"name":"read"}`, `"ok":true`, "reading", false},
		{"denied", `{"name":"write"}`, `denied by the policy (default)`, "default", true},
		{"unknown tool", `{"name":"nothing"}`, `denied by the policy (default)`, "default", true},
		{"no name", `{}`, "name is missing", "ambiguous-request", true},
		{"name in capitals", `{"name":"read","Name":"write"}`, `taken for \"name\"`, "ambiguous-request", true},
		{"name twice", `{"name":"read","name":"write"}`, "stands twice", "ambiguous-request", true},
		{"an argument in capitals", `{"name":"write","arguments":{"Path":"/etc"}}`, `taken for \"path\"`, "no etc", true},
		{"an argument twice", `{"name":"read","arguments":{"path":"/srv","path":"/etc"}}`, "stands twice", "ambiguous-request", true},
		{"an argument twice, by case", `{"name":"read","arguments":{"path":"/srv","PATH":"/etc"}}`, "upper and lower case", "ambiguous-request", true},
		{"another spelling of a declared argument", `{"name":"write","arguments":{"Mode":"x"}}`, `\"Mode\" is taken for \"mode\"`, "ambiguous-request", true},
		{"and below", `{"name":"write","arguments":{"to":{"Host":"x"}}}`, `\"Host\" is taken for \"host\"`, "ambiguous-request", true},
		{"escaped name", `{"n\u0061me":"write"}`, "denied by the policy", "default", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d, u, got := deciding(t, readOnly)
			e, err := exchange(t, d, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":`+tc.params+`}`)
			if err != nil || len(*got) != 1 || !strings.Contains((*got)[0], tc.want) {
				t.Fatalf("%v, %q", err, *got)
			}
			denied, rule := e.Decision()
			if denied != tc.denied || rule != tc.rule {
				t.Errorf("evidence: denied %v by %q", denied, rule)
			}
			if reached := slices.Contains(u.called, "tools/call"); reached == tc.denied {
				t.Errorf("the upstream got %v", u.called)
			}
		})
	}
}

// Where a scope would help, the refusal is a challenge for all of them.
func TestPolicyChallenges(t *testing.T) {
	d, _, _ := deciding(t, readOnly)
	_, err := exchange(t, d, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"scoped"}}`)
	var refusal *wire.Refusal
	if !errors.As(err, &refusal) || refusal.Status != http.StatusForbidden || refusal.Header.Get("WWW-Authenticate") != `Bearer scope="Tools.Write"` {
		t.Errorf("%v", err)
	}
}

// Lists show what can be used, and what stays keeps its bytes.
func TestPolicyFiltersLists(t *testing.T) {
	d, u, got := deciding(t, readOnly)
	for _, raw := range []string{
		`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`,
		`{"jsonrpc":"2.0","id":2,"method":"tools/list","params":{"cursor":"2"}}`,
		`{"jsonrpc":"2.0","id":3,"method":"resources/list"}`,
		`{"jsonrpc":"2.0","id":4,"method":"prompts/list"}`,
	} {
		if _, err := exchange(t, d, raw); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{
		`{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"read","x":9007199254740993,"annotations":{"readOnlyHint":true}}],"nextCursor":"2","y":1e400}}`,
		`{"jsonrpc":"2.0","id":2,"result":{"tools":[]}}`,
		`{"jsonrpc":"2.0","id":3,"result":{"resources":[{"uri":"a://1"}]}}`,
		`{"jsonrpc":"2.0","id":4,"result":{"prompts":[]}}`,
	}
	if strings.Join(*got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(*got, "\n"), strings.Join(want, "\n"))
	}
	// What was listed is known: a call fetches nothing.
	lists := u.lists
	if _, err := exchange(t, d, `{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"name":"read"}}`); err != nil || u.lists != lists {
		t.Errorf("%v, %d lists more", err, u.lists-lists)
	}
}

func TestPolicyJudgesPromptsResourcesAndCompletion(t *testing.T) {
	for _, tc := range []struct{ method, params, want string }{
		{"resources/read", `{"uri":"a://1"}`, `"ok":true`},
		{"resources/read", `{"uri":"b://1"}`, "no b"},
		{"resources/subscribe", `{"uri":"b://1"}`, "no b"},
		{"prompts/get", `{"name":"p"}`, `"ok":true`},
		{"completion/complete", `{"ref":{"type":"ref/resource","uri":"b://x"}}`, "no b"},
		{"completion/complete", `{"ref":{"type":"ref/prompt","name":"p"}}`, `"ok":true`},
		{"ping", `{}`, `"ok":true`},
		{"vendor/x", `{"name":"write"}`, `"ok":true`},
	} {
		d, _, got := deciding(t, readOnly)
		if _, err := exchange(t, d, `{"jsonrpc":"2.0","id":1,"method":"`+tc.method+`","params":`+tc.params+`}`); err != nil || len(*got) != 1 || !strings.Contains((*got)[0], tc.want) {
			t.Errorf("%s %s: %v %q", tc.method, tc.params, err, *got)
		}
	}
}

func TestNoPolicyTouchesNothing(t *testing.T) {
	d, u, got := deciding(t, nil)
	if _, err := exchange(t, d, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"Name":"write"}}`); err != nil || len(*got) != 1 || len(u.called) != 1 {
		t.Errorf("%v %q", err, *got)
	}
}

// Rules see a tool under the name that its upstream gave it, and what they judged
// is what is called, however short the name is that clients see.
func TestPolicySeesTheWholeName(t *testing.T) {
	long := "delete_everything_" + strings.Repeat("x", 60)
	rules := []policy.Rule{{Allow: "true"}, {Name: "no-deletes", Deny: `tool.name == "` + long + `" && tool.upstream == "a"`}}
	for _, listed := range []bool{true, false} {
		p, err := policy.Compile(rules)
		if err != nil {
			t.Fatal(err)
		}
		up := newPeer("a", everything).on("tools/list", `"result":{"tools":[{"name":"`+long+`"},{"name":"`+long+`2"}]}`).on("tools/call", `"result":{}`)
		var got []string
		aliases := &Aliases{}
		d, err := newDecider(PolicyOptions{
			Policy: func() *policy.Policy { return p }, Aliases: aliases, Logger: slog.New(slog.DiscardHandler),
			Caller: func(context.Context) (policy.User, policy.Client) { return policy.User{}, policy.Client{} },
		}, func(_ context.Context, f wire.Frame) error { got = append(got, string(f.Raw)); return nil }, func(deliver wire.Deliver) (wire.Remote, error) {
			return NewAggregate(AggregateOptions{Upstreams: []Named{{"a", up.dial}}, Aliases: aliases}, deliver)
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = d.End(context.Background()) })
		last := func() string { return got[len(got)-1] }
		if listed {
			if _, err := exchange(t, d, `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`); err != nil || strings.Count(last(), `"name":`) != 1 {
				t.Errorf("listed %v %s", err, last())
			}
		}
		alias := func(name string) string { return (&Aliases{}).outward("a", name) }
		for _, name := range []string{alias(long), "a__" + long} {
			e, err := exchange(t, d, `{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"`+name+`"}}`)
			if denied, rule := e.Decision(); err != nil || !denied || rule != "no-deletes" || !strings.Contains(last(), "no-deletes") {
				t.Errorf("%s: %v, denied %v by %s", name, err, denied, rule)
			}
		}
		if took := up.took("tools/call"); len(took) != 0 {
			t.Errorf("the upstream was asked: %s", took)
		}
		if _, err := exchange(t, d, `{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"`+alias(long+"2")+`"}}`); err != nil {
			t.Fatal(err)
		}
		if took := up.took("tools/call"); len(took) != 1 || !strings.Contains(took[0], `"name":"`+long+`2"`) {
			t.Errorf("the upstream got %s", took)
		}
	}
}

// What an alias comes to stand for after the decision is not called.
func TestAggregateCallsWhatWasDecided(t *testing.T) {
	long := strings.Repeat("x", 70)
	aliases := &Aliases{}
	alias := aliases.outward("a", long)
	a, err := NewAggregate(AggregateOptions{Upstreams: []Named{{"a", newPeer("a", everything).dial}}, Aliases: aliases}, func(context.Context, wire.Frame) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.End(context.Background()) })
	if _, name, err := a.inward(t.Context(), alias); err != nil || name != long {
		t.Errorf("without a decision: %q, %v", name, err)
	}
	if _, name, err := a.inward(withCallee(t.Context(), "a", "decided"), alias); err != nil || name != "decided" {
		t.Errorf("after a decision: %q, %v", name, err)
	}
}

// What the decider asks for itself has an id that no client can use before it,
// to have an answer of its own taken for the list of tools.
func TestPolicyAsksUnderIDsOfItsOwn(t *testing.T) {
	ids := map[string]bool{}
	for range 2 {
		d, u, _ := deciding(t, readOnly)
		inner := u.deliver
		u.deliver = func(ctx context.Context, f wire.Frame) error {
			ids[string(f.ID)] = true
			return inner(ctx, f)
		}
		if _, err := exchange(t, d, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"read"}}`); err != nil {
			t.Fatal(err)
		}
	}
	if len(ids) != 5 { // two pages of two lists, and the calls' own
		t.Errorf("got %v", ids)
	}
}
