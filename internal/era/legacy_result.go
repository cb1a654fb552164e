package era

import (
	"bytes"
	"encoding/json"
	"strconv"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// legacyAnswer gives an answer of a modern remote the client's id and the shape
// of the legacy era.
func (l *legacyClient) legacyAnswer(f, answer wire.Frame) wire.Frame {
	s := newSplice(answer.Raw)
	if answer.ID.Key() != f.ID.Key() {
		s.set("id", bytes.Clone(f.ID))
	}
	if answer.Failed {
		legacyError(s.in("error"), f.Method)
	} else if result := s.in("result"); result != nil {
		l.legacyResult(result, f.Method)
	}
	if !s.changed() {
		return answer
	}
	return s.frame(answer)
}

func (l *legacyClient) legacyResult(result *splice, method string) {
	result.drop("resultType")
	if cacheable(method) {
		result.drop("ttlMs")
		result.drop("cacheScope")
	}
	switch method {
	case "tools/list":
		var change func(*splice)
		if bytes.Contains(result.get("tools"), []byte("outputSchema")) {
			change = dropForeignOutput
		}
		l.t.tools.filter(result, l.t.opts.Logger, change)
	case "tools/call":
		foreignContent(result)
	}
}

// dropForeignOutput: up to 2025-11-25 an output schema is that of an object.
func dropForeignOutput(tool *splice) {
	if schema := tool.get("outputSchema"); schema != nil && wire.LookupString(schema, "type") != "object" {
		tool.drop("outputSchema")
	}
}

// foreignContent: up to 2025-11-25 structuredContent is an object. What is none
// becomes text, unless the server has said it as text already.
func foreignContent(result *splice) {
	value := result.get("structuredContent")
	if value == nil || isObject(value) {
		return
	}
	result.drop("structuredContent")
	for block := range elements(result.get("content")) {
		if sameJSON([]byte(wire.LookupString(block, "text")), value) {
			return
		}
	}
	block := newSplice([]byte("{}"))
	block.set("type", []byte(`"text"`))
	block.set("text", quoteText(value))
	content := []byte{'['}
	for other := range elements(result.get("content")) {
		content = append(append(content, other...), ',')
	}
	content = append(append(content, block.bytes()...), ']')
	result.set("content", content)
}

// quoteText returns text as a JSON string, without the escapes for HTML.
func quoteText(text []byte) []byte {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if enc.Encode(string(text)) != nil {
		return []byte(`""`) // strings always encode
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n"))
}

func sameJSON(a, b []byte) bool {
	var x, y bytes.Buffer
	return json.Compact(&x, a) == nil && json.Compact(&y, b) == nil && bytes.Equal(x.Bytes(), y.Bytes())
}

// legacyError maps codes that mean something else, or nothing, to a client of
// the legacy era. -32021 stays: it names what the client would have to declare.
func legacyError(failure *splice, method string) {
	if failure == nil {
		return
	}
	var code int
	if json.Unmarshal(failure.get("code"), &code) != nil {
		return
	}
	switch {
	case code == wire.CodeInvalidParams && method == "resources/read" && wire.Lookup(failure.get("data"), "uri") != nil:
		code = codeResourceNotFound // server/resources, Error Handling
	case code == codeHeaderMismatch, code == codeUnsupportedVersion:
		code = wire.CodeInternal // between the remote and us, nothing of the client's doing
	default:
		return
	}
	failure.set("code", strconv.AppendInt(nil, int64(code), 10))
}
