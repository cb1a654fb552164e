package arguments

import (
	"encoding/json"
	"slices"
	"strings"
)

// maxRefs bounds how far references and alternatives are followed.
const maxRefs = 16

// schema is what is looked at of a JSON Schema. The zero schema allows anything.
type schema struct {
	Type                 json.RawMessage            `json:"type"` // a name or several
	Properties           map[string]json.RawMessage `json:"properties"`
	AdditionalProperties json.RawMessage            `json:"additionalProperties"`
	Items                json.RawMessage            `json:"items"`
	Enum                 []json.RawMessage          `json:"enum"`
	Const                json.RawMessage            `json:"const"`
	AnyOf                []json.RawMessage          `json:"anyOf"`
	OneOf                []json.RawMessage          `json:"oneOf"`
	AllOf                []json.RawMessage          `json:"allOf"`
	Ref                  string                     `json:"$ref"`
	Required             []string                   `json:"required"`
	Description          string                     `json:"description"`
	Default              json.RawMessage            `json:"default"`

	doc  *document
	deep int // references and alternatives on the way here
}

// document is the whole schema.
type document struct {
	raw json.RawMessage
	// left bounds the bytes that are still read: references and alternatives
	// can make a small schema a large one.
	left int
}

const (
	maxRead = 8 << 20
	perRead = 512 // what reading costs beside the bytes
)

// open returns the schema that raw is.
func open(raw json.RawMessage) schema {
	return (&document{raw, maxRead}).read(raw, 0)
}

// read reads a schema that stands in the document. Members of the wrong type
// are as good as absent.
func (d *document) read(raw json.RawMessage, deep int) schema {
	s := schema{doc: d, deep: deep}
	if d.left -= perRead + len(raw); d.left < 0 {
		return s
	}
	_ = json.Unmarshal(raw, &s)
	if s.Ref == "" || deep >= maxRefs {
		return s
	}
	if target := d.pointer(s.Ref); target != nil {
		resolved := d.read(target, deep+1)
		if s.Description != "" {
			resolved.Description = s.Description
		}
		return resolved
	}
	return s
}

// pointer follows a reference inside the document (RFC 6901). Others are not
// followed: nothing is fetched on behalf of a server.
func (d *document) pointer(ref string) json.RawMessage {
	path, ok := strings.CutPrefix(ref, "#")
	if !ok {
		return nil
	}
	at := d.raw
	for step := range strings.SplitSeq(strings.TrimPrefix(path, "/"), "/") {
		if path == "" {
			break
		}
		var members map[string]json.RawMessage
		if d.left -= perRead + len(at); d.left < 0 {
			return nil
		}
		if json.Unmarshal(at, &members) != nil {
			return nil
		}
		at = members[strings.NewReplacer("~1", "/", "~0", "~").Replace(step)]
	}
	return at
}

// alternatives are the schemas that apply together with s or in its place.
func (s schema) alternatives() []schema {
	if s.doc == nil || s.deep >= maxRefs || s.doc.left < 0 {
		return nil
	}
	var out []schema
	for _, list := range [][]json.RawMessage{s.AllOf, s.AnyOf, s.OneOf} {
		for _, raw := range list {
			out = append(out, s.doc.read(raw, s.deep+1))
		}
	}
	return out
}

// types returns the JSON types that a value may have, none where any will do.
func (s schema) types() []string {
	var one string
	var several []string
	if json.Unmarshal(s.Type, &one) == nil && one != "" {
		return []string{one}
	}
	if json.Unmarshal(s.Type, &several) == nil && len(several) > 0 {
		return several
	}
	for _, v := range s.values() {
		several = appendNew(several, typeOf(v))
	}
	if several != nil {
		return several
	}
	for _, alt := range s.alternatives() {
		for _, t := range alt.types() {
			several = appendNew(several, t)
		}
	}
	switch {
	case several != nil:
	case s.Properties != nil:
		several = []string{"object"}
	case s.Items != nil:
		several = []string{"array"}
	}
	return several
}

// values are the only ones allowed, none where there are no such.
func (s schema) values() []json.RawMessage {
	if s.Const != nil {
		return []json.RawMessage{s.Const}
	}
	if len(s.Enum) > 0 {
		return s.Enum
	}
	var out []json.RawMessage
	for _, alt := range s.alternatives() {
		values := alt.values()
		if values == nil && slices.Equal(alt.types(), []string{"null"}) {
			continue // an optional enum
		}
		if values == nil {
			return nil
		}
		out = append(out, values...)
	}
	return out
}

// property returns the schema of a member and whether it is described by name.
func (s schema) property(name string) (schema, bool) {
	if raw, ok := s.Properties[name]; ok {
		return s.doc.read(raw, 0), true
	}
	for _, alt := range s.alternatives() {
		if p, ok := alt.property(name); ok {
			return p, true
		}
	}
	if s.doc == nil {
		return schema{}, false
	}
	return s.doc.read(s.AdditionalProperties, s.deep+1), false
}

// items returns the schema of a list's items.
func (s schema) items() schema {
	if s.Items != nil {
		return s.doc.read(s.Items, 0)
	}
	for _, alt := range s.alternatives() {
		if i := alt.items(); i.doc != nil {
			return i
		}
	}
	return schema{}
}

// allows reports whether a value of the type may stand here.
func (s schema) allows(t string) bool {
	types := s.types()
	return len(types) == 0 || slices.Contains(types, t)
}

func appendNew(list []string, s string) []string {
	if slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}

// typeOf names the type of a JSON value.
func typeOf(v json.RawMessage) string {
	if len(v) == 0 {
		return "null"
	}
	switch v[0] {
	case '"':
		return "string"
	case '{':
		return "object"
	case '[':
		return "array"
	case 't', 'f':
		return "boolean"
	case 'n':
		return "null"
	}
	if isInteger(string(v)) {
		return "integer"
	}
	return "number"
}
