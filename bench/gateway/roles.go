package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"github.com/mcpctl/mcpctl/bench/remote"
)

// rolePrefix begins the argument with which this program starts itself as one of the processes that are measured.
const rolePrefix = "role-"

const (
	roleStdio = rolePrefix + "stdio" // an MCP server on stdin and stdout
	roleHTTP  = rolePrefix + "http"  // one on Streamable HTTP
	roleProxy = rolePrefix + "proxy" // a plain reverse proxy before the URL that follows
	roleMCPGo = rolePrefix + "mcp-go"
)

// play runs a role until stdin ends. Those that listen print their address.
func play(ctx context.Context, role string, args []string) error {
	var h http.Handler
	switch role {
	case roleStdio:
		return serveStdio(os.Stdin, os.Stdout)
	case roleHTTP:
		s := remote.New()
		defer s.Close()
		h = s
	case roleProxy:
		target, err := url.Parse(args[0])
		if err != nil {
			return err
		}
		target.Path = ""
		proxy := &httputil.ReverseProxy{
			Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(target) },
			FlushInterval: -1,
			Transport:     &http.Transport{MaxIdleConnsPerHost: 256},
		}
		h = proxy
	case roleMCPGo:
		h = mcpGo()
	default:
		return fmt.Errorf("unknown role %q", role)
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Printf("http://%s/mcp\n", l.Addr())
	web := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		_ = web.Close()
	}()
	if err := web.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func mcpGo() http.Handler {
	s := server.NewMCPServer("mcp-go", "1")
	s.AddTool(mcp.NewTool("echo", mcp.WithString("text")), func(_ context.Context, r mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return mcp.NewToolResultText(r.GetString("text", "")), nil
	})
	return server.NewStreamableHTTPServer(s)
}

// serveStdio is as little of an MCP server as can be, so that what is before it is measured.
func serveStdio(stdin io.Reader, stdout io.Writer) error {
	in := bufio.NewReaderSize(stdin, 64<<10)
	out := bufio.NewWriterSize(stdout, 64<<10)
	for {
		line, err := in.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		var m struct {
			ID     json.RawMessage `json:"id"`
			Method string          `json:"method"`
			Params struct {
				ProtocolVersion string `json:"protocolVersion"`
				Arguments       struct {
					Text json.RawMessage `json:"text"`
				} `json:"arguments"`
			} `json:"params"`
		}
		if err := json.Unmarshal(bytes.TrimSpace(line), &m); err != nil {
			return err
		}
		if m.ID == nil {
			continue
		}
		switch m.Method {
		case "initialize":
			fmt.Fprintf(out, `{"jsonrpc":"2.0","id":%s,"result":{"protocolVersion":%q,"capabilities":{"tools":{}},"serverInfo":{"name":"bench","version":"1"}}}`+"\n", m.ID, m.Params.ProtocolVersion)
		case "tools/call":
			fmt.Fprintf(out, `{"jsonrpc":"2.0","id":%s,"result":{"content":[{"type":"text","text":%s}]}}`+"\n", m.ID, m.Params.Arguments.Text)
		case "tools/list":
			fmt.Fprintf(out, `{"jsonrpc":"2.0","id":%s,"result":{"tools":[{"name":"echo","inputSchema":{"type":"object","properties":{"text":{"type":"string"}}}}]}}`+"\n", m.ID)
		case "ping":
			fmt.Fprintf(out, `{"jsonrpc":"2.0","id":%s,"result":{}}`+"\n", m.ID)
		default:
			fmt.Fprintf(out, `{"jsonrpc":"2.0","id":%s,"error":{"code":-32601,"message":"method not found"}}`+"\n", m.ID)
		}
		if in.Buffered() == 0 {
			if err := out.Flush(); err != nil {
				return err
			}
		}
	}
}
