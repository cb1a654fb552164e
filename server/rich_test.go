package server_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/mcpctl/mcpctl/server"
)

// richVariable makes this test binary an MCP server on stdio with tools,
// resources and prompts that tell what it was asked.
const richVariable = "MCPCTL_TEST_RICH"

func richUpstream(t testing.TB, name string) server.Upstream {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return server.Upstream{Name: name, Command: []string{self}, Env: map[string]string{
		richVariable: name, "GORACE": "atexit_sleep_ms=0",
	}}
}

// rich is that server. It answers one message after another.
type rich struct {
	name      string
	out       *bufio.Writer
	reads     int            // of the resource
	calls     int            // of read and write
	waiting   map[string]int // requests that wait to be cancelled, by id
	cancelled int
	gathered  []richMessage
	asked     map[string]json.RawMessage // whose tool call waits for the client, by the question's id
}

func playRich() {
	r := &rich{name: os.Getenv(richVariable), out: bufio.NewWriter(os.Stdout), waiting: map[string]int{}, asked: map[string]json.RawMessage{}}
	os.Exit(r.serve(bufio.NewReader(os.Stdin)))
}

type richMessage struct {
	message
	line   []byte // as it came
	Params struct {
		Name      string          `json:"name"`
		URI       string          `json:"uri"`
		RequestID json.RawMessage `json:"requestId"`
		Arguments json.RawMessage `json:"arguments"`
		Meta      struct {
			Token json.RawMessage `json:"progressToken"`
		} `json:"_meta"`
	} `json:"params"`
	Error json.RawMessage `json:"error"`
}

func (r *rich) serve(in *bufio.Reader) int {
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return 0
		}
		var m richMessage
		if err := json.Unmarshal(line, &m); err != nil {
			return 9
		}
		m.line = bytes.TrimSuffix(line, []byte("\n"))
		r.handle(m)
		if in.Buffered() == 0 {
			_ = r.out.Flush()
		}
	}
}

func (r *rich) say(format string, args ...any) {
	fmt.Fprintf(r.out, `{"jsonrpc":"2.0",`+format+"}\n", args...)
}

func (r *rich) reply(id json.RawMessage, format string, args ...any) {
	r.say(`"id":%s,"result":%s`, id, fmt.Sprintf(format, args...))
}

func (r *rich) handle(m richMessage) {
	switch m.Method {
	case "initialize":
		r.reply(m.ID, `{"protocolVersion":"2025-11-25","capabilities":{"tools":{"listChanged":true},"prompts":{},"resources":{"subscribe":true}},"serverInfo":{"name":%q,"version":"1"}}`, r.name)
	case "ping", "resources/subscribe", "resources/unsubscribe":
		r.reply(m.ID, `{}`)
	case "tools/list":
		r.reply(m.ID, `{"tools":[{"name":"read","inputSchema":{"type":"object"},"annotations":{"readOnlyHint":true}},{"name":"write","inputSchema":{"type":"object"}}]}`)
	case "prompts/list":
		r.reply(m.ID, `{"prompts":[{"name":"hello"}]}`)
	case "prompts/get":
		r.reply(m.ID, `{"messages":[],"description":%q}`, r.name+" "+m.Params.Name)
	case "resources/list":
		r.reply(m.ID, `{"resources":[{"uri":"mem://%s/one","name":"one"}]}`, r.name)
	case "resources/read":
		r.reads++
		r.reply(m.ID, `{"contents":[{"uri":%q,"text":"%s read %d"}]}`, m.Params.URI, r.name, r.reads)
	case "notifications/cancelled":
		if r.waiting[string(m.Params.RequestID)] > 0 {
			delete(r.waiting, string(m.Params.RequestID))
			r.cancelled++
		}
	case "tools/call":
		r.tool(m)
	case "vendor/show", "tasks/get": // nothing that the gateway knows
		r.say(`"method":"notifications/vendor/seen","params":{"z":9007199254740993,"a":1e400}`)
		r.say(`"id":%s,"result":{"line":%q,"z":9007199254740993,"a":1e400},"vendor":{"top":true}`, m.ID, m.line)
	case "notifications/vendor/told":
		r.say(`"method":"notifications/vendor/seen","params":{"line":%q}`, m.line)
	case "":
		if call := r.asked[string(m.ID)]; call != nil {
			delete(r.asked, string(m.ID))
			answer := m.Result
			if answer == nil {
				answer = m.Error
			}
			r.reply(call, `{"content":[],"answered":%s}`, answer)
		}
	default:
		if m.ID != nil {
			r.say(`"id":%s,"error":{"code":-32601,"message":"no such method"}`, m.ID)
		}
	}
}

func (r *rich) progress(m richMessage, step int) {
	if m.Params.Meta.Token != nil {
		r.say(`"method":"notifications/progress","params":{"progressToken":%s,"progress":%d}`, m.Params.Meta.Token, step)
	}
}

func (r *rich) ask(m richMessage, method, params string) {
	id := strconv.Quote(r.name + "-" + strings.Trim(string(m.ID), `"`))
	r.asked[id] = m.ID
	r.say(`"id":%s,"method":%q,"params":%s`, id, method, params)
}

func (r *rich) tool(m richMessage) {
	var args struct {
		Steps int
		URI   string
		Size  int
	}
	_ = json.Unmarshal(m.Params.Arguments, &args)
	switch m.Params.Name {
	case "read", "write":
		r.calls++
		r.reply(m.ID, `{"content":[],"who":%q,"pid":%d,"calls":%d,"cancelled":%d,"waiting":%d,"args":%s}`,
			r.name, os.Getpid(), r.calls, r.cancelled, len(r.waiting), m.Params.Arguments)
	case "wait": // until it is cancelled
		r.waiting[string(m.ID)] = 1
		r.progress(m, 1)
	case "steps":
		for i := range args.Steps {
			r.progress(m, i+1)
		}
		r.reply(m.ID, `{"content":[],"args":%s}`, m.Params.Arguments)
	case "gather": // answers none before all have come, and then the last first
		r.progress(m, 1)
		if r.gathered = append(r.gathered, m); len(r.gathered) < args.Steps {
			return
		}
		for step := 2; step <= 3; step++ {
			for _, g := range r.gathered {
				r.progress(g, step)
			}
		}
		for _, g := range slices.Backward(r.gathered) {
			r.reply(g.ID, `{"content":[],"args":%s}`, g.Params.Arguments)
		}
		r.gathered = nil
	case "flood": // with messages for whoever listens
		for range args.Steps {
			r.say(`"method":"notifications/message","params":{"level":"info","data":%q}`, strings.Repeat("x", args.Size))
		}
		r.reply(m.ID, `{"content":[]}`)
	case "sample":
		r.ask(m, "sampling/createMessage", `{"messages":[],"maxTokens":1}`)
	case "elicit":
		r.ask(m, "elicitation/create", `{"message":"Go on?","requestedSchema":{"type":"object","properties":{}}}`)
	case "touch":
		r.say(`"method":"notifications/resources/updated","params":{"uri":%q}`, args.URI)
		r.reply(m.ID, `{"content":[]}`)
	case "crash":
		_ = r.out.Flush()
		os.Exit(3)
	default:
		r.say(`"id":%s,"error":{"code":-32602,"message":"no such tool"}`, m.ID)
	}
}
