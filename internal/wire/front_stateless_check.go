package wire

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// Header fields that mirror the body (MCP 2026-07-28,
// basic/transports/streamable-http, Request Metadata).
const (
	HeaderMethod = "Mcp-Method"
	HeaderName   = "Mcp-Name"
)

// codeHeader: a header field does not say what the body says (MCP 2026-07-28,
// basic/transports/streamable-http, Server Validation).
const codeHeader = -32020

const metaCapabilities = "io.modelcontextprotocol/clientCapabilities"

// metadata is what a request says of itself, as JSON values; nil for what it
// does not say.
type metadata struct {
	version, capabilities []byte // in _meta
	name, uri, taskID     []byte // in params

	repeated string // a member that stands twice: readers may differ on which counts
}

var versionMember = []byte("protocolVersion")

// mentioned reads the metadata of a request that seems to name its revision;
// nil for the others, which are spared the search.
func mentioned(f Frame) *metadata {
	if f.Kind != Request || !bytes.Contains(f.Raw, versionMember) {
		return nil
	}
	return metadataOf(f)
}

// revision is the one that a request names in itself, "" for none and for those
// with sessions.
func (m *metadata) revision() string {
	if m == nil {
		return ""
	}
	version, _ := stringValue(m.version)
	if slices.Contains(sessionRevisions, version) {
		return ""
	}
	return version
}

func metadataOf(f Frame) *metadata {
	m := &metadata{}
	var meta []byte
	set := func(slot *[]byte, key string, value []byte) {
		if *slot != nil {
			m.repeated = key
		}
		*slot = value
	}
	params := Lookup(f.Raw, "params")
	_, _ = walkObject(params, 0, func(key, value []byte) {
		switch string(key) {
		case "_meta":
			set(&meta, "_meta", value)
		case "name":
			set(&m.name, "name", value)
		case "uri":
			set(&m.uri, "uri", value)
		case "taskId":
			set(&m.taskID, "taskId", value)
		}
	})
	_, _ = walkObject(meta, 0, func(key, value []byte) {
		switch string(key) {
		case MetaProtocol:
			set(&m.version, MetaProtocol, value)
		case metaCapabilities:
			set(&m.capabilities, metaCapabilities, value)
		}
	})
	return m
}

// mirror returns the value that Mcp-Name repeats, nil where the message has
// none, and whether the header is required. Tasks are of an extension, which
// asks clients for the header but not servers to insist.
func (m *metadata) mirror(method string) (value []byte, required bool) {
	switch method {
	case "tools/call", "prompts/get":
		return m.name, true
	case "resources/read":
		return m.uri, true
	case "tasks/get", "tasks/update", "tasks/cancel":
		return m.taskID, false
	}
	return nil, false
}

func badRequest(code int, format string, args ...any) *Refusal {
	return &Refusal{Status: http.StatusBadRequest, Answer: NewError(nil, code, fmt.Sprintf(format, args...), nil)}
}

func mismatch(format string, args ...any) *Refusal {
	return badRequest(codeHeader, "Header mismatch: "+format, args...)
}

// checkStateless says why a message without a session can't be taken, nil if it
// can. version is the header's, meta the message's where it was read already.
func (f *front) checkStateless(r *http.Request, m Frame, meta *metadata, version string) *Refusal {
	switch m.Kind {
	case Batch:
		return badRequest(CodeInvalidRequest, "Invalid request: batches belong to MCP %s", revision20250326)
	case Response:
		return badRequest(CodeInvalidRequest, "Invalid request: clients of this revision send no responses")
	}
	if len(r.Header[HeaderProtocol]) > 1 {
		return mismatch("%s stands more than once", HeaderProtocol)
	}
	if m.Kind == Notification { // it has no metadata to compare with
		if !slices.Contains(modernRevisions, version) {
			return f.unsupported(version)
		}
		return checkMethod(r.Header, m.Method, false)
	}
	if meta == nil {
		meta = metadataOf(m)
	}
	if refusal := f.checkVersion(meta, version); refusal != nil {
		return refusal
	}
	if refusal := checkMethod(r.Header, m.Method, true); refusal != nil {
		return refusal
	}
	if refusal := checkName(r.Header, meta, m.Method); refusal != nil {
		return refusal
	}
	if m.Method == "initialize" {
		// Whoever shares what is behind this front with the caller would have
		// their session opened.
		return &Refusal{Status: http.StatusNotFound, Answer: NewError(nil, CodeMethodNotFound, "Method not found: initialize is not part of "+version, nil)}
	}
	if f.opts.CheckParams == nil {
		return nil
	}
	return asMismatch(f.opts.CheckParams(r.Context(), m, r.Header))
}

