package era

import (
	"bytes"
	"encoding/json"
	"iter"
)

// The functions here walk JSON that wire.Parse has found valid. Given anything
// else they end early and never panic.

func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t' || b[i] == '\n' || b[i] == '\r') {
		i++
	}
	return i
}

// stringEnd returns the index after the string that starts at b[i].
func stringEnd(b []byte, i int) int {
	for i++; i < len(b); i++ {
		n := bytes.IndexAny(b[i:], `"\`)
		if n < 0 {
			break
		}
		if i += n; b[i] == '"' {
			return i + 1
		}
		i++ // whatever is escaped
	}
	return len(b)
}

// valueEnd returns the index after the value that starts at b[i].
func valueEnd(b []byte, i int) int {
	depth := 0
	for i < len(b) {
		switch b[i] {
		case '"':
			i = stringEnd(b, i)
		case '{', '[':
			depth++
			i++
		case '}', ']':
			depth--
			i++
		case ',', ':', ' ', '\t', '\n', '\r':
			i++
		default:
			for i < len(b) && bytes.IndexByte([]byte(",:]} \t\n\r"), b[i]) < 0 {
				i++
			}
		}
		if depth <= 0 {
			return i
		}
	}
	return len(b)
}

// member is where a member of an object stands in its text.
type member struct {
	key               string
	start             int // of the quoted key
	valueStart, after int // of the value
}

// members walks the object raw. It yields nothing for another value.
func members(raw []byte) iter.Seq[member] {
	return func(yield func(member) bool) {
		i := skipSpace(raw, 0)
		if i >= len(raw) || raw[i] != '{' {
			return
		}
		for i = skipSpace(raw, i+1); i < len(raw) && raw[i] == '"'; i = skipSpace(raw, i+1) {
			m := member{start: i}
			end := stringEnd(raw, i)
			m.key = unquote(raw[i:end])
			m.valueStart = skipSpace(raw, min(skipSpace(raw, end)+1, len(raw)))
			m.after = valueEnd(raw, m.valueStart)
			if m.valueStart >= len(raw) || m.after <= m.valueStart || !yield(m) {
				return
			}
			if i = skipSpace(raw, m.after); i >= len(raw) || raw[i] != ',' {
				return
			}
		}
	}
}

// fields walks the object raw as keys and values.
func fields(raw []byte) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		for m := range members(raw) {
			if !yield(m.key, raw[m.valueStart:m.after]) {
				return
			}
		}
	}
}

// elements walks the values of the array raw.
func elements(raw []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		i := skipSpace(raw, 0)
		if i >= len(raw) || raw[i] != '[' {
			return
		}
		for i = skipSpace(raw, i+1); i < len(raw) && raw[i] != ']'; i = skipSpace(raw, i+1) {
			end := valueEnd(raw, i)
			if end <= i || !yield(raw[i:end]) {
				return
			}
			if i = skipSpace(raw, end); i >= len(raw) || raw[i] != ',' {
				return
			}
		}
	}
}

// unquote decodes a JSON string, "" where it is none.
func unquote(raw []byte) string {
	if len(raw) < 2 || raw[0] != '"' {
		return ""
	}
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw[1 : len(raw)-1])
	}
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s
}
