package era

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mcpctl/mcpctl/internal/wire"
)

func TestLegacyClientInitializes(t *testing.T) {
	p := newPeer(t, Options{}, modernOnly(nil))
	answer := p.greet()
	want := `{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"2025-06-18","serverInfo":{"name":"new","version":"2"},"capabilities":{"logging":{},"tools":{"listChanged":true},"resources":{"subscribe":true},"extensions":{"io.modelcontextprotocol/ui":{"x":12345678901234567890}}},"instructions":"be kind","vendor":1e400,"_meta":{"io.modelcontextprotocol/serverInfo":{"name":"new","version":"2"}}}}`
	if string(answer.Raw) != want {
		t.Errorf("initialize was answered with\n%s\nwant\n%s", answer.Raw, want)
	}
	if got := p.remote.methods()[:2]; !slices.Equal(got, []string{"initialize", "server/discover"}) {
		t.Errorf("the remote was sent %v: mirror first, then discover", got)
	}
}

func TestLegacyClientVersions(t *testing.T) {
	for asked, want := range map[string]string{
		"2024-11-05": "2024-11-05", "2025-03-26": "2025-03-26", "2025-11-25": "2025-11-25",
		"1999-01-01": legacyVersion, "2026-07-28": legacyVersion,
	} {
		t.Run(asked, func(t *testing.T) {
			p := newPeer(t, Options{Mode: modernVersion}, modernOnly(nil))
			p.send("%s", strings.Replace(hello, "2025-06-18", asked, 1))
			if got := wire.LookupString(p.read().Raw, "result", "protocolVersion"); got != want {
				t.Errorf("asked for %s, got %s, want %s", asked, got, want)
			}
			if got := p.remote.methods(); got[0] != "server/discover" {
				t.Errorf("a remote that is to be spoken to in %s was sent %v", modernVersion, got)
			}
		})
	}
}

