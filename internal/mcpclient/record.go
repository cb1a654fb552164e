package mcpclient

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/mark3labs/mcp-go/client/transport"
	"github.com/mark3labs/mcp-go/mcp"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// Error is the JSON-RPC error that a request was answered with.
type Error struct {
	Method  string // of the request; may be empty
	Code    int
	Message string
	Data    json.RawMessage // nil where there was none
}

func (e *Error) Error() string {
	return fmt.Sprintf("the server answered %s with an error: %s (code %d)", e.Method, e.Message, e.Code)
}

func (e *Error) answer(id wire.ID) wire.Frame {
	var data any
	if e.Data != nil {
		data = e.Data
	}
	return wire.NewError(id, e.Code, e.Message, data)
}

// errorOf reads the error member of a response.
func errorOf(method string, raw json.RawMessage) *Error {
	var body struct {
		Code    int             `json:"code"`
		Message string          `json:"message"`
		Data    json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal(raw, &body); err != nil {
		return &Error{Method: method, Code: mcp.INTERNAL_ERROR, Message: fmt.Sprintf("%.200s", raw)}
	}
	return &Error{Method: method, Code: body.Code, Message: body.Message, Data: body.Data}
}

// failure is e as mcp-go reads it.
func failure(id mcp.RequestId, e *Error) *transport.JSONRPCResponse {
	details := &mcp.JSONRPCErrorDetails{Code: e.Code, Message: e.Message}
	if e.Data != nil {
		details.Data = e.Data
	}
	return &transport.JSONRPCResponse{JSONRPC: mcp.JSONRPC_VERSION, ID: id, Error: details}
}

// record keeps what the last request under its context was answered with, as it
// came: mcp-go's typed results drop what they do not know.
type record struct {
	result json.RawMessage
	err    *Error
}

type recordKey struct{}

func withRecord(ctx context.Context, r *record) context.Context {
	return context.WithValue(ctx, recordKey{}, r)
}

// recordOf returns nil where the context has none; its methods do nothing then.
func recordOf(ctx context.Context) *record {
	r, _ := ctx.Value(recordKey{}).(*record)
	return r
}

func (r *record) reset() {
	if r != nil {
		*r = record{}
	}
}

func (r *record) succeeded(result json.RawMessage) {
	if r != nil {
		r.result = result
	}
}

func (r *record) failed(err *Error) {
	if r != nil {
		r.err = err
	}
}
