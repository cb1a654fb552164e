// Package arguments turns words of a command line, such as limit=5 or
// filter.city=Rome, into the arguments of an MCP tool, guided by the tool's
// input schema, and checks arguments against it.
//
// A schema comes from a server and may be wrong, odd or hostile: what can't be
// understood of it limits nothing, and nothing is loaded because it says so.
package arguments

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Word is one argument as it was typed.
//
//	key=value   value as the schema types it
//	key:=json   a JSON value
//	key=@file   the content of a file; @- is standard input
//	key:=@file  JSON from a file
//	key=@@text  text that begins with @
type Word struct {
	Key   string
	Value string
	JSON  bool // the value is JSON, whatever the schema says
	File  bool // the value is the name of a file
}

// Parse reads a word.
func Parse(text string) (Word, error) {
	key, value, ok := strings.Cut(text, "=")
	switch {
	case !utf8.ValidString(text):
		return Word{}, errors.New("an argument is not UTF-8 text")
	case !ok:
		return Word{}, fmt.Errorf("%q is not an argument: write key=value, or key:=JSON", text)
	}
	w := Word{Key: key, Value: value}
	if before, isJSON := strings.CutSuffix(w.Key, ":"); isJSON {
		w.Key, w.JSON = before, true
	}
	if w.Key == "" {
		return Word{}, fmt.Errorf("%q names no argument: write key=value", text)
	}
	if name, file := strings.CutPrefix(w.Value, "@"); file {
		w.Value = name
		if w.File = !strings.HasPrefix(name, "@"); w.File && name == "" {
			return Word{}, fmt.Errorf("%q names no file after the @; write @@ for text that begins with @", text)
		}
	}
	return w, nil
}

// ReadFile returns the content of a file that a word names.
type ReadFile func(name string) ([]byte, error)

// load returns w with the content in place of the file's name.
func (w Word) load(read ReadFile) (Word, error) {
	if !w.File {
		return w, nil
	}
	data, err := read(w.Value)
	if err != nil {
		return w, fmt.Errorf("reading %s: %w", w.Key, err)
	}
	if !utf8.Valid(data) {
		return w, fmt.Errorf("reading %s: %s is not UTF-8 text, and MCP arguments are JSON. Encode it first, say with base64", w.Key, w.Value)
	}
	w.Value, w.File = string(data), false
	return w, nil
}

// quote is text as a JSON string.
func quote(text string) json.RawMessage {
	var out strings.Builder
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(text) // a string always encodes
	return json.RawMessage(strings.TrimSuffix(out.String(), "\n"))
}
