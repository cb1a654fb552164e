package era

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mcpctl/mcpctl/internal/wire"
)

func TestModernClientFallsBackByItself(t *testing.T) {
	p := newPeer(t, Options{}, legacyOnly(nil))
	p.ask("1", "server/discover", modernParams("{}", "", ""))
	if answer := p.read(); errorCode(answer) != wire.CodeMethodNotFound || string(answer.ID) != "1" {
		t.Fatalf("server/discover was answered with %s", answer.Raw)
	}
	p.send(hello)
	p.want(`{"jsonrpc":"2.0","id":0,"result":` + initialized + `}`)
	if first := p.remote.sent("initialize"); len(first) != 1 || string(first[0].Raw) != hello {
		t.Errorf("the remote was sent %v", first)
	}
}

func TestModernClientDiscovers(t *testing.T) {
	p := newPeer(t, Options{AnswerDiscover: true}, legacyOnly(nil))
	p.ask("1", "server/discover", modernParams("{}", "", ""))
	p.want(`{"jsonrpc":"2.0","id":1,"result":{"supportedVersions":["2026-07-28"],"resultType":"complete","ttlMs":0,"cacheScope":"private","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"old","version":"1"}},"capabilities":{"logging":{},"tools":{"listChanged":true},"resources":{"subscribe":true}},"instructions":"be kind","vendor":12345678901234567890}}`)
}

func TestModernClientRequestAndResult(t *testing.T) {
	p := newPeer(t, Options{}, legacyOnly(func(r *fakeRemote, ctx context.Context, f wire.Frame) error {
		return r.answer(ctx, f, `{ "tools":[ {"name":"a", "n":12345678901234567890} ] }`)
	}))
	p.ask(`"a"`, "tools/list", modernParams(`{"sampling":{}}`, `,"traceparent":"00"`, `, "cursor" : "c"`))
	p.want(`{"jsonrpc":"2.0","id":"a","result":{"resultType":"complete","ttlMs":0,"cacheScope":"private", "tools":[ {"name":"a", "n":12345678901234567890} ] }}`)

	opened := p.remote.sent("initialize")[0]
	if got := string(wire.Lookup(opened.Raw, "params")); got != `{"protocolVersion":"2025-11-25","capabilities":{"sampling":{}},"clientInfo":{"name":"new","version":"2"}}` {
		t.Errorf("the session was opened with %s", got)
	}
	lists := p.remote.sent("tools/list")
	if got := string(wire.Lookup(lists[len(lists)-1].Raw, "params")); got != `{"_meta":{"traceparent":"00"}, "cursor" : "c"}` {
		t.Errorf("the remote was sent %s", got)
	}
}

func TestModernClientErrors(t *testing.T) {
	p := newPeer(t, Options{}, legacyOnly(func(r *fakeRemote, ctx context.Context, f wire.Frame) error {
		if f.Method == "resources/read" {
			return r.deliver(ctx, wire.NewError(f.ID, codeResourceNotFound, "none", map[string]string{"uri": "x:1"}))
		}
		return &wire.StatusError{Status: 401}
	}))
	p.ask("1", "resources/read", modernParams("{}", "", `,"uri":"x:1"`))
	if answer := p.read(); errorCode(answer) != wire.CodeInvalidParams || wire.LookupString(answer.Raw, "error", "data", "uri") != "x:1" {
		t.Errorf("got %s", answer.Raw)
	}
	for method, code := range map[string]int{
		"ping": wire.CodeMethodNotFound, "resources/subscribe": wire.CodeMethodNotFound, "tools/list": wire.CodeInternal,
	} {
		p.ask("2", method, modernParams("{}", "", ""))
		if answer := p.read(); errorCode(answer) != code {
			t.Errorf("%s: got %s", method, answer.Raw)
		}
	}
	p.ask("3", "tools/list", strings.Replace(modernParams("{}", "", ""), modernVersion, "2030-01-01", 1))
	if answer := p.read(); errorCode(answer) != codeUnsupportedVersion || wire.LookupString(answer.Raw, "error", "data", "requested") != "2030-01-01" {
		t.Errorf("got %s", answer.Raw)
	}
}

