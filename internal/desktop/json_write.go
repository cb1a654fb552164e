package desktop

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/tailscale/hujson"
)

// A jsonWriter writes in the style of a document.
type jsonWriter struct {
	doc          []byte
	nl, unit     string
	colon, comma string // on one line
	spread       bool   // the document has more than one line, or is empty
}

func newJSONWriter(doc []byte, root hujson.Value) jsonWriter {
	w := jsonWriter{doc: doc, nl: newline(doc), unit: "  ", colon: ": ", comma: ", "}
	object, ok := root.Value.(*hujson.Object)
	if !ok || len(object.Members) == 0 {
		w.spread = true
		return w
	}
	first := object.Members[0]
	if w.spread = w.multiline(root); w.spread {
		if indent := w.lineIndent(first.Name.StartOffset); indent != "" && strings.TrimSpace(indent) == "" {
			w.unit = indent
		}
		return w
	}
	if first.Value.StartOffset == first.Name.EndOffset+1 {
		w.colon = ":"
	}
	if len(object.Members) > 1 && len(object.Members[1].Name.BeforeExtra) == 0 || len(object.Members) == 1 && w.colon == ":" {
		w.comma = ","
	}
	return w
}

// multiline tells whether an object's first member stands on a line of its own.
func (w jsonWriter) multiline(v hujson.Value) bool {
	object, ok := v.Value.(*hujson.Object)
	if !ok || len(object.Members) == 0 {
		return w.spread
	}
	return bytes.IndexByte(w.doc[v.StartOffset:object.Members[0].Name.StartOffset], '\n') >= 0
}

// lineIndent is the white space that the line of an offset begins with.
func (w jsonWriter) lineIndent(offset int) string {
	line := w.doc[bytes.LastIndexByte(w.doc[:offset], '\n')+1:]
	return string(line[:len(line)-len(bytes.TrimLeft(line, " \t"))])
}

// insert adds a member to an object, after its others.
func (w jsonWriter) insert(at hujson.Value, key string, value fields) ([]byte, error) {
	object, ok := at.Value.(*hujson.Object)
	if !ok {
		return nil, errShape
	}
	closing := at.EndOffset - 1
	multi := w.multiline(at)
	indent := w.lineIndent(at.StartOffset) + w.unit
	start, comma := at.StartOffset+1, ""
	if n := len(object.Members); n > 0 {
		last := object.Members[n-1]
		if multi {
			indent = w.lineIndent(last.Name.StartOffset)
		}
		start, comma = last.Value.EndOffset, ","
		if i := skipExtra(w.doc, start); w.doc[i] == ',' {
			start, comma = i+1, ""
		}
	}
	// Comments stay before the new member.
	end := start + len(bytes.TrimRight(w.doc[start:closing], " \t\r\n"))
	text := w.quote(key)
	switch {
	case multi:
		text = w.nl + indent + text + ": " + w.render(value, indent, true)
		if len(object.Members) > 0 && comma == "" {
			text += ","
		}
		if len(object.Members) == 0 && bytes.IndexByte(w.doc[end:closing], '\n') < 0 {
			text += w.nl + w.lineIndent(at.StartOffset)
		}
	case len(object.Members) == 0:
		text += w.colon + w.render(value, "", false)
	default:
		text = strings.TrimPrefix(w.comma, ",") + text + w.colon + w.render(value, "", false)
	}
	result := append(bytes.Clone(w.doc[:start]), comma...)
	result = append(result, w.doc[start:end]...)
	return append(append(result, text...), w.doc[end:]...), nil
}

// render writes an object whose first line begins with indent.
func (w jsonWriter) render(f fields, indent string, multi bool) string {
	var b strings.Builder
	b.WriteByte('{')
	for i, field := range f {
		switch {
		case multi && i > 0:
			b.WriteString("," + w.nl + indent + w.unit)
		case multi:
			b.WriteString(w.nl + indent + w.unit)
		case i > 0:
			b.WriteString(w.comma)
		}
		b.WriteString(w.quote(field.key))
		if multi {
			b.WriteString(": ")
		} else {
			b.WriteString(w.colon)
		}
		b.WriteString(w.value(field.value, indent+w.unit, multi))
	}
	if multi && len(f) > 0 {
		b.WriteString(w.nl + indent)
	}
	b.WriteByte('}')
	return b.String()
}

func (w jsonWriter) value(v any, indent string, multi bool) string {
	switch v := v.(type) {
	case fields:
		return w.render(v, indent, multi)
	case []string:
		items := make([]string, len(v))
		for i, s := range v {
			items[i] = w.quote(s)
		}
		return "[" + strings.Join(items, w.comma) + "]"
	}
	return w.quote(v)
}

// quote writes a text or another plain value, and leaves & and < as they are.
func (w jsonWriter) quote(v any) string { return quoteJSON(v) }

func quoteJSON(v any) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v) // strings and bools
	return strings.TrimSuffix(b.String(), "\n")
}

func (s jsonSyntax) remove(doc []byte, e edit, whole bool) ([]byte, error) {
	tree, err := s.tree(doc)
	if err != nil {
		return nil, err
	}
	path, err := descend(tree, append(append([]string{}, e.place...), e.name))
	if err != nil {
		return nil, err
	}
	at := path[len(path)-1]
	for i := len(path) - 2; whole && i >= 0 && len(at.members()) == 1 && !hasComment(doc, at); i-- {
		at = path[i]
	}
	return removeMember(doc, at), nil
}

// hasComment tells whether an object with one member has comments beside it.
func hasComment(doc []byte, at step) bool {
	m := at.member()
	inside := append(bytes.Clone(doc[at.object.StartOffset+1:m.Name.StartOffset]), doc[m.Value.EndOffset:at.object.EndOffset-1]...)
	return len(bytes.Trim(inside, " \t\r\n,")) > 0
}

// removeMember takes a member out with its comma and its line.
func removeMember(doc []byte, at step) []byte {
	m := at.member()
	if len(at.members()) == 1 && !hasComment(doc, at) {
		return splice(doc, at.object.StartOffset+1, at.object.EndOffset-1, "")
	}
	start, end := m.Name.StartOffset, m.Value.EndOffset
	line := len(bytes.TrimRight(doc[:start], " \t"))
	ownLine := line > 0 && doc[line-1] == '\n'
	if ownLine {
		if start = line - 1; start > 0 && doc[start-1] == '\r' {
			start--
		}
	}
	comma := skipExtra(doc, end)
	hasComma := doc[comma] == ','
	if hasComma {
		end = comma + 1
	}
	if at.index < len(at.members())-1 {
		if !ownLine { // the next one takes its place
			end += len(doc[end:]) - len(bytes.TrimLeft(doc[end:], " \t"))
		}
		return splice(doc, start, end, "")
	}
	if !hasComma && at.index > 0 { // the one before becomes the last
		before := skipExtra(doc, at.members()[at.index-1].Value.EndOffset)
		if !ownLine {
			start = before + len(bytes.TrimRight(doc[before:start], " \t"))
		}
		if doc[before] == ',' {
			if start == before+1 || start == before {
				return splice(doc, before, end, "")
			}
			return splice(splice(doc, start, end, ""), before, before+1, "")
		}
	}
	return splice(doc, start, end, "")
}
