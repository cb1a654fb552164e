package wire

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	mcpgo "github.com/mark3labs/mcp-go/client"
	mcpgotransport "github.com/mark3labs/mcp-go/client/transport"
	mcpgotypes "github.com/mark3labs/mcp-go/mcp"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// toolServer is an MCP server with the tool "work": it reports progress, logs,
// asks the user where the client can, and says what the user answered.
type toolServer struct{}

func (toolServer) serve(ctx context.Context, s *Session) {
	var calls sync.WaitGroup
	defer calls.Wait()
	var mu sync.Mutex
	answers := map[string]chan Frame{}
	elicits := false
	for {
		in, err := s.Receive(ctx)
		if err != nil {
			return
		}
		f := in.Frame.Clone()
		in.Release()
		switch f.Method {
		case "initialize":
			elicits = Lookup(f.Raw, "params", "capabilities", "elicitation") != nil
			_ = s.Write(ctx, MustParse(fmt.Sprintf(
				`{"jsonrpc":"2.0","id":%s,"result":{"protocolVersion":%q,"capabilities":{"tools":{},"logging":{}},"serverInfo":{"name":"tools","version":"1"}}}`,
				f.ID, LookupString(f.Raw, "params", "protocolVersion"))))
		case "tools/list":
			_ = s.Write(ctx, MustParse(fmt.Sprintf(
				`{"jsonrpc":"2.0","id":%s,"result":{"tools":[{"name":"work","inputSchema":{"type":"object"}}]}}`, f.ID)))
		case "tools/call":
			calls.Go(func() {
				answer := make(chan Frame, 1)
				ask := `"ask-` + strings.Trim(string(f.ID), `"`) + `"`
				mu.Lock()
				answers[ask] = answer
				mu.Unlock()
				said := "nothing"
				for i := range 5 {
					_ = s.WriteRelated(ctx, MustParse(fmt.Sprintf(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":%s,"progress":%d}}`,
						Lookup(f.Raw, "params", "_meta", "progressToken"), i+1)), f.ID)
				}
				// As servers do that know of no related stream.
				_ = s.Write(ctx, MustParse(`{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"error","data":"working"}}`))
				if elicits {
					_ = s.WriteRelated(ctx, MustParse(`{"jsonrpc":"2.0","id":`+ask+`,"method":"elicitation/create","params":{"message":"Go on?","requestedSchema":{"type":"object","properties":{}}}}`), f.ID)
					select {
					case a := <-answer:
						said = LookupString(a.Raw, "result", "action")
					case <-ctx.Done():
						return
					}
				}
				_ = s.Write(ctx, NewResult(f.ID, map[string]any{"content": []any{map[string]string{"type": "text", "text": said}}}))
			})
		default:
			switch f.Kind {
			case Request:
				_ = s.Write(ctx, NewError(f.ID, CodeMethodNotFound, "unknown method", nil))
			case Response:
				mu.Lock()
				if to := answers[string(f.ID)]; to != nil {
					to <- f
				}
				mu.Unlock()
			}
		}
	}
}

// count counts what a client was told outside of answers.
type count struct {
	mu             sync.Mutex
	progress, logs int
}

func (c *count) add(method string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch method {
	case "notifications/progress":
		c.progress++
	case "notifications/message":
		c.logs++
	}
}

func (c *count) want(t *testing.T, progress, logs int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d progress and %d log messages", progress, logs), func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.progress == progress && c.logs == logs
	})
}

const interopCalls = 20

// interopServers are both fronts on one port.
func interopServers(t *testing.T) (streamable, sse string) {
	t.Helper()
	opts := FrontOptions{Serve: toolServer{}.serve}
	front, sseFront := NewStreamableFront(opts), NewSSEFront(opts, "/messages")
	mux := http.NewServeMux()
	mux.Handle("/mcp", front)
	mux.HandleFunc("/sse", sseFront.Stream)
	mux.HandleFunc("/messages", sseFront.Messages)
	server := newTestServer(t, mux, func(ctx context.Context) error {
		if err := sseFront.Close(ctx); err != nil {
			return err
		}
		return front.Close(ctx)
	})
	return server.URL + "/mcp", server.URL + "/sse"
}

