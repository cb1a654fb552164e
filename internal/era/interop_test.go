package era

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// face is a server of some library that shows one era.
type face struct {
	http.Handler
	addTool func() // changes the list of tools
	lossy   bool   // it drops notifications that race with their call's response
}

// The tool "ask" of both servers reports progress, asks the person, and says
// what they did.

func mcpGo(opts ...server.StreamableHTTPOption) face {
	s := server.NewMCPServer("mcp-go", "1", server.WithToolCapabilities(true), server.WithElicitation(), server.WithLogging())
	add := func(name string) {
		tool := mcp.NewTool(name, mcp.WithString("region"))
		tool.InputSchema.Properties["region"] = map[string]any{"type": "string", "x-mcp-header": "Region"}
		s.AddTool(tool, func(ctx context.Context, r mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			if r.Params.Meta != nil && r.Params.Meta.ProgressToken != nil {
				_ = s.SendNotificationToClient(ctx, "notifications/progress", map[string]any{"progressToken": r.Params.Meta.ProgressToken, "progress": 1})
			}
			if answer := server.ElicitationResponse(r.Params.InputResponses, "go"); answer != nil {
				return mcp.NewToolResultText(r.GetString("region", "") + " " + string(answer.Action)), nil
			}
			return server.NewInputRequestBuilder("state").Elicit("go", mcp.ElicitationParams{
				Message: "Go on?", RequestedSchema: map[string]any{"type": "object", "properties": map[string]any{}},
			}).ToolResult(), nil
		})
	}
	add("ask")
	return face{server.NewStreamableHTTPServer(s, opts...), func() { add("more") }, true}
}

func goSDK(stateless bool) face {
	s := sdk.NewServer(&sdk.Implementation{Name: "go-sdk", Version: "1"}, nil)
	add := func(name string) {
		s.AddTool(&sdk.Tool{Name: name, InputSchema: map[string]any{"type": "object"}}, func(ctx context.Context, r *sdk.CallToolRequest) (*sdk.CallToolResult, error) {
			if token := r.Params.GetProgressToken(); token != nil {
				_ = r.Session.NotifyProgress(ctx, &sdk.ProgressNotificationParams{ProgressToken: token, Progress: 1})
			}
			if answer, ok := r.Params.InputResponses["go"].(*sdk.ElicitResult); ok {
				return &sdk.CallToolResult{Content: []sdk.Content{&sdk.TextContent{Text: "eu " + answer.Action}}}, nil
			}
			return &sdk.CallToolResult{InputRequests: sdk.InputRequestMap{"go": &sdk.ElicitParams{Message: "Go on?", RequestedSchema: map[string]any{"type": "object"}}}, RequestState: "state"}, nil
		})
	}
	add("ask")
	return face{
		sdk.NewStreamableHTTPHandler(func(*http.Request) *sdk.Server { return s }, &sdk.StreamableHTTPOptions{Stateless: stateless}),
		func() { add("more") }, false,
	}
}

// modernFace refuses what older clients send, as a server must that speaks
// 2026-07-28 alone (basic/transports/streamable-http, Server Validation).
func modernFace(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		switch {
		case r.Method != http.MethodPost:
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		case err != nil || r.Header.Get("Mcp-Protocol-Version") != modernVersion:
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusBadRequest)
			_, _ = w.Write(wire.NewError(nil, codeHeaderMismatch, "Mcp-Protocol-Version is missing", nil).Raw)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		h.ServeHTTP(w, r)
	})
}

// newHTTPPeer puts a client before a server of its own.
func newHTTPPeer(t *testing.T, opts Options, h http.Handler) *peer {
	t.Helper()
	web := httptest.NewServer(h)
	t.Cleanup(func() {
		web.CloseClientConnections()
		web.Close()
	})
	transport := wire.NewTransport()
	t.Cleanup(transport.CloseIdleConnections)
	p := &peer{T: t, ctx: t.Context()}
	var err error
	p.conn, err = wire.NewClientConn(wire.ClientConnOptions{}, func(deliver wire.Deliver) (wire.Remote, error) {
		opts.Deliver = deliver
		p.tr, err = New(opts, func(deliver wire.Deliver) (wire.Remote, error) {
			return wire.NewStreamableClient(wire.ClientOptions{
				URL: web.URL, HTTP: &http.Client{Transport: transport}, Deliver: deliver,
				Annotate: func(f wire.Frame, h http.Header) { p.tr.Annotate(f, h) },
			})
		})
		return p.tr, err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.conn.Close() })
	return p
}

// until reads on to a message, passing over notifications. It returns the
// methods of those.
func (p *peer) until(match func(wire.Frame) bool) (wire.Frame, map[string]int) {
	p.Helper()
	seen := map[string]int{}
	for {
		f := p.read()
		if match(f) {
			return f, seen
		}
		if f.Kind != wire.Notification {
			p.Fatalf("the client got %s", f.Raw)
		}
		seen[f.Method]++
	}
}

func (p *peer) answerTo(id string) (wire.Frame, map[string]int) {
	p.Helper()
	return p.until(func(f wire.Frame) bool { return f.Kind == wire.Response && string(f.ID) == id })
}

