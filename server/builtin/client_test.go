package builtin_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/mark3labs/mcp-go/client"
	"github.com/mark3labs/mcp-go/client/transport"
	"github.com/mark3labs/mcp-go/mcp"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// connTransport lets mcp-go's client speak over a Conn.
type connTransport struct {
	conn wire.Conn
	done chan struct{}

	mu      sync.Mutex
	notify  func(mcp.JSONRPCNotification)
	pending map[string]chan *transport.JSONRPCResponse
}

func newConnTransport(conn wire.Conn) *connTransport {
	return &connTransport{conn: conn, done: make(chan struct{}), pending: make(map[string]chan *transport.JSONRPCResponse)}
}

func (c *connTransport) Start(context.Context) error {
	go func() {
		defer close(c.done)
		for {
			f, err := c.conn.Read(context.Background())
			if err != nil {
				return
			}
			c.deliver(f)
		}
	}()
	return nil
}

func (c *connTransport) deliver(f wire.Frame) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.Kind == wire.Notification {
		var n mcp.JSONRPCNotification
		if json.Unmarshal(f.Raw, &n) == nil && c.notify != nil {
			c.notify(n)
		}
		return
	}
	var response transport.JSONRPCResponse
	if json.Unmarshal(f.Raw, &response) == nil && c.pending[f.ID.Key()] != nil {
		c.pending[f.ID.Key()] <- &response
	}
}

func (c *connTransport) SendRequest(ctx context.Context, request transport.JSONRPCRequest) (*transport.JSONRPCResponse, error) {
	raw, err := json.Marshal(request)
	if err != nil {
		return nil, err
	}
	f := wire.MustParse(string(raw))
	answer := make(chan *transport.JSONRPCResponse, 1)
	c.mu.Lock()
	c.pending[f.ID.Key()] = answer
	c.mu.Unlock()
	if err := c.conn.Write(ctx, f); err != nil {
		return nil, err
	}
	select {
	case response := <-answer:
		return response, nil
	case <-c.done:
		return nil, errors.New("connection ended")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (c *connTransport) SendNotification(ctx context.Context, n mcp.JSONRPCNotification) error {
	raw, err := json.Marshal(n)
	if err != nil {
		return err
	}
	return c.conn.Write(ctx, wire.MustParse(string(raw)))
}

func (c *connTransport) SetNotificationHandler(handler func(mcp.JSONRPCNotification)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.notify = handler
}

func (c *connTransport) Close() error {
	err := c.conn.Close()
	<-c.done
	return err
}

func (c *connTransport) GetSessionId() string { return "" }

// mcp-go's typed client, in either era, finds everything where it looks for it.
func TestWithTypedClient(t *testing.T) {
	for _, version := range []string{mcp.ProtocolVersion20250618, mcp.ProtocolVersion20251125, mcp.ProtocolVersion20260728} {
		t.Run(version, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { clientStory(t, version) })
		})
	}
}

func clientStory(t *testing.T, version string) {
	ctx := t.Context()
	conn, err := newServer(t).Open(ctx)
	if err != nil {
		t.Fatal(err)
	}
	c := client.NewClient(newConnTransport(conn))
	heard := make(chan mcp.JSONRPCNotification, 1000)
	c.OnNotification(func(n mcp.JSONRPCNotification) { heard <- n })
	if err := c.Start(ctx); err != nil {
		t.Fatal(err)
	}
	defer c.Close()

	initialize := mcp.InitializeRequest{}
	initialize.Params.ProtocolVersion = version
	initialize.Params.ClientInfo = mcp.Implementation{Name: "test", Version: "1"}
	info, err := c.Initialize(ctx, initialize)
	if err != nil {
		t.Fatal(err)
	}
	if info.ServerInfo.Name != "mcpctl-builtin" || info.ProtocolVersion != version {
		t.Errorf("initialized with %+v", info)
	}

	tools, err := c.ListTools(ctx, mcp.ListToolsRequest{})
	if err != nil || len(tools.Tools) != 10 {
		t.Fatalf("tools: %v, %v", tools, err)
	}

	call := mcp.CallToolRequest{}
	call.Params.Name = "run_backtest"
	call.Params.Arguments = map[string]any{"symbol": "CTSO", "steps": 20, "duration_ms": 2000}
	call.Params.Meta = &mcp.Meta{ProgressToken: "p"}
	result, err := c.CallTool(ctx, call)
	if err != nil || result.IsError {
		t.Fatalf("backtest: %+v, %v", result, err)
	}
	for step := 1; step <= 20; step++ {
		n := <-heard
		if n.Method != "notifications/progress" || fmt.Sprint(n.Params.AdditionalFields["progress"]) != strconv.Itoa(step) {
			t.Fatalf("step %d: %+v", step, n)
		}
	}

	read := mcp.ReadResourceRequest{}
	read.Params.URI = "market://quotes/WOOD"
	contents, err := c.ReadResource(ctx, read)
	if err != nil || len(contents.Contents) != 1 {
		t.Fatalf("reading: %v, %v", contents, err)
	}

	prompt := mcp.GetPromptRequest{}
	prompt.Params.Name = "explain_quote"
	prompt.Params.Arguments = map[string]string{"symbol": "WOOD"}
	question, err := c.GetPrompt(ctx, prompt)
	if err != nil || len(question.Messages) != 2 {
		t.Fatalf("prompt: %v, %v", question, err)
	}

	if mcp.IsModernProtocol(version) {
		return // listening is tested message by message
	}
	subscription := mcp.SubscribeRequest{}
	subscription.Params.URI = "market://quotes/WOOD"
	if err := c.Subscribe(ctx, subscription); err != nil { //nolint:staticcheck // deprecated with the era that is under test here
		t.Fatal(err)
	}
	for range 3 {
		if n := <-heard; n.Method != mcp.MethodNotificationResourceUpdated || n.Params.AdditionalFields["uri"] != "market://quotes/WOOD" {
			t.Fatalf("update: %+v", n)
		}
	}
	unsubscription := mcp.UnsubscribeRequest{}
	unsubscription.Params.URI = "market://quotes/WOOD"
	if err := c.Unsubscribe(ctx, unsubscription); err != nil { //nolint:staticcheck // deprecated with the era that is under test here
		t.Fatal(err)
	}
}
