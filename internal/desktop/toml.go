package desktop

import (
	"bytes"
	"errors"
	"regexp"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// tomlSyntax is TOML 1.0. go-toml says whether a document is right; tomlScan
// finds its statements.
type tomlSyntax struct{}

func (tomlSyntax) parse(doc []byte) (any, error) {
	var v map[string]any
	if err := toml.Unmarshal(doc, &v); err != nil {
		var fault *toml.DecodeError
		if errors.As(err, &fault) {
			line, column := fault.Position()
			return nil, &SyntaxError{line, column, strings.TrimPrefix(fault.Error(), "toml: ")}
		}
		return nil, &SyntaxError{1, 1, strings.TrimPrefix(err.Error(), "toml: ")}
	}
	if v == nil {
		v = map[string]any{}
	}
	return v, nil
}

// insert appends a table, which may stand anywhere, or adds to an inline table.
func (s tomlSyntax) insert(doc []byte, e edit) ([][]byte, error) {
	for _, st := range scanTOML(doc) {
		if !st.header && slices.Equal(st.path, e.place) {
			return insertInline(doc, st, e)
		}
	}
	nl := newline(doc)
	table := strings.ReplaceAll(s.render(e), "\n", nl)
	switch {
	case len(doc) == 0:
	case !bytes.HasSuffix(doc, []byte("\n")):
		table = nl + nl + strings.TrimSuffix(table, nl)
	case !bytes.HasSuffix(doc, []byte(nl+nl)) && len(doc) > len(nl):
		table = nl + table
	}
	return [][]byte{append(bytes.Clone(doc), table...)}, nil
}

// insertInline adds to a table in braces.
func insertInline(doc []byte, st tomlStatement, e edit) ([][]byte, error) {
	if st.end == st.value || doc[st.value] != '{' {
		return nil, errShape
	}
	closing := st.end - 1
	end := st.value + 1 + len(bytes.TrimRight(doc[st.value+1:closing], " \t"))
	text := tomlKey(e.name) + " = " + tomlInline(e.entry)
	if len(bytes.TrimSpace(doc[st.value+1:closing])) == 0 {
		return [][]byte{splice(doc, st.value+1, closing, " "+text+" ")}, nil
	}
	return [][]byte{splice(doc, end, end, ", "+text)}, nil
}

func (s tomlSyntax) replace(doc []byte, e edit) ([]byte, error) {
	block, ok := tomlBlock(doc, e)
	if item, inline := findInline(doc, e); inline {
		return splice(doc, item.value, item.end, tomlInline(e.entry)), nil
	}
	if !ok {
		return nil, errShape
	}
	statements := scanTOML(doc)
	first := statements[block[0]]
	if !first.header { // a line of a table
		if len(block) > 1 || !slices.Equal(first.path, append(slices.Clone(e.place), e.name)) {
			return nil, errShape
		}
		return splice(doc, first.value, first.end, tomlInline(e.entry)), nil
	}
	text := strings.TrimSuffix(s.render(e), "\n")
	last := statements[block[len(block)-1]]
	return splice(doc, first.start, last.end, strings.ReplaceAll(text, "\n", newline(doc))), nil
}

func (s tomlSyntax) remove(doc []byte, e edit, _ bool) ([]byte, error) {
	if item, ok := findInline(doc, e); ok {
		return splice(doc, item.start, item.next, ""), nil
	}
	block, ok := tomlBlock(doc, e)
	if !ok {
		return nil, errShape
	}
	statements := scanTOML(doc)
	start := lineStart(doc, statements[block[0]].start)
	end := lineEnd(doc, statements[block[len(block)-1]].end)
	header := statements[block[0]].header
	switch atEnd := end == len(doc); {
	case atEnd && !bytes.HasSuffix(doc, []byte("\n")):
		// The line before becomes the last, without its end.
		start = len(cutNewline(doc[:start]))
		if header && bytes.HasSuffix(doc[:start], []byte("\n")) {
			start = len(cutNewline(doc[:start]))
		}
	case header && (atEnd || blankLineAt(doc, end)):
		// The empty line before the table goes with it.
		if before := cutNewline(doc[:start]); bytes.HasSuffix(before, []byte("\n")) {
			start = len(before)
		}
	}
	return splice(doc, start, end, ""), nil
}

// An inlineItem is an entry of a table in braces: it goes with its comma.
type inlineItem struct{ start, value, end, next int }

func findInline(doc []byte, e edit) (found inlineItem, ok bool) {
	for _, st := range scanTOML(doc) {
		if st.header || !slices.Equal(st.path, e.place) || doc[st.value] != '{' {
			continue
		}
		before := st.value + 1 // after the comma of the item before
		for i := skipSpace(doc, before); i < st.end-1; {
			item := inlineItem{start: i}
			key, at := scanKey(doc, i)
			item.value = skipSpace(doc, min(at+1, st.end))
			item.end = scanValue(doc, item.value)
			i = skipSpace(doc, item.end)
			last := doc[i] != ','
			if item.next = i; !last {
				i = skipSpace(doc, i+1)
				item.next = i
			}
			if item.next <= item.start {
				break // not TOML after all
			}
			if slices.Equal(key, []string{e.name}) {
				if last && before > st.value+1 {
					item.start, item.next = before-1, item.end
				}
				return item, true
			}
			before = i
			if !last {
				before = item.end + bytes.IndexByte(doc[item.end:], ',') + 1
			}
		}
	}
	return found, false
}

// tomlBlock are the statements of an entry, if they stand together.
func tomlBlock(doc []byte, e edit) (block []int, ok bool) {
	path := append(slices.Clone(e.place), e.name)
	for i, st := range scanTOML(doc) {
		if len(st.path) >= len(path) && slices.Equal(st.path[:len(path)], path) {
			block = append(block, i)
		}
	}
	if len(block) == 0 {
		return nil, false
	}
	return block, block[len(block)-1]-block[0] == len(block)-1
}

func cutNewline(b []byte) []byte {
	return bytes.TrimSuffix(bytes.TrimSuffix(b, []byte("\n")), []byte("\r"))
}

func lineStart(doc []byte, i int) int { return bytes.LastIndexByte(doc[:i], '\n') + 1 }

// lineEnd is the offset after the line's end.
func lineEnd(doc []byte, i int) int {
	if n := bytes.IndexByte(doc[i:], '\n'); n >= 0 {
		return i + n + 1
	}
	return len(doc)
}

func blankLineAt(doc []byte, i int) bool {
	return len(bytes.TrimSpace(doc[i:lineEnd(doc, i)])) == 0
}

func (tomlSyntax) render(e edit) string {
	var b strings.Builder
	b.WriteString("[")
	for _, key := range e.place {
		b.WriteString(tomlKey(key) + ".")
	}
	b.WriteString(tomlKey(e.name) + "]\n")
	for _, f := range e.entry {
		b.WriteString(tomlKey(f.key) + " = " + tomlValue(f.value) + "\n")
	}
	return b.String()
}

var bareKey = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

func tomlKey(key string) string {
	if bareKey.MatchString(key) {
		return key
	}
	return tomlString(key)
}

func tomlInline(f fields) string {
	var parts []string
	for _, field := range f {
		parts = append(parts, tomlKey(field.key)+" = "+tomlValue(field.value))
	}
	return "{ " + strings.Join(parts, ", ") + " }"
}

func tomlValue(v any) string {
	switch v := v.(type) {
	case fields:
		return tomlInline(v)
	case []string:
		items := make([]string, len(v))
		for i, s := range v {
			items[i] = tomlString(s)
		}
		return "[" + strings.Join(items, ", ") + "]"
	case string:
		return tomlString(v)
	}
	return quoteJSON(v)
}

// tomlString prefers the form without escapes where there would be some.
func tomlString(s string) string {
	control := strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
	if strings.Contains(s, `\`) && !strings.Contains(s, "'") && !control {
		return "'" + s + "'"
	}
	return strings.ReplaceAll(quoteJSON(s), "\x7f", `\u007f`)
}