// What a request needs in the modern era is put in front; the rest of its bytes
// stay.
func TestLegacyClientRequestBytes(t *testing.T) {
	const meta = `"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"old","version":"1"},"io.modelcontextprotocol/clientCapabilities":{"roots":{},"sampling":{},"elicitation":{},"extensions":{"io.modelcontextprotocol/ui":{}}}`
	for name, test := range map[string]struct{ in, out string }{
		"no params": {
			`{"jsonrpc":"2.0","id":9007199254740993,"method":"tools/list"}`,
			`{"params":{"_meta":{` + meta + `}},"jsonrpc":"2.0","id":9007199254740993,"method":"tools/list"}`,
		},
		"no meta": {
			`{"jsonrpc":"2.0", "id":"a\u00e9", "method":"x/y", "params": { "z" : 12345678901234567890 , "a":[1, 2] }, "more":null}`,
			`{"jsonrpc":"2.0", "id":"a\u00e9", "method":"x/y", "params": {"_meta":{` + meta + `}, "z" : 12345678901234567890 , "a":[1, 2] }, "more":null}`,
		},
		"with a progress token": {
			`{"jsonrpc":"2.0","id":1,"method":"x/y","params":{"_meta":{"progressToken":9007199254740993,"io.modelcontextprotocol/logLevel":"debug"}}}`,
			`{"jsonrpc":"2.0","id":1,"method":"x/y","params":{"_meta":{` + meta + `,"progressToken":9007199254740993}}}`,
		},
		"params that are no object": {
			`{"jsonrpc":"2.0","id":1,"method":"x/y","params":[1]}`, `{"jsonrpc":"2.0","id":1,"method":"x/y","params":[1]}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPeer(t, Options{}, modernOnly(nil))
			p.greet()
			p.send("%s", test.in)
			p.read()
			if got := p.remote.sent(wire.MustParse(test.in).Method)[0]; string(got.Raw) != test.out {
				t.Errorf("the remote was sent\n%s\nwant\n%s", got.Raw, test.out)
			}
		})
	}
}

func TestLegacyClientIsServedLocally(t *testing.T) {
	p := newPeer(t, Options{}, modernOnly(nil))
	p.greet()
	p.send(`{"jsonrpc":"2.0","id":1,"method":"ping"}`)
	p.want(`{"jsonrpc":"2.0","id":1,"result":{}}`)
	p.send(`{"jsonrpc":"2.0","method":"notifications/roots/list_changed"}`)
	p.send(`{"jsonrpc":"2.0","id":2,"method":"logging/setLevel","params":{"level":"warning"}}`)
	p.want(`{"jsonrpc":"2.0","id":2,"result":{}}`)
	p.send(`{"jsonrpc":"2.0","id":3,"method":"logging/setLevel","params":{"level":"loud"}}`)
	if code := errorCode(p.read()); code != wire.CodeInvalidParams {
		t.Errorf("an unknown level gets %d", code)
	}
	p.send(`{"jsonrpc":"2.0","id":4,"method":"tools/list"}`)
	p.want(`{"jsonrpc":"2.0","id":4,"result":{}}`)
	if got := wire.LookupString(p.remote.sent("tools/list")[0].Raw, "params", "_meta", metaLogLevel); got != "warning" {
		t.Errorf("the level in the request is %q", got)
	}
	for _, method := range p.remote.methods() {
		switch method {
		case "ping", "logging/setLevel", "notifications/initialized", "notifications/roots/list_changed":
			t.Errorf("the remote was sent %s", method)
		}
	}
}

func TestLegacyClientResults(t *testing.T) {
	for name, test := range map[string]struct{ method, in, out string }{
		"result type": {"completion/complete", `{"resultType":"complete","completion":{"values":[]},"ttlMs":5}`, `{"completion":{"values":[]},"ttlMs":5}`},
		"cache fields": {
			"resources/read", `{ "contents":[], "ttlMs":5 , "cacheScope":"public","resultType":"complete" }`, `{ "contents":[] }`,
		},
		"foreign output schema": {
			"tools/list",
			`{"tools":[{"name":"a","outputSchema":{"type":"array"}},{"name":"b","outputSchema":{"type":"object","n":12345678901234567890}}],"ttlMs":1}`,
			`{"tools":[{"name":"a"},{"name":"b","outputSchema":{"type":"object","n":12345678901234567890}}]}`,
		},
		"tool at fault": {
			"tools/list",
			`{"tools":[{"name":"a","inputSchema":{"properties":{"p":{"type":"object","x-mcp-header":"P"}}}},{"name":"b"}]}`,
			`{"tools":[{"name":"b"}]}`,
		},
		"structured text": {
			"tools/call", `{"resultType":"complete","content":[],"structuredContent":[1,"<"]}`,
			`{"content":[{"type":"text","text":"[1,\"<\"]"}]}`,
		},
		"structured text said already": {
			"tools/call", `{"resultType":"complete","content":[{"type":"text","text":"[1, 2]"}],"structuredContent":[1,2]}`,
			`{"content":[{"type":"text","text":"[1, 2]"}]}`,
		},
		"structured object": {
			"tools/call", `{"content":[],"structuredContent":{"a":1},"resultType":"complete"}`, `{"content":[],"structuredContent":{"a":1}}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPeer(t, Options{}, modernOnly(func(r *fakeRemote, ctx context.Context, f wire.Frame) error {
				return r.answer(ctx, f, test.in)
			}))
			p.greet()
			p.send(`{"jsonrpc":"2.0","id":"x","method":%q,"params":{"name":"n"}}`, test.method)
			p.want(`{"jsonrpc":"2.0","id":"x","result":` + test.out + `}`)
		})
	}
}

func TestLegacyClientErrors(t *testing.T) {
	for name, test := range map[string]struct {
		method     string
		code, want int
		data       any
	}{
		"unknown resource":   {"resources/read", wire.CodeInvalidParams, codeResourceNotFound, map[string]string{"uri": "x:y"}},
		"invalid parameters": {"resources/read", wire.CodeInvalidParams, wire.CodeInvalidParams, nil},
		"unknown method":     {"x/y", wire.CodeMethodNotFound, wire.CodeMethodNotFound, nil},
		"headers":            {"prompts/get", codeHeaderMismatch, wire.CodeInternal, nil},
		"capability":         {"tools/call", codeMissingCapability, codeMissingCapability, nil},
		"the server's own":   {"tools/call", -31999, -31999, nil},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPeer(t, Options{}, modernOnly(func(_ *fakeRemote, _ context.Context, f wire.Frame) error {
				return refuse(400, f, test.code, test.data)
			}))
			p.greet()
			p.send(`{"jsonrpc":"2.0","id":7,"method":%q,"params":{}}`, test.method)
			answer := p.read()
			if string(answer.ID) != "7" || errorCode(answer) != test.want {
				t.Errorf("got %s, want code %d", answer.Raw, test.want)
			}
		})
	}
}