// listening waits until the remote has acknowledged the subscription.
func (p *peer) listening() {
	p.Helper()
	legacy, _ := p.tr.translating()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		legacy.subs.mu.Lock()
		for _, st := range legacy.subs.streams {
			select {
			case <-st.acked:
				legacy.subs.mu.Unlock()
				return
			default:
			}
		}
		legacy.subs.mu.Unlock()
	}
	p.Fatal("the server did not acknowledge the subscription")
}

func text(f wire.Frame) string {
	for block := range elements(wire.Lookup(f.Raw, "result", "content")) {
		return wire.LookupString(block, "text")
	}
	return string(f.Raw)
}

func TestLegacyClientWithModernServers(t *testing.T) {
	for name, f := range map[string]face{"mcp-go": mcpGo(), "go-sdk": goSDK(true)} {
		t.Run(name, func(t *testing.T) {
			p := newHTTPPeer(t, Options{}, modernFace(f))
			if answer := p.greet(); wire.LookupString(answer.Raw, "result", "serverInfo", "name") != name {
				t.Errorf("initialize was answered with %s", answer.Raw)
			}
			p.send(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`)
			if list, _ := p.answerTo("1"); wire.Lookup(list.Raw, "result", "tools") == nil || wire.Lookup(list.Raw, "result", "resultType") != nil {
				t.Errorf("tools/list was answered with %s", list.Raw)
			}
			p.send(`{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"ask","arguments":{"region":"eu"},"_meta":{"progressToken":"p"}}}`)
			q, seen := p.until(func(f wire.Frame) bool { return f.Method == "elicitation/create" })
			p.send(`{"jsonrpc":"2.0","id":%s,"result":{"action":"accept","content":{}}}`, q.ID)
			answer, more := p.answerTo("2")
			if text(answer) != "eu accept" {
				t.Errorf("the call was answered with %s", answer.Raw)
			}
			if !f.lossy && seen["notifications/progress"]+more["notifications/progress"] == 0 {
				t.Error("no progress was reported")
			}
			p.listening()
			f.addTool()
			p.until(func(f wire.Frame) bool { return f.Method == "notifications/tools/list_changed" })
		})
	}
}

func TestModernClientWithLegacyServers(t *testing.T) {
	const capabilities = `{"elicitation":{"form":{}}}`
	for name, f := range map[string]face{
		"mcp-go": mcpGo(server.WithStateful(true), server.WithStreamableHTTPProtocolVersions("2025-11-25")),
		"go-sdk": goSDK(false),
	} {
		t.Run(name, func(t *testing.T) {
			p := newHTTPPeer(t, Options{AnswerDiscover: true}, f)
			p.ask("1", "server/discover", modernParams(capabilities, "", ""))
			if answer, _ := p.answerTo("1"); wire.LookupString(answer.Raw, "result", "_meta", metaServerInfo, "name") != name {
				t.Errorf("server/discover was answered with %s", answer.Raw)
			}
			p.ask("2", "subscriptions/listen", modernParams(capabilities, "", `,"notifications":{"toolsListChanged":true}`))
			if ack := p.read(); ack.Method != "notifications/subscriptions/acknowledged" {
				t.Fatalf("the client got %s", ack.Raw)
			}
			call := func(id, more string) {
				p.ask(id, "tools/call", modernParams(capabilities, `,"progressToken":"p"`, `,"name":"ask","arguments":{"region":"eu"}`+more))
			}
			call("3", "")
			answer, seen := p.answerTo("3")
			if wire.LookupString(answer.Raw, "result", "resultType") != "input_required" {
				t.Fatalf("the call was answered with %s", answer.Raw)
			}
			call("4", fmt.Sprintf(`,"requestState":%s,"inputResponses":{"q1":{"action":"accept","content":{}}}`, wire.Lookup(answer.Raw, "result", "requestState")))
			answer, more := p.answerTo("4")
			if text(answer) != "eu accept" || wire.LookupString(answer.Raw, "result", "resultType") != "complete" {
				t.Errorf("the call was answered with %s", answer.Raw)
			}
			if !f.lossy && seen["notifications/progress"]+more["notifications/progress"] == 0 {
				t.Error("no progress was reported")
			}
			f.addTool()
			note, _ := p.until(func(f wire.Frame) bool { return f.Method == "notifications/tools/list_changed" })
			if string(wire.Lookup(note.Raw, "params", "_meta", metaSubscription)) != "2" {
				t.Errorf("the client got %s", note.Raw)
			}
		})
	}
}

// A server of both eras is never translated.
func TestServersOfBothErasAreMirrored(t *testing.T) {
	for name, f := range map[string]face{"mcp-go": mcpGo(), "go-sdk": goSDK(true)} {
		t.Run(name, func(t *testing.T) {
			p := newHTTPPeer(t, Options{}, f)
			p.greet()
			if legacy, modern := p.tr.translating(); legacy != nil || modern != nil {
				t.Error("a legacy client is translated")
			}
			p = newHTTPPeer(t, Options{}, f)
			p.ask("1", "tools/list", modernParams("{}", "", ""))
			if answer, _ := p.answerTo("1"); wire.LookupString(answer.Raw, "result", "resultType") != "complete" {
				t.Errorf("tools/list was answered with %s", answer.Raw)
			}
			if legacy, modern := p.tr.translating(); legacy != nil || modern != nil {
				t.Error("a modern client is translated")
			}
		})
	}
}
