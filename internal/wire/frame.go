package wire

import (
	"bytes"
	"encoding/json"
	"strings"
	"unicode/utf8"
)

// Kind says what a message is, from its envelope alone.
type Kind uint8

// The kinds of JSON-RPC 2.0 messages.
const (
	Invalid      Kind = iota
	Request           // method and id
	Notification      // method, no id
	Response          // id with result or error
	Batch             // an array; allowed by MCP 2025-03-26 only
)

func (k Kind) String() string {
	switch k {
	case Request:
		return "request"
	case Notification:
		return "notification"
	case Response:
		return "response"
	case Batch:
		return "batch"
	default:
		return "invalid"
	}
}

// ID is a request id as the JSON token that stood in the message: 7, "7" and
// 9007199254740993 stay what they are. Ids are compared as tokens.
type ID []byte

// Null reports whether the id is the literal null (JSON-RPC 2.0 §5: the id of
// a request could not be read).
func (id ID) Null() bool { return string(id) == "null" }

// Key returns a string that two ids share exactly when they are the same
// token, except that escapes inside strings do not count: a peer may write
// "a\/b" back as "a/b". It is safe to keep after the frame was released, and is
// not always JSON.
func (id ID) Key() string {
	if len(id) > 1 && id[0] == '"' && bytes.IndexByte(id, '\\') >= 0 {
		var s string
		// Halves of surrogate pairs all decode to the same character: ids that
		// hold one are compared as they stand.
		if json.Unmarshal(id, &s) == nil && !strings.ContainsRune(s, utf8.RuneError) {
			return `"` + s + `"`
		}
	}
	return string(id)
}

// Frame is one JSON-RPC message: the bytes it came in and its envelope.
//
// Raw holds exactly one JSON value without surrounding white space and must not
// be modified. Raw and ID point into a pooled buffer: whoever got the frame
// from Read calls Release when done with it, and Retain before handing it to
// somebody who outlives the call. A frame that is never released is merely
// collected. The zero Frame is valid and Invalid.
type Frame struct {
	Raw    []byte
	Kind   Kind
	ID     ID     // nil when the message has none
	Method string // empty for responses and batches
	// Failed reports a response that carries error instead of result.
	Failed bool

	buf *buffer
}

// Retain adds an owner; each owner calls Release once.
func (f Frame) Retain() Frame {
	if f.buf != nil {
		f.buf.retain()
	}
	return f
}

// Release ends one owner's use of the frame's bytes.
func (f Frame) Release() {
	if f.buf != nil {
		f.buf.release()
	}
}

// Clone returns a frame with bytes of its own, free of any pooled buffer.
func (f Frame) Clone() Frame {
	c := f
	c.buf = nil
	c.Raw = bytes.Clone(f.Raw)
	c.ID = ID(bytes.Clone(f.ID))
	return c
}

// MustParse is Parse for messages built by the program itself.
func MustParse(raw string) Frame {
	f, err := Parse([]byte(raw))
	if err != nil {
		panic("wire: " + err.Error() + " in " + raw)
	}
	return f
}

// WithID returns a copy of f whose id is the given token. The rest of the
// message keeps its bytes. f is a request or a response; a response that came
// without an id gets one.
func (f Frame) WithID(id ID) Frame {
	const open, comma = `{"id":`, `,`
	raw := make([]byte, 0, len(open)+len(id)+len(comma)+len(f.Raw))
	start, end, ok := Find(f.Raw, "id")
	if ok {
		raw = append(raw, f.Raw[:start]...)
		raw = append(raw, id...)
		raw = append(raw, f.Raw[end:]...)
	} else {
		start = len(open)
		raw = append(raw, open...)
		raw = append(raw, id...)
		raw = append(raw, comma...)
		raw = append(raw, f.Raw[1:]...)
	}
	c := f
	c.buf = nil
	c.Raw = raw
	c.ID = ID(raw[start : start+len(id)])
	return c
}

// methods that are so common that their names need no allocation.
var commonMethods = func() map[string]string {
	m := map[string]string{}
	for _, name := range []string{
		"initialize", "ping", "tools/list", "tools/call", "resources/list", "resources/read",
		"resources/templates/list", "resources/subscribe", "resources/unsubscribe", "prompts/list",
		"prompts/get", "completion/complete", "logging/setLevel", "server/discover", "subscriptions/listen",
		"sampling/createMessage", "elicitation/create", "roots/list", "tasks/get", "tasks/cancel",
		"notifications/initialized", "notifications/progress", "notifications/message",
		"notifications/cancelled", "notifications/resources/updated", "notifications/resources/list_changed",
		"notifications/tools/list_changed", "notifications/prompts/list_changed", "notifications/roots/list_changed",
	} {
		m[name] = name
	}
	return m
}()

func internMethod(b []byte) string {
	if s, ok := commonMethods[string(b)]; ok {
		return s
	}
	return string(b)
}

// compact returns raw as one line. A message without line breaks comes back as
// it is; otherwise white space between tokens is dropped. Strings hold no raw
// line breaks (RFC 8259 §7), so nothing inside them can be touched.
func compact(raw []byte) []byte {
	if bytes.IndexByte(raw, '\n') < 0 && bytes.IndexByte(raw, '\r') < 0 {
		return raw
	}
	return appendCompact(make([]byte, 0, len(raw)), raw)
}

// appendCompact appends raw without white space between tokens.
func appendCompact(out, raw []byte) []byte {
	inString := false
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		if inString {
			out = append(out, c)
			switch c {
			case '\\':
				if i++; i < len(raw) {
					out = append(out, raw[i])
				}
			case '"':
				inString = false
			}
			continue
		}
		switch c {
		case ' ', '\t', '\r', '\n':
			continue
		case '"':
			inString = true
		}
		out = append(out, c)
	}
	return out
}
