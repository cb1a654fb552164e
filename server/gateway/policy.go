package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"unicode"

	"github.com/mcpctl/mcpctl/internal/wire"
	"github.com/mcpctl/mcpctl/server/policy"
)

// CodeDenied is the error code for what a policy denies, where the answer can't
// be a tool error. It lies outside the ranges that JSON-RPC 2.0 §5.1 and MCP reserve.
const CodeDenied = -31011

// PolicyOptions configure the step that decides.
type PolicyOptions struct {
	// Policy returns the rules in force; nil rules allow everything. It is
	// asked for each request, so that rules can change under way.
	Policy func() *policy.Policy
	// Caller describes who sent the message that ctx came with.
	Caller func(ctx context.Context) (policy.User, policy.Client)
	// Challenge builds the WWW-Authenticate field that asks for scopes (RFC
	// 6750 §3, error insufficient_scope).
	Challenge func(ctx context.Context, scopes []string) string
	// Upstream names the only upstream; "" where names carry their upstream as
	// in name__tool.
	Upstream string
	// Upstreams are the names that may stand before others where Upstream is "".
	Upstreams []string
	// Aliases say what shortened names stand for; nil: there are none.
	Aliases *Aliases
	// Record is told at once of what is denied within a request that goes on; see
	// Options.Record. nil records nothing.
	Record func(ctx context.Context, r Record) error
	Logger *slog.Logger
}

// decider lets through what the policy allows and takes out of lists what it
// can't allow. It implements wire.Remote.
type decider struct {
	opts    PolicyOptions
	deliver wire.Deliver
	next    wire.Remote

	mu      sync.Mutex
	lists   map[string]listRequest     // requests for lists under way, by id key
	tools   map[string]listedTool      // by the name that clients see
	answers map[string]chan wire.Frame // of the decider's own requests

	listeners  map[string]hearer // by the id of their subscriptions/listen
	subscriber hearer            // who subscribed to a resource last
	subscribed bool
}

type listRequest struct {
	ctx  context.Context
	kind string
}

func newDecider(opts PolicyOptions, deliver wire.Deliver, dial func(wire.Deliver) (wire.Remote, error)) (*decider, error) {
	if opts.Aliases == nil {
		opts.Aliases = &Aliases{}
	}
	d := &decider{opts: opts, deliver: deliver, lists: map[string]listRequest{}, tools: map[string]listedTool{}, answers: map[string]chan wire.Frame{}, listeners: map[string]hearer{}}
	var err error
	d.next, err = dial(d.fromNext)
	return d, err
}

// Listen implements wire.Remote.
func (d *decider) Listen(ctx context.Context) error { return d.next.Listen(ctx) }

// End implements wire.Remote.
func (d *decider) End(ctx context.Context) error { return d.next.End(ctx) }

// Exchange implements wire.Remote.
func (d *decider) Exchange(ctx context.Context, f wire.Frame) error {
	switch {
	case f.Kind != wire.Request:
	case f.Method == "resources/subscribe":
		d.noteSubscriber(ctx)
	case f.Method == "subscriptions/listen":
		defer d.noteListener(ctx, f.ID)()
	}
	rules := d.opts.Policy()
	switch {
	case rules == nil:
		return d.next.Exchange(ctx, f)
	case f.Kind == wire.Notification && (judged[f.Method] || outsideRules(f.Method)):
		// A careless server runs it, though nobody gets an answer.
		d.opts.Logger.Warn("a request without an id was dropped: the policy can't decide about it", "method", fmt.Sprintf("%.100s", f.Method))
		return nil
	case f.Kind != wire.Request:
		return d.next.Exchange(ctx, f)
	case outsideRules(f.Method):
		evidenceOf(ctx).decided(false, "unknown-method")
		return d.deliver(ctx, wire.NewError(f.ID, wire.CodeMethodNotFound, fmt.Sprintf("Method not found: the policy here can't decide about %.100q, so it is not passed on", f.Method), nil))
	}
	if kind := listKind(f.Method); kind != "" {
		key := f.ID.Key()
		d.mu.Lock()
		d.lists[key] = listRequest{ctx, kind}
		d.mu.Unlock()
		defer func() {
			d.mu.Lock()
			delete(d.lists, key)
			d.mu.Unlock()
		}()
		return d.next.Exchange(ctx, f)
	}
	if f.Method == "subscriptions/listen" {
		return d.listen(ctx, rules, f)
	}
	in, asked, err := d.input(ctx, f)
	if err != nil {
		return d.ambiguous(ctx, f, err)
	}
	if !asked {
		return d.next.Exchange(ctx, f)
	}
	if in.Tool.Kind != policy.KindResource && !d.knows(in.Tool) {
		// There is nothing to decide about, and nothing to keep from anybody.
		err := unknownName(in.Tool.Name, strings.Join(d.opts.Upstreams, ", "))
		return d.deliver(ctx, wire.NewError(f.ID, wire.CodeInvalidParams, capital(err.Error()), nil))
	}
	decision := rules.Decide(ctx, in)
	evidenceOf(ctx).decided(decision.Allowed, decision.Rule)
	if decision.Allowed {
		return d.next.Exchange(withCallee(ctx, in.Tool.Upstream, in.Tool.Name), f)
	}
	return d.refuse(ctx, f, in, decision)
}

