package builtin_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/mcpctl/mcpctl/internal/wire"
	"github.com/mcpctl/mcpctl/server/builtin"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type callerKey struct{}

func withCaller(c builtin.Caller) context.Context {
	return context.WithValue(context.Background(), callerKey{}, c)
}

func newServer(t *testing.T, names ...string) *builtin.Server {
	t.Helper()
	if len(names) == 0 {
		names = builtin.Names()
	}
	s, err := builtin.New(builtin.Options{
		Names: names,
		Caller: func(ctx context.Context) builtin.Caller {
			c, _ := ctx.Value(callerKey{}).(builtin.Caller)
			return c
		},
		Seed:  7,
		Graph: builtin.GraphOptions{URL: "https://graph.microsoft.com", HTTP: offline{}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// offline is a transport without a network.
type offline struct{}

func (offline) RoundTrip(*http.Request) (*http.Response, error) { return nil, errors.New("offline") }

// peer is the other end of a session under test.
type peer struct {
	t    *testing.T
	conn wire.Conn
}

func open(t *testing.T, s *builtin.Server) peer {
	t.Helper()
	conn, err := s.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Errorf("closing: %v", err)
		}
	})
	return peer{t, conn}
}

func (p peer) write(message string, args ...any) {
	p.t.Helper()
	p.writeAs(context.Background(), message, args...)
}

// writeAs writes as a relay does: ctx ends and the bytes are reused as soon as
// Write has returned.
func (p peer) writeAs(ctx context.Context, message string, args ...any) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if len(args) > 0 {
		message = fmt.Sprintf(message, args...)
	}
	f := wire.MustParse(message)
	if err := p.conn.Write(ctx, f); err != nil {
		p.t.Fatalf("writing %s: %v", message, err)
	}
	for i := range f.Raw {
		f.Raw[i] = 'x'
	}
}

func (p peer) read() wire.Frame {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	f, err := p.conn.Read(ctx)
	if err != nil {
		p.t.Fatalf("reading: %v", err)
	}
	return f
}

// nothing checks that no message comes for d; in a bubble of fake time only.
func (p peer) nothing(d time.Duration) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	if f, err := p.conn.Read(ctx); err == nil {
		p.t.Fatalf("got %s, want nothing", f.Raw)
	}
}

// call writes a request and returns its answer, the next message.
func (p peer) call(method, params string) wire.Frame {
	p.t.Helper()
	p.write(`{"jsonrpc":"2.0","id":"call","method":%q,"params":%s}`, method, params)
	f := p.read()
	if f.Kind != wire.Response || string(f.ID) != `"call"` {
		p.t.Fatalf("%s: got %s, want its answer", method, f.Raw)
	}
	return f
}

func (p peer) tool(name, args string) wire.Frame {
	p.t.Helper()
	return p.call("tools/call", fmt.Sprintf(`{"name":%q,"arguments":%s}`, name, args))
}

func at(f wire.Frame, path string) string {
	return string(wire.Lookup(f.Raw, strings.Split(path, ".")...))
}

func structuredContent[T any](t *testing.T, f wire.Frame) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(wire.Lookup(f.Raw, "result", "structuredContent"), &v); err != nil {
		t.Fatalf("structured content of %s: %v", f.Raw, err)
	}
	return v
}

