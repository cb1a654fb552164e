package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	mcpgo "github.com/mark3labs/mcp-go/client"
	"github.com/mark3labs/mcp-go/client/transport"
	"github.com/mark3labs/mcp-go/mcp"
	mcpgoserver "github.com/mark3labs/mcp-go/server"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpctl/mcpctl/internal/nodetest"
)

// eraServer is a server of other people's make, without sign-in.
type eraServer struct {
	name  string
	start func(t *testing.T) string // returns its address
	sse   bool
	// modern: it speaks nothing older than 2026-07-28, so that clients of the
	// initialize era need the bridge to talk to it.
	modern bool
	calls  []toolCall
}

type toolCall struct {
	tool string
	args map[string]any
}

var (
	greetings       = []toolCall{{"greet", map[string]any{"name": "Ada"}}, {"greet", map[string]any{"name": "näive ✓ \u2028"}}}
	everythingCalls = []toolCall{
		{"echo", map[string]any{"message": "näive ✓ \u2028 \u0000"}},
		{"get-sum", map[string]any{"a": 0.1, "b": 9007199254740991}},
		{"get-structured-content", map[string]any{"location": "Chicago"}},
		{"get-tiny-image", map[string]any{}},
	}
)

func eraServers() []eraServer {
	return []eraServer{
		{name: "go-sdk stateless", start: goSDKServer, calls: greetings},
		{name: "2026-07-28 only", start: modernOnlyServer, modern: true, calls: greetings},
		{name: "mcp-go", start: mcpGoServer, calls: greetings},
		{name: "server-everything", start: func(t *testing.T) string { t.Helper(); return everythingHTTP(t, "streamableHttp", "/mcp") }, calls: everythingCalls},
		{name: "HTTP+SSE", start: func(t *testing.T) string { t.Helper(); return everythingHTTP(t, "sse", "/sse") }, sse: true, calls: everythingCalls},
	}
}

type greeting struct {
	Name string `json:"name" jsonschema:"whom to greet"`
}

func goSDKHandler() http.Handler {
	s := sdk.NewServer(&sdk.Implementation{Name: "go-sdk", Version: "1"}, nil)
	sdk.AddTool(s, &sdk.Tool{Name: "greet", Description: "Greets"}, func(_ context.Context, _ *sdk.CallToolRequest, in greeting) (*sdk.CallToolResult, any, error) {
		return &sdk.CallToolResult{Content: []sdk.Content{&sdk.TextContent{Text: "Hello " + in.Name}}}, nil, nil
	})
	return sdk.NewStreamableHTTPHandler(func(*http.Request) *sdk.Server { return s }, &sdk.StreamableHTTPOptions{Stateless: true})
}

func serveHandler(t *testing.T, h http.Handler) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s.URL + "/mcp"
}

func goSDKServer(t *testing.T) string { t.Helper(); return serveHandler(t, goSDKHandler()) }

