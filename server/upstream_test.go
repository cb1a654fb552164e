package server_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/mcpctl/mcpctl/server"
)

const upstreamVariable = "MCPCTL_TEST_UPSTREAM"

// commandUpstream is this test binary as an MCP server on stdio.
func commandUpstream(t *testing.T) server.Upstream {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return server.Upstream{Name: "helper", Command: []string{self}, Env: map[string]string{
		upstreamVariable: "1", "GORACE": "atexit_sleep_ms=0",
	}}
}

type message struct {
	ID     json.RawMessage `json:"id"`
	Method string          `json:"method"`
	Params struct {
		Name      string          `json:"name"`
		Arguments json.RawMessage `json:"arguments"`
		Meta      struct {
			Token json.RawMessage `json:"progressToken"`
		} `json:"_meta"`
	} `json:"params"`
	Result json.RawMessage `json:"result"`
}

// playUpstream serves tools that do what their name says.
func playUpstream() {
	in := bufio.NewReader(os.Stdin)
	out := bufio.NewWriter(os.Stdout)
	reply := func(id json.RawMessage, result string) {
		fmt.Fprintf(out, `{"jsonrpc":"2.0","id":%s,"result":%s}`+"\n", id, result)
		_ = out.Flush()
	}
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			os.Exit(0)
		}
		var m message
		if err := json.Unmarshal(line, &m); err != nil {
			os.Exit(9)
		}
		switch {
		case m.Method == "initialize":
			reply(m.ID, `{"protocolVersion":"2025-11-25","capabilities":{},"serverInfo":{"name":"helper","version":"1"}}`)
		case m.Method == "" && m.Result != nil: // the answer to what "ask" asked
			var asked string
			_ = json.Unmarshal(m.ID, &asked)
			reply(json.RawMessage(strings.TrimPrefix(asked, "ask-")), fmt.Sprintf(`{"answered":%s}`, m.Result))
		case m.Method == "tools/call":
			tool(out, m, reply)
		}
	}
}

func tool(out *bufio.Writer, m message, reply func(json.RawMessage, string)) {
	switch m.Params.Name {
	case "echo":
		reply(m.ID, fmt.Sprintf(`{"content":[],"echo":%s}`, m.Params.Arguments))
	case "progress":
		for i := range 3 {
			fmt.Fprintf(out, `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":%s,"progress":%d}}`+"\n", m.Params.Meta.Token, i+1)
		}
		reply(m.ID, `{"content":[]}`)
	case "ask":
		fmt.Fprintf(out, `{"jsonrpc":"2.0","id":"ask-%s","method":"sampling/createMessage","params":{"messages":[],"maxTokens":1}}`+"\n", m.ID)
		_ = out.Flush()
	case "fail":
		reply(m.ID, `{"content":[{"type":"text","text":"no"}],"isError":true}`)
	case "environment":
		env, _ := json.Marshal(os.Environ())
		reply(m.ID, fmt.Sprintf(`{"content":[],"env":%s}`, env))
	case "garbage":
		_, _ = out.WriteString("Listening on stdio!\n{\"half\":\n\xff\xfe\n")
		reply(m.ID, `{"content":[]}`)
	case "huge":
		fmt.Fprintf(out, `{"jsonrpc":"2.0","id":%s,"result":{"content":"%s"}}`+"\n", m.ID, strings.Repeat("x", 65<<20))
		_ = out.Flush()
	case "silent": // never answers, but says that it began
		fmt.Fprintf(out, `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":%s,"progress":1}}`+"\n", m.Params.Meta.Token)
		_ = out.Flush()
	case "die":
		os.Exit(3)
	default:
		fmt.Fprintf(out, `{"jsonrpc":"2.0","id":%s,"error":{"code":-32602,"message":"no such tool"}}`+"\n", m.ID)
		_ = out.Flush()
	}
}
