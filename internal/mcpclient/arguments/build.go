package arguments

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// maxNesting bounds the dots of a key.
const maxNesting = 100

// Build returns the arguments that words make, on top of base, a JSON object or
// nil. Without words, base comes back as it is. Files are read with read.
//
// A key is the name of a property, or names with dots for one inside another. A
// key that comes again makes a list. The error has a line for each word that
// can't be used.
func Build(inputSchema, base json.RawMessage, words []string, read ReadFile) (json.RawMessage, error) {
	if base == nil {
		base = json.RawMessage("{}")
	}
	if !json.Valid(base) || typeOf(bytes.TrimSpace(base)) != "object" {
		return nil, errors.New(`they must be a JSON object, like {"key": "value"}`)
	}
	if len(words) == 0 {
		return base, nil
	}
	top, err := readObject(base)
	if err != nil {
		return nil, err
	}
	s := open(inputSchema)
	var faults []error
	for _, text := range words {
		w, err := Parse(text)
		if err == nil {
			w, err = w.load(read)
		}
		if err == nil {
			if err = top.set(s, w.Key, w, maxNesting); err != nil {
				err = fmt.Errorf("%s: %w", w.Key, err)
			}
		}
		faults = append(faults, err)
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	top.write(&out)
	return out.Bytes(), nil
}

// object is a JSON object under construction: its members are
// json.RawMessage, *object or *list.
type object struct {
	names   []string
	members map[string]any
	typed   map[string]bool // by a word, not by the base
}

// list is what words with the same key make.
type list []json.RawMessage

func readObject(raw json.RawMessage) (*object, error) {
	o := &object{members: map[string]any{}, typed: map[string]bool{}}
	dec := json.NewDecoder(bytes.NewReader(raw))
	if _, err := dec.Token(); err != nil {
		return nil, err
	}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return nil, err
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, err
		}
		o.put(name.(string), value)
	}
	return o, nil
}

func (o *object) put(name string, value any) {
	if _, ok := o.members[name]; !ok {
		o.names = append(o.names, name)
	}
	o.members[name] = value
}

// set puts the word's value where key leads.
func (o *object) set(s schema, key string, w Word, nesting int) error {
	head, rest, nested := strings.Cut(key, ".")
	if _, described := s.property(key); described || !nested || head == "" || rest == "" {
		return o.leaf(s, key, w)
	}
	if nesting == 0 {
		return errors.New("too many dots")
	}
	p, _ := s.property(head)
	if !p.allows("object") {
		return fmt.Errorf("%s is %s and has no members", head, withArticle(p.types()))
	}
	inner, ok := o.members[head].(*object)
	if !ok {
		raw, isRaw := o.members[head].(json.RawMessage)
		switch {
		case o.typed[head]:
			return fmt.Errorf("%s already has another value", head)
		case isRaw && typeOf(raw) == "object":
			var err error
			if inner, err = readObject(raw); err != nil {
				return err
			}
		default:
			inner = &object{members: map[string]any{}, typed: map[string]bool{}}
		}
		o.put(head, inner)
		o.typed[head] = true
	}
	return inner.set(p, rest, w, nesting-1)
}

// leaf sets a member, or adds to the list that it becomes.
func (o *object) leaf(s schema, name string, w Word) error {
	p, _ := s.property(name)
	again := o.typed[name]
	if again && !p.allows("array") {
		return fmt.Errorf("given twice, but it is %s and not a list", withArticle(p.types()))
	}
	onlyList := slices.Contains(p.types(), "array") && !p.allows("string")
	if !again && !(onlyList && !isArray(w.Value)) {
		v, err := p.value(w)
		if err != nil {
			return err
		}
		o.put(name, v)
		o.typed[name] = true
		return nil
	}
	item, err := p.items().value(w)
	if err != nil {
		return err
	}
	switch before := o.members[name].(type) {
	case *list:
		*before = append(*before, item)
	case json.RawMessage:
		if !again {
			o.put(name, &list{item})
			break
		}
		if typeOf(before) == "array" {
			return errors.New("given twice: once as a whole list")
		}
		o.put(name, &list{before, item})
	case *object:
		return errors.New("already has members")
	default:
		o.put(name, &list{item})
	}
	o.typed[name] = true
	return nil
}

func (o *object) write(out *bytes.Buffer) {
	out.WriteByte('{')
	for i, name := range o.names {
		if i > 0 {
			out.WriteByte(',')
		}
		out.Write(quote(name))
		out.WriteByte(':')
		switch v := o.members[name].(type) {
		case *object:
			v.write(out)
		case *list:
			out.WriteByte('[')
			for i, item := range *v {
				if i > 0 {
					out.WriteByte(',')
				}
				out.Write(item)
			}
			out.WriteByte(']')
		case json.RawMessage:
			out.Write(v)
		}
	}
	out.WriteByte('}')
}

// value converts what a word says.
func (s schema) value(w Word) (json.RawMessage, error) {
	if w.JSON {
		return parseJSON(w.Value)
	}
	return s.convert(w.Value)
}

func parseJSON(text string) (json.RawMessage, error) {
	raw := json.RawMessage(strings.TrimSpace(text))
	if !json.Valid(raw) {
		return nil, fmt.Errorf("%.60q is not JSON; strings need quotes inside the shell's", text)
	}
	return raw, nil
}

var (
	integerText = regexp.MustCompile(`^-?(0|[1-9][0-9]*)$`)
	numberText  = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$`)
)

func isInteger(text string) bool { return integerText.MatchString(text) }

func isArray(text string) bool {
	text = strings.TrimSpace(text)
	return strings.HasPrefix(text, "[") && json.Valid([]byte(text))
}

// convert makes of text what the schema wants. Text that fits several types
// becomes a string if it may.
func (s schema) convert(text string) (json.RawMessage, error) {
	for _, v := range s.values() {
		if string(v) == text || string(v) == string(quote(text)) {
			return v, nil
		}
	}
	if s.allows("string") {
		return quote(text), nil
	}
	trimmed := strings.TrimSpace(text)
	raw := json.RawMessage(trimmed)
	for _, t := range s.types() {
		var fits bool
		switch t {
		case "boolean":
			fits = trimmed == "true" || trimmed == "false"
		case "null":
			fits = trimmed == "null"
		case "integer":
			fits = isInteger(trimmed)
		case "number":
			fits = numberText.MatchString(trimmed)
		case "object", "array":
			fits = json.Valid(raw) && typeOf(raw) == t
		default: // no type of JSON Schema: the server may know it
			return quote(text), nil
		}
		if fits {
			return raw, nil
		}
	}
	return nil, fmt.Errorf("%.60q is not %s", text, withArticle(s.types()))
}

// withArticle reads "an integer or null".
func withArticle(types []string) string {
	var out []string
	for _, t := range types {
		switch t {
		case "null":
		case "boolean":
			t = "true or false"
		case "integer", "object", "array":
			t = "an " + t
		default:
			t = "a " + t
		}
		out = append(out, t)
	}
	if out == nil {
		return "anything"
	}
	return strings.Join(out, " or ")
}
