package arguments

import (
	"encoding/json"
	"slices"
	"strings"
)

// Argument is one argument of a tool, for people to read.
type Argument struct {
	Name string
	// Kind is a type ("integer", "string[]"), or the allowed values ("buy|sell"),
	// or empty where anything goes.
	Kind        string
	Required    bool
	Description string
	Default     json.RawMessage // nil where there is none
}

// Describe returns a tool's arguments: the required ones first, otherwise in
// the order of the schema.
func Describe(inputSchema json.RawMessage) []Argument {
	s := open(inputSchema)
	var out []Argument
	for _, name := range s.names() {
		p, _ := s.property(name)
		out = append(out, Argument{Name: name, Kind: p.kind(), Required: slices.Contains(s.Required, name), Description: p.Description, Default: p.Default})
	}
	slices.SortStableFunc(out, func(a, b Argument) int {
		switch {
		case a.Required == b.Required:
			return 0
		case a.Required:
			return -1
		}
		return 1
	})
	return out
}

// names are the described properties in the order of the document.
func (s schema) names() []string {
	var own struct {
		Properties json.RawMessage `json:"properties"`
	}
	if s.doc != nil && len(s.Properties) > 0 && json.Unmarshal(s.doc.raw, &own) == nil {
		if o, err := readObject(own.Properties); err == nil && sameNames(o, s.Properties) {
			return o.names
		}
	}
	var out []string
	for name := range s.Properties {
		out = append(out, name)
	}
	slices.Sort(out)
	for _, alt := range s.alternatives() {
		for _, name := range alt.names() {
			out = appendNew(out, name)
		}
	}
	return out
}

func sameNames(o *object, properties map[string]json.RawMessage) bool {
	if len(o.names) != len(properties) {
		return false
	}
	for _, name := range o.names {
		if _, ok := properties[name]; !ok {
			return false
		}
	}
	return true
}

// maxValues and maxValuesWidth bound the allowed values that stand for a type.
const (
	maxValues      = 6
	maxValuesWidth = 40
)

func (s schema) kind() string {
	if values := s.values(); len(values) > 0 && len(values) <= maxValues {
		var texts []string
		for _, v := range values {
			var text string
			if json.Unmarshal(v, &text) != nil {
				text = string(v)
			}
			texts = append(texts, text)
		}
		if all := strings.Join(texts, "|"); len(all) <= maxValuesWidth {
			return all
		}
	}
	var out []string
	for _, t := range s.types() {
		if t == "array" {
			t = s.items().element() + "[]"
		}
		if t != "null" {
			out = append(out, t)
		}
	}
	return strings.Join(out, "|")
}

// element is the kind of a list's items: a plain type or "any".
func (s schema) element() string {
	if types := s.types(); len(types) == 1 && types[0] != "array" {
		return types[0]
	}
	return "any"
}