// checkVersion compares what header and body say of the revision and looks for
// the fields that every request must have (MCP 2026-07-28, basic/index, _meta).
func (f *front) checkVersion(meta *metadata, version string) *Refusal {
	own, isString := stringValue(meta.version)
	switch {
	case meta.repeated != "":
		return badRequest(CodeInvalidParams, "Invalid params: %s stands twice", meta.repeated)
	case version == "":
		return mismatch("%s is missing", HeaderProtocol)
	case isString && own != version:
		return mismatch("%s says %q, _meta says %q", HeaderProtocol, version, own)
	case !slices.Contains(modernRevisions, version):
		return f.unsupported(version)
	case !isString:
		return badRequest(CodeInvalidParams, "Invalid params: _meta must have %s, a string", MetaProtocol)
	case len(meta.capabilities) == 0 || meta.capabilities[0] != '{':
		return badRequest(CodeInvalidParams, "Invalid params: _meta must have %s, an object", metaCapabilities)
	}
	return nil
}

func (f *front) unsupported(version string) *Refusal {
	return &Refusal{Status: http.StatusBadRequest, Answer: versionError(nil, version, f.revisions())}
}

// asMismatch makes what CheckParams returned a refusal.
func asMismatch(err error) *Refusal {
	if err == nil {
		return nil
	}
	var refusal *Refusal
	if errors.As(err, &refusal) {
		return refusal
	}
	return mismatch("%s", err.Error())
}

// checkMethod compares Mcp-Method. Its values are plain text that is never
// encoded.
func checkMethod(h http.Header, method string, required bool) *Refusal {
	values := h[HeaderMethod]
	switch {
	case len(values) == 0 && !required:
		return nil
	case len(values) == 0:
		return mismatch("%s is missing", HeaderMethod)
	case len(values) > 1:
		return mismatch("%s stands more than once", HeaderMethod)
	case values[0] != method:
		return mismatch("%s says %q, the message says %q", HeaderMethod, values[0], method)
	}
	return nil
}

func checkName(h http.Header, meta *metadata, method string) *Refusal {
	source, required := meta.mirror(method)
	values := h[HeaderName]
	body, isString := stringValue(source)
	switch {
	case len(values) > 1:
		return mismatch("%s stands more than once", HeaderName)
	case source == nil && !required:
		return nil // no method of which this header says anything
	case len(values) == 0 && required && isString:
		return mismatch("%s is missing", HeaderName)
	case len(values) == 0:
		return nil // whoever knows the method says what is wrong with the message
	}
	header, ok := decodeHeader(values[0])
	switch {
	case !ok:
		return mismatch("%s holds characters that have to be encoded, or is encoded wrongly", HeaderName)
	case !isString || header != body:
		return mismatch("%s says %q, the message says %q", HeaderName, header, body)
	}
	return nil
}

// stringValue decodes a JSON string.
func stringValue(value []byte) (string, bool) {
	if len(value) < 2 || value[0] != '"' {
		return "", false
	}
	if inner := value[1 : len(value)-1]; bytes.IndexByte(inner, '\\') < 0 {
		return string(inner), true
	}
	var s string
	err := json.Unmarshal(value, &s)
	return s, err == nil
}

// Marks of a value that could not stand in a header as it is (MCP 2026-07-28,
// basic/transports/streamable-http, Value Encoding).
const (
	encodedPrefix = "=?base64?"
	encodedSuffix = "?="
)

// decodeHeader returns the value that a header field stands for. It is false
// for one that no client may send.
func decodeHeader(value string) (string, bool) {
	if inner, ok := strings.CutPrefix(value, encodedPrefix); ok {
		if inner, ok = strings.CutSuffix(inner, encodedSuffix); ok {
			decoded, err := base64.StdEncoding.DecodeString(inner)
			return string(decoded), err == nil
		}
	}
	for i := range len(value) {
		if c := value[i]; (c < 0x20 || c > 0x7e) && c != '\t' {
			return "", false
		}
	}
	return value, true
}
