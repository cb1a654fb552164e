package wire

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	mcpgo "github.com/mark3labs/mcp-go/client"
	mcpgotransport "github.com/mark3labs/mcp-go/client/transport"
	mcpgotypes "github.com/mark3labs/mcp-go/mcp"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// statelessTools is a server of MCP 2026-07-28 with the tools "work", whose
// argument region is mirrored in a header, and "wait", which ends with its
// context.
type statelessTools struct {
	listening chan *Call
	waiting   chan struct{}
	cancelled chan error
}

const workTool = `{"name":"work","inputSchema":{"type":"object","properties":{"region":{"type":"string","x-mcp-header":"Region"}}}}`

func (st *statelessTools) serve(ctx context.Context, c *Call) {
	f := c.Frame
	result := func(members string) {
		_ = c.Write(ctx, MustParse(fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"result":{"resultType":"complete",%s}}`, f.ID, members)))
	}
	switch f.Method {
	case "server/discover":
		result(`"supportedVersions":["2026-07-28","2025-11-25"],"capabilities":{"tools":{"listChanged":true},"logging":{}},"ttlMs":0,"cacheScope":"private"`)
	case "tools/list":
		result(`"tools":[` + workTool + `,{"name":"wait","inputSchema":{"type":"object"}}],"ttlMs":0,"cacheScope":"private"`)
	case listenMethod:
		if c.Write(ctx, MustParse(fmt.Sprintf(`{"jsonrpc":"2.0","method":%q,"params":{"_meta":{%q:%s},"notifications":{"toolsListChanged":true}}}`, ackMethod, metaSubscription, f.ID))) == nil {
			st.listening <- c
		}
		<-ctx.Done()
	case "tools/call":
		if LookupString(f.Raw, "params", "name") == "wait" {
			st.waiting <- struct{}{}
			<-ctx.Done()
			st.cancelled <- context.Cause(ctx)
			return
		}
		token := Lookup(f.Raw, "params", "_meta", "progressToken")
		for i := range 5 {
			_ = c.Write(ctx, MustParse(fmt.Sprintf(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":%s,"progress":%d}}`, token, i+1)))
		}
		result(fmt.Sprintf(`"content":[{"type":"text","text":%s}]`, Lookup(f.Raw, "params", "arguments", "region")))
	default:
		_ = c.Write(ctx, NewError(f.ID, CodeMethodNotFound, "Method not found", nil))
	}
}

// checkParams is what a server does that knows its tools.
func checkParams(_ context.Context, f Frame, h http.Header) error {
	if f.Method != "tools/call" || LookupString(f.Raw, "params", "name") != "work" {
		return nil
	}
	var tool mcpgotypes.Tool
	if err := json.Unmarshal([]byte(workTool), &tool); err != nil {
		return err
	}
	return mcpgotypes.ValidateParamHeadersLookup(func(name string) (string, bool) {
		values := h.Values(name)
		return h.Get(name), len(values) > 0
	}, &tool, Lookup(f.Raw, "params"))
}

// tell sends tools/list_changed on a subscription.
func (st *statelessTools) tell(t *testing.T) {
	t.Helper()
	c := <-st.listening
	note := fmt.Sprintf(`{"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":{"_meta":{%q:%s}}}`, metaSubscription, c.id)
	if err := c.Write(t.Context(), MustParse(note)); err != nil {
		t.Error(err)
	}
}

func (st *statelessTools) wantCancelled(t *testing.T) {
	t.Helper()
	select {
	case err := <-st.cancelled:
		if !errors.Is(err, ErrDisconnected) {
			t.Errorf("the call ended because of %v", err)
		}
	case <-time.After(time.Minute):
		t.Error("the call was not cancelled")
	}
}

// bothEras is one endpoint with a server for each era behind it.
func bothEras(t *testing.T) (string, *StreamableFront, *statelessTools) {
	t.Helper()
	st := &statelessTools{listening: make(chan *Call, 4), waiting: make(chan struct{}, 4), cancelled: make(chan error, 4)}
	front := NewStreamableFront(FrontOptions{Serve: toolServer{}.serve, Stateless: st.serve, CheckParams: checkParams})
	return newTestServer(t, front, front.Close).URL, front, st
}

var regions = []string{"eu", "größe", " padded ", "", "=?base64?eu?="}