// An input_required result becomes requests to the client; their answers go up
// in a new request with the state as it came.
func TestLegacyClientIsAskedForInput(t *testing.T) {
	p := newPeer(t, Options{}, modernOnly(func(r *fakeRemote, ctx context.Context, f wire.Frame) error {
		switch wire.LookupString(f.Raw, "params", "requestState") {
		case "":
			return r.answer(ctx, f, `{"resultType":"input_required","requestState":"s\u0031","inputRequests":{"who":{"method":"elicitation/create","params":{"message":"Who?","requestedSchema":{"type":"object"}}},"roots":{"method":"roots/list"}}}`)
		case "s1":
			return r.answer(ctx, f, `{"resultType":"input_required","requestState":"s2","inputRequests":{"llm":{"method":"sampling/createMessage","params":{"maxTokens":9007199254740993}}}}`)
		}
		return r.answer(ctx, f, `{"resultType":"complete","content":[]}`)
	}))
	p.greet()
	p.send(`{"jsonrpc":"2.0","id":"call","method":"tools/call","params":{"name":"t","arguments":{"n":12345678901234567890},"_meta":{"progressToken":"p"}}}`)
	for range 2 {
		switch q := p.read(); q.Method {
		case "elicitation/create":
			p.send(`{"jsonrpc":"2.0","id":%s,"result":{"action":"accept","content":{"name":"Ada"}}}`, q.ID)
		case "roots/list":
			p.send(`{"jsonrpc":"2.0","id":%s,"result":{"roots":[]}}`, q.ID)
		default:
			t.Fatalf("the client got %s", q.Raw)
		}
	}
	q := p.read()
	if got := string(wire.Lookup(q.Raw, "params", "maxTokens")); q.Method != "sampling/createMessage" || got != "9007199254740993" {
		t.Fatalf("the client got %s", q.Raw)
	}
	p.send(`{"jsonrpc":"2.0","id":%s,"result":{"role":"assistant"}}`, q.ID)
	p.want(`{"jsonrpc":"2.0","id":"call","result":{"content":[]}}`)

	calls := p.remote.sent("tools/call")
	if len(calls) != 3 {
		t.Fatalf("the remote was called %d times", len(calls))
	}
	ids := map[string]bool{}
	for _, c := range calls {
		ids[c.ID.Key()] = true
		if got := wire.LookupString(c.Raw, "params", "_meta", "progressToken"); got != "p" {
			t.Errorf("progress token %q in %s", got, c.Raw)
		}
		if got := string(wire.Lookup(c.Raw, "params", "arguments", "n")); got != "12345678901234567890" {
			t.Errorf("arguments %s", got)
		}
	}
	if len(ids) != 3 {
		t.Errorf("ids were used again: %v", ids)
	}
	if got := string(wire.Lookup(calls[1].Raw, "params", "requestState")); got != `"s\u0031"` {
		t.Errorf("the state came back as %s", got)
	}
	if got := string(wire.Lookup(calls[1].Raw, "params", "inputResponses", "who")); got != `{"action":"accept","content":{"name":"Ada"}}` {
		t.Errorf("the answer came up as %s", got)
	}
	if got := string(wire.Lookup(calls[2].Raw, "params", "inputResponses")); got != `{"llm":{"role":"assistant"}}` {
		t.Errorf("the second round's answers are %s", got)
	}
}

