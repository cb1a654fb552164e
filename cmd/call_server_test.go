package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// testServer as the first argument makes this program an MCP server on stdio
// that has a bit of everything, for scripts to call.
const testServer = "test-mcp-server"

func init() {
	if len(os.Args) < 2 || os.Args[1] != testServer {
		return
	}
	s := &exampleServer{
		conn:   wire.Stdio(os.Stdin, os.Stdout, wire.StreamOptions{}),
		modern: len(os.Args) > 2 && os.Args[2] == "modern",
		calls:  map[string]context.CancelCauseFunc{}, answers: map[string]chan wire.Frame{},
	}
	fmt.Fprintln(os.Stderr, "the example server is up")
	s.serve(context.Background())
	os.Exit(0)
}

// exampleServer answers requests side by side, and asks the client back.
type exampleServer struct {
	conn    wire.Conn
	modern  bool
	calling sync.WaitGroup

	mu      sync.Mutex
	calls   map[string]context.CancelCauseFunc // by id
	answers map[string]chan wire.Frame         // to the server's own requests
	asked   int
}

// errCancelled is why a call ends that the client has cancelled.
var errCancelled = errors.New("cancelled by the client")

func (s *exampleServer) serve(ctx context.Context) {
	for {
		f, err := s.conn.Read(ctx)
		if err != nil {
			break
		}
		f = f.Clone()
		switch {
		case f.Kind == wire.Response:
			s.mu.Lock()
			s.answers[f.ID.Key()] <- f
			s.mu.Unlock()
		case f.Method == "notifications/cancelled":
			s.mu.Lock()
			if cancel := s.calls[string(wire.Lookup(f.Raw, "params", "requestId"))]; cancel != nil {
				cancel(errCancelled)
			}
			s.mu.Unlock()
		case f.Kind == wire.Request:
			call, cancel := context.WithCancelCause(ctx)
			s.mu.Lock()
			s.calls[string(f.ID)] = cancel
			s.mu.Unlock()
			s.calling.Go(func() {
				defer cancel(nil)
				s.answer(call, f)
			})
		}
	}
	s.mu.Lock()
	for _, cancel := range s.calls {
		cancel(nil) // not what the client said
	}
	s.mu.Unlock()
	s.calling.Wait()
	_ = s.conn.Close()
}

const (
	exampleCapabilities = `{"tools":{"listChanged":true},"resources":{},"prompts":{},"logging":{},"x-vendor":{"n":9007199254740993}}`

	exampleTools = `{"name":"echo","title":"Echo","description":"Returns its arguments, which may be of every type that there is.","x-vendor":{"z":1,"a":9007199254740993},
		"annotations":{"readOnlyHint":true},
		"inputSchema":{"type":"object","required":["text"],"properties":{
			"text":{"type":"string","description":"What to say"},"n":{"type":"integer","minimum":0},"ratio":{"type":"number"},"loud":{"type":"boolean"},
			"tags":{"type":"array","items":{"type":"string"}},"place":{"type":"object","properties":{"city":{"type":"string"}}},"how":{"enum":["fast","slow"]}}}},
		{"name":"media","description":"Returns data of several kinds.","inputSchema":{"type":"object"}},
		{"name":"fail","description":"Fails.","inputSchema":{"type":"object"}}`
	exampleMoreTools = `{"name":"slow","description":"Works until it is cancelled.","inputSchema":{"type":"object","properties":{"witness":{"type":"string"}}}},
		{"name":"steps","description":"Reports progress.","inputSchema":{"type":"object"}},
		{"name":"ask","description":"Asks the person.","inputSchema":{"type":"object"}},
		{"name":"back","description":"Sends the client a request.","inputSchema":{"type":"object","properties":{"method":{"type":"string"}}}},
		{"name":"odd","description":"Has a schema that can't be used.","inputSchema":{"type":"object","$ref":"https://schemas.example/odd.json"}}`
)

func (s *exampleServer) answer(ctx context.Context, f wire.Frame) {
	switch f.Method {
	case "server/discover":
		if s.modern {
			s.result(f, `{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":`+exampleCapabilities+`,"_meta":{"io.modelcontextprotocol/serverInfo":{"name":"example","version":"1.0"}}}`)
			return
		}
		s.fail(f, -32601, "Method not found")
	case "initialize":
		s.result(f, `{"protocolVersion":"2025-11-25","capabilities":`+exampleCapabilities+`,"serverInfo":{"name":"example","title":"An \u001b[31mexample","version":"1.0"},"instructions":"Say\u0007 hello first."}`)
	case "tools/list":
		if wire.LookupString(f.Raw, "params", "cursor") == "" {
			s.result(f, `{"tools":[`+exampleTools+`],"nextCursor":"more"}`)
			return
		}
		s.result(f, `{"tools":[`+exampleMoreTools+`]}`)
	case "resources/list":
		s.result(f, `{"resources":[{"uri":"example://texts/hello.txt","name":"hello","mimeType":"text/plain","size":2048}]}`)
	case "resources/templates/list":
		s.fail(f, -32601, "Method not found")
	case "resources/read":
		s.read(f, wire.LookupString(f.Raw, "params", "uri"))
	case "prompts/list":
		s.result(f, `{"prompts":[{"name":"greet","description":"Greets","arguments":[{"name":"who","required":true},{"name":"how"}]}]}`)
	case "prompts/get":
		s.result(f, fmt.Sprintf(`{"description":"A greeting","messages":[{"role":"user","content":{"type":"text","text":"Greet %s."}},{"role":"assistant","content":{"type":"text","text":"Hello!"}}]}`, wire.LookupString(f.Raw, "params", "arguments", "who")))
	case "logging/setLevel":
		s.result(f, `{}`)
	case "tools/call":
		s.call(ctx, f, wire.LookupString(f.Raw, "params", "name"))
	default:
		s.fail(f, -32601, "Method not found")
	}
}

