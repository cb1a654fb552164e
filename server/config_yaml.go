package server

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// yamlReader takes values out of a YAML tree and collects faults with their
// places. Decoding into structs would lose the places, and stop at the first
// fault.
type yamlReader struct {
	faults []Fault
	places map[string]place // of the keys that were there, by full name
	// known is told which keys each mapping may have; nil, except where the
	// schema is held against them.
	known func(key string, names []string)
}

// place is where something stands in the file.
type place struct{ line, column int }

func placeOf(n ast.Node) place {
	if m, ok := n.(*ast.MappingNode); ok && !m.IsFlowStyle && len(m.Values) > 0 {
		n = m.Values[0].Key // its own token is the first colon
	}
	return placeOfToken(n.GetToken())
}

func placeOfToken(t *token.Token) place {
	if t == nil || t.Position == nil {
		return place{1, 1}
	}
	return place{t.Position.Line, t.Position.Column}
}

func (r *yamlReader) fault(at place, key, message, fix string) {
	r.faults = append(r.faults, Fault{at.line, at.column, key, message, fix})
}

// has reports whether the key is in the file, with whatever value.
func (r *yamlReader) has(key string) bool {
	_, ok := r.places[key]
	return ok
}

// at is the place of a key, or else of the nearest one around it.
func (r *yamlReader) at(key string) place {
	for key != "" {
		if p, ok := r.places[key]; ok {
			return p
		}
		key = key[:max(strings.LastIndexAny(key, ".["), 0)]
	}
	return place{1, 1}
}

func (r *yamlReader) sorted() []Fault {
	slices.SortStableFunc(r.faults, func(a, b Fault) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return r.faults
}

// field is a key of a mapping. A nil read stands for a key that the design has
// and this version doesn't.
type field struct {
	name string
	read func(key string, n ast.Node)
}

func later(names ...string) []field {
	var list []field
	for _, name := range names {
		list = append(list, field{name: name})
	}
	return list
}

// mapping reads n, which has to be a mapping with no keys but the given ones.
func (r *yamlReader) mapping(key string, n ast.Node, fields []field) {
	if r.known != nil {
		r.known(key, knownNames(fields))
	}
	r.pairs(key, n, func(name, full string, k, value ast.Node) {
		i := slices.IndexFunc(fields, func(f field) bool { return f.name == name })
		switch {
		case i < 0:
			r.fault(placeOf(k), full, "unknown key", suggestion(name, fields))
		case fields[i].read == nil:
			r.fault(placeOf(k), full, "not supported in this version", "Remove it")
		default:
			fields[i].read(full, value)
		}
	})
}

func knownNames(fields []field) []string {
	var names []string
	for _, f := range fields {
		if f.read != nil {
			names = append(names, f.name)
		}
	}
	return names
}

// suggestion says what an unknown name may have been meant to be.
func suggestion(name string, fields []field) string {
	var known []string
	best, distance := "", 0
	for _, f := range fields {
		if f.read == nil {
			continue
		}
		known = append(known, f.name)
		if d := editDistance(strings.ToLower(name), f.name); d <= 1+len(f.name)/4 && (best == "" || d < distance) {
			best, distance = f.name, d
		}
	}
	if best != "" {
		return "Did you mean " + best + "?"
	}
	return "Known here: " + strings.Join(known, ", ")
}

// pairs calls do for each key of a mapping. Other nodes are a fault.
func (r *yamlReader) pairs(key string, n ast.Node, do func(name, full string, k, value ast.Node)) {
	m, ok := n.(*ast.MappingNode)
	if !ok {
		r.wrongType(key, n, "keys with values")
		return
	}
	first := map[string]place{}
	for _, pair := range m.Values {
		k, ok := pair.Key.(*ast.StringNode)
		if !ok {
			r.fault(placeOf(pair.Key), key, "a key here is not plain text", "Write keys as plain words, without anchors, tags or <<")
			continue
		}
		full := k.Value
		if key != "" {
			full = key + "." + full
		}
		if before, again := first[k.Value]; again {
			r.fault(placeOf(k), full, fmt.Sprintf("this key is there twice, first in line %d", before.line), "Keep one")
			continue
		}
		first[k.Value] = placeOf(k)
		r.places[full] = placeOf(k)
		do(k.Value, full, k, pair.Value)
	}
}

// items calls do for each item of a list. Other nodes are a fault.
func (r *yamlReader) items(key string, n ast.Node, do func(full string, item ast.Node)) {
	list, ok := n.(*ast.SequenceNode)
	if !ok {
		r.wrongType(key, n, "a list")
		return
	}
	for i, item := range list.Values {
		full := fmt.Sprintf("%s[%d]", key, i)
		r.places[full] = placeOf(item)
		do(full, item)
	}
}

// text returns a string that is not empty.
func (r *yamlReader) text(key string, n ast.Node) (string, bool) {
	var value string
	switch n := n.(type) {
	case *ast.StringNode:
		value = n.Value
	case *ast.LiteralNode:
		value = n.Value.Value
	default:
		r.wrongType(key, n, "text")
		return "", false
	}
	if strings.TrimSpace(value) == "" {
		r.fault(placeOf(n), key, "this is empty", "Give it a value or remove the key")
		return "", false
	}
	return value, true
}

// wrongType never says what the value is: it may be a secret.
func (r *yamlReader) wrongType(key string, n ast.Node, want string) {
	have, fix := "something else", ""
	switch n.(type) {
	case *ast.NullNode:
		r.fault(placeOf(n), key, "this has no value", "Give it a value or remove the key")
		return
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode:
		r.fault(placeOf(n), key, "anchors, aliases and tags (& * !) are not supported", "Write the value itself; in quotes if it is text that begins with such a character")
		return
	case *ast.MappingNode:
		have = "keys with values"
	case *ast.SequenceNode:
		have = "a list"
	case *ast.StringNode, *ast.LiteralNode:
		have = "text"
	case *ast.BoolNode:
		have = "true or false"
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		have = "a number"
	}
	switch scalar := have == "true or false" || have == "a number"; {
	case want == "text" && scalar:
		fix = "Put it in quotes"
	case want == "a list" && have == "text":
		fix = "Put it in brackets"
	}
	r.fault(placeOf(n), key, fmt.Sprintf("this must be %s and is %s", want, have), fix)
}

// editDistance is Levenshtein's, in bytes. Long words are far from all.
func editDistance(a, b string) int {
	if len(a) > 40 {
		return len(a)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			substituted := diagonal
			if a[i] != b[j] {
				substituted++
			}
			diagonal = row[j+1]
			row[j+1] = min(substituted, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
