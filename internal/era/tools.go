package era

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/mark3labs/mcp-go/mcp"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// keyword is the annotation in a tool's input schema (MCP 2026-07-28
// server/tools, x-mcp-header).
const keyword = "x-mcp-header"

// mirrored is an argument that travels in a header, too.
type mirrored struct {
	path   []string
	header string
}

// toolMemory knows which arguments of which tools are mirrored.
type toolMemory struct {
	limit   int
	lenient bool // the transport has no headers: annotations don't matter
	mu      sync.Mutex
	tools   map[string][]mirrored
}

func (m *toolMemory) remember(name string, args []mirrored) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(args) == 0 {
		delete(m.tools, name)
		return
	}
	if m.tools == nil {
		m.tools = map[string][]mirrored{}
	}
	if _, known := m.tools[name]; known || len(m.tools) < m.limit {
		m.tools[name] = args
	}
}

func (m *toolMemory) empty() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.tools) == 0
}

// annotate adds the headers for a call's arguments. An argument that is absent
// or null has none.
func (m *toolMemory) annotate(params []byte, h http.Header) {
	m.mu.Lock()
	args := m.tools[wire.LookupString(params, "name")]
	m.mu.Unlock()
	for _, a := range args {
		value := wire.Lookup(params, append([]string{"arguments"}, a.path...)...)
		if text, ok := primitive(value); ok {
			h.Set(mcp.HeaderParamPrefix+a.header, headerValue(text))
		}
	}
}

// primitive is the text of a string, a boolean or a number. A number keeps its
// digits: the server compares it with the body.
func primitive(value []byte) (string, bool) {
	switch {
	case len(value) == 0 || value[0] == '{' || value[0] == '[' || string(value) == "null":
		return "", false
	case value[0] == '"':
		var s string
		err := json.Unmarshal(value, &s)
		return s, err == nil
	}
	return string(value), true
}

// filter learns from the result of tools/list and takes out of it tools whose
// annotations are at fault. change, where given, may alter a tool.
func (m *toolMemory) filter(result *splice, log *slog.Logger, change func(tool *splice)) {
	list := result.get("tools")
	if m.empty() && change == nil && !bytes.Contains(list, []byte(keyword)) {
		return
	}
	out := []byte{'['}
	altered := false
	for tool := range elements(list) {
		name := wire.LookupString(tool, "name")
		args, err := mirroredArguments(wire.Lookup(tool, "inputSchema"))
		if err != nil && !m.lenient {
			log.Warn("a tool was left out: its header annotations are invalid", "tool", name, "reason", err)
			m.remember(name, nil)
			altered = true
			continue
		}
		m.remember(name, args)
		if change != nil {
			s := newSplice(tool)
			if change(s); s.changed() {
				tool, altered = s.bytes(), true
			}
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(out, tool...)
	}
	if altered {
		result.set("tools", append(out, ']'))
	}
}

// maxSchemaDepth bounds how deep a schema is searched.
const maxSchemaDepth = 64

var errSchemaDepth = errors.New("the schema is nested too deeply")

// mirroredArguments reads the annotations of an input schema. They may stand
// only where a chain of properties leads to.
func mirroredArguments(schema []byte) ([]mirrored, error) {
	if !bytes.Contains(schema, []byte(keyword)) {
		return nil, nil
	}
	var found []mirrored
	err := searchSchema(schema, nil, true, 0, &found)
	return found, err
}

// searchSchema looks at one schema. path leads to it where it is reachable.
func searchSchema(schema []byte, path []string, reachable bool, depth int, found *[]mirrored) error {
	if depth > maxSchemaDepth {
		return errSchemaDepth
	}
	for key, value := range fields(schema) {
		var err error
		switch key {
		case keyword:
			if !reachable || len(path) == 0 {
				return fmt.Errorf("%s stands where no chain of properties leads to", keyword)
			}
			err = addMirrored(schema, path, value, found)
		case "properties":
			for name, sub := range fields(value) {
				if err = searchSchema(sub, append(slices.Clip(path), name), reachable, depth+1, found); err != nil {
					return err
				}
			}
		case "patternProperties", "dependentSchemas", "$defs", "definitions":
			for _, sub := range fields(value) {
				if err = searchSchema(sub, nil, false, depth+1, found); err != nil {
					return err
				}
			}
		case "items", "prefixItems", "contains", "additionalProperties", "unevaluatedProperties", "unevaluatedItems",
			"propertyNames", "oneOf", "anyOf", "allOf", "not", "if", "then", "else":
			err = searchSchema(value, nil, false, depth+1, found)
			for sub := range elements(value) {
				err = errors.Join(err, searchSchema(sub, nil, false, depth+1, found))
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func addMirrored(schema []byte, path []string, value []byte, found *[]mirrored) error {
	where := strings.Join(path, ".")
	name := unquote(value)
	if name == "" || strings.ContainsFunc(name, notTokenChar) {
		return fmt.Errorf("%s of %s is no header name: %.100s", keyword, where, value)
	}
	switch kind := wire.LookupString(schema, "type"); kind {
	case "string", "integer", "boolean":
	default:
		return fmt.Errorf("%s of %s stands on a type that can't be mirrored (%q)", keyword, where, kind)
	}
	for _, other := range *found {
		if strings.EqualFold(other.header, name) {
			return fmt.Errorf("%s %q stands twice", keyword, name)
		}
	}
	*found = append(*found, mirrored{path, name})
	return nil
}

// notTokenChar reports what may not stand in a header's name (RFC 9110 §5.6.2).
func notTokenChar(r rune) bool {
	switch {
	case '0' <= r && r <= '9', 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z':
		return false
	}
	return !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
}
