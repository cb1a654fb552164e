package mcpclient

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/mark3labs/mcp-go/client"
	"github.com/mark3labs/mcp-go/client/transport"
	"github.com/mark3labs/mcp-go/mcp"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// Options configure a [Session].
type Options struct {
	// Conn is the connection to the server. Close closes it, and so does a
	// Connect that fails.
	Conn wire.Conn
	// Client names this program to the server.
	Client mcp.Implementation
	// DiscoverTimeout bounds the wait for an answer to server/discover, after
	// which the server is taken for one of the initialize era. Default 5 s.
	DiscoverTimeout time.Duration
	// Elicit answers the server's questions to the person; nil declares that
	// nobody is there.
	Elicit client.ElicitationHandler
	// Roots are the folders to tell the server of; none declares no roots.
	Roots []mcp.Root
	// Progress and Log are called with the server's notifications, in order, by
	// one goroutine. A method of Session returns after those that came before
	// its result. They must not call the Session.
	Progress func(Progress)
	Log      func(LogMessage)
	// Final is that of TransportOptions.
	Final  func(code int) bool
	Logger *slog.Logger
}

// Progress is a notifications/progress (MCP basic/utilities/progress).
type Progress struct {
	Progress float64 `json:"progress"`
	Total    float64 `json:"total"` // 0 where it is not known
	Message  string  `json:"message"`
}

// LogMessage is a notifications/message (MCP server/utilities/logging).
type LogMessage struct {
	Level  string          `json:"level"`
	Logger string          `json:"logger"`
	Data   json.RawMessage `json:"data"`
}

// Session is an established connection to a server. Its methods may be called
// concurrently. Failed requests return an *[Error] in their chain where the
// server, or the connection in its place, answered with one.
type Session struct {
	transport *Transport
	client    *client.Client
	hello     json.RawMessage
	server    mcp.InitializeResult
	tokens    atomic.Int64 // progress tokens given out
}

// Connect establishes a session: with server/discover where the server knows
// it, else with initialize.
func Connect(ctx context.Context, opts Options) (*Session, error) {
	s := &Session{}
	s.transport = NewTransport(opts.Conn, TransportOptions{
		Notify: opts.notify, Refuse: opts.refuse, Final: opts.Final, Logger: opts.Logger,
	})
	s.client = client.NewClient(s.transport, opts.clientOptions()...)
	var rec record
	err := s.client.Start(ctx)
	if err == nil {
		var server *mcp.InitializeResult
		server, err = s.client.Initialize(withRecord(ctx, &rec), mcp.InitializeRequest{Params: mcp.InitializeParams{ClientInfo: opts.Client}})
		if err == nil {
			s.hello, s.server = rec.result, *server
			return s, nil
		}
	}
	_ = s.transport.Close()
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case rec.err != nil:
		return nil, rec.err
	}
	return nil, fmt.Errorf("connecting to the server: %w", plain(err))
}

func (o Options) clientOptions() []client.ClientOption {
	var out []client.ClientOption
	if o.DiscoverTimeout > 0 {
		out = append(out, client.WithDiscoverTimeout(o.DiscoverTimeout))
	}
	var can mcp.ClientCapabilities
	if o.Elicit != nil {
		can.Elicitation = &mcp.ElicitationCapability{Form: &struct{}{}, URL: &struct{}{}}
		out = append(out, client.WithElicitationHandler(o.Elicit))
	}
	if len(o.Roots) > 0 {
		can.Roots = &struct {
			ListChanged bool `json:"listChanged,omitempty"`
		}{}
		out = append(out, client.WithRootsHandler(roots(o.Roots)))
	}
	return append(out, client.WithClientCapabilities(can))
}

type roots []mcp.Root

// ListRoots implements client.RootsHandler.
func (r roots) ListRoots(context.Context, mcp.ListRootsRequest) (*mcp.ListRootsResult, error) {
	return &mcp.ListRootsResult{Roots: r}, nil
}

func (o Options) notify(method string, params json.RawMessage) {
	switch mcp.MCPMethod(method) {
	case mcp.MethodNotificationProgress:
		var p Progress
		if o.Progress != nil && json.Unmarshal(params, &p) == nil {
			o.Progress(p)
		}
	case mcp.MethodNotificationMessage:
		var m LogMessage
		if o.Log != nil && json.Unmarshal(params, &m) == nil {
			o.Log(m)
		}
	}
}

