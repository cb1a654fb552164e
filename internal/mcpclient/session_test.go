package mcpclient

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/mark3labs/mcp-go/mcp"

	"github.com/mcpctl/mcpctl/internal/wire"
)

func TestConnect(t *testing.T) {
	for _, tt := range []struct {
		name     string
		server   *script
		version  string
		serverIs string
		hello    string
	}{
		{"a server of the initialize era", legacy(map[string][]string{}), "2025-11-25", "old", "9007199254740993"},
		{"a server of 2026-07-28", modern(map[string][]string{}), "2026-07-28", "new", "supportedVersions"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := tt.server.connect(t, Options{Client: mcp.Implementation{Name: "test", Version: "1"}})
			if err != nil {
				t.Fatal(err)
			}
			if got := s.Server(); got.ProtocolVersion != tt.version || got.ServerInfo.Name != tt.serverIs {
				t.Errorf("connected to %+v", got)
			}
			if !strings.Contains(string(s.Hello()), tt.hello) {
				t.Errorf("Hello() = %s", s.Hello())
			}
		})
	}
}

func TestConnectIgnoredProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := legacy(map[string][]string{})
		server.answers["server/discover"] = nil
		if _, err := server.connect(t, Options{}); err != nil {
			t.Error(err)
		}
	})
}

