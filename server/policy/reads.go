package policy

import (
	"maps"
	"reflect"
	"slices"
	"strings"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
)

// reads are the names that a rule reads of an object of the arguments, and what
// it reads below each. Those of a list are those of its elements; below anyName is
// what it reads by names that do not stand in it.
type reads map[string]reads

// anyName stands for every name. No member can be called so: it is not UTF-8.
const anyName = "\xff"

// readsOf finds what an expression reads of args by a name that stands in it.
func readsOf(e ast.Expr) reads {
	root := reads{}
	collect(e, map[string]objects{"args": {root}})
	return root
}

// objects are those of the arguments that an expression may be, or be made of.
type objects []reads

// collect adds what e reads to the objects that the variables in scope stand for,
// and returns the objects that e itself may be.
func collect(e ast.Expr, scope map[string]objects) objects {
	switch e.Kind() {
	case ast.IdentKind:
		return scope[e.AsIdent()]
	case ast.SelectKind:
		return collect(e.AsSelect().Operand(), scope).at(e.AsSelect().FieldName())
	case ast.CallKind:
		return collectCall(e.AsCall(), scope)
	case ast.ListKind:
		var all objects
		for _, element := range e.AsList().Elements() {
			all = all.and(collect(element, scope))
		}
		return all
	case ast.MapKind:
		var all objects
		for _, entry := range e.AsMap().Entries() {
			collect(entry.AsMapEntry().Key(), scope)
			values := collect(entry.AsMapEntry().Value(), scope)
			name, ok := text(entry.AsMapEntry().Key())
			if !ok {
				all = all.and(values)
				continue
			}
			for _, value := range values {
				all = append(all, reads{name: value}) // not of the arguments, and leads to them
			}
		}
		return all
	case ast.StructKind:
		for _, field := range e.AsStruct().Fields() {
			collect(field.AsStructField().Value(), scope)
		}
	case ast.ComprehensionKind:
		return collectComprehension(e.AsComprehension(), scope)
	case ast.LiteralKind, ast.UnspecifiedExprKind:
	}
	return nil
}

// collectComprehension follows all, exists, filter, map and the like.
func collectComprehension(c ast.ComprehensionExpr, scope map[string]objects) objects {
	inner := maps.Clone(scope)
	inner[c.IterVar()] = collect(c.IterRange(), scope)
	if c.HasIterVar2() {
		inner[c.IterVar2()] = inner[c.IterVar()]
	}
	inner[c.AccuVar()] = collect(c.AccuInit(), scope)
	inner[c.AccuVar()] = inner[c.AccuVar()].and(collect(c.LoopStep(), inner))
	collect(c.LoopCondition(), inner)
	return collect(c.Result(), inner)
}

// collectCall takes the result of any function for what the function was given:
// some return it, or a part of it.
func collectCall(call ast.CallExpr, scope map[string]objects) objects {
	var each []objects
	var all objects
	if call.IsMemberFunction() {
		all = collect(call.Target(), scope)
	}
	for _, arg := range call.Args() {
		each = append(each, collect(arg, scope))
		all = all.and(each[len(each)-1])
	}
	switch call.FunctionName() {
	case operators.Index: // args["path"], args.list[0], args.folders[name]
		index := call.Args()[1]
		if name, ok := text(index); ok {
			return each[0].at(name)
		}
		if index.Kind() != ast.LiteralKind {
			return each[0].and(each[0].at(anyName))
		}
		return each[0]
	case operators.In: // "path" in args
		if name, ok := text(call.Args()[0]); ok {
			each[1].at(name)
		}
		return nil
	}
	return all
}

func text(e ast.Expr) (string, bool) {
	if e.Kind() != ast.LiteralKind {
		return "", false
	}
	s, ok := e.AsLiteral().(types.String)
	return string(s), ok
}

// at returns what is read below a name, which it notes.
func (o objects) at(name string) objects {
	var below objects
	for _, r := range o {
		if r[name] == nil {
			r[name] = reads{}
		}
		below = append(below, r[name])
	}
	return below
}

// and joins both; none is there twice.
func (o objects) and(others objects) objects {
	all := slices.Clone(o)
	for _, other := range others {
		if !slices.ContainsFunc(all, other.is) {
			all = append(all, other)
		}
	}
	return all
}

func (r reads) is(other reads) bool {
	return reflect.ValueOf(r).Pointer() == reflect.ValueOf(other).Pointer()
}

// variant finds a name in the arguments that differs only in upper and lower case
// from one that is read, and is not read itself: some servers take one for the
// other. Unicode's simple folding decides, as in encoding/json.
func (r reads) variant(value any) (name, read string) {
	switch value := value.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(value)) {
			if _, exact := r[key]; !exact {
				for _, read := range slices.Sorted(maps.Keys(r)) {
					if strings.EqualFold(key, read) {
						return key, read
					}
				}
			}
			for _, below := range []reads{r[key], r[anyName]} {
				if name, read := below.variant(value[key]); name != "" {
					return name, read
				}
			}
		}
	case []any:
		for _, element := range value {
			for _, below := range []reads{r, r[anyName]} {
				if name, read := below.variant(element); name != "" {
					return name, read
				}
			}
		}
	}
	return "", ""
}
