package builtin

import (
	"bytes"
	"context"
	"encoding/json"
	"runtime/debug"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// call is one request while it is being answered.
type call struct {
	conn      *conn
	id        wire.ID // the peer's token
	key       string
	frame     wire.Frame      // the request as mcp-go is to read it
	token     json.RawMessage // nil: no progress wanted
	duplicate bool            // the id belongs to another call
	refusal   wire.Frame      // the answer where nothing is run
	ctx       context.Context
	cancel    context.CancelFunc

	code int // replaces the error code of mcp-go; set by the handler's goroutine
}

type callKey struct{}

// newCall prepares the answer to f. It keeps nothing of f, which belongs to the
// caller of Write, and of ctx the values but not the end.
func newCall(ctx context.Context, c *conn, f wire.Frame, id int64) *call {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	call := &call{
		conn:   c,
		id:     wire.ID(bytes.Clone(f.ID)),
		key:    f.ID.Key(),
		cancel: cancel,
	}
	call.ctx = context.WithValue(ctx, callKey{}, call)
	frame, err := canonical(f, id)
	if err != nil {
		call.refusal = wire.NewError(call.id, wire.CodeInvalidParams, "Invalid params: "+err.Error(), nil)
		return call
	}
	call.frame = frame
	call.token = progressToken(frame)
	return call
}

// progressToken is the token as it was written, nil where there is none. mcp-go
// would round numbers above 2^53.
func progressToken(f wire.Frame) json.RawMessage {
	token := wire.Lookup(f.Raw, "params", "_meta", "progressToken")
	if len(token) > 0 && (token[0] == '"' || token[0] == '-' || '0' <= token[0] && token[0] <= '9') {
		return token
	}
	return nil
}

// run returns the answer of the call, under the peer's id.
func (c *call) run(ctx context.Context) (answer wire.Frame) {
	defer func() {
		if fault := recover(); fault != nil {
			c.conn.server.logger.Error("built-in tool panicked", "method", c.frame.Method,
				"fault", fault, "stack", string(debug.Stack()))
			answer = wire.NewError(c.id, wire.CodeInternal,
				"Internal error: the built-in tool failed; the server's log says where", nil)
		}
	}()
	if c.refusal.Kind != wire.Invalid {
		return c.refusal
	}
	if isListen(c.frame) {
		return c.listen(ctx)
	}
	mcpServer := c.conn.server.mcp
	message := mcpServer.HandleMessage(mcpServer.WithContext(ctx, c.conn.session), json.RawMessage(c.frame.Raw))
	if failure, ok := message.(mcp.JSONRPCError); ok && c.code != 0 {
		failure.Error.Code = c.code
		message = failure
	}
	raw, err := marshal(message)
	if err != nil {
		panic(err)
	}
	f, err := wire.Parse(raw)
	if err != nil {
		panic(err)
	}
	return f.WithID(c.id)
}

// failWith makes err the answer of the request that ctx belongs to, under a
// JSON-RPC code; mcp-go has only "internal error" for a handler's errors.
func failWith(ctx context.Context, code int, err error) error {
	if c, ok := ctx.Value(callKey{}).(*call); ok {
		c.code = code
	}
	return err
}

// sendProgress tells the peer how far the request of ctx has come, if it asked
// to be told. It waits while the peer does not read, and fails when the request
// is cancelled or the session over.
func sendProgress(ctx context.Context, done, total int, message string) error {
	c, ok := ctx.Value(callKey{}).(*call)
	if !ok || c.token == nil {
		return ctx.Err()
	}
	return c.notify("notifications/progress", struct {
		Token    json.RawMessage `json:"progressToken"`
		Progress int             `json:"progress"`
		Total    int             `json:"total"`
		Message  string          `json:"message,omitempty"`
	}{c.token, done, total, message})
}

// sendLog sends a log message to the peer of the request of ctx, if it asked
// for messages of that level: with logging/setLevel, or since 2026-07-28 in the
// request itself. It waits like sendProgress.
func sendLog(ctx context.Context, level mcp.LoggingLevel, logger string, data any) error {
	c, ok := ctx.Value(callKey{}).(*call)
	if !ok {
		return ctx.Err()
	}
	wanted := c.conn.session.GetLogLevel()
	if info := server.RequestProtocolInfoFromContext(ctx); info != nil && info.Modern {
		wanted = info.LogLevel
	}
	if !level.ShouldSendTo(wanted) {
		return ctx.Err()
	}
	return c.notify("notifications/message", struct {
		Level  mcp.LoggingLevel `json:"level"`
		Logger string           `json:"logger"`
		Data   any              `json:"data"`
	}{level, logger, data})
}

func (c *call) notify(method string, params any) error {
	f, err := notification(method, params)
	if err != nil {
		return err
	}
	return c.conn.send(c.ctx, f)
}

func notification(method string, params any) (wire.Frame, error) {
	raw, err := marshal(struct {
		Version string `json:"jsonrpc"`
		Method  string `json:"method"`
		Params  any    `json:"params"`
	}{mcp.JSONRPC_VERSION, method, params})
	if err != nil {
		return wire.Frame{}, err
	}
	return wire.Parse(raw)
}

// marshal is json.Marshal without escapes that only HTML needs.
func marshal(v any) ([]byte, error) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimRight(out.Bytes(), "\n"), nil
}