// modernOnlyServer is go-sdk's with its older half cut off.
func modernOnlyServer(t *testing.T) string {
	t.Helper()
	inner := goSDKHandler()
	return serveHandler(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		if r.Header.Get("Mcp-Protocol-Version") != "2026-07-28" {
			var q struct{ ID json.RawMessage }
			_ = json.Unmarshal(body, &q)
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"error":{"code":-32022,"message":"unsupported protocol version","data":{"supported":["2026-07-28"]}}}`, q.ID)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		inner.ServeHTTP(w, r)
	}))
}

func mcpGoServer(t *testing.T) string {
	t.Helper()
	s := mcpgoserver.NewMCPServer("mcp-go", "1")
	s.AddTool(mcp.NewTool("greet", mcp.WithDescription("Greets"), mcp.WithString("name", mcp.Required())), func(_ context.Context, r mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return mcp.NewToolResultText("Hello " + r.GetString("name", "")), nil
	})
	return serveHandler(t, mcpgoserver.NewStreamableHTTPServer(s))
}

var everythingListens = regexp.MustCompile(`(?i)listening|running|started|port`)

// everythingHTTP starts npm's server-everything with one of its HTTP transports.
func everythingHTTP(t *testing.T, transport, path string) string {
	t.Helper()
	address := freeAddress(t)
	port := address[strings.LastIndexByte(address, ':')+1:]
	script := filepath.Join(npmDir(t), "node_modules", "@modelcontextprotocol", "server-everything", "dist", "index.js")
	p := start(t, append(os.Environ(), "PORT="+port), nodetest.Node(t), script, transport)
	p.read.Go(func() { _, _ = io.Copy(p.stderr, p.stdout) })
	if _, err := p.stderr.await(testContext(t), everythingListens); err != nil {
		t.Fatalf("server-everything does not listen: %v", err)
	}
	return "http://127.0.0.1:" + port + path
}

var eraChecks = []string{"the server introduces itself", "tools are listed and called", "the frames are the same", "nothing but JSON-RPC came"}

// TestEras puts the official clients before servers of each era, through the
// bridge and directly, and wants the same frames.
func TestEras(t *testing.T) {
	t.Parallel()
	for _, server := range eraServers() {
		t.Run(server.name, func(t *testing.T) {
			t.Parallel()
			url, d := server.start(t), newDesk(t)
			bridge := []string{mcpctl, "bridge", url, "--no-auth", "--log-level", "debug"}
			for _, client := range []struct {
				name, kind, mode string
				modern           bool
			}{
				{"TypeScript v1", "sdk", "", false},
				{"TypeScript v2", "client", "legacy", false},
				{"TypeScript v2 auto", "client", "auto", true},
			} {
				t.Run(client.name, func(t *testing.T) {
					t.Parallel()
					runChecks(t, "eras.mjs", client.kind, eraChecks, input{
						Bridge: bridge, Env: d.variables(), URL: url, SSE: server.sse, Mode: client.mode,
						Alone: server.modern && !client.modern || server.sse && client.modern, Calls: pairs(server.calls),
					})
				})
			}
			t.Run("go-sdk", func(t *testing.T) {
				t.Parallel()
				cmd := exec.Command(bridge[0], bridge[1:]...)
				cmd.Env = d.env()
				through := goSDKFrames(t, &sdk.CommandTransport{Command: cmd}, server.calls)
				var direct sdk.Transport = &sdk.StreamableClientTransport{Endpoint: url}
				if server.sse {
					direct = &sdk.SSEClientTransport{Endpoint: url}
				}
				if want := goSDKFrames(t, direct, server.calls); through != want {
					t.Errorf("through the bridge\n%s\ndirectly\n%s", through, want)
				}
			})
			t.Run("mcp-go", func(t *testing.T) {
				t.Parallel()
				stdio, err := mcpgo.NewStdioMCPClient(bridge[0], d.env(), bridge[1:]...)
				if err != nil {
					t.Fatal(err)
				}
				through := mcpGoResults(t, stdio, server.calls)
				var direct transport.Interface
				if server.sse {
					direct, err = transport.NewSSE(url)
				} else {
					direct, err = transport.NewStreamableHTTP(url)
				}
				if err != nil {
					t.Fatal(err)
				}
				if want := mcpGoResults(t, mcpgo.NewClient(direct), server.calls); through != want {
					t.Errorf("through the bridge\n%s\ndirectly\n%s", through, want)
				}
			})
		})
	}
}

func pairs(calls []toolCall) [][]any {
	var all [][]any
	for _, c := range calls {
		all = append(all, []any{c.tool, c.args})
	}
	return all
}

// Ids depend on how often a client has probed before.
var frameID = regexp.MustCompile(`"id":\d+,?`)

// goSDKFrames has go-sdk's client do its work and returns the frames that came
// in.
func goSDKFrames(t *testing.T, over sdk.Transport, calls []toolCall) string {
	t.Helper()
	ctx := testContext(t)
	var log bytes.Buffer
	c := sdk.NewClient(&sdk.Implementation{Name: "e2e", Version: "1"}, nil)
	session, err := c.Connect(ctx, &sdk.LoggingTransport{Transport: over, Writer: &log}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := session.ListTools(ctx, nil); err != nil {
		t.Error(err)
	}
	for _, call := range calls {
		if _, err := session.CallTool(ctx, &sdk.CallToolParams{Name: call.tool, Arguments: call.args}); err != nil {
			t.Error(err)
		}
	}
	if err := session.Close(); err != nil {
		t.Error(err)
	}
	var frames strings.Builder
	for line := range strings.Lines(log.String()) {
		if frame, ok := strings.CutPrefix(line, "read: "); ok && strings.Contains(frame, `"result"`) {
			frames.WriteString(frameID.ReplaceAllString(frame, ""))
		}
	}
	if frames.Len() == 0 {
		t.Error("no frames came")
	}
	return frames.String()
}

// mcpGoResults has mcp-go's client do its work and returns the results.
func mcpGoResults(t *testing.T, c *mcpgo.Client, calls []toolCall) string {
	t.Helper()
	ctx := testContext(t)
	defer c.Close()
	if err := c.Start(ctx); err != nil && !strings.Contains(err.Error(), "already started") {
		t.Fatal(err)
	}
	var results []any
	note := func(result any, err error) {
		if err != nil {
			t.Error(err)
		}
		results = append(results, result)
	}
	var hello mcp.InitializeRequest
	hello.Params.ProtocolVersion = mcp.LATEST_PROTOCOL_VERSION
	hello.Params.ClientInfo = mcp.Implementation{Name: "e2e", Version: "1"}
	note(c.Initialize(ctx, hello))
	note(c.ListTools(ctx, mcp.ListToolsRequest{}))
	for _, call := range calls {
		var q mcp.CallToolRequest
		q.Params.Name, q.Params.Arguments = call.tool, call.args
		note(c.CallTool(ctx, q))
	}
	text, err := json.MarshalIndent(results, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
