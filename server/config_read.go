package server

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// maxConfigBytes bounds a configuration file; real ones have a few KiB.
const maxConfigBytes = 256 << 10

// ReadConfig reads a configuration file and checks it. Relative paths in it,
// also that of a command and the folder it runs in, are relative to the file's
// folder. If anything in the file is wrong the error is a [*ConfigError] with
// every fault.
func ReadConfig(path string) (Config, error) {
	f, err := os.Open(path)
	if err != nil {
		return Config{}, fmt.Errorf("reading the configuration: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxConfigBytes+1))
	if err != nil {
		return Config{}, fmt.Errorf("reading the configuration: %w", err)
	}
	return ParseConfig(path, data)
}

// ParseConfig is ReadConfig for data that has been read from the file name.
func ParseConfig(name string, data []byte) (Config, error) {
	dir, err := filepath.Abs(filepath.Dir(name))
	if err != nil {
		return Config{}, fmt.Errorf("finding the configuration's folder: %w", err)
	}
	r := &configReader{yamlReader: yamlReader{places: map[string]place{}}, dir: dir}
	data = bytes.TrimPrefix(data, []byte(utf8Mark))
	if len(data) > maxConfigBytes {
		r.fault(place{}, "", fmt.Sprintf("the file is larger than %s", Size(maxConfigBytes)), "Is this the right file?")
	} else if isUTF16(data) {
		r.fault(place{}, "", "the file is in UTF-16", "Save it as UTF-8: editors on Windows ask for the encoding in \"Save as\", PowerShell takes -Encoding utf8")
	} else if body := r.document(data); body != nil {
		r.root(body)
		if body.Type() == ast.MappingType {
			r.checkTogether()
		}
	}
	if len(r.faults) > 0 {
		return Config{}, &ConfigError{File: name, Faults: r.sorted()}
	}
	return r.cfg, nil
}

// utf8Mark is what editors on Windows put before UTF-8 (the byte order mark, U+FEFF).
const utf8Mark = "\xef\xbb\xbf"

// isUTF16 reports text in UTF-16, which begins with a byte order mark or, as YAML
// begins with a character of ASCII, has a zero beside that.
func isUTF16(data []byte) bool {
	if len(data) < 2 {
		return false
	}
	mark := string(data[:2])
	return mark == "\xff\xfe" || mark == "\xfe\xff" || (data[0] == 0) != (data[1] == 0)
}

// document returns the one document of the file, nil where that is a fault.
func (r *yamlReader) document(data []byte) (body ast.Node) {
	defer func() {
		// The parser is not ours, and an operator must not get a stack trace
		// for a typo.
		if recover() != nil {
			body = nil
			r.fault(place{}, "", "this is not YAML", "Check the indentation, the brackets and the quotes")
		}
	}()
	file, err := parser.ParseBytes(data, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		at := place{}
		reason := "this is not YAML"
		// Only the reason: the text of the error quotes the file, secrets and all.
		var bad yaml.Error
		if errors.As(err, &bad) {
			at, reason = placeOfToken(bad.GetToken()), reason+": "+bad.GetMessage()
		}
		r.fault(at, "", reason, "Check the indentation, the brackets and the quotes")
		return nil
	}
	for _, doc := range file.Docs {
		switch {
		case doc.Body == nil || doc.Body.Type() == ast.DirectiveType || doc.Body.Type() == ast.CommentGroupType:
		case body != nil:
			r.fault(placeOf(doc.Body), "", "a second document begins here", "Remove the --- before it")
		default:
			body = doc.Body
		}
	}
	if body == nil {
		r.fault(place{1, 1}, "", "the file is empty", "Copy examples/mcpctl.yaml and change it")
	}
	return body
}
