package wire

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// JSON-RPC 2.0 §5.1 error codes.
const (
	CodeParse          = -32700
	CodeInvalidRequest = -32600
	CodeMethodNotFound = -32601
	CodeInvalidParams  = -32602
	CodeInternal       = -32603
)

// FrameError is a message that can't be relayed. The stream it came from goes
// on: the reader answers it with [FrameError.Answer] and reads the next one.
type FrameError struct {
	Code   int
	Reason string
	ID     ID // of the offending message, nil where none could be read
	// Request reports that the message asked for an answer, as far as could
	// be read: a response or a notification must not be answered.
	Request bool
	// Limit is the size limit in bytes where the message is above it, else 0.
	Limit int
	// Cut reports that the stream ended in the midst of the message.
	Cut bool
}

func (e *FrameError) Error() string { return e.Reason }

// Answer is the JSON-RPC error for the sender (JSON-RPC 2.0 §5: id null where
// none could be read).
func (e *FrameError) Answer() Frame { return NewError(e.ID, e.Code, e.Reason, nil) }

func parseError(err error) *FrameError {
	return &FrameError{Code: CodeParse, Reason: "Parse error: " + err.Error(), Request: true}
}

func invalid(id ID, format string, args ...any) *FrameError {
	return &FrameError{Code: CodeInvalidRequest, Reason: "Invalid request: " + fmt.Sprintf(format, args...), ID: id, Request: true}
}

// Parse reads the envelope of one message. All of raw is checked to be JSON
// (RFC 8259) but nothing below the top level is decoded or copied. The error is
// always a *[FrameError].
//
// A member of the envelope that is repeated is refused, and so is one in another
// case: two readers could disagree on which one counts. Decoders that ignore
// case, as encoding/json does, would take a "Method" for the method, and act on
// another request than the one that was looked at.
func Parse(raw []byte) (Frame, error) {
	raw = bytes.TrimRight(raw[skipSpace(raw, 0):], " \t\r\n")
	if len(raw) == 0 {
		return Frame{}, parseError(&syntaxError{"empty message", 0})
	}
	switch raw[0] {
	case '{':
		return parseObject(raw)
	case '[':
		if err := wholeValue(raw); err != nil {
			return Frame{}, parseError(err)
		}
		return Frame{Raw: raw, Kind: Batch}, nil
	}
	if err := wholeValue(raw); err != nil {
		return Frame{}, parseError(err)
	}
	return Frame{}, invalid(nil, "a message is a JSON object")
}

func wholeValue(raw []byte) error {
	end, err := skipValue(raw, 0)
	if err != nil {
		return err
	}
	if end != len(raw) {
		return &syntaxError{"text after the value", end}
	}
	return nil
}

func parseObject(raw []byte) (Frame, error) {
	var env envelope
	end, err := walkObject(raw, 0, env.member)
	if err == nil && end != len(raw) {
		err = &syntaxError{"text after the value", end}
	}
	if err != nil {
		bad := parseError(err)
		// Some peers write NaN. The request behind it still wants its answer.
		var s skim
		s.feed(raw)
		bad.ID, bad.Request = s.envelope()
		return Frame{}, bad
	}
	return env.frame(raw)
}

// envelope collects the members that say what a message is.
type envelope struct {
	id, method, version, params, result, failure []byte

	repeated string // a member that stands twice
	idTwice  bool
	variant  string // a member that differs from one of the envelope's in case only
}

func (e *envelope) member(key, value []byte) {
	var slot *[]byte
	switch string(key) {
	case "id":
		slot = &e.id
	case "method":
		slot = &e.method
	case "jsonrpc":
		slot = &e.version
	case "result":
		slot = &e.result
	case "error":
		slot = &e.failure
	case "params":
		slot = &e.params
	default:
		if e.variant == "" && isVariant(key) {
			e.variant = string(key)
		}
		return
	}
	if *slot != nil {
		e.repeated = string(key)
		e.idTwice = e.idTwice || slot == &e.id
		return
	}
	*slot = value
}

// isVariant reports a name that some readers take for a member of the envelope.
func isVariant(key []byte) bool {
	for _, name := range [...]string{"jsonrpc", "id", "method", "params", "result", "error"} {
		if strings.EqualFold(string(key), name) {
			return true
		}
	}
	return false
}

// readableID returns a copy of the id where it can stand in an answer: one
// string or number.
func (e *envelope) readableID() ID {
	if e.idTwice || !isID(e.id) || wholeValue(e.id) != nil {
		return nil
	}
	return cloneID(e.id)
}

// isID reports whether a JSON value may be an id (MCP basic/index: a string or
// an integer; fractions do no harm).
func isID(value []byte) bool {
	return len(value) > 0 && (value[0] == '"' || value[0] == '-' || isDigit(value[0]))
}

// asks reports whether a message that is at fault wants an answer. Responses
// and notifications never do (JSON-RPC 2.0 §4.1).
func (e *envelope) asks() bool {
	if e.method != nil && e.method[0] == '"' {
		return e.id != nil
	}
	return e.result == nil && e.failure == nil
}