// ambiguous answers a request that readers could take for different ones.
func (d *decider) ambiguous(ctx context.Context, f wire.Frame, err error) error {
	evidenceOf(ctx).decided(false, "ambiguous-request")
	return d.deliver(ctx, wire.NewError(f.ID, wire.CodeInvalidParams, "Invalid params: "+err.Error(), nil))
}

// refuse answers a denied request: with a challenge where more scopes would
// help (MCP 2025-11-25, basic/authorization, "Scope Challenge Handling"), else
// with an error that names the rule.
func (d *decider) refuse(ctx context.Context, f wire.Frame, in policy.Input, decision policy.Decision) error {
	what := fmt.Sprintf("%s %q", in.Tool.Kind, in.Tool.Name)
	if len(decision.MissingScopes) > 0 {
		text := fmt.Sprintf("Using the %s needs the permissions %s (%s).", what, strings.Join(decision.MissingScopes, ", "), decision.Rule)
		return &wire.Refusal{
			Status: http.StatusForbidden,
			Header: http.Header{"Www-Authenticate": {d.opts.Challenge(ctx, decision.MissingScopes)}},
			Answer: wire.NewError(f.ID, CodeDenied, text, nil),
		}
	}
	if decision.Ambiguous != "" {
		return d.deliver(ctx, wire.NewError(f.ID, wire.CodeInvalidParams, fmt.Sprintf("Invalid params: %s, and the policy looks at it (%s). Use the name that the %s declares.", decision.Ambiguous, decision.Rule, in.Tool.Kind), nil))
	}
	text := fmt.Sprintf("You may not use the %s here: denied by the policy (%s). Ask the operator of this server if you should.", what, decision.Rule)
	if f.Method == "tools/call" {
		return d.deliver(ctx, wire.NewResult(f.ID, map[string]any{
			"content": []any{map[string]any{"type": "text", "text": text}},
			"isError": true,
		}))
	}
	return d.deliver(ctx, wire.NewError(f.ID, CodeDenied, text, nil))
}

// input describes what a request uses; asked is false where rules have no say.
func (d *decider) input(ctx context.Context, f wire.Frame) (in policy.Input, asked bool, err error) {
	params := wire.Lookup(f.Raw, "params")
	var kind, member string
	switch f.Method {
	case "tools/call":
		kind, member = policy.KindTool, "name"
	case "prompts/get":
		kind, member = policy.KindPrompt, "name"
	case "resources/read", "resources/subscribe", "resources/unsubscribe":
		kind, member = policy.KindResource, "uri"
	case "completion/complete":
		return d.completion(ctx, f, params)
	default:
		return in, false, nil
	}
	if err := unambiguous(params, "name", "uri", "arguments"); err != nil {
		return in, false, err
	}
	name := wire.LookupString(params, member)
	if name == "" {
		return in, false, fmt.Errorf("%s is missing", member)
	}
	in.User, in.Client = d.opts.Caller(ctx)
	in.Args = wire.Lookup(params, "arguments")
	if err := clearArguments(in.Args); err != nil {
		return in, false, err
	}
	in.Tool, err = d.tool(ctx, f, kind, name)
	return in, true, err
}

// completion is judged like the prompt or resource it completes.
func (d *decider) completion(ctx context.Context, f wire.Frame, params []byte) (in policy.Input, asked bool, err error) {
	ref := wire.Lookup(params, "ref")
	if err := errors.Join(unambiguous(params, "ref"), unambiguous(ref, "type", "name", "uri")); err != nil {
		return in, false, err
	}
	kind, name := policy.KindPrompt, wire.LookupString(ref, "name")
	other := wire.Lookup(ref, "uri")
	switch wire.LookupString(ref, "type") {
	case "ref/prompt":
	case "ref/resource":
		kind, name = policy.KindResource, wire.LookupString(ref, "uri")
		other = wire.Lookup(ref, "name")
	default:
		return in, false, errors.New("the type of ref is neither ref/prompt nor ref/resource")
	}
	switch {
	case name == "":
		return in, false, errors.New("ref does not say what it refers to")
	case other != nil && string(other) != "null":
		return in, false, errors.New("ref has both a name and a uri, and some servers go by the one, some by the other")
	}
	in.User, in.Client = d.opts.Caller(ctx)
	in.Tool, err = d.tool(ctx, f, kind, name)
	return in, true, err
}

