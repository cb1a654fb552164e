package wire

import (
	"encoding/json"
	"unicode/utf8"
)

// Find returns where the value at the path of object members stands in raw:
// raw[start:end]. Where a member is repeated the last one counts, as in most
// decoders. raw must be valid JSON, as Frame.Raw is.
func Find(raw []byte, path ...string) (start, end int, ok bool) {
	end = len(raw)
	for _, name := range path {
		start = skipSpace(raw, start)
		if start >= len(raw) || raw[start] != '{' {
			return 0, 0, false
		}
		found := false
		_, err := walkObject(raw[:end], start, func(key, value []byte) {
			if string(key) == name {
				found = true
				// value is a slice of raw: its capacity tells where it starts.
				start = cap(raw) - cap(value)
				end = start + len(value)
			}
		})
		if err != nil || !found {
			return 0, 0, false
		}
	}
	return start, end, true
}

// Lookup returns the JSON value at the path, nil where there is none.
func Lookup(raw []byte, path ...string) []byte {
	start, end, ok := Find(raw, path...)
	if !ok {
		return nil
	}
	return raw[start:end]
}

// LookupString returns the string at the path, "" where there is none.
func LookupString(raw []byte, path ...string) string {
	v := Lookup(raw, path...)
	if len(v) < 2 || v[0] != '"' {
		return ""
	}
	if inner := v[1 : len(v)-1]; plain(inner) {
		return string(inner)
	}
	var s string
	if json.Unmarshal(v, &s) != nil {
		return ""
	}
	return s
}

// plain reports text that a JSON string holds as it is: ASCII without escapes.
func plain(text []byte) bool {
	for _, c := range text {
		if c < ' ' || c == '\\' || c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