func (e *envelope) frame(raw []byte) (Frame, error) {
	bad := func(format string, args ...any) (Frame, error) {
		err := invalid(e.readableID(), format, args...)
		err.Request = e.asks()
		return Frame{}, err
	}
	if e.repeated != "" {
		return bad("%q stands twice in the message", e.repeated)
	}
	if e.variant != "" {
		return bad("%q is no member of a message, and taken for one by some readers", e.variant)
	}
	if e.id != nil && !isID(e.id) && !ID(e.id).Null() {
		return bad("id must be a string or a number")
	}
	if string(e.version) != `"2.0"` {
		return bad(`jsonrpc must be "2.0"`)
	}
	f := Frame{Raw: raw, ID: ID(e.id)}
	if e.method == nil {
		if e.result == nil && e.failure == nil {
			return bad("neither method, result nor error")
		}
		if e.result != nil && e.failure != nil {
			return bad("both result and error")
		}
		if e.id == nil {
			// Older servers leave the id out of an error they can't attribute.
			f.ID = ID("null")
		}
		f.Kind, f.Failed = Response, e.failure != nil
		return f, nil
	}
	if e.method[0] != '"' {
		return bad("method must be a string")
	}
	name := e.method[1 : len(e.method)-1]
	if bytes.IndexByte(name, '\\') >= 0 {
		var s string
		if err := json.Unmarshal(e.method, &s); err != nil {
			return bad("method must be a string")
		}
		f.Method = s
	} else {
		f.Method = internMethod(name)
	}
	switch {
	case e.result != nil || e.failure != nil:
		return bad("method together with result or error")
	case e.id == nil:
		f.Kind = Notification
	case ID(e.id).Null():
		// MCP basic/index: the id MUST NOT be null.
		return bad("id must not be null")
	default:
		f.Kind = Request
	}
	return f, nil
}

func cloneID(id []byte) ID { return ID(bytes.Clone(id)) }

// walkObject calls visit for each member of the object at b[i] and returns the
// index after it. Keys are unescaped; values are the bytes that stand there.
func walkObject(b []byte, i int, visit func(key, value []byte)) (int, error) {
	if i >= len(b) || b[i] != '{' {
		return 0, &syntaxError{"expected an object", i}
	}
	i = skipSpace(b, i+1)
	if i < len(b) && b[i] == '}' {
		return i + 1, nil
	}
	for {
		keyStart := i
		valueStart, err := skipKey(b, i)
		if err != nil {
			return 0, err
		}
		keyEnd, _ := skipString(b, keyStart)
		key := b[keyStart+1 : keyEnd-1]
		if bytes.IndexByte(key, '\\') >= 0 {
			var s string
			if err := json.Unmarshal(b[keyStart:keyEnd], &s); err != nil {
				return 0, &syntaxError{"member name", keyStart}
			}
			key = []byte(s)
		}
		if i, err = skipInside(b, valueStart, 1); err != nil {
			return 0, err
		}
		visit(key, b[valueStart:i])
		i = skipSpace(b, i)
		switch {
		case i >= len(b):
			return 0, &syntaxError{"bracket without an end", i}
		case b[i] == '}':
			return i + 1, nil
		case b[i] != ',':
			return 0, &syntaxError{"expected a comma or a closing bracket", i}
		}
		i = skipSpace(b, i+1)
	}
}

// Split returns the messages of a batch. They are borrowed from f: they live as
// long as f does unless they are retained, and releasing f is enough. A member
// that is no message stands as the error at its place.
func (f Frame) Split() ([]Frame, []error) {
	if f.Kind != Batch {
		return []Frame{f}, []error{nil}
	}
	var frames []Frame
	var errs []error
	i := skipSpace(f.Raw, 1)
	for i < len(f.Raw) && f.Raw[i] != ']' {
		end, err := skipValue(f.Raw, i)
		if err != nil {
			return append(frames, Frame{}), append(errs, parseError(err))
		}
		member, err := Parse(f.Raw[i:end])
		if err == nil && member.Kind == Batch {
			member, err = Frame{}, invalid(nil, "a batch inside a batch")
		}
		if err == nil {
			member.buf = f.buf
		}
		frames, errs = append(frames, member), append(errs, err)
		i = skipSpace(f.Raw, end)
		if i < len(f.Raw) && f.Raw[i] == ',' {
			i = skipSpace(f.Raw, i+1)
		}
	}
	return frames, errs
}

// NewError builds a JSON-RPC error response. A nil id is written as null. data
// may be nil; it must marshal.
func NewError(id ID, code int, message string, data any) Frame {
	if id == nil {
		id = ID("null")
	}
	body := struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
		Data    any    `json:"data,omitempty"`
	}{code, message, data}
	return build(id, "error", body)
}

// NewResult builds a JSON-RPC response. result must marshal.
func NewResult(id ID, result any) Frame { return build(id, "result", result) }

func build(id ID, member string, value any) Frame {
	var out bytes.Buffer
	fmt.Fprintf(&out, `{"jsonrpc":"2.0","id":%s,%q:`, id, member)
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(value); err != nil {
		// Only a value the program itself built wrongly gets here.
		panic("wire: " + err.Error())
	}
	raw := append(bytes.TrimRight(out.Bytes(), "\n"), '}')
	f, err := Parse(raw)
	if err != nil {
		panic("wire: " + err.Error())
	}
	return f
}