func TestConnectFailures(t *testing.T) {
	final := func(code int) bool { return code == -31001 }
	t.Run("a final refusal is asked for once", func(t *testing.T) {
		server := &script{answers: map[string][]string{"server/discover": {`error:{"code":-31001,"message":"sign in"}`}}}
		_, err := server.connect(t, Options{Final: final})
		if e, ok := errors.AsType[*Error](err); !ok || e.Code != -31001 || e.Message != "sign in" {
			t.Errorf("got %v", err)
		}
		if len(server.requests("initialize")) > 0 {
			t.Error("initialize was sent nevertheless")
		}
	})
	t.Run("initialize refused", func(t *testing.T) {
		server := legacy(map[string][]string{"initialize": {`error:{"code":-32602,"message":"unsupported","data":{"a":1}}`}})
		_, err := server.connect(t, Options{})
		if e, ok := errors.AsType[*Error](err); !ok || e.Code != -32602 || string(e.Data) != `{"a":1}` || e.Method != "initialize" {
			t.Errorf("got %v", err)
		}
	})
	t.Run("no revision in common", func(t *testing.T) {
		server := legacy(map[string][]string{"initialize": {`{"protocolVersion":"1999-01-01","capabilities":{},"serverInfo":{"name":"x","version":"1"}}`}})
		if _, err := server.connect(t, Options{}); err == nil || !strings.Contains(err.Error(), "1999-01-01") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("the server is gone", func(t *testing.T) {
		near, far := wire.Pipe(1)
		_ = far.Close()
		if _, err := Connect(t.Context(), Options{Conn: near}); err == nil || strings.Contains(err.Error(), "transport error") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("interrupted", func(t *testing.T) {
		near, far := wire.Pipe(1)
		defer far.Close()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := Connect(ctx, Options{Conn: near}); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}

func TestResultsComeAsTheServerSentThem(t *testing.T) {
	const result = `{"content":[{"type":"hologram","vendor":1}],"x":9007199254740993,"structuredContent":{"b":1,"a":2}}`
	for name, server := range map[string]*script{
		"initialize era": legacy(map[string][]string{"tools/call": {result}}),
		"2026-07-28":     modern(map[string][]string{"tools/call": {result}}),
	} {
		t.Run(name, func(t *testing.T) {
			s, err := server.connect(t, Options{})
			if err != nil {
				t.Fatal(err)
			}
			got, err := s.CallTool(t.Context(), "t", json.RawMessage(`{"n":9007199254740993,"s":"<&>"}`))
			if err != nil || string(got) != result {
				t.Errorf("got %s, %v", got, err)
			}
			var sent struct {
				Name      string
				Arguments struct {
					N json.Number
					S string
				}
				Meta struct{ ProgressToken any } `json:"_meta"`
			}
			if err := json.Unmarshal(server.requests("tools/call")[0], &sent); err != nil {
				t.Fatal(err)
			}
			if sent.Name != "t" || sent.Arguments.N != "9007199254740993" || sent.Arguments.S != "<&>" || sent.Meta.ProgressToken == nil {
				t.Errorf("sent %s", server.requests("tools/call")[0])
			}
		})
	}
}

func TestErrorsKeepTheirData(t *testing.T) {
	server := legacy(map[string][]string{"resources/read": {`error:{"code":-32002,"message":"no such resource","data":{"uri":"x:y","n":9007199254740993}}`}})
	s, err := server.connect(t, Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.ReadResource(t.Context(), "x:y")
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Code != -32002 || e.Method != "resources/read" || string(e.Data) != `{"uri":"x:y","n":9007199254740993}` {
		t.Errorf("got %#v", err)
	}
}

func TestNotificationsAreSeenBeforeTheResult(t *testing.T) {
	near, far := wire.Pipe(16)
	server := legacy(map[string][]string{"logging/setLevel": {"{}"}})
	done := make(chan struct{})
	go func() {
		defer close(done)
		server.serve(noisy{far})
	}()
	var seen []string
	s, err := Connect(t.Context(), Options{
		Conn:     near,
		Progress: func(p Progress) { seen = append(seen, fmt.Sprintf("%v/%v %s", p.Progress, p.Total, p.Message)) },
		Log:      func(m LogMessage) { seen = append(seen, m.Level+" "+string(m.Data)) },
	})
	if err != nil {
		t.Fatal(err)
	}
	server.mu.Lock()
	server.answers["tools/call"] = []string{`{"content":[]}`}
	server.mu.Unlock()
	if err := s.SetLogLevel(t.Context(), mcp.LoggingLevelDebug); err != nil {
		t.Error(err)
	}
	if _, err := s.CallTool(t.Context(), "t", json.RawMessage(`{}`)); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(seen, "; "); got != `1/2 half; info {"a":1}` {
		t.Errorf("seen before the result: %s", got)
	}
	_ = s.Close()
	_ = far.Close()
	<-done
}

// noisy puts notifications before each answer to tools/call.
type noisy struct{ wire.Conn }

func (n noisy) Write(ctx context.Context, f wire.Frame) error {
	if strings.Contains(string(f.Raw), `"content"`) {
		for _, note := range []string{
			`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"p1","progress":1,"total":2,"message":"half"}}`,
			`{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":{"a":1}}}`,
		} {
			if err := n.Conn.Write(ctx, wire.MustParse(note)); err != nil {
				return err
			}
		}
	}
	return n.Conn.Write(ctx, f)
}

func TestAllPages(t *testing.T) {
	pages := func(p ...string) *script { return legacy(map[string][]string{"tools/list": p}) }
	for _, tt := range []struct {
		name   string
		server *script
		want   string
		err    string
	}{
		{"one page", pages(`{"tools":[{"name":"a","oneOf":1}]}`), `{"name":"a","oneOf":1}`, ""},
		{"three pages", pages(`{"tools":[1,2],"nextCursor":"x"}`, `{"tools":[],"nextCursor":"y"}`, `{"tools":[3]}`), "1 2 3", ""},
		{"no list", pages(`{}`), "", ""},
		{"a cursor that comes again", pages(`{"tools":[1],"nextCursor":"x"}`, `{"tools":[2],"nextCursor":"x"}`), "1 2", "does not end"},
		{"not a list", pages(`{"tools":{}}`), "", "reading the server's tools"},
		{"an error on the second page", pages(`{"tools":[1],"nextCursor":"x"}`, `error:{"code":-32603,"message":"broken"}`), "1", "broken"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := tt.server.connect(t, Options{})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			var last error
			for item, err := range s.All(t.Context(), Tools) {
				if err != nil {
					last = err
					break
				}
				got = append(got, string(item))
			}
			if strings.Join(got, " ") != tt.want {
				t.Errorf("got %v, want %s", got, tt.want)
			}
			if (last == nil) != (tt.err == "") || last != nil && !strings.Contains(last.Error(), tt.err) {
				t.Errorf("ended with %v, want %q", last, tt.err)
			}
		})
	}
}

type answers struct{ content any }

func (a answers) Elicit(context.Context, mcp.ElicitationRequest) (*mcp.ElicitationResult, error) {
	return &mcp.ElicitationResult{ElicitationResponse: mcp.ElicitationResponse{Action: "accept", Content: a.content}}, nil
}

func TestInputRounds(t *testing.T) {
	const question = `{"resultType":"input_required","requestState":"s1","inputRequests":{"q":{"method":"elicitation/create","params":{"message":"which?","requestedSchema":{"type":"object","properties":{"a":{"type":"string"}}}}}}}`
	t.Run("answered", func(t *testing.T) {
		server := modern(map[string][]string{"tools/call": {question, `{"content":[],"done":1}`}})
		s, err := server.connect(t, Options{Elicit: answers{map[string]any{"a": "this"}}})
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.CallTool(t.Context(), "t", json.RawMessage(`{}`))
		if err != nil || string(got) != `{"content":[],"done":1}` {
			t.Fatalf("got %s, %v", got, err)
		}
		second := server.requests("tools/call")[1]
		if wire.LookupString(second, "requestState") != "s1" || !strings.Contains(string(second), "this") {
			t.Errorf("the second round was %s", second)
		}
	})
	t.Run("with nobody to ask", func(t *testing.T) {
		s, err := modern(map[string][]string{"tools/call": {question}}).connect(t, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := s.CallTool(t.Context(), "t", json.RawMessage(`{}`)); err == nil || !strings.Contains(err.Error(), "wants input") {
			t.Errorf("got %s, %v", got, err)
		}
	})
}

func TestWhatIsNotDeclaredIsRefused(t *testing.T) {
	near, far := wire.Pipe(16)
	server := legacy(map[string][]string{})
	asked := make(chan wire.Frame, 3)
	done := make(chan struct{})
	go func() {
		defer close(done)
		server.serve(asking{far, asked})
	}()
	s, err := Connect(t.Context(), Options{Conn: near})
	if err != nil {
		t.Fatal(err)
	}
	for _, method := range []string{"sampling/createMessage", "elicitation/create", "roots/list"} {
		if err := far.Write(t.Context(), wire.MustParse(`{"jsonrpc":"2.0","id":"s","method":"`+method+`","params":{}}`)); err != nil {
			t.Fatal(err)
		}
		if f := <-asked; !f.Failed || !strings.Contains(string(f.Raw), "not supported") {
			t.Errorf("%s was answered %s", method, f.Raw)
		}
	}
	if can := wire.Lookup(server.requests("initialize")[0], "capabilities"); string(can) != "{}" {
		t.Errorf("declared %s", can)
	}
	_ = s.Close()
	_ = far.Close()
	<-done
}

// asking takes the client's answers out.
type asking struct {
	wire.Conn
	answers chan wire.Frame
}

func (a asking) Read(ctx context.Context) (wire.Frame, error) {
	for {
		f, err := a.Conn.Read(ctx)
		if err != nil || f.Kind != wire.Response {
			return f, err
		}
		a.answers <- f
	}
}

func TestRootsAreTold(t *testing.T) {
	server := legacy(map[string][]string{})
	s, err := server.connect(t, Options{Roots: []mcp.Root{{URI: "file:///srv"}}})
	if err != nil {
		t.Fatal(err)
	}
	response, err := s.transport.request(t.Context(), request(int64(1), "roots/list", nil))
	if err != nil || !strings.Contains(string(response.Result), "file:///srv") {
		t.Errorf("roots/list: %v, %v", response, err)
	}
	if can := wire.Lookup(server.requests("initialize")[0], "capabilities", "roots"); can == nil {
		t.Error("roots were not declared")
	}
}
