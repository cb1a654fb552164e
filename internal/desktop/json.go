package desktop

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/tailscale/hujson"
)

// jsonSyntax is JSON, with the comments and trailing commas that most clients
// allow people, or without.
type jsonSyntax struct{ strict bool }

var (
	strictJSON    = jsonSyntax{strict: true}
	commentedJSON = jsonSyntax{}
)

func (s jsonSyntax) parse(doc []byte) (any, error) {
	if isBlankJSON(doc) {
		return nil, nil
	}
	tree, err := s.tree(doc)
	if err != nil {
		return nil, err
	}
	if err := uniqueNames(doc, tree); err != nil {
		return nil, err
	}
	tree.Standardize()
	dec := json.NewDecoder(bytes.NewReader(tree.Pack()))
	dec.UseNumber() // numbers are compared as they are written
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, err
	}
	return v, nil
}

// tree parses for places. The tree shares memory with a copy of the document.
func (s jsonSyntax) tree(doc []byte) (hujson.Value, error) {
	if s.strict {
		// The client itself would refuse the file.
		var fault *json.SyntaxError
		if err := json.Unmarshal(doc, new(json.RawMessage)); errors.As(err, &fault) {
			line, column := position(doc, int(fault.Offset)-1)
			return hujson.Value{}, &SyntaxError{line, column, fault.Error()}
		}
	}
	tree, err := hujson.Parse(bytes.Clone(doc))
	if err == nil {
		return tree, nil
	}
	e := &SyntaxError{Line: 1, Column: 1, Reason: strings.TrimPrefix(err.Error(), "hujson: ")}
	if n, _ := fmt.Sscanf(e.Reason, "line %d, column %d:", &e.Line, &e.Column); n == 2 {
		_, e.Reason, _ = strings.Cut(e.Reason, ": ")
	}
	return hujson.Value{}, e
}

// uniqueNames refuses two members of one name, of which clients see one or the
// other.
func uniqueNames(doc []byte, v hujson.Value) error {
	switch v := v.Value.(type) {
	case *hujson.Object:
		seen := map[string]bool{}
		for _, m := range v.Members {
			name := memberName(m)
			if seen[name] {
				line, column := position(doc, m.Name.StartOffset)
				return &SyntaxError{line, column, fmt.Sprintf("%q is there twice", name)}
			}
			seen[name] = true
			if err := uniqueNames(doc, m.Value); err != nil {
				return err
			}
		}
	case *hujson.Array:
		for _, element := range v.Elements {
			if err := uniqueNames(doc, element); err != nil {
				return err
			}
		}
	}
	return nil
}

func memberName(m hujson.ObjectMember) string {
	name, _ := m.Name.Value.(hujson.Literal)
	return name.String()
}

// isBlankJSON tells whether a document holds comments at most.
func isBlankJSON(doc []byte) bool {
	return skipExtra(doc, 0) == len(doc)
}

// skipExtra is the offset after the white space and comments at i.
func skipExtra(doc []byte, i int) int {
	for i < len(doc) {
		rest := doc[i:]
		switch {
		case bytes.IndexByte([]byte(" \t\r\n"), doc[i]) >= 0:
			i++
		case bytes.HasPrefix(rest, []byte("//")):
			if end := bytes.IndexByte(rest, '\n'); end >= 0 {
				i += end + 1
			} else {
				return len(doc)
			}
		case bytes.HasPrefix(rest, []byte("/*")):
			end := bytes.Index(rest[2:], []byte("*/"))
			if end < 0 {
				return i
			}
			i += 2 + end + 2
		default:
			return i
		}
	}
	return i
}

func (s jsonSyntax) insert(doc []byte, e edit) ([][]byte, error) {
	if isBlankJSON(doc) {
		if s.strict && len(bytes.TrimSpace(doc)) > 0 {
			return nil, errShape
		}
		return [][]byte{s.begin(doc, e)}, nil
	}
	tree, err := s.tree(doc)
	if err != nil {
		return nil, err
	}
	w := newJSONWriter(doc, tree)
	at := tree
	for i, key := range e.place {
		object, ok := at.Value.(*hujson.Object)
		if !ok {
			return nil, errShape
		}
		inner := find(object, key)
		if inner == nil {
			return one(w.insert(at, key, nest(e, i+1)))
		}
		if inner.Value.Value.Kind() == 'n' {
			text := w.render(nest(e, i+1), w.lineIndent(inner.Name.StartOffset), w.multiline(tree))
			return [][]byte{splice(doc, inner.Value.StartOffset, inner.Value.EndOffset, text)}, nil
		}
		at = inner.Value
	}
	return one(w.insert(at, e.name, e.entry))
}

func one(doc []byte, err error) ([][]byte, error) { return [][]byte{doc}, err }

// begin writes the first value into a document.
func (s jsonSyntax) begin(doc []byte, e edit) []byte {
	w := jsonWriter{nl: newline(doc), unit: "  ", colon: ": ", comma: ", "}
	text := w.render(append(append(fields{}, e.fresh...), nest(e, 0)...), "", true)
	if len(doc) == 0 {
		return []byte(text + "\n")
	}
	if !bytes.HasSuffix(doc, []byte("\n")) {
		return append(append(bytes.Clone(doc), w.nl...), text...)
	}
	return append(append(bytes.Clone(doc), text...), w.nl...)
}

// nest is e's entry inside the places from i on.
func nest(e edit, i int) fields {
	f := fields{{e.name, e.entry}}
	for j := len(e.place) - 1; j >= i; j-- {
		f = fields{{e.place[j], f}}
	}
	return f
}

func (s jsonSyntax) replace(doc []byte, e edit) ([]byte, error) {
	tree, err := s.tree(doc)
	if err != nil {
		return nil, err
	}
	path, err := descend(tree, append(append([]string{}, e.place...), e.name))
	if err != nil {
		return nil, err
	}
	w := newJSONWriter(doc, tree)
	m := path[len(path)-1].member()
	multi := bytes.ContainsRune(doc[m.Value.StartOffset:m.Value.EndOffset], '\n') || w.multiline(path[len(path)-1].object)
	text := w.render(e.entry, w.lineIndent(m.Name.StartOffset), multi)
	return splice(doc, m.Value.StartOffset, m.Value.EndOffset, text), nil
}

func (s jsonSyntax) render(e edit) string {
	w := jsonWriter{nl: "\n", unit: "  ", colon: ": ", comma: ", "}
	return w.render(nest(e, 0), "", true)
}

// A step is a member on the way to an entry.
type step struct {
	object hujson.Value
	index  int
}

func (s step) members() []hujson.ObjectMember { return s.object.Value.(*hujson.Object).Members }
func (s step) member() hujson.ObjectMember    { return s.members()[s.index] }

func descend(v hujson.Value, keys []string) ([]step, error) {
	var path []step
	for _, key := range keys {
		object, ok := v.Value.(*hujson.Object)
		if !ok {
			return nil, errShape
		}
		index := -1
		for i, m := range object.Members {
			if memberName(m) == key {
				index = i
			}
		}
		if index < 0 {
			return nil, errShape
		}
		path = append(path, step{v, index})
		v = object.Members[index].Value
	}
	return path, nil
}

func find(object *hujson.Object, key string) *hujson.ObjectMember {
	for i := range object.Members {
		if memberName(object.Members[i]) == key {
			return &object.Members[i]
		}
	}
	return nil
}

// splice replaces doc[from:to].
func splice(doc []byte, from, to int, text string) []byte {
	return append(append(bytes.Clone(doc[:from:from]), text...), doc[to:]...)
}
