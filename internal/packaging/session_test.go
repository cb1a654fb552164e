package packaging

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http/httptest"
	"os/exec"
	"testing"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// newMCPServer is a server on loopback, without sign-in, with a tool echo.
func newMCPServer(t *testing.T) (url string) {
	t.Helper()
	s := server.NewMCPServer("small", "1")
	s.AddTool(mcp.NewTool("echo", mcp.WithString("text")), func(_ context.Context, r mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return mcp.NewToolResultText(r.GetString("text", "")), nil
	})
	remote := httptest.NewServer(server.NewStreamableHTTPServer(s))
	t.Cleanup(remote.Close)
	return remote.URL + "/mcp"
}

// session is a program that speaks MCP on its standard streams.
type session struct {
	t      *testing.T
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Reader
	stderr bytes.Buffer
	ids    int
}

func startSession(t *testing.T, c *exec.Cmd) *session {
	t.Helper()
	s := &session{t: t, cmd: c}
	var err error
	s.in, err = c.StdinPipe()
	must(t, err)
	out, err := c.StdoutPipe()
	must(t, err)
	s.out = bufio.NewReader(out)
	c.Stderr = &s.stderr
	must(t, c.Start())
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%s wrote to standard error:\n%s", c, s.stderr.String())
		}
	})
	return s
}

// request sends one and returns the result of its answer.
func (s *session) request(method, params string) json.RawMessage {
	s.t.Helper()
	s.ids++
	_, err := fmt.Fprintf(s.in, `{"jsonrpc":"2.0","id":%d,"method":%q,"params":%s}`+"\n", s.ids, method, params)
	must(s.t, err)
	for {
		line, err := s.out.ReadBytes('\n')
		if err != nil {
			s.t.Fatalf("no answer to %s: %v", method, err)
		}
		var answer struct {
			ID     int             `json:"id"`
			Result json.RawMessage `json:"result"`
			Error  json.RawMessage `json:"error"`
		}
		if err := json.Unmarshal(line, &answer); err != nil {
			s.t.Fatalf("standard output has something other than JSON-RPC: %q", line)
		}
		if answer.Error != nil {
			s.t.Fatalf("%s is answered with the error %s", method, answer.Error)
		}
		if answer.ID == s.ids {
			return answer.Result
		}
	}
}

func (s *session) initialize() {
	s.t.Helper()
	s.request("initialize", `{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"test","version":"1"}}`)
	_, err := fmt.Fprintln(s.in, `{"jsonrpc":"2.0","method":"notifications/initialized"}`)
	must(s.t, err)
}

func (s *session) callEcho(text string) string {
	s.t.Helper()
	params, err := json.Marshal(map[string]any{"name": "echo", "arguments": map[string]string{"text": text}})
	must(s.t, err)
	var result struct {
		Content []struct{ Text string }
	}
	must(s.t, json.Unmarshal(s.request("tools/call", string(params)), &result))
	if len(result.Content) != 1 {
		s.t.Fatalf("echo answers %v", result)
	}
	return result.Content[0].Text
}

// end closes the program's input and returns its exit code.
func (s *session) end() int {
	s.t.Helper()
	must(s.t, s.in.Close())
	if rest, err := io.ReadAll(s.out); err != nil || len(rest) > 0 {
		s.t.Errorf("after the end of input: %q, %v", rest, err)
	}
	err := s.cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		s.t.Fatal(err)
	}
	return s.cmd.ProcessState.ExitCode()
}