func TestNewRefuses(t *testing.T) {
	for name, tt := range map[string]struct {
		names []string
		want  string
	}{
		"no names":     {nil, "choose from graph, market, whoami"},
		"unknown name": {[]string{"whoami", "grph"}, `no built-in tools called "grph": choose from graph, market, whoami`},
		"graph alone":  {[]string{"graph"}, "on behalf of callers"},
		"a name twice": {[]string{"market", "market"}, `"market" are named twice`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := builtin.New(builtin.Options{Names: tt.names})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

// Each request has an answer; what the answer says is a path and its value.
func TestAnswers(t *testing.T) {
	const modern = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}`
	p := open(t, newServer(t))
	for _, tt := range []struct {
		name, method, params string
		path, want           string
	}{
		{"initialize keeps a known version", "initialize", `{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"t","version":"1"}}`, "result.protocolVersion", `"2025-06-18"`},
		{"initialize offers subscriptions", "initialize", `{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"t","version":"1"}}`, "result.capabilities.resources", `{"subscribe":true}`},
		{"initialize offers logging", "initialize", `{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"t","version":"1"}}`, "result.capabilities.logging", `{}`},
		{"ping", "ping", `{}`, "result", `{}`},
		{"modern discovery", "server/discover", `{` + modern + `}`, "result.resultType", `"complete"`},
		{"modern call", "tools/call", `{"name":"get_quote","arguments":{"symbol":"CTSO"},` + modern + `}`, "result.structuredContent.symbol", `"CTSO"`},
		{"unknown method", "no/such", `{}`, "error.code", "-32601"},
		{"unknown tool", "tools/call", `{"name":"nope","arguments":{}}`, "error.code", "-32602"},
		{"missing argument", "tools/call", `{"name":"get_quote","arguments":{}}`, "result.isError", "true"},
		{"unknown argument", "tools/call", `{"name":"get_quote","arguments":{"symbol":"CTSO","x":1}}`, "result.isError", "true"},
		{"unknown symbol", "tools/call", `{"name":"get_quote","arguments":{"symbol":"NOPE"}}`, "result.isError", "true"},
		{"quantity below one", "tools/call", `{"name":"place_order","arguments":{"symbol":"CTSO","side":"buy","quantity":0}}`, "result.isError", "true"},
		{"quantity not whole", "tools/call", `{"name":"place_order","arguments":{"symbol":"CTSO","side":"buy","quantity":1.5}}`, "result.isError", "true"},
		{"too many steps", "tools/call", `{"name":"run_backtest","arguments":{"symbol":"CTSO","steps":1000000}}`, "result.isError", "true"},
		{"an order is simulated", "tools/call", `{"name":"place_order","arguments":{"symbol":"CTSO","side":"sell","quantity":3}}`, "result.structuredContent.simulated", "true"},
		{"unknown resource", "resources/read", `{"uri":"market://quotes/NOPE"}`, "error.code", "-32002"},
		{"unknown scheme", "resources/read", `{"uri":"file:///etc/passwd"}`, "error.code", "-32002"},
		{"unknown resource, modern", "resources/read", `{"uri":"market://quotes/NOPE",` + modern + `}`, "error.code", "-32602"},
		{"unknown subscription", "resources/subscribe", `{"uri":"market://quotes/NOPE"}`, "error.code", "-32002"},
		{"unsubscribing twice", "resources/unsubscribe", `{"uri":"market://quotes/CTSO"}`, "result", `{}`},
		{"prompt", "prompts/get", `{"name":"explain_quote","arguments":{"symbol":"WING"}}`, "result.description", `"A simulated quote and a question about it"`},
		{"prompt for unknown symbol", "prompts/get", `{"name":"explain_quote","arguments":{"symbol":"NOPE"}}`, "error.code", "-32602"},
		{"prompt without argument", "prompts/get", `{"name":"explain_quote"}`, "error.code", "-32602"},
		{"unknown level", "logging/setLevel", `{"level":"loud"}`, "error.code", "-32602"},
		{"listen in the old era", "subscriptions/listen", `{"notifications":{}}`, "error.code", "-32601"},
		{"bad listen", "subscriptions/listen", `{"notifications":7,` + modern + `}`, "error.code", "-32602"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := peer{t, p.conn}.call(tt.method, tt.params)
			if got := at(f, tt.path); got != tt.want {
				t.Errorf("%s is %s, want %s in %s", tt.path, got, tt.want, f.Raw)
			}
		})
	}
}

// Clients and policies decide by annotations; a client shows titles and checks
// structured content against output schemas.
func TestToolsAreDescribed(t *testing.T) {
	type tool struct {
		Name, Title, Description string
		Annotations              map[string]any
		InputSchema              map[string]any
		OutputSchema             map[string]any
	}
	var list struct{ Tools []tool }
	f := open(t, newServer(t)).call("tools/list", `{}`)
	if err := json.Unmarshal(wire.Lookup(f.Raw, "result"), &list); err != nil {
		t.Fatal(err)
	}
	elsewhere := map[string]bool{"get_user_details": true, "get_manager": true, "list_direct_reports": true, "list_my_groups": true, "search_people": true}
	readOnly := map[string]bool{"whoami": true, "list_symbols": true, "get_quote": true, "run_backtest": true, "place_order": false}
	maps.Copy(readOnly, elsewhere)
	if len(list.Tools) != len(readOnly) {
		t.Errorf("%d tools, want %d", len(list.Tools), len(readOnly))
	}
	for _, tool := range list.Tools {
		want, known := readOnly[tool.Name]
		if !known || tool.Title == "" || tool.Description == "" || tool.Annotations["title"] != tool.Title {
			t.Errorf("%s: not described: %+v", tool.Name, tool)
		}
		if tool.Annotations["readOnlyHint"] != want || tool.Annotations["destructiveHint"] != !want ||
			tool.Annotations["idempotentHint"] != want || tool.Annotations["openWorldHint"] != elsewhere[tool.Name] {
			t.Errorf("%s: annotations %v", tool.Name, tool.Annotations)
		}
		if strings.Contains(fmt.Sprint(tool.OutputSchema), "null") {
			t.Errorf("%s: something may be null: %v", tool.Name, tool.OutputSchema)
		}
		if tool.InputSchema["type"] != "object" || tool.OutputSchema["type"] != "object" || tool.OutputSchema["properties"] == nil {
			t.Errorf("%s: schemas %v, %v", tool.Name, tool.InputSchema, tool.OutputSchema)
		}
	}
}

func TestOnlyNamedFeaturesAreOffered(t *testing.T) {
	p := open(t, newServer(t, "whoami"))
	if got := at(p.call("tools/list", `{}`), "result.tools"); strings.Contains(got, "get_quote") || !strings.Contains(got, "whoami") {
		t.Errorf("tools: %s", got)
	}
	f := p.call("initialize", `{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}`)
	if got := at(f, "result.capabilities.resources"); got != "" {
		t.Errorf("resources are announced: %s", got)
	}
	if got := at(p.call("resources/subscribe", `{"uri":"market://quotes/CTSO"}`), "error.code"); got != "-32601" {
		t.Errorf("subscribing: %s", got)
	}
}

func TestWhoamiSeesTheCallerOfEachMessage(t *testing.T) {
	type identity struct {
		Kind, Name, Username string
		TenantID             string `json:"tenant_id"`
		ObjectID             string `json:"object_id"`
		ClientID             string `json:"client_id"`
		Scopes, Roles        []string
	}
	p := open(t, newServer(t, "whoami"))
	for _, tt := range []struct {
		name   string
		caller builtin.Caller
		kind   string
		text   string
	}{
		{
			"person",
			builtin.Caller{TenantID: "t1", ObjectID: "o1", Name: "Ada <3", Username: "ada@contoso.com", ClientID: "c1", Scopes: []string{"Mcp.Access"}, Roles: []string{"Writer", "Reader"}},
			"user",
			"You are Ada <3 (ada@contoso.com), object o1 in tenant t1, through client c1. Scopes: Mcp.Access. Roles: Writer, Reader.",
		},
		{
			"application",
			builtin.Caller{TenantID: "t1", ObjectID: "o2", ClientID: "c2", AppOnly: true},
			"app",
			"You are the application c2, object o2 in tenant t1, through client c2. Scopes: none. Roles: none.",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := peer{t, p.conn}
			p.writeAs(withCaller(tt.caller), `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"whoami"}}`)
			f := p.read()
			got := structuredContent[identity](t, f)
			if got.Kind != tt.kind || got.Name != tt.caller.Name || got.Username != tt.caller.Username || got.TenantID != tt.caller.TenantID ||
				got.ObjectID != tt.caller.ObjectID || got.ClientID != tt.caller.ClientID {
				t.Errorf("got %+v, want %+v", got, tt.caller)
			}
			if got.Scopes == nil || got.Roles == nil || len(got.Scopes) != len(tt.caller.Scopes) || len(got.Roles) != len(tt.caller.Roles) {
				t.Errorf("scopes %v, roles %v", got.Scopes, got.Roles)
			}
			var content []struct{ Text string }
			if err := json.Unmarshal(wire.Lookup(f.Raw, "result", "content"), &content); err != nil || len(content) != 2 {
				t.Fatalf("content of %s: %v", f.Raw, err)
			}
			if content[0].Text != tt.text {
				t.Errorf("text %q, want %q", content[0].Text, tt.text)
			}
			var fromText identity
			if err := json.Unmarshal([]byte(content[1].Text), &fromText); err != nil || !reflect.DeepEqual(fromText, got) {
				t.Errorf("JSON text %s (%v) differs from the structured content", content[1].Text, err)
			}
		})
	}
	t.Run("nobody", func(t *testing.T) {
		f := peer{t, p.conn}.tool("whoami", `{}`)
		if at(f, "result.isError") != "true" || !strings.Contains(string(f.Raw), "Nobody is signed in") {
			t.Errorf("got %s", f.Raw)
		}
	})
}
