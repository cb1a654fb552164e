package gateway

import (
	"bytes"
	"encoding/json"
	"slices"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// change is a new value for the member at a path of a message.
type change struct {
	value []byte // JSON
	path  []string
}

func set(value []byte, path ...string) change { return change{value, path} }

// changed returns a copy of f with the members replaced that f has; the rest
// keeps its bytes. Where a member is repeated, the one that counts is replaced
// (see wire.Find). The changes must not overlap.
func changed(f wire.Frame, changes ...change) wire.Frame {
	type edit struct {
		start, end int
		value      []byte
	}
	var edits []edit
	size := len(f.Raw)
	id := f.ID
	for _, c := range changes {
		start, end, ok := wire.Find(f.Raw, c.path...)
		if !ok {
			continue
		}
		edits = append(edits, edit{start, end, c.value})
		size += len(c.value)
		if len(c.path) == 1 && c.path[0] == "id" {
			id = c.value
		}
	}
	if len(edits) == 0 {
		return f.Clone()
	}
	slices.SortFunc(edits, func(a, b edit) int { return a.start - b.start })
	raw := make([]byte, 0, size)
	at := 0
	for _, e := range edits {
		raw = append(append(raw, f.Raw[at:e.start]...), e.value...)
		at = e.end
	}
	raw = append(raw, f.Raw[at:]...)
	return wire.Frame{Raw: raw, Kind: f.Kind, ID: wire.ID(bytes.Clone(id)), Method: f.Method, Failed: f.Failed}
}

// quoted returns s as a JSON string.
func quoted(s string) []byte {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s) // strings always encode
	return bytes.TrimRight(out.Bytes(), "\n")
}

// inserted returns a copy of f whose object at the path has one more member, in
// front of the others. A message without such an object is returned as it is.
func inserted(f wire.Frame, name string, value []byte, path ...string) wire.Frame {
	start, _, ok := wire.Find(f.Raw, path...)
	if !ok || f.Raw[start] != '{' {
		return f
	}
	rest := bytes.TrimLeft(f.Raw[start+1:], " \t\r\n")
	raw := append(make([]byte, 0, len(f.Raw)+len(name)+len(value)+4), f.Raw[:start+1]...)
	raw = append(append(append(raw, quoted(name)...), ':'), value...)
	if rest[0] != '}' {
		raw = append(raw, ',')
	}
	raw = append(raw, f.Raw[start+1:]...)
	return wire.Frame{Raw: raw, Kind: f.Kind, ID: wire.ID(bytes.Clone(f.ID)), Method: f.Method, Failed: f.Failed}
}