// tool describes an entry by its name as clients see it; rules see the name that
// the upstream gave it. What a tool's annotations are is known from the upstream's
// list; it is fetched for the request f where no client has asked for it yet.
func (d *decider) tool(ctx context.Context, f wire.Frame, kind, name string) (policy.Tool, error) {
	if kind != policy.KindTool {
		t := d.describe(kind, name, nil)
		t.Annotations = policy.Annotations{ReadOnlyHint: true}
		return t, nil
	}
	if t := d.describe(kind, name, nil); !d.knows(t) {
		return t, nil
	}
	listed, known := d.listed(name)
	if !known {
		if err := d.fetchTools(ctx, f); err != nil {
			return policy.Tool{}, fmt.Errorf("the tool's annotations could not be had: %w", err)
		}
		listed, _ = d.listed(name)
	}
	if argument, declared := listed.declared.Misspelt(wire.Lookup(f.Raw, "params", "arguments")); argument != "" {
		return policy.Tool{}, fmt.Errorf("the argument %.40q is taken for %q by some servers, and that is how the tool calls it", argument, declared)
	}
	return d.describe(kind, name, listed.annotations), nil
}

func (d *decider) describe(kind, name string, annotations json.RawMessage) policy.Tool {
	t := policy.Tool{Kind: kind, Name: name, Upstream: d.opts.Upstream, Annotations: policy.ParseAnnotations(annotations)}
	if t.Upstream == "" && kind != policy.KindResource {
		if upstream, inner := d.opts.Aliases.inward(name); inner != "" && (d.opts.Upstreams == nil || slices.Contains(d.opts.Upstreams, upstream)) {
			t.Upstream, t.Name = upstream, inner
		}
	}
	return t
}

// knows reports a tool or prompt whose name says which upstream it is of.
func (d *decider) knows(t policy.Tool) bool { return t.Upstream != "" }

// aggregateSeparator stands between an upstream's name and the name of what it
// offers, where several upstreams are served as one.
const aggregateSeparator = "__"

// listedTool is what is known of a tool from its upstream's list.
type listedTool struct {
	annotations json.RawMessage
	declared    *policy.Declared // nil: the rules did not look at arguments
}

// listed returns what is known of a tool. One whose arguments were not looked at
// is not known where the rules do that now.
func (d *decider) listed(name string) (listedTool, bool) {
	rules := d.opts.Policy()
	d.mu.Lock()
	defer d.mu.Unlock()
	t, known := d.tools[name]
	return t, known && (t.declared != nil || !rules.ReadsArguments())
}

// unambiguous refuses members that one reader takes and another does not: a
// repeated name, or one that differs in case only. Decoders of upstreams may
// ignore case, as encoding/json does, and would then act on something else than
// what was decided about.
func unambiguous(object []byte, names ...string) error {
	seen := map[string]bool{}
	return wire.Members(object, func(key, _ []byte) error {
		name := string(key)
		for _, exact := range names {
			if name != exact && strings.EqualFold(name, exact) {
				return fmt.Errorf("the member %.40q is taken for %q by some servers", name, exact)
			}
		}
		if seen[name] {
			return fmt.Errorf("the member %.40q stands twice", name)
		}
		seen[name] = true
		return nil
	})
}

// clearArguments refuses arguments that readers could take for different ones:
// rules see the last of two members with a name, while some servers act on the
// first, or take names that differ in case only for the same.
func clearArguments(args []byte) error {
	if len(args) == 0 || args[0] != '{' {
		return nil
	}
	folded := map[string]bool{}
	err := wire.Members(args, func(key, _ []byte) error {
		name := strings.Map(foldRune, string(key))
		if folded[name] {
			return fmt.Errorf("the argument %.40q stands twice, or in upper and lower case", key)
		}
		folded[name] = true
		return nil
	})
	if err != nil {
		return err
	}
	return norepeat(args)
}

// foldRune returns the same rune for all that strings.EqualFold takes for equal.
func foldRune(r rune) rune {
	least := r
	for next := unicode.SimpleFold(r); next != r; next = unicode.SimpleFold(next) {
		least = min(least, next)
	}
	return least
}

// norepeat refuses objects, at any depth, in which a name is repeated.
func norepeat(raw []byte) error {
	switch raw[0] {
	case '[':
		return wire.Elements(raw, norepeat)
	case '{':
		seen := map[string]bool{}
		return wire.Members(raw, func(key, value []byte) error {
			if seen[string(key)] {
				return fmt.Errorf("the member %.40q of the arguments stands twice", key)
			}
			seen[string(key)] = true
			return norepeat(value)
		})
	}
	return nil
}