func (s *exampleServer) read(f wire.Frame, uri string) {
	switch {
	case strings.HasSuffix(uri, ".txt"):
		s.result(f, `{"contents":[{"uri":"`+uri+`","mimeType":"text/plain","text":"hello\u001b[31m there\n"}]}`)
	case strings.HasSuffix(uri, ".png"):
		s.result(f, `{"contents":[{"uri":"`+uri+`","mimeType":"image/png","blob":"aGVsbG8="}]}`)
	default:
		s.fail(f, -32002, "Resource not found")
	}
}

func (s *exampleServer) call(ctx context.Context, f wire.Frame, tool string) {
	args := string(wire.Lookup(f.Raw, "params", "arguments"))
	token := string(wire.Lookup(f.Raw, "params", "_meta", "progressToken"))
	switch tool {
	case "echo":
		text, _ := json.Marshal(args)
		s.result(f, `{"content":[{"type":"text","text":`+string(text)+`}],"structuredContent":`+args+`,"x-vendor":9007199254740993}`)
	case "media":
		s.result(f, `{"content":[{"type":"text","text":"some media"},{"type":"image","mimeType":"image/png","data":"aGVsbG8="},
			{"type":"audio","mimeType":"audio/wav","data":"aGVsbG8="},
			{"type":"resource","resource":{"uri":"example://data/..%2f..%2fevil.sh","mimeType":"application/x-sh","blob":"aGVsbG8="}},
			{"type":"resource","resource":{"uri":"example://a","text":"embedded text"}},
			{"type":"resource_link","uri":"example://linked","name":"linked","description":"A link"},
			{"type":"hologram","x":9007199254740993}]}`)
	case "fail":
		s.result(f, `{"content":[{"type":"text","text":"it went wrong"}],"isError":true}`)
	case "slow":
		s.log("working")
		<-ctx.Done()
		if witness := wire.LookupString(f.Raw, "params", "arguments", "witness"); witness != "" && errors.Is(context.Cause(ctx), errCancelled) {
			_ = os.WriteFile(witness, []byte("cancelled"), 0o600)
		}
	case "steps":
		for i := range 4 {
			s.send(fmt.Sprintf(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":%s,"progress":%d,"total":4,"message":"step %d"}}`, token, i+1, i+1))
		}
		s.log("almost done")
		s.result(f, `{"content":[{"type":"text","text":"done"}]}`)
	case "ask":
		answer := s.ask("elicitation/create", `{"message":"Which\u0007 one?","requestedSchema":{"type":"object","required":["color"],"properties":{
			"color":{"type":"string","enum":["red","green"],"description":"The color"},"count":{"type":"integer","default":2},"note":{"type":"string"}}}}`)
		text, _ := json.Marshal(string(wire.Lookup(answer.Raw, "result")))
		s.result(f, `{"content":[{"type":"text","text":`+string(text)+`}]}`)
	case "back":
		answer := s.ask(wire.LookupString(f.Raw, "params", "arguments", "method"), `{"messages":[],"maxTokens":1}`)
		text, _ := json.Marshal(string(answer.Raw))
		s.result(f, `{"content":[{"type":"text","text":`+string(text)+`}]}`)
	case "odd":
		s.result(f, `{"content":[{"type":"text","text":"odd"}]}`)
	default:
		s.fail(f, -32602, "Unknown tool")
	}
}

func (s *exampleServer) log(text string) {
	s.send(`{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"warning","logger":"example","data":"` + text + `"}}`)
}

// ask sends the client a request and waits for its answer.
func (s *exampleServer) ask(method, params string) wire.Frame {
	answer := make(chan wire.Frame, 1)
	s.mu.Lock()
	s.asked++
	id := fmt.Sprintf(`"server-%d"`, s.asked)
	s.answers[id] = answer
	s.mu.Unlock()
	s.send(fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"method":%q,"params":%s}`, id, method, params))
	return <-answer
}

func (s *exampleServer) result(f wire.Frame, result string) {
	s.send(fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"result":%s}`, f.ID, result))
}

func (s *exampleServer) fail(f wire.Frame, code int, message string) {
	s.send(fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"error":{"code":%d,"message":%q}}`, f.ID, code, message))
}

func (s *exampleServer) send(raw string) {
	_ = s.conn.Write(context.Background(), wire.MustParse(raw))
}
