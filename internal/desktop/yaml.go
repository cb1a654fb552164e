package desktop

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// yamlSyntax is YAML with a list of named items below one key of the root. The
// parser tells what is where; the edits are of whole lines, in block style.
type yamlSyntax struct{}

func (yamlSyntax) parse(doc []byte) (v any, err error) {
	file, err := parseYAML(doc)
	if err != nil {
		return nil, err
	}
	if len(file.Docs) > 1 {
		return nil, errors.New("has more than one YAML document, and was left as it is")
	}
	if err := protect(func() error { return yaml.Unmarshal(unixEnds(doc), &v) }); err != nil {
		return nil, yamlFault(err)
	}
	return v, nil
}

func parseYAML(doc []byte) (file *ast.File, err error) {
	err = protect(func() error {
		file, err = parser.ParseBytes(unixEnds(doc), 0)
		return err
	})
	if err != nil {
		return nil, yamlFault(err)
	}
	return file, nil
}

// unixEnds is what the parser counts the lines of correctly. YAML takes both
// line ends for the same, within texts too.
func unixEnds(doc []byte) []byte { return bytes.ReplaceAll(doc, []byte("\r\n"), []byte("\n")) }

// protect turns a panic of the parser over foreign bytes into an error.
func protect(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("not YAML that can be understood: %v", r)
		}
	}()
	return f()
}

// yamlFault takes the place and the reason, and leaves the parser's excerpt,
// which may hold a secret.
func yamlFault(err error) error {
	var fault yaml.Error
	if errors.As(err, &fault) && fault.GetToken() != nil && fault.GetToken().Position != nil {
		at := fault.GetToken().Position
		return &SyntaxError{at.Line, at.Column, fault.GetMessage()}
	}
	return &SyntaxError{1, 1, strings.SplitN(err.Error(), "\n", 2)[0]}
}

func (s yamlSyntax) insert(doc []byte, e edit) ([][]byte, error) {
	l, err := readYAMLList(doc, e)
	if err != nil {
		return nil, err
	}
	switch {
	case l.blank:
		return s.begin(doc, e), nil
	case l.key < 0:
		return s.newKey(l, e), nil
	case l.flow != nil && !yamlNothing.MatchString(l.value()):
		return insertFlow(l, e)
	case len(l.items) == 0:
		item := l.item(e, l.indent+l.unit())
		value := yamlNothing.ReplaceAllString(l.value(), "$1")
		header := strings.TrimRight(l.indent+e.place[0]+":"+value, "\r\n") + l.nl
		return [][]byte{l.with(l.key, l.key+1, header, item)}, nil
	}
	item := l.item(e, l.dash)
	return [][]byte{
		l.with(l.contentEnd(len(l.items)-1), -1, item),
		l.with(l.end, -1, item),
		l.with(l.items[0], -1, item),
	}, nil
}

// yamlNothing is a value that holds no items, and what stands after it.
var yamlNothing = regexp.MustCompile(`^[ \t]*(?:null|Null|NULL|~|\[[ \t]*\])((?:[ \t].*)?[\r\n]*)$`)

func (s yamlSyntax) begin(doc []byte, e edit) [][]byte {
	l := yamlList{doc: doc, nl: newline(doc), lines: yamlLines(doc)}
	var text string
	for _, f := range e.fresh {
		text += f.key + ": " + yamlScalar(f.value) + l.nl
	}
	text += e.place[0] + ":" + l.nl + l.item(e, "  ")
	return [][]byte{l.with(len(l.lines), -1, text), l.with(0, -1, text)}
}

// newKey adds the key after the others, or before them where that would change
// a text at the end.
func (s yamlSyntax) newKey(l yamlList, e edit) [][]byte {
	text := l.indent + e.place[0] + ":" + l.nl + l.item(e, l.indent+l.unit())
	return [][]byte{l.with(l.end, -1, text), l.with(l.first, -1, text)}
}

// insertFlow adds to a list in brackets.
func insertFlow(l yamlList, e edit) ([][]byte, error) {
	closing := l.flow.at(l.doc)
	if closing < 0 {
		return nil, errShape
	}
	open := bytes.LastIndexByte(l.doc[:closing], '[')
	end := len(bytes.TrimRight(l.doc[:closing], " \t\r\n"))
	item := yamlFlow(e.entry)
	if end == open+1 { // a list of nothing, on several lines
		return [][]byte{splice(l.doc, end, end, item)}, nil
	}
	return [][]byte{splice(l.doc, end, end, ", "+item), splice(l.doc, end, end, " "+item)}, nil
}

func (s yamlSyntax) replace(doc []byte, e edit) ([]byte, error) {
	l, i, err := findYAMLItem(doc, e)
	if err != nil {
		return nil, err
	}
	return l.with(l.items[i], l.contentEnd(i), l.item(e, l.dash)), nil
}

func (s yamlSyntax) remove(doc []byte, e edit, whole bool) ([]byte, error) {
	l, i, err := findYAMLItem(doc, e)
	if err != nil {
		return nil, err
	}
	start, end := l.items[i], l.contentEnd(i)
	if len(l.items) > 1 {
		return l.with(start, end), nil
	}
	value := strings.TrimRight(l.value(), "\r\n")
	if whole && start == l.key+1 && strings.TrimSpace(value) == "" {
		return l.with(l.key, end), nil
	}
	header := l.indent + e.place[0] + ": []" + strings.TrimRight(value, " \t") + l.nl
	return l.with(l.key, end, append([]string{header}, l.lines[l.key+1:start]...)...), nil
}

func findYAMLItem(doc []byte, e edit) (yamlList, int, error) {
	l, err := readYAMLList(doc, e)
	if err != nil {
		return l, 0, err
	}
	i := slices.Index(l.names, e.name)
	if i < 0 || i >= len(l.items) {
		return l, 0, errShape
	}
	return l, i, nil
}

func (yamlSyntax) render(e edit) string {
	return e.place[0] + ":\n" + yamlList{nl: "\n"}.item(e, "  ")
}

var plainScalar = regexp.MustCompile(`^[A-Za-z/][A-Za-z0-9_./-]*$`)

// yamlScalar writes without quotes what nobody reads as anything else.
func yamlScalar(v any) string {
	s, ok := v.(string)
	reserved := []string{"true", "false", "yes", "no", "on", "off", "null", "y", "n"}
	if ok && plainScalar.MatchString(s) && !slices.Contains(reserved, strings.ToLower(s)) {
		return s
	}
	return strings.ReplaceAll(quoteJSON(v), "\x7f", `\x7f`)
}

func yamlFlow(v any) string {
	switch v := v.(type) {
	case fields:
		parts := make([]string, len(v))
		for i, f := range v {
			parts[i] = yamlScalar(f.key) + ": " + yamlFlow(f.value)
		}
		return "{" + strings.Join(parts, ", ") + "}"
	case []string:
		parts := make([]string, len(v))
		for i, s := range v {
			parts[i] = yamlScalar(s)
		}
		return "[" + strings.Join(parts, ", ") + "]"
	}
	return yamlScalar(v)
}
