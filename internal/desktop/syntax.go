package desktop

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"reflect"
	"unicode/utf8"
)

const (
	// MaxSize bounds a configuration file, in bytes. Claude Code keeps its
	// history beside its servers.
	MaxSize = 32 << 20
	// maxDepth bounds how deep a document nests: parsers recurse.
	maxDepth = 5000
)

// A SyntaxError says where a document can't be parsed. Line and Column count
// from 1; the column is in bytes.
type SyntaxError struct {
	Line, Column int
	Reason       string
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("line %d, column %d: %s", e.Line, e.Column, e.Reason)
}

// errShape is a document that parses and has no place for servers.
var errShape = errors.New("is written in a way that can't be edited safely")

// A syntax is a language of configuration files. Its methods get documents
// without a byte order mark.
type syntax interface {
	// parse returns the document's value; nil if it holds none.
	parse(doc []byte) (any, error)
	// insert adds an entry that is not there. It returns what may be right, the
	// best first: the caller proves it.
	insert(doc []byte, e edit) ([][]byte, error)
	// replace writes e.entry in place of the entry of that name.
	replace(doc []byte, e edit) ([]byte, error)
	// remove takes the entry out, and with the last entry whatever of e.place
	// holds nothing else, if whole.
	remove(doc []byte, e edit, whole bool) ([]byte, error)
	// render is an entry to paste by hand.
	render(e edit) string
}

// An edit is about one entry.
type edit struct {
	place []string // keys of the mappings around it
	name  string
	list  bool // the last of place is a list of named items
	entry fields
	fresh fields // what a document that holds nothing needs besides
}

// bom is the byte order mark of UTF-8.
var bom = []byte("\xef\xbb\xbf")

func cutBOM(doc []byte) (mark, rest []byte) {
	if bytes.HasPrefix(doc, bom) {
		return doc[:len(bom)], doc[len(bom):]
	}
	return nil, doc
}

// newline is the line ending of a document.
func newline(doc []byte) string {
	if i := bytes.IndexByte(doc, '\n'); i > 0 && doc[i-1] == '\r' {
		return "\r\n"
	}
	return "\n"
}

// position is the line and column of an offset, from 1.
func position(doc []byte, offset int) (line, column int) {
	before := doc[:min(max(offset, 0), len(doc))]
	return 1 + bytes.Count(before, []byte("\n")), len(before) - bytes.LastIndexByte(before, '\n')
}

// parse is the syntax's parser behind the checks that all of them need.
func parse(s syntax, doc []byte) (value any, err error) {
	switch {
	case len(doc) > MaxSize:
		return nil, fmt.Errorf("is larger than %d bytes", MaxSize)
	case !utf8.Valid(doc):
		at := 0
		for r, size := utf8.DecodeRune(doc); r != utf8.RuneError || size > 1; r, size = utf8.DecodeRune(doc[at:]) {
			at += size
		}
		line, column := position(doc, at)
		return nil, &SyntaxError{line, column, "not UTF-8 text"}
	}
	if at, ok := tooDeep(doc); ok {
		line, column := position(doc, at)
		return nil, &SyntaxError{line, column, "nested too deeply"}
	}
	return s.parse(doc)
}

// tooDeep counts brackets wherever they stand, which errs on the safe side.
func tooDeep(doc []byte) (at int, ok bool) {
	depth := 0
	for i, b := range doc {
		switch b {
		case '[', '{':
			if depth++; depth > maxDepth {
				return i, true
			}
		case ']', '}':
			depth = max(depth-1, 0)
		}
	}
	return 0, false
}

// same compares values of documents. Not-a-number counts as itself.
func same(a, b any) bool {
	switch a := a.(type) {
	case map[string]any:
		b, ok := b.(map[string]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for key, value := range a {
			if other, ok := b[key]; !ok || !same(value, other) {
				return false
			}
		}
		return true
	case []any:
		b, ok := b.([]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for i := range a {
			if !same(a[i], b[i]) {
				return false
			}
		}
		return true
	case float64:
		b, ok := b.(float64)
		return ok && (a == b || math.IsNaN(a) && math.IsNaN(b))
	}
	return reflect.DeepEqual(a, b)
}
