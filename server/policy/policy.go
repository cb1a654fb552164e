// Package policy decides who may use which tool, prompt and resource, by rules
// in the Common Expression Language (CEL).
//
// A rule allows or denies what its expression is true of. Once there is any
// rule, what no rule allows is denied; a denial outweighs every permission. Rules
// are compiled and type-checked when they are read, so that a misspelt field is
// a fault of the configuration and not a hole in it.
package policy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
)

// Rule is one rule as an operator writes it: exactly one of Allow and Deny.
type Rule struct {
	// Name is what denials and the audit call the rule; "rule N" when empty.
	Name string
	// Allow and Deny are CEL expressions of type bool.
	Allow, Deny string
	// Scopes are delegated permissions that a user needs beside an Allow that
	// is true. A caller who lacks only them is told to ask for them.
	Scopes []string
}

// Limits of one evaluation. They bound what an expression over a caller's own
// arguments can cost the server.
const (
	costLimit   = 100_000
	evalTimeout = 250 * time.Millisecond
)

// Policy is a compiled set of rules. It is safe for concurrent use. The nil
// Policy allows everything.
type Policy struct {
	rules          []compiled
	readsArguments bool
}

type compiled struct {
	name    string
	deny    bool
	scopes  []string
	reads   reads // of the arguments
	program cel.Program

	arguments bool // the rule looks at them
}

// Compile compiles rules. The error names every faulty rule at once, by its
// number from 1 and the place in its expression.
func Compile(rules []Rule) (*Policy, error) {
	if len(rules) == 0 {
		return nil, nil
	}
	env, err := newEnv()
	if err != nil {
		return nil, fmt.Errorf("preparing the policy language: %w", err)
	}
	p := &Policy{}
	var faults []error
	for i, r := range rules {
		if r.Name == "" {
			r.Name = fmt.Sprintf("rule %d", i+1)
		}
		c, err := compile(env, r)
		if err != nil {
			faults = append(faults, fmt.Errorf("policy %s: %w", r.Name, err))
			continue
		}
		p.rules = append(p.rules, c)
		p.readsArguments = p.readsArguments || c.arguments
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	return p, nil
}

// Check compiles one rule. The error says what is wrong and where in the
// expression, and leaves it to the caller to say which rule it is.
func Check(r Rule) error {
	env, err := newEnv()
	if err != nil {
		return fmt.Errorf("preparing the policy language: %w", err)
	}
	_, err = compile(env, r)
	return err
}

func compile(env *cel.Env, r Rule) (compiled, error) {
	c := compiled{name: r.Name, scopes: r.Scopes, deny: r.Deny != ""}
	source := r.Allow + r.Deny
	switch {
	case (r.Allow == "") == (r.Deny == ""):
		return c, errors.New("write either allow or deny")
	case c.deny && len(r.Scopes) > 0:
		return c, errors.New("scopes go with allow only")
	}
	ast, issues := env.Compile(source)
	if issues.Err() != nil {
		return c, expressionFault(source, issues)
	}
	if ast.OutputType() != cel.BoolType {
		return c, fmt.Errorf("the expression is of type %s, and must be true or false", ast.OutputType())
	}
	c.reads, c.arguments = readsOf(ast.NativeRep().Expr()), mentionsArguments(ast.NativeRep())
	var err error
	c.program, err = env.Program(ast, cel.EvalOptions(cel.OptPartialEval, cel.OptOptimize), cel.CostLimit(costLimit), cel.InterruptCheckFrequency(100))
	return c, err
}

// Decision is the outcome for one request.
type Decision struct {
	Allowed bool
	// Rule is the rule that decided; "default" where none did.
	Rule string
	// MissingScopes are all the scopes that would let the caller in where only
	// scopes are missing.
	MissingScopes []string
	// Ambiguous says which argument could be taken for one that the deciding rule
	// reads, where that is why the request is denied; see Decide.
	Ambiguous string
}

// DefaultRule is what decides where no rule does.
const DefaultRule = "default"

// Decide decides about a request. A rule that can't be evaluated, such as one
// about an argument that is missing, does not allow; where it would deny, it
// denies. So it is with a rule that reads an argument of which there is another
// spelling, in upper and lower case: it can't know which one the server will take.
func (p *Policy) Decide(ctx context.Context, in Input) Decision {
	if p == nil {
		return Decision{Allowed: true, Rule: DefaultRule}
	}
	return p.decide(ctx, in, false)
}

// Visible reports whether an entry may appear in a list: whether there are
// arguments with which its use could be allowed.
func (p *Policy) Visible(ctx context.Context, in Input) bool {
	if p == nil {
		return true
	}
	return p.decide(ctx, in, true).Allowed
}

func (p *Policy) decide(ctx context.Context, in Input, anyArgs bool) Decision {
	ctx, cancel := context.WithTimeout(ctx, evalTimeout)
	defer cancel()
	vars, err := in.vars(anyArgs)
	if err != nil {
		return Decision{Rule: DefaultRule}
	}
	d := Decision{Rule: DefaultRule}
	for _, c := range p.rules {
		outcome := c.eval(ctx, vars)
		ambiguous := ""
		if !anyArgs {
			if ambiguous = c.ambiguous(ctx, in, vars); ambiguous != "" {
				outcome = isFault
			}
		}
		switch {
		case c.deny && (outcome == isTrue || outcome == isFault || outcome == isUnknown && !anyArgs):
			return Decision{Rule: c.name, Ambiguous: ambiguous}
		case ambiguous != "" && !d.Allowed && d.MissingScopes == nil && d.Ambiguous == "":
			d.Rule, d.Ambiguous = c.name, ambiguous
		case c.deny || d.Allowed || outcome == isFalse || outcome == isFault:
		case outcome == isUnknown && !anyArgs:
		default:
			missing := lacking(c.scopes, in.User)
			switch {
			case len(missing) == 0:
				d = Decision{Allowed: true, Rule: c.name}
			case d.MissingScopes == nil && !in.Client.AppOnly:
				d = Decision{Rule: c.name, MissingScopes: c.scopes}
			}
		}
	}
	return d
}

// ambiguous names an argument that could be taken for one that the rule reads,
// "" where there is none, or the rule's outcome does not depend on arguments.
func (c compiled) ambiguous(ctx context.Context, in Input, vars cel.PartialActivation) string {
	if len(c.reads) == 0 {
		return ""
	}
	args, _ := vars.ResolveName("args")
	name, read := c.reads.variant(args)
	if name == "" {
		return ""
	}
	if blind, err := in.vars(true); err == nil {
		if outcome := c.eval(ctx, blind); outcome == isTrue || outcome == isFalse {
			return "" // whatever the arguments are
		}
	}
	return fmt.Sprintf("the argument %.40q is taken for %q by some servers", name, read)
}

type outcome int

const (
	isFalse outcome = iota
	isTrue
	isUnknown // depends on arguments that are not known yet
	isFault
)

func (c compiled) eval(ctx context.Context, vars cel.PartialActivation) outcome {
	v, _, err := c.program.ContextEval(ctx, vars)
	switch {
	case err != nil:
		return isFault
	case types.IsUnknown(v):
		return isUnknown
	case v == types.True:
		return isTrue
	}
	return isFalse
}

func lacking(need []string, u User) []string {
	var missing []string
	for _, s := range need {
		if !slices.Contains(u.Scopes, s) {
			missing = append(missing, s)
		}
	}
	return missing
}
