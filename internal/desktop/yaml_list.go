package desktop

import (
	"bytes"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// A yamlList is where the items of the list stand in a document's lines.
type yamlList struct {
	doc   []byte
	nl    string
	lines []string // with their ends

	blank  bool     // the document holds nothing
	first  int      // the line of the root's first key
	indent string   // of the root's keys
	key    int      // the line of the list's key, or -1
	flow   *yamlEnd // the closing bracket of a list in flow style
	dash   string   // the indent of the items
	items  []int    // the lines where they start
	names  []string
	end    int // the line after the list, or after the root
}

// A yamlEnd is a place by line and column, both from 1, as the parser has it.
type yamlEnd struct{ line, column int }

func yamlLines(doc []byte) []string {
	var lines []string
	for line := range bytes.Lines(doc) {
		lines = append(lines, string(line))
	}
	return lines
}

func readYAMLList(doc []byte, e edit) (yamlList, error) {
	l := yamlList{doc: doc, nl: newline(doc), lines: yamlLines(doc), key: -1}
	file, err := parseYAML(doc)
	if err != nil {
		return l, err
	}
	if len(file.Docs) == 0 || file.Docs[0].Body == nil || file.Docs[0].Body.Type() == ast.CommentType || file.Docs[0].Body.Type() == ast.NullType {
		l.blank = true
		return l, nil
	}
	members, ok := rootMembers(file.Docs[0].Body)
	if !ok {
		return l, errShape
	}
	start := members[0].Key.GetToken().Position
	l.first, l.indent = start.Line-1, strings.Repeat(" ", start.Column-1)
	if l.first >= len(l.lines) || indentOf(l.lines[l.first]) != l.indent {
		return l, errShape
	}
	l.end = len(l.lines)
	for i := l.first; i < len(l.lines); i++ {
		if strings.HasPrefix(l.lines[i], "...") {
			l.end = i
			break
		}
	}
	for _, m := range members {
		if m.Key.GetToken().Value == e.place[0] {
			l.key = m.Key.GetToken().Position.Line - 1
			if l.key >= l.end || !strings.HasPrefix(l.lines[l.key], l.indent+e.place[0]+":") {
				return l, errShape // its name is in quotes, or on a line with others
			}
			return l, l.readItems(m.Value)
		}
	}
	return l, nil
}

// rootMembers are the members of a mapping in block style.
func rootMembers(body ast.Node) ([]*ast.MappingValueNode, bool) {
	switch body := body.(type) {
	case *ast.MappingNode:
		return body.Values, !body.IsFlowStyle && len(body.Values) > 0
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{body}, !body.IsFlowStyle
	}
	return nil, false
}

// readItems finds the lines of the items.
func (l *yamlList) readItems(value ast.Node) error {
	if value.Type() == ast.NullType {
		return nil
	}
	seq, ok := value.(*ast.SequenceNode)
	switch {
	case !ok:
		return errShape
	case seq.IsFlowStyle:
		l.flow = endOf(seq.End)
		return nil
	}
	var items []any
	if err := protect(func() error { return yaml.NodeToValue(seq, &items) }); err != nil {
		return errShape
	}
	for i := l.key + 1; i < l.end; i++ {
		line := l.lines[i]
		text := strings.TrimSpace(line)
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		indent, isItem := indentOf(line), text == "-" || strings.HasPrefix(text, "- ") || strings.HasPrefix(text, "-\t")
		if len(l.items) == 0 {
			if l.dash = indent; !isItem || len(indent) < len(l.indent) {
				return errShape
			}
		}
		switch {
		case indent == l.dash && isItem:
			l.items = append(l.items, i)
			continue
		case len(indent) > len(l.dash):
			continue
		}
		l.end = i
	}
	// Lines of a text may look like items.
	if len(l.items) != len(items) {
		return errShape
	}
	for _, item := range items {
		l.names = append(l.names, nameOf(item))
	}
	return nil
}

func endOf(t *token.Token) *yamlEnd {
	if t == nil || t.Position == nil {
		return &yamlEnd{}
	}
	return &yamlEnd{t.Position.Line, t.Position.Column}
}

// at is the offset of the closing bracket, or -1.
func (e *yamlEnd) at(doc []byte) int {
	offset := 0
	for n, line := range yamlLines(doc) {
		if n+1 == e.line {
			for i := range line {
				if len([]rune(line[:i]))+1 == e.column && line[i] == ']' {
					return offset + i
				}
			}
		}
		offset += len(line)
	}
	return -1
}

func indentOf(line string) string { return line[:len(line)-len(strings.TrimLeft(line, " "))] }

// value is what stands after the key in its line, with the line's end.
func (l yamlList) value() string {
	_, value, _ := strings.Cut(l.lines[l.key], ":")
	return value
}

// unit is how much deeper items stand than their key.
func (l yamlList) unit() string { return "  " }

// contentEnd is the line after an item's last, without the empty lines and
// comments before the next.
func (l yamlList) contentEnd(i int) int {
	end := l.end
	if i+1 < len(l.items) {
		end = l.items[i+1]
	}
	for end > l.items[i]+1 {
		text := strings.TrimSpace(l.lines[end-1])
		if text != "" && !strings.HasPrefix(text, "#") {
			break
		}
		end--
	}
	return end
}

// item is the text of an entry.
func (l yamlList) item(e edit, indent string) string {
	var b strings.Builder
	for i, f := range e.entry {
		lead := "  "
		if i == 0 {
			lead = "- "
		}
		b.WriteString(indent + lead + f.key + ":")
		switch v := f.value.(type) {
		case []string:
			for _, s := range v {
				b.WriteString(l.nl + indent + "    - " + yamlScalar(s))
			}
		case fields:
			for _, inner := range v {
				b.WriteString(l.nl + indent + "    " + yamlScalar(inner.key) + ": " + yamlScalar(inner.value))
			}
		default:
			b.WriteString(" " + yamlScalar(v))
		}
		b.WriteString(l.nl)
	}
	return b.String()
}

// with is the document with text in place of the lines from start to end, or
// before start if end is -1. Whether the last line has an end stays as it is.
func (l yamlList) with(start, end int, text ...string) []byte {
	if end < 0 {
		end = start
	}
	result := []byte(strings.Join(l.lines[:start], ""))
	added := []byte(strings.Join(text, ""))
	open := len(l.doc) > 0 && !bytes.HasSuffix(l.doc, []byte("\n"))
	if open && end == len(l.lines) {
		if start == len(l.lines) {
			result = append(result, l.nl...)
		}
		if added = cutNewline(added); len(added) == 0 {
			result = cutNewline(result)
		}
	}
	result = append(result, added...)
	return append(result, strings.Join(l.lines[end:], "")...)
}