func TestStatelessWithClientOfGoSDK(t *testing.T) {
	url, front, st := bothEras(t)
	var told count
	changed := make(chan struct{}, 1)
	client := sdk.NewClient(&sdk.Implementation{Name: "peer", Version: "1"}, &sdk.ClientOptions{
		ToolListChangedHandler:      func(context.Context, *sdk.ToolListChangedRequest) { changed <- struct{}{} },
		ProgressNotificationHandler: func(context.Context, *sdk.ProgressNotificationClientRequest) { told.add("notifications/progress") },
	})
	session, err := client.Connect(t.Context(), &sdk.StreamableClientTransport{Endpoint: url, HTTPClient: wideClient(t)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if v := session.InitializeResult().ProtocolVersion; v != revision20260728 {
		t.Errorf("negotiated %s", v)
	}
	if tools, err := session.ListTools(t.Context(), nil); err != nil || len(tools.Tools) != 2 {
		t.Fatal(tools, err)
	}
	var calls sync.WaitGroup
	for i := range interopCalls {
		calls.Go(func() {
			region := regions[i%len(regions)]
			params := &sdk.CallToolParams{Name: "work", Arguments: map[string]string{"region": region}}
			params.SetProgressToken(fmt.Sprint("p", i))
			res, err := session.CallTool(t.Context(), params)
			if err != nil {
				t.Errorf("%q: %v", region, err)
				return
			}
			if text, ok := res.Content[0].(*sdk.TextContent); !ok || text.Text != region {
				t.Errorf("got %+v", res.Content[0])
			}
		})
	}
	calls.Wait()
	told.want(t, 5*interopCalls, 0)
	st.tell(t)
	<-changed
	ctx, cancel := context.WithCancel(t.Context())
	calls.Go(func() { _, _ = session.CallTool(ctx, &sdk.CallToolParams{Name: "wait"}) })
	<-st.waiting
	cancel()
	calls.Wait()
	st.wantCancelled(t)
	if err := session.Close(); err != nil {
		t.Error(err)
	}
	if n := front.Stats().Opened; n != 0 {
		t.Errorf("%d sessions were opened", n)
	}
}

func TestStatelessWithClientOfMCPGo(t *testing.T) {
	url, front, st := bothEras(t)
	hc := wideClient(t)
	connect := func(version string) *mcpgo.Client {
		t.Helper()
		transport, err := mcpgotransport.NewStreamableHTTP(url, mcpgotransport.WithHTTPBasicClient(hc))
		if err != nil {
			t.Fatal(err)
		}
		client := mcpgo.NewClient(transport)
		if err := client.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		init := mcpgotypes.InitializeRequest{}
		init.Params.ClientInfo = mcpgotypes.Implementation{Name: "peer", Version: "1"}
		init.Params.ProtocolVersion = version
		if _, err := client.Initialize(t.Context(), init); err != nil {
			t.Fatal(err)
		}
		return client
	}
	work := func(client *mcpgo.Client, region, want string) {
		t.Helper()
		req := mcpgotypes.CallToolRequest{}
		req.Params.Name, req.Params.Arguments = "work", map[string]any{"region": region}
		req.Params.Meta = &mcpgotypes.Meta{ProgressToken: "p"}
		res, err := client.CallTool(t.Context(), req)
		if err != nil {
			t.Errorf("%q: %v", region, err)
			return
		}
		if text, ok := res.Content[0].(mcpgotypes.TextContent); !ok || text.Text != want {
			t.Errorf("got %+v", res.Content[0])
		}
	}
	// Clients of both eras at the same time.
	legacy, client := connect("2025-11-25"), connect("")
	if legacy.ProtocolVersion() != "2025-11-25" || client.ProtocolVersion() != revision20260728 {
		t.Errorf("negotiated %s and %s", legacy.ProtocolVersion(), client.ProtocolVersion())
	}
	var told count
	changed := make(chan struct{}, 1)
	client.OnNotification(func(n mcpgotypes.JSONRPCNotification) {
		told.add(n.Method)
		if n.Method == "notifications/tools/list_changed" {
			changed <- struct{}{}
		}
	})
	if tools, err := client.ListTools(t.Context(), mcpgotypes.ListToolsRequest{}); err != nil || len(tools.Tools) != 2 {
		t.Fatal(tools, err)
	}
	for _, region := range regions {
		work(client, region, region)
		work(legacy, region, "nothing")
	}
	told.want(t, 5*len(regions), 0)
	stop, err := client.ListenAsync(t.Context(), mcpgotypes.SubscriptionFilter{ToolsListChanged: true}, func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	st.tell(t)
	<-changed
	stop()
	eventually(t, "the end of the subscription", func() bool { return front.Stats().Listens == 0 })
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		req := mcpgotypes.CallToolRequest{}
		req.Params.Name = "wait"
		_, _ = client.CallTool(ctx, req)
	}()
	<-st.waiting
	cancel()
	<-done
	st.wantCancelled(t)
	for _, c := range []*mcpgo.Client{legacy, client} {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	if n := front.Stats().Opened; n != 1 {
		t.Errorf("%d sessions were opened", n)
	}
}
