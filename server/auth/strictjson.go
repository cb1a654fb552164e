package auth

import (
	"encoding/json"
	"errors"
	"fmt"
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
//
// It is a parser of its own because json.Decoder.Token, the only way in the
// standard library to see every name, takes several times as long as all other
// rules together. A fuzz test holds it against encoding/json.
func parseObject(data []byte) (object, error) {
	if !utf8.Valid(data) {
		return nil, errors.New("not valid UTF-8")
	}
	p := parser{data: data}
	v, err := p.value(0)
	if err != nil {
		return nil, err
	}
	if p.next() != 0 || p.pos < len(data) {
		return nil, errors.New("there is data after the JSON object")
	}
	obj, ok := v.(object)
	if !ok {
		return nil, errNotObject
	}
	return obj, nil
}

var (
	errSyntax = errors.New("not valid JSON")
	errShort  = errors.New("the JSON text ends early")
)

// parser reads JSON text (RFC 8259) that is known to be UTF-8.
type parser struct {
	data []byte
	pos  int
}

// next skips white space and returns the byte that follows without consuming
// it, or 0 at the end. A NUL byte in the text is no valid token either way.
func (p *parser) next() byte {
	for ; p.pos < len(p.data); p.pos++ {
		switch c := p.data[p.pos]; c {
		case ' ', '\t', '\r', '\n':
		default:
			return c
		}
	}
	return 0
}

// fail is the error for a byte that does not belong here.
func (p *parser) fail() error {
	if p.pos >= len(p.data) {
		return errShort
	}
	return errSyntax
}

func (p *parser) value(depth int) (any, error) {
	switch c := p.next(); {
	case c == '"':
		return p.text()
	case c == '-' || '0' <= c && c <= '9':
		return p.number()
	case c == 't':
		return true, p.literal("true")
	case c == 'f':
		return false, p.literal("false")
	case c == 'n':
		return nil, p.literal("null")
	case c != '{' && c != '[':
		return nil, p.fail()
	case depth == maxDepth:
		return nil, fmt.Errorf("nested deeper than %d", maxDepth)
	case c == '{':
		return p.object(depth + 1)
	}
	return p.array(depth + 1)
}

func (p *parser) object(depth int) (object, error) {
	obj := make(object)
	var variants map[string]bool // folded form of the names that are not their own
	var err error
	for more := p.open('}'); more; more, err = p.more('}') {
		if p.next() != '"' {
			return nil, p.fail()
		}
		name, err := p.text()
		if err != nil {
			return nil, err
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
		if p.next() != ':' {
			return nil, p.fail()
		}
		p.pos++
		if obj[name], err = p.value(depth); err != nil {
			return nil, err
		}
	}
	return obj, err
}

func (p *parser) array(depth int) ([]any, error) {
	list := []any{}
	var err error
	for more := p.open(']'); more; more, err = p.more(']') {
		v, err := p.value(depth)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, err
}

// open consumes the opening bracket and, if nothing is inside, the closing one.
func (p *parser) open(closing byte) (more bool) {
	p.pos++
	if p.next() == closing {
		p.pos++
		return false
	}
	return true
}

// more consumes what follows an element: a comma, or the closing bracket.
func (p *parser) more(closing byte) (more bool, err error) {
	switch p.next() {
	case ',':
		p.pos++
		return true, nil
	case closing:
		p.pos++
		return false, nil
	}
	return false, p.fail()
}

func (p *parser) literal(word string) error {
	for i := range len(word) {
		if p.pos >= len(p.data) || p.data[p.pos] != word[i] {
			return p.fail()
		}
		p.pos++
	}
	return nil
}

// text reads a string. One with escapes, which Entra's names and ids do not
// have, is left to encoding/json.
func (p *parser) text() (string, error) {
	begin, escaped := p.pos, false
	for p.pos++; p.pos < len(p.data); p.pos++ {
		switch c := p.data[p.pos]; {
		case c == '"':
			p.pos++
			if !escaped {
				return string(p.data[begin+1 : p.pos-1]), nil
			}
			var s string
			if json.Unmarshal(p.data[begin:p.pos], &s) != nil {
				return "", errSyntax
			}
			return s, nil
		case c == '\\':
			escaped = true
			p.pos++
		case c < ' ':
			return "", errSyntax
		}
	}
	return "", errShort
}

// number reads a number and leaves it as text: claims differ in what they allow.
func (p *parser) number() (json.Number, error) {
	begin := p.pos
	if p.data[p.pos] == '-' {
		p.pos++
	}
	if p.peek() == '0' {
		p.pos++
	} else if err := p.digits(); err != nil {
		return "", err
	}
	if p.peek() == '.' {
		p.pos++
		if err := p.digits(); err != nil {
			return "", err
		}
	}
	if c := p.peek(); c == 'e' || c == 'E' {
		p.pos++
		if c := p.peek(); c == '+' || c == '-' {
			p.pos++
		}
		if err := p.digits(); err != nil {
			return "", err
		}
	}
	return json.Number(p.data[begin:p.pos]), nil
}

func (p *parser) peek() byte {
	if p.pos < len(p.data) {
		return p.data[p.pos]
	}
	return 0
}

// digits reads at least one.
func (p *parser) digits() error {
	begin := p.pos
	for '0' <= p.peek() && p.peek() <= '9' {
		p.pos++
	}
	if p.pos == begin {
		return p.fail()
	}
	return nil
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
