package server

import (
	"encoding/json"
	"slices"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// traceMeta is the trace context in a message's _meta (MCP 2026-07-28, SEP-414).
// It implements propagation.TextMapCarrier.
type traceMeta struct{ parent, state string }

// maxTraceMeta bounds what is read of either; tracestate has up to 512 bytes
// that others must pass on (W3C Trace Context §3.3.1.5).
const maxTraceMeta = 1 << 10

func readTraceMeta(f wire.Frame) *traceMeta {
	m := &traceMeta{wire.LookupString(f.Raw, "params", "_meta", "traceparent"), wire.LookupString(f.Raw, "params", "_meta", "tracestate")}
	if len(m.parent) > maxTraceMeta {
		m.parent = ""
	}
	if len(m.state) > maxTraceMeta {
		m.state = ""
	}
	return m
}

// Get implements propagation.TextMapCarrier.
func (m *traceMeta) Get(key string) string {
	switch key {
	case "traceparent":
		return m.parent
	case "tracestate":
		return m.state
	}
	return ""
}

// Set implements propagation.TextMapCarrier.
func (m *traceMeta) Set(key, value string) {
	switch key {
	case "traceparent":
		m.parent = value
	case "tracestate":
		m.state = value
	}
}

// Keys implements propagation.TextMapCarrier.
func (m *traceMeta) Keys() []string { return []string{"traceparent", "tracestate"} }

// into returns f with this trace context in its _meta. Everything else stays as
// it is, byte for byte. A message whose params are no object stays too.
func (m *traceMeta) into(f wire.Frame) wire.Frame {
	if m.parent == "" {
		return f
	}
	raw := withMember(f.Raw, "traceparent", m.parent)
	if m.state != "" || wire.Lookup(raw, "params", "_meta", "tracestate") != nil {
		raw = withMember(raw, "tracestate", m.state)
	}
	return wire.Frame{Raw: raw, Kind: f.Kind, ID: slices.Clone(f.ID), Method: f.Method, Failed: f.Failed}
}

// withMember sets a member of params._meta to a text. It returns raw where that
// has no place.
func withMember(raw []byte, name, text string) []byte {
	value, err := json.Marshal(text)
	if err != nil {
		return raw
	}
	member := append([]byte(`"`+name+`":`), value...)
	if start, end, ok := wire.Find(raw, "params", "_meta", name); ok {
		return splice(raw, start, end, value)
	}
	if start, _, ok := wire.Find(raw, "params", "_meta"); ok {
		return prepend(raw, start, member)
	}
	member = slices.Concat([]byte(`"_meta":{`), member, []byte{'}'})
	if start, _, ok := wire.Find(raw, "params"); ok {
		return prepend(raw, start, member)
	}
	return prepend(raw, slices.Index(raw, '{'), slices.Concat([]byte(`"params":{`), member, []byte{'}'}))
}

// prepend puts a member in front of those of the object that begins at start.
func prepend(raw []byte, start int, member []byte) []byte {
	if start < 0 || raw[start] != '{' {
		return raw
	}
	for _, c := range raw[start+1:] {
		switch c {
		case ' ', '\t', '\r', '\n':
			continue
		case '}':
		default:
			member = append(member, ',')
		}
		break
	}
	return splice(raw, start+1, start+1, member)
}

func splice(raw []byte, start, end int, value []byte) []byte {
	return slices.Concat(raw[:start], value, raw[end:])
}