// asking is a legacy server whose tool asks the client twice at once, and once
// more.
type asking struct {
	mu   sync.Mutex
	open map[string]chan wire.Frame
}

func (a *asking) ask(r *fakeRemote, ctx context.Context, id, method, params string) <-chan wire.Frame {
	c := make(chan wire.Frame, 1)
	a.mu.Lock()
	if a.open == nil {
		a.open = map[string]chan wire.Frame{}
	}
	a.open[id] = c
	a.mu.Unlock()
	_ = r.deliver(ctx, requestFrame(wire.ID(id), method, []byte(params)))
	return c
}

func (a *asking) serve(r *fakeRemote, ctx context.Context, f wire.Frame) error {
	if f.Kind == wire.Response {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.open[f.ID.Key()] <- f.Clone()
		return nil
	}
	first := a.ask(r, ctx, "1", "elicitation/create", `{"message":"?"}`)
	second := a.ask(r, ctx, `"r"`, "roots/list", `{}`)
	var said []string
	for _, c := range []<-chan wire.Frame{first, second} {
		select {
		case answer := <-c:
			if result := wire.Lookup(answer.Raw, "result"); result != nil {
				said = append(said, string(result))
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	note := fmt.Sprintf(`{"progressToken":%s,"progress":12345678901234567890}`, wire.Lookup(f.Raw, "params", "_meta", "progressToken"))
	if err := r.deliver(ctx, noteFrame("notifications/progress", []byte(note))); err != nil {
		return err
	}
	return r.answer(ctx, f, `{"content":[],"said":[`+strings.Join(said, ",")+`]}`)
}

const askable = `{"elicitation":{},"roots":{}}`

// A request of the server during a call becomes an input_required result; the
// retry takes the same call up again.
func TestModernClientIsAsked(t *testing.T) {
	server := &asking{}
	p := newPeer(t, Options{}, legacyOnly(server.serve))
	p.ask("1", "tools/call", modernParams(askable, `,"progressToken":"first"`, `,"name":"t","arguments":{"b":1,"a":2}`))
	answer := p.read()
	if got := string(wire.Lookup(answer.Raw, "result", "inputRequests")); got != `{"q1":{"method":"elicitation/create","params":{"message":"?"}},"q2":{"method":"roots/list","params":{}}}` || string(answer.ID) != "1" {
		t.Fatalf("the client got %s", answer.Raw)
	}
	state := wire.LookupString(answer.Raw, "result", "requestState")
	retry := func(name, responses string) string {
		return modernParams(askable, `,"progressToken":9007199254740993`, fmt.Sprintf(`,"name":%q,"arguments":{ "a":2,"b":1},"requestState":%q,"inputResponses":%s`, name, state, responses))
	}
	p.ask("2", "tools/call", retry("other", `{}`))
	if answer := p.read(); errorCode(answer) != wire.CodeInvalidParams {
		t.Errorf("a state of another request got %s", answer.Raw)
	}
	p.ask("3", "tools/call", retry("t", `{"q1":{"action":"accept"}}`))
	answer = p.read()
	if got := string(wire.Lookup(answer.Raw, "result", "inputRequests")); got != `{"q2":{"method":"roots/list","params":{}}}` {
		t.Fatalf("with one answer missing the client got %s", answer.Raw)
	}
	used := state
	state = wire.LookupString(answer.Raw, "result", "requestState")
	p.ask("4", "tools/call", retry("t", `{"q2":{"roots":[]}}`))
	p.want(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":9007199254740993,"progress":12345678901234567890}}`)
	p.want(`{"jsonrpc":"2.0","id":4,"result":{"resultType":"complete","content":[],"said":[{"action":"accept"},{"roots":[]}]}}`)
	state = used
	p.ask("5", "tools/call", retry("t", `{}`))
	if answer := p.read(); errorCode(answer) != wire.CodeInvalidParams {
		t.Errorf("a state that was used got %s", answer.Raw)
	}
}

// What the client has not declared is refused towards the server, at once.
func TestModernClientCannotBeAsked(t *testing.T) {
	server := &asking{}
	refused := make(chan wire.Frame, 2)
	p := newPeer(t, Options{}, legacyOnly(func(r *fakeRemote, ctx context.Context, f wire.Frame) error {
		if f.Kind == wire.Response {
			refused <- f.Clone()
		}
		return server.serve(r, ctx, f)
	}))
	p.ask("1", "tools/call", modernParams("{}", "", `,"name":"t"`))
	for range 2 {
		if f := <-refused; errorCode(f) != wire.CodeMethodNotFound {
			t.Errorf("the server got %s", f.Raw)
		}
	}
	if answer := p.read(); answer.Failed || string(answer.ID) != "1" {
		t.Errorf("the client got %s", answer.Raw)
	}
}

func TestModernClientThatDoesNotComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &asking{}
		p := newPeer(t, Options{}, legacyOnly(func(r *fakeRemote, ctx context.Context, f wire.Frame) error {
			if f.Kind == wire.Notification {
				return nil
			}
			return server.serve(r, ctx, f)
		}))
		p.ctx = context.Background()
		p.ask("1", "tools/call", modernParams(askable, "", `,"name":"t"`))
		if f, err := p.conn.Read(p.ctx); err != nil || wire.Lookup(f.Raw, "result", "requestState") == nil {
			t.Fatalf("got %s, %v", f.Raw, err)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		call := p.remote.sent("tools/call")
		cancelled := p.remote.sent("notifications/cancelled")
		if len(cancelled) != 1 || string(wire.Lookup(cancelled[0].Raw, "params", "requestId")) != string(call[len(call)-1].ID) {
			t.Errorf("the call was not cancelled: %v", p.remote.methods())
		}
		_ = p.conn.Close()
	})
}

func TestModernClientCancels(t *testing.T) {
	told := make(chan wire.Frame, 1)
	started := make(chan wire.ID, 1)
	p := newPeer(t, Options{}, legacyOnly(func(_ *fakeRemote, ctx context.Context, f wire.Frame) error {
		if f.Kind == wire.Notification {
			told <- f.Clone()
			return nil
		}
		started <- f.Clone().ID
		<-ctx.Done()
		return ctx.Err()
	}))
	p.ask("1", "tools/call", modernParams("{}", "", `,"name":"t"`))
	id := <-started
	p.send(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`)
	if f := <-told; string(wire.Lookup(f.Raw, "params", "requestId")) != string(id) {
		t.Errorf("the server got %s", f.Raw)
	}
	p.silent()
}

func TestModernClientListens(t *testing.T) {
	p := newPeer(t, Options{}, legacyOnly(func(r *fakeRemote, ctx context.Context, f wire.Frame) error {
		if wire.LookupString(f.Raw, "params", "uri") == "x:bad" {
			return r.deliver(ctx, wire.NewError(f.ID, -1, "no", nil))
		}
		return r.answer(ctx, f, `{}`)
	}))
	p.ask("9007199254740993", "subscriptions/listen", modernParams("{}", "", `,"notifications":{"toolsListChanged":true,"promptsListChanged":true,"resourceSubscriptions":["x:1","x:bad"]}`))
	p.want(`{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":9007199254740993},"notifications":{"toolsListChanged":true,"resourceSubscriptions":["x:1"]}}}`)
	for _, raw := range []string{
		`{"jsonrpc":"2.0","method":"notifications/prompts/list_changed"}`,
		`{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"x:2"}}`,
		`{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}`,
		`{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"x:1/part","_meta":{"a":1}}}`,
	} {
		if err := p.remote.deliver(t.Context(), wire.MustParse(raw)); err != nil {
			t.Fatal(err)
		}
	}
	p.want(`{"params":{"_meta":{"io.modelcontextprotocol/subscriptionId":9007199254740993}},"jsonrpc":"2.0","method":"notifications/tools/list_changed"}`)
	p.want(`{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"x:1/part","_meta":{"io.modelcontextprotocol/subscriptionId":9007199254740993,"a":1}}}`)
	p.send(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":9007199254740993}}`)
	for deadline := time.Now().Add(5 * time.Second); len(p.remote.sent("resources/unsubscribe")) == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the subscription was not ended")
		}
	}
}

func TestModernClientLogMessages(t *testing.T) {
	p := newPeer(t, Options{}, legacyOnly(func(r *fakeRemote, ctx context.Context, f wire.Frame) error {
		if f.Method == "tools/call" {
			for _, level := range []string{"debug", "warning", "error"} {
				if err := r.deliver(ctx, noteFrame("notifications/message", []byte(`{"level":"`+level+`"}`))); err != nil {
					return err
				}
			}
		}
		return r.answer(ctx, f, `{}`)
	}))
	p.ask("1", "tools/call", modernParams("{}", "", `,"name":"t"`))
	p.want(`{"jsonrpc":"2.0","id":1,"result":{"resultType":"complete"}}`)
	p.ask("2", "tools/call", modernParams("{}", `,"io.modelcontextprotocol/logLevel":"warning"`, `,"name":"t"`))
	p.want(`{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"warning"}}`)
	p.want(`{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"error"}}`)
	p.read()
	if set := p.remote.sent("logging/setLevel"); len(set) != 1 || wire.LookupString(set[0].Raw, "params", "level") != "warning" {
		t.Errorf("the server was told %v", set)
	}
}

// When the client comes to declare more, the session is opened anew with both.
func TestModernClientGrows(t *testing.T) {
	p := newPeer(t, Options{}, legacyOnly(nil))
	for i, capabilities := range []string{`{"elicitation":{}}`, `{"elicitation":{}}`, `{"elicitation":{"url":{}},"sampling":{}}`, `{"roots":{}}`, `{"sampling":{}}`} {
		p.ask(fmt.Sprint(i), "tools/list", modernParams(capabilities, "", ""))
		p.read()
	}
	var got []string
	for _, f := range p.remote.sent("initialize") {
		got = append(got, string(wire.Lookup(f.Raw, "params", "capabilities")))
	}
	want := []string{`{"elicitation":{}}`, `{"sampling":{},"elicitation":{"url":{},"form":{}}}`, `{"roots":{},"sampling":{},"elicitation":{"url":{},"form":{}}}`}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("sessions were opened with\n%v\nwant\n%v", got, want)
	}
}

func TestModernClientIsSentToAPage(t *testing.T) {
	p := newPeer(t, Options{}, legacyOnly(func(r *fakeRemote, ctx context.Context, f wire.Frame) error {
		return r.deliver(ctx, wire.MustParse(fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"error":{"code":-32042,"message":"visit","data":{"elicitations":[{"mode":"url","elicitationId":"e","url":"https://x/","message":"m"}]}}}`, f.ID)))
	}))
	p.ask("1", "tools/call", modernParams(`{"elicitation":{"url":{}}}`, "", `,"name":"t"`))
	p.want(`{"jsonrpc":"2.0","id":1,"result":{"resultType":"input_required","inputRequests":{"q1":{"method":"elicitation/create","params":{"mode":"url","url":"https://x/","message":"m"}}}}}`)
	p.ask("2", "tools/call", modernParams(`{}`, "", `,"name":"t"`))
	if answer := p.read(); errorCode(answer) != codeMissingCapability {
		t.Errorf("got %s", answer.Raw)
	}
}

func TestModernClientSessionLost(t *testing.T) {
	lost := false
	p := newPeer(t, Options{}, legacyOnly(func(r *fakeRemote, ctx context.Context, f wire.Frame) error {
		if !lost {
			lost = true
			return wire.ErrSessionLost
		}
		return r.answer(ctx, f, `{}`)
	}))
	p.ask("1", "tools/call", modernParams("{}", "", `,"name":"t"`))
	p.want(`{"jsonrpc":"2.0","id":1,"result":{"resultType":"complete"}}`)
	if n := len(p.remote.sent("initialize")); n != 2 {
		t.Errorf("%d sessions were opened", n)
	}
}