// refuse answers requests that this client has not declared it could answer.
func (o Options) refuse(method string) *Error {
	switch {
	case method == string(mcp.MethodSamplingCreateMessage):
		return &Error{Code: mcp.METHOD_NOT_FOUND, Message: "Sampling is not supported: no language model is behind this client"}
	case method == string(mcp.MethodElicitationCreate) && o.Elicit == nil:
		return &Error{Code: mcp.METHOD_NOT_FOUND, Message: "Elicitation is not supported: nobody is there to ask"}
	case method == string(mcp.MethodListRoots) && len(o.Roots) == 0:
		return &Error{Code: mcp.METHOD_NOT_FOUND, Message: "Roots are not supported by this client"}
	}
	return nil
}

// Close ends the session and the connection.
func (s *Session) Close() error { return s.transport.Close() }

// Hello returns the result of server/discover or initialize as it came.
func (s *Session) Hello() json.RawMessage { return s.hello }

// Server returns the same as mcp-go's type, whichever of the two it was.
func (s *Session) Server() mcp.InitializeResult { return s.server }

// SetLogLevel asks the server for log messages of the level and above.
func (s *Session) SetLogLevel(ctx context.Context, level mcp.LoggingLevel) error {
	_, err := s.ask(ctx, func(ctx context.Context) error {
		return s.client.SetLevel(ctx, mcp.SetLevelRequest{Params: mcp.SetLevelParams{Level: level}}) //nolint:staticcheck // gone from 2026-07-28 on only
	})
	return err
}

// CallTool calls a tool and returns its result as it came. arguments is a JSON
// object. A result may say isError: that is no error here.
func (s *Session) CallTool(ctx context.Context, name string, arguments json.RawMessage) (json.RawMessage, error) {
	return s.ask(ctx, func(ctx context.Context) error {
		_, err := s.client.CallTool(ctx, mcp.CallToolRequest{Params: mcp.CallToolParams{
			Name: name, Arguments: arguments, Meta: &mcp.Meta{ProgressToken: s.token()},
		}})
		return err
	})
}

// ReadResource reads a resource and returns the result as it came.
func (s *Session) ReadResource(ctx context.Context, uri string) (json.RawMessage, error) {
	return s.ask(ctx, func(ctx context.Context) error {
		_, err := s.client.ReadResource(ctx, mcp.ReadResourceRequest{Params: mcp.ReadResourceParams{
			URI: uri, Meta: &mcp.Meta{ProgressToken: s.token()},
		}})
		return err
	})
}

// GetPrompt fills a prompt in and returns the result as it came.
func (s *Session) GetPrompt(ctx context.Context, name string, arguments map[string]string) (json.RawMessage, error) {
	return s.ask(ctx, func(ctx context.Context) error {
		_, err := s.client.GetPrompt(ctx, mcp.GetPromptRequest{Params: mcp.GetPromptParams{
			Name: name, Arguments: arguments, Meta: &mcp.Meta{ProgressToken: s.token()},
		}})
		return err
	})
}

func (s *Session) token() string { return "p" + strconv.FormatInt(s.tokens.Add(1), 10) }

// ask runs a request of mcp-go's and returns what the server answered to the
// last message of it. That mcp-go could not read a result does not matter.
func (s *Session) ask(ctx context.Context, do func(context.Context) error) (json.RawMessage, error) {
	var rec record
	err := do(withRecord(ctx, &rec))
	if settleErr := s.transport.Settle(ctx); err == nil && ctx.Err() != nil {
		err = settleErr
	}
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case rec.err != nil:
		return nil, rec.err
	case rec.result == nil:
		return nil, plain(err)
	case inputRequired(rec.result):
		return nil, fmt.Errorf("the server wants input that could not be given: %w", err)
	}
	return rec.result, nil
}

// plain takes off mcp-go's "transport error", which says nothing.
func plain(err error) error {
	if wrapped, ok := errors.AsType[*transport.Error](err); ok {
		return wrapped.Err
	}
	return err
}

// inputRequired reports a result that is a question (MCP 2026-07-28, multi
// round-trip requests).
func inputRequired(result json.RawMessage) bool {
	return wire.LookupString(result, "resultType") == string(mcp.ResultTypeInputRequired)
}