// A page to visit gets the id that 2025-11-25 wants. While the server waits for
// the person it is asked again, not the person.
func TestLegacyClientIsSentToAPage(t *testing.T) {
	tries := 0
	p := newPeer(t, Options{}, modernOnly(func(r *fakeRemote, ctx context.Context, f wire.Frame) error {
		if tries++; tries == 4 {
			return r.answer(ctx, f, `{"resultType":"complete"}`)
		}
		return r.answer(ctx, f, `{"resultType":"input_required","inputRequests":{"k":{"method":"elicitation/create","params":{"mode":"url","url":"https://x/"}}}}`)
	}))
	p.send(`{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{"elicitation":{"url":{}}}}}`)
	p.read()
	p.send(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t"}}`)
	q := p.read()
	id := wire.LookupString(q.Raw, "params", "elicitationId")
	if q.Method != "elicitation/create" || id == "" {
		t.Fatalf("the client got %s", q.Raw)
	}
	p.send(`{"jsonrpc":"2.0","id":%s,"result":{"action":"accept"}}`, q.ID)
	if note := p.read(); note.Method != "notifications/elicitation/complete" || wire.LookupString(note.Raw, "params", "elicitationId") != id {
		t.Errorf("the client got %s", note.Raw)
	}
	p.want(`{"jsonrpc":"2.0","id":1,"result":{}}`)
	for _, call := range p.remote.sent("tools/call")[1:] {
		if got := string(wire.Lookup(call.Raw, "params", "inputResponses")); got != `{"k":{"action":"accept"}}` {
			t.Errorf("the remote got %s", got)
		}
	}
}

func TestLegacyClientLacksCapability(t *testing.T) {
	for name, test := range map[string]struct{ request, want string }{
		"url elicitation": {`{"method":"elicitation/create","params":{"mode":"url","url":"https://x","message":"m"}}`, `{"k":{"action":"decline"}}`},
		"sampling":        {`{"method":"sampling/createMessage","params":{}}`, ""},
		"unknown":         {`{"method":"vendor/thing","params":{}}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPeer(t, Options{}, modernOnly(func(r *fakeRemote, ctx context.Context, f wire.Frame) error {
				if wire.Lookup(f.Raw, "params", "requestState") != nil {
					return r.answer(ctx, f, `{"resultType":"complete"}`)
				}
				return r.answer(ctx, f, `{"resultType":"input_required","requestState":"s","inputRequests":{"k":`+test.request+`}}`)
			}))
			p.send(`{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{"elicitation":{}}}}`)
			p.read()
			p.send(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t"}}`)
			answer := p.read()
			if test.want == "" {
				if !answer.Failed || string(answer.ID) != "1" {
					t.Errorf("got %s", answer.Raw)
				}
				return
			}
			if got := string(wire.Lookup(p.remote.sent("tools/call")[1].Raw, "params", "inputResponses")); got != test.want {
				t.Errorf("the remote got %s, want %s", got, test.want)
			}
		})
	}
}

func TestLegacyClientRoundsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(t, Options{}, modernOnly(func(r *fakeRemote, ctx context.Context, f wire.Frame) error {
			return r.answer(ctx, f, `{"resultType":"input_required","requestState":"again"}`)
		}))
		p.ctx = context.Background()
		p.send(hello)
		p.read()
		p.send(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t"}}`)
		f, err := p.conn.Read(p.ctx)
		if err != nil || !f.Failed {
			t.Errorf("got %s, %v", f.Raw, err)
		}
		if n := len(p.remote.sent("tools/call")); n != 11 {
			t.Errorf("the remote was called %d times", n)
		}
		_ = p.conn.Close()
	})
}

