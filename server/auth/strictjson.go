package auth

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// object is a decoded JSON object: strings, json.Number, bool, nil, []any and
// nested objects. Its names are looked up exactly, unlike struct fields in
// encoding/json, which also match in another case.
type object map[string]any

// maxDepth bounds nesting in a token; Entra's own claims nest three deep.
const maxDepth = 8

var errNotObject = errors.New("not a JSON object")

// duplicateNameError is a name that an object has twice. Parsers disagree on
// which of the two counts, so what one component checks another may not use.
type duplicateNameError struct{ name string }

func (e *duplicateNameError) Error() string {
	return "the name " + show(e.name) + " occurs twice"
}

// nameCaseError is a pair of names that differ only in case, which parsers
// that ignore case take for the same one.
type nameCaseError struct{ name string }

func (e *nameCaseError) Error() string {
	return "the name " + show(e.name) + " occurs twice, in different case"
}

// parseObject decodes data as exactly one JSON object. It is stricter than
// encoding/json: invalid UTF-8, names that occur twice or differ only in case
// at any depth, deep nesting and anything after the object are errors.
func parseObject(data []byte) (object, error) {
	if !utf8.Valid(data) {
		return nil, errors.New("not valid UTF-8")
	}
	p := parser{json.NewDecoder(bytes.NewReader(data))}
	p.dec.UseNumber()
	v, err := p.value(0)
	if err != nil {
		return nil, err
	}
	if _, err := p.dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is data after the JSON object")
	}
	obj, ok := v.(object)
	if !ok {
		return nil, errNotObject
	}
	return obj, nil
}

type parser struct{ dec *json.Decoder }

func (p parser) value(depth int) (any, error) {
	tok, err := p.dec.Token()
	if err != nil {
		return nil, syntaxError(err)
	}
	delim, ok := tok.(json.Delim)
	if !ok {
		return tok, nil
	}
	if depth == maxDepth {
		return nil, fmt.Errorf("nested deeper than %d", maxDepth)
	}
	if delim == '{' {
		return p.object(depth + 1)
	}
	return p.array(depth + 1)
}

func (p parser) object(depth int) (object, error) {
	obj := make(object)
	var variants map[string]bool // folded form of the names that are not their own
	for p.dec.More() {
		tok, err := p.dec.Token()
		if err != nil {
			return nil, syntaxError(err)
		}
		name, ok := tok.(string)
		if !ok {
			return nil, errors.New("an object has a name that is not a string")
		}
		if _, dup := obj[name]; dup {
			return nil, &duplicateNameError{name}
		}
		folded := foldName(name)
		if _, plain := obj[folded]; variants[folded] || plain {
			return nil, &nameCaseError{name}
		}
		if folded != name {
			if variants == nil {
				variants = make(map[string]bool)
			}
			variants[folded] = true
		}
		if obj[name], err = p.value(depth); err != nil {
			return nil, err
		}
	}
	if _, err := p.dec.Token(); err != nil { // the closing brace
		return nil, syntaxError(err)
	}
	return obj, nil
}

func (p parser) array(depth int) ([]any, error) {
	list := []any{}
	for p.dec.More() {
		v, err := p.value(depth)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	if _, err := p.dec.Token(); err != nil { // the closing bracket
		return nil, syntaxError(err)
	}
	return list, nil
}

// syntaxError hides the decoder's own text, which quotes what it read.
func syntaxError(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("the JSON text ends early")
	}
	return errors.New("not valid JSON")
}

// foldName maps names that differ only in case to one form, by the folding that
// encoding/json applies to field names: the smallest rune of each fold orbit in
// lower case, so that U+017F counts as s and U+212A as k.
func foldName(s string) string {
	if isASCII(s) {
		return strings.ToLower(s)
	}
	return strings.Map(func(r rune) rune {
		least := r
		for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
			least = min(least, f)
		}
		return unicode.ToLower(least)
	}, s)
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
