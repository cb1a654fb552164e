package policy

import (
	"maps"
	"slices"
	"strings"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
)

// reads are the names that a rule reads of an object of the arguments, and what
// it reads below each. Those of a list are those of its elements.
type reads map[string]reads

// readsOf finds what an expression reads of args by a name that stands in it.
func readsOf(e ast.Expr) reads {
	root := reads{}
	collect(e, map[string]reads{"args": root})
	return root
}

// collect adds what e reads to the objects that the variables in scope stand for,
// and returns the object that e itself is, nil where it is none of the arguments'.
func collect(e ast.Expr, scope map[string]reads) reads {
	switch e.Kind() {
	case ast.IdentKind:
		return scope[e.AsIdent()]
	case ast.SelectKind:
		return collect(e.AsSelect().Operand(), scope).at(e.AsSelect().FieldName())
	case ast.CallKind:
		return collectCall(e.AsCall(), scope)
	case ast.ListKind:
		for _, element := range e.AsList().Elements() {
			collect(element, scope)
		}
	case ast.MapKind:
		for _, entry := range e.AsMap().Entries() {
			collect(entry.AsMapEntry().Key(), scope)
			collect(entry.AsMapEntry().Value(), scope)
		}
	case ast.StructKind:
		for _, field := range e.AsStruct().Fields() {
			collect(field.AsStructField().Value(), scope)
		}
	case ast.ComprehensionKind: // all, exists, map and the like
		c := e.AsComprehension()
		inner := maps.Clone(scope)
		inner[c.IterVar()] = collect(c.IterRange(), scope)
		if c.HasIterVar2() {
			inner[c.IterVar2()] = inner[c.IterVar()]
		}
		delete(inner, c.AccuVar())
		collect(c.AccuInit(), scope)
		for _, part := range []ast.Expr{c.LoopCondition(), c.LoopStep(), c.Result()} {
			collect(part, inner)
		}
	case ast.LiteralKind, ast.UnspecifiedExprKind:
	}
	return nil
}

func collectCall(call ast.CallExpr, scope map[string]reads) reads {
	var objects []reads
	if call.IsMemberFunction() {
		collect(call.Target(), scope)
	}
	for _, arg := range call.Args() {
		objects = append(objects, collect(arg, scope))
	}
	switch call.FunctionName() {
	case operators.Index: // args["path"], args.list[0]
		if name, ok := text(call.Args()[1]); ok {
			return objects[0].at(name)
		}
		return objects[0]
	case operators.In: // "path" in args
		if name, ok := text(call.Args()[0]); ok {
			objects[1].at(name)
		}
	case operators.Conditional:
		return objects[1] // what else it may be has been looked at
	}
	return nil
}

func text(e ast.Expr) (string, bool) {
	if e.Kind() != ast.LiteralKind {
		return "", false
	}
	s, ok := e.AsLiteral().(types.String)
	return string(s), ok
}

// at returns what is read below a name, which it notes.
func (r reads) at(name string) reads {
	if r == nil {
		return nil
	}
	if r[name] == nil {
		r[name] = reads{}
	}
	return r[name]
}

// variant finds a name in the arguments that differs only in upper and lower case
// from one that is read: some servers take one for the other.
func (r reads) variant(value any) (name, read string) {
	switch value := value.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(value)) {
			for _, read := range slices.Sorted(maps.Keys(r)) {
				if key != read && strings.EqualFold(key, read) {
					return key, read
				}
			}
			if name, read := r[key].variant(value[key]); name != "" {
				return name, read
			}
		}
	case []any:
		for _, element := range value {
			if name, read := r.variant(element); name != "" {
				return name, read
			}
		}
	}
	return "", ""
}