func TestFrontWithClientsOfGoSDK(t *testing.T) {
	streamable, sse := interopServers(t)
	hc := wideClient(t)
	for name, transport := range map[string]sdk.Transport{
		"streamable":             &sdk.StreamableClientTransport{Endpoint: streamable, HTTPClient: hc},
		"streamable without GET": &sdk.StreamableClientTransport{Endpoint: streamable, HTTPClient: hc, DisableStandaloneSSE: true},
		"SSE":                    &sdk.SSEClientTransport{Endpoint: sse, HTTPClient: hc},
	} {
		t.Run(name, func(t *testing.T) {
			var told count
			client := sdk.NewClient(&sdk.Implementation{Name: "peer", Version: "1"}, &sdk.ClientOptions{
				ElicitationHandler: func(context.Context, *sdk.ElicitRequest) (*sdk.ElicitResult, error) {
					return &sdk.ElicitResult{Action: "accept"}, nil
				},
				LoggingMessageHandler:       func(context.Context, *sdk.LoggingMessageRequest) { told.add("notifications/message") }, //nolint:staticcheck // deprecated with the revisions under test
				ProgressNotificationHandler: func(context.Context, *sdk.ProgressNotificationClientRequest) { told.add("notifications/progress") },
			})
			session, err := client.Connect(t.Context(), transport, nil)
			if err != nil {
				t.Fatal(err)
			}
			if tools, err := session.ListTools(t.Context(), nil); err != nil || len(tools.Tools) != 1 {
				t.Fatal(tools, err)
			}
			var calls sync.WaitGroup
			for i := range interopCalls {
				calls.Go(func() {
					params := &sdk.CallToolParams{Name: "work"}
					params.SetProgressToken(fmt.Sprint("p", i))
					res, err := session.CallTool(t.Context(), params)
					if err != nil {
						t.Error(err)
						return
					}
					if text, ok := res.Content[0].(*sdk.TextContent); !ok || text.Text != "accept" {
						t.Errorf("got %+v", res.Content[0])
					}
				})
			}
			calls.Wait()
			told.want(t, 5*interopCalls, interopCalls)
			if err := session.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

type yes struct{}

func (yes) Elicit(context.Context, mcpgotypes.ElicitationRequest) (*mcpgotypes.ElicitationResult, error) {
	return &mcpgotypes.ElicitationResult{ElicitationResponse: mcpgotypes.ElicitationResponse{Action: "accept"}}, nil
}

func TestFrontWithClientsOfMCPGo(t *testing.T) {
	streamable, sse := interopServers(t)
	hc := wideClient(t)
	plain, err := mcpgotransport.NewStreamableHTTP(streamable, mcpgotransport.WithHTTPBasicClient(hc))
	if err != nil {
		t.Fatal(err)
	}
	listening, err := mcpgotransport.NewStreamableHTTP(streamable, mcpgotransport.WithHTTPBasicClient(hc), mcpgotransport.WithContinuousListening()) //nolint:staticcheck // deprecated with the revisions under test
	if err != nil {
		t.Fatal(err)
	}
	old, err := mcpgotransport.NewSSE(sse, mcpgotransport.WithHTTPClient(hc))
	if err != nil {
		t.Fatal(err)
	}
	for name, peer := range map[string]struct {
		transport mcpgotransport.Interface
		options   []mcpgo.ClientOption
		says      string
	}{
		// Probes for the stateless revision first.
		"streamable":          {plain, []mcpgo.ClientOption{mcpgo.WithElicitationHandler(yes{})}, "accept"},
		"streamable with GET": {listening, []mcpgo.ClientOption{mcpgo.WithElicitationHandler(yes{})}, "accept"},
		// Its SSE transport takes no requests from servers.
		"SSE": {old, nil, "nothing"},
	} {
		t.Run(name, func(t *testing.T) {
			var told count
			client := mcpgo.NewClient(peer.transport, peer.options...)
			if err := client.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			client.OnNotification(func(n mcpgotypes.JSONRPCNotification) { told.add(n.Method) })
			init := mcpgotypes.InitializeRequest{}
			init.Params.ClientInfo = mcpgotypes.Implementation{Name: "peer", Version: "1"}
			init.Params.ProtocolVersion = "2025-11-25"
			if _, err := client.Initialize(t.Context(), init); err != nil {
				t.Fatal(err)
			}
			if tools, err := client.ListTools(t.Context(), mcpgotypes.ListToolsRequest{}); err != nil || len(tools.Tools) != 1 {
				t.Fatal(tools, err)
			}
			var calls sync.WaitGroup
			for i := range interopCalls {
				calls.Go(func() {
					req := mcpgotypes.CallToolRequest{}
					req.Params.Name = "work"
					req.Params.Meta = &mcpgotypes.Meta{ProgressToken: fmt.Sprint("p", i)}
					res, err := client.CallTool(t.Context(), req)
					if err != nil {
						t.Error(err)
						return
					}
					if text, ok := res.Content[0].(mcpgotypes.TextContent); !ok || text.Text != peer.says {
						t.Errorf("got %+v", res.Content[0])
					}
				})
			}
			calls.Wait()
			told.want(t, 5*interopCalls, interopCalls)
			if err := client.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}