// Wherever a call is when the client cancels it, what hangs on it ends.
func TestLegacyClientCancels(t *testing.T) {
	t.Run("while the server works", func(t *testing.T) {
		closed := make(chan struct{})
		started := make(chan struct{})
		p := newPeer(t, Options{}, modernOnly(func(_ *fakeRemote, ctx context.Context, _ wire.Frame) error {
			close(started)
			<-ctx.Done()
			close(closed)
			return ctx.Err()
		}))
		p.greet()
		p.send(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t"}}`)
		<-started
		p.send(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`)
		<-closed
		p.silent()
		if n := len(p.remote.sent("notifications/cancelled")); n != 0 {
			t.Error("the remote was sent notifications/cancelled")
		}
	})
	t.Run("while the client is asked", func(t *testing.T) {
		p := newPeer(t, Options{}, modernOnly(func(r *fakeRemote, ctx context.Context, f wire.Frame) error {
			return r.answer(ctx, f, `{"resultType":"input_required","inputRequests":{"k":{"method":"roots/list"}}}`)
		}))
		p.greet()
		p.send(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t"}}`)
		q := p.read()
		p.send(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`)
		note := p.read()
		if note.Method != "notifications/cancelled" || string(wire.Lookup(note.Raw, "params", "requestId")) != string(q.ID) {
			t.Errorf("the client got %s", note.Raw)
		}
		p.send(`{"jsonrpc":"2.0","id":%s,"result":{"roots":[]}}`, q.ID)
		p.silent()
	})
}

func TestLegacyClientSubscribes(t *testing.T) {
	p := newPeer(t, Options{}, modernOnly(nil))
	p.greet()
	p.send(`{"jsonrpc":"2.0","id":1,"method":"resources/subscribe","params":{"uri":"x:1"}}`)
	p.want(`{"jsonrpc":"2.0","id":1,"result":{}}`)
	p.send(`{"jsonrpc":"2.0","id":2,"method":"resources/subscribe","params":{"uri":"x:2"}}`)
	p.want(`{"jsonrpc":"2.0","id":2,"result":{}}`)
	listens := p.remote.sent("subscriptions/listen")
	stream := listens[len(listens)-1]
	if got := string(wire.Lookup(stream.Raw, "params", "notifications")); got != `{"toolsListChanged":true,"resourceSubscriptions":["x:1","x:2"]}` {
		t.Errorf("the remote was asked for %s", got)
	}
	// The subscription's id is ours; the client never sees it.
	note := `{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"x:1","_meta":{"a":1,"io.modelcontextprotocol/subscriptionId":` + string(stream.ID) + `}}}`
	if err := p.remote.deliver(t.Context(), wire.MustParse(note)); err != nil {
		t.Fatal(err)
	}
	p.want(`{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"x:1","_meta":{"a":1}}}`)
	p.send(`{"jsonrpc":"2.0","id":3,"method":"resources/unsubscribe","params":{"uri":"x:1"}}`)
	p.want(`{"jsonrpc":"2.0","id":3,"result":{}}`)
}

func TestLegacyClientSubscriptionsSurvive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		drop := make(chan struct{})
		streams := make(chan context.Context, 2)
		serve := modernOnly(nil)
		p := newPeer(t, Options{}, func(r *fakeRemote, ctx context.Context, f wire.Frame) error {
			if f.Method != "subscriptions/listen" {
				return serve(r, ctx, f)
			}
			streams <- ctx
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			go func() {
				select {
				case <-drop:
					cancel()
				case <-ctx.Done():
				}
			}()
			_ = serve(r, ctx, f)
			return wire.ErrNoAnswer
		})
		p.ctx = context.Background()
		p.greet()
		synctest.Wait()
		drop <- struct{}{}
		f, err := p.conn.Read(p.ctx)
		if err != nil || f.Method != "notifications/tools/list_changed" {
			t.Errorf("after the stream was lost the client got %s, %v", f.Raw, err)
		}
		if n := len(p.remote.sent("subscriptions/listen")); n != 2 {
			t.Errorf("the remote was asked to listen %d times", n)
		}
		if (<-streams).Err() == nil {
			t.Error("something of the lost stream is kept")
		}
		_ = p.conn.Close()
	})
}

func TestLegacyClientOfServerWithoutSubscriptions(t *testing.T) {
	serve := modernOnly(nil)
	p := newPeer(t, Options{}, func(r *fakeRemote, ctx context.Context, f wire.Frame) error {
		if f.Method == "subscriptions/listen" {
			return refuse(404, f, wire.CodeMethodNotFound, nil)
		}
		return serve(r, ctx, f)
	})
	p.greet()
	start := time.Now()
	p.send(`{"jsonrpc":"2.0","id":1,"method":"resources/subscribe","params":{"uri":"x:1"}}`)
	if answer := p.read(); !answer.Failed || time.Since(start) > 10*time.Second {
		t.Errorf("got %s", answer.Raw)
	}
}
