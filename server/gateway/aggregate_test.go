package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// peer is an upstream of an aggregate in a test's hands.
type peer struct {
	name string

	mu      sync.Mutex
	answers map[string]string // by method: `"result":…` or `"error":…`; "hang"; "lost"; "drop"
	got     []string
	deliver wire.Deliver
	dials   int
	noDial  bool
	ends    int
}

func (p *peer) Exchange(ctx context.Context, f wire.Frame) error {
	p.mu.Lock()
	p.got = append(p.got, string(f.Raw))
	answer := p.answers[f.Method]
	deliver := p.deliver
	p.mu.Unlock()
	if f.Kind != wire.Request {
		return nil
	}
	switch answer {
	case "":
		answer = `"error":{"code":-32601,"message":"Method not found"}`
	case "hang":
		<-ctx.Done()
		return ctx.Err()
	case "lost":
		return wire.ErrSessionLost
	case "drop":
		return nil
	}
	return deliver(ctx, wire.MustParse(`{"jsonrpc":"2.0","id":`+string(f.ID)+`,`+answer+`}`))
}

func (p *peer) Listen(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }

func (p *peer) End(context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ends++
	return nil
}

func (p *peer) dial(deliver wire.Deliver) (wire.Remote, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.noDial {
		return nil, errors.New("no route")
	}
	p.dials++
	p.deliver = deliver
	return p, nil
}

// on sets what the upstream answers.
func (p *peer) on(method, answer string) *peer {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answers[method] = answer
	return p
}

// took returns the messages of the method, and forgets all.
func (p *peer) took(method string) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []string
	for _, raw := range p.got {
		if wire.MustParse(raw).Method == method {
			all = append(all, raw)
		}
	}
	p.got = nil
	return all
}

func (p *peer) says(t *testing.T, raw string) {
	t.Helper()
	p.mu.Lock()
	deliver := p.deliver
	p.mu.Unlock()
	if err := deliver(t.Context(), wire.MustParse(raw)); err != nil {
		t.Errorf("%s: %v", raw, err)
	}
}

func newPeer(name, capabilities string) *peer {
	return &peer{name: name, answers: map[string]string{
		"initialize": `"result":{"protocolVersion":"2025-11-25","capabilities":` + capabilities + `,"serverInfo":{"name":"x","version":"1"},"instructions":"Use ` + name + `."}`,
	}}
}

const everything = `{"tools":{},"prompts":{},"resources":{},"logging":{},"completions":{}}`

// aggScene is an aggregate between a client and peers.
type aggScene struct {
	t   *testing.T
	agg *Aggregate

	mu  sync.Mutex
	got []string // what the client got
}

func withAggregate(t *testing.T, peers []*peer, test func(s *aggScene)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &aggScene{t: t}
		opts := AggregateOptions{ServerName: "gate", ServerVersion: "7"}
		for _, p := range peers {
			opts.Upstreams = append(opts.Upstreams, Named{p.name, p.dial})
		}
		var err error
		s.agg, err = NewAggregate(opts, func(ctx context.Context, f wire.Frame) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.got = append(s.got, string(f.Raw))
			return ctx.Err()
		})
		if err != nil {
			t.Fatal(err)
		}
		test(s)
		if err := s.agg.End(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

// open initializes with all peers and forgets what was said.
func (s *aggScene) open(peers ...*peer) {
	s.t.Helper()
	s.ask(`{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{}}}`)
	s.tell(ready)
	for _, p := range peers {
		p.took("")
	}
}

// ask sends a request and returns its one answer.
func (s *aggScene) ask(raw string) string {
	s.t.Helper()
	f := wire.MustParse(raw)
	if err := s.agg.Exchange(s.t.Context(), f); err != nil {
		s.t.Fatalf("%s: %v", raw, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, got := range s.got {
		if g := wire.MustParse(got); g.Kind == wire.Response && g.ID.Key() == f.ID.Key() {
			s.got = slices.Delete(s.got, i, i+1) // the rest is for heard
			return got
		}
	}
	s.t.Fatalf("%s was not answered", raw)
	return ""
}

func (s *aggScene) tell(raw string) {
	s.t.Helper()
	if err := s.agg.Exchange(s.t.Context(), wire.MustParse(raw)); err != nil {
		s.t.Errorf("%s: %v", raw, err)
	}
}

// heard returns what the client got since the last time.
func (s *aggScene) heard() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	got := s.got
	s.got = nil
	return got
}

func (s *aggScene) hears(want ...string) {
	s.t.Helper()
	synctest.Wait()
	if got := s.heard(); !slices.Equal(got, want) {
		s.t.Errorf("the client got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func (s *aggScene) contains(got string, parts ...string) {
	s.t.Helper()
	for _, part := range parts {
		if !strings.Contains(got, part) {
			s.t.Errorf("got  %s\nwant %s", got, part)
		}
	}
}

func TestAggregateOptionsAreChecked(t *testing.T) {
	dial := func(wire.Deliver) (wire.Remote, error) { return nil, nil }
	deliver := func(context.Context, wire.Frame) error { return nil }
	for name, up := range map[string][]Named{
		"none": nil, "twice": {{"a", dial}, {"a", dial}}, "underscore": {{"a_b", dial}}, "empty": {{"", dial}}, "no dial": {{"a", nil}},
		"too many": make([]Named, maxUpstreams+1),
	} {
		if _, err := NewAggregate(AggregateOptions{Upstreams: up}, deliver); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestAggregateInitialize(t *testing.T) {
	a := newPeer("a", `{"tools":{"listChanged":false},"resources":{"subscribe":false},"experimental":{"x":{"y":1}}}`)
	b := newPeer("b", `{"tools":{"listChanged":true},"resources":{"subscribe":true},"experimental":{"z":{}},"logging":{}}`)
	b.answers["initialize"] = strings.Replace(b.answers["initialize"], "2025-11-25", "2024-11-05", 1)
	withAggregate(t, []*peer{a, b}, func(s *aggScene) {
		const params = `"params":{"protocolVersion":"2025-11-25","big":12345678901234567890,"capabilities":{"roots":{}}}}`
		got := s.ask(`{"jsonrpc":"2.0","id":"i","method":"initialize",` + params)
		s.contains(got, `"id":"i"`, `"protocolVersion":"2025-11-25"`, `"serverInfo":{"name":"gate","version":"7"}`,
			`"capabilities":{"experimental":{"x":{"y":1},"z":{}},"logging":{},"resources":{"subscribe":true},"tools":{"listChanged":true}}`,
			`a, b. The names`, `\n\n## a\n\nUse a.`, `\n\n## b\n\nUse b.`)
		if strings.Contains(got, "Not available") {
			t.Errorf("got %s", got)
		}
		for _, p := range []*peer{a, b} {
			s.contains(strings.Join(p.took("initialize"), ""), params)
		}
		s.tell(ready)
		if len(a.took("notifications/initialized"))+len(b.took("notifications/initialized")) != 2 {
			t.Error("not every upstream was told that the client is ready")
		}
		s.contains(s.ask(`{"jsonrpc":"2.0","id":1,"method":"ping"}`), `{"jsonrpc":"2.0","id":1,"result":{}}`)
		if len(a.took("ping"))+len(b.took("ping")) != 0 {
			t.Error("ping went to an upstream")
		}
	})
}

func TestAggregateLeavesOutWhatFailsAndTriesAgain(t *testing.T) {
	a, b, c := newPeer("a", everything), newPeer("b", everything), newPeer("c", everything)
	a.on("tools/list", `"result":{"tools":[{"name":"t"}]}`)
	b.on("tools/list", `"result":{"tools":[{"name":"t"}]}`)
	hello := b.answers["initialize"]
	b.on("initialize", "hang")
	c.noDial = true
	withAggregate(t, []*peer{a, b, c}, func(s *aggScene) {
		began := time.Now()
		s.contains(s.ask(`{"jsonrpc":"2.0","id":0,"method":"initialize","params":{}}`), "Not available at the moment: b, c.", `"tools":{"listChanged":true}`)
		if waited := time.Since(began); waited > 15*time.Second {
			t.Errorf("initialize took %s", waited)
		}
		s.tell(ready)
		s.contains(s.ask(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`), `"tools":[{"name":"a__t"}]}`)
		b.on("initialize", hello)
		time.Sleep(time.Minute)
		got := s.ask(`{"jsonrpc":"2.0","id":2,"method":"tools/list"}`)
		s.contains(got, `"tools":[{"name":"a__t"},{"name":"b__t"}]}`)
		if took := b.took("notifications/initialized"); len(took) != 1 {
			t.Errorf("b was told %d times that the client is ready", len(took))
		}
		// The client learns that there is more of everything than it saw.
		synctest.Wait()
		s.contains(strings.Join(s.heard(), ""), "notifications/prompts/list_changed", "notifications/resources/list_changed")
	})
}

// What a request waits for does not outlive its patience, and goes on for others.
func TestAggregateOpeningIsEverybodys(t *testing.T) {
	a, b := newPeer("a", everything).on("tools/call", `"result":{}`), newPeer("b", everything)
	hello := a.answers["initialize"]
	a.on("initialize", "lost")
	withAggregate(t, []*peer{a, b}, func(s *aggScene) {
		s.open()
		time.Sleep(time.Minute)
		a.on("initialize", "hang")
		ctx, cancel := context.WithTimeout(s.t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		err := s.agg.Exchange(ctx, wire.MustParse(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a__t"}}`))
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Second {
			t.Errorf("got %v after %s", err, time.Since(began))
		}
		time.Sleep(time.Minute)
		a.on("initialize", hello)
		s.contains(s.ask(`{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"a__t"}}`), `"result":{}`)
	})
}

func TestAggregateWithNothingBehindIsAnError(t *testing.T) {
	a, b := newPeer("a", everything).on("initialize", `"error":{"code":1,"message":"no"}`), newPeer("b", everything).on("initialize", "hang")
	withAggregate(t, []*peer{a, b}, func(s *aggScene) {
		err := s.agg.Exchange(s.t.Context(), wire.MustParse(`{"jsonrpc":"2.0","id":0,"method":"initialize","params":{}}`))
		if err == nil || !strings.Contains(err.Error(), "initialize was refused: no") {
			t.Errorf("got %v", err)
		}
		s.hears()
	})
}

func TestAggregateListsKeepBytesAndOrder(t *testing.T) {
	a, b := newPeer("a", everything), newPeer("b-2", everything)
	const tool = `{ "title":"T" , "name":%s,"inputSchema":{"type":"object","maximum":12345678901234567890,"e":1.50},"\u0061":[ ]}`
	a.on("tools/list", fmt.Sprintf(`"result":{"tools":[`+tool+`,`+tool+`,{"title":"nameless"}],"_meta":{"x":1}}`, `"z\u0061"`, `"a"`))
	b.on("tools/list", fmt.Sprintf(`"result":{"tools":[`+tool+`]}`, `"m__n"`))
	for _, method := range []string{"prompts", "resources"} {
		a.on(method+"/list", `"error":{"code":-32601,"message":"no"}`)
	}
	b.on("prompts/list", `"result":{"prompts":[{"name":"p"}]}`)
	withAggregate(t, []*peer{a, b}, func(s *aggScene) {
		s.open()
		want := fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"result":{"tools":[`+tool+`,`+tool+`,`+tool+`]}}`, `"a__za"`, `"a__a"`, `"b-2__m__n"`)
		for range 3 {
			if got := s.ask(`{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{}}`); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		}
		s.contains(s.ask(`{"jsonrpc":"2.0","id":2,"method":"prompts/list"}`), `"result":{"prompts":[{"name":"b-2__p"}]}`)
		s.contains(s.ask(`{"jsonrpc":"2.0","id":3,"method":"resources/list"}`), `"id":3,"error":{"code":-32601`)
	})
}

func TestAggregatePages(t *testing.T) {
	a, b, c := newPeer("a", everything), newPeer("b", everything), newPeer("c", everything)
	withAggregate(t, []*peer{a, b, c}, func(s *aggScene) {
		s.open()
		cursor := func(page string) string { return wire.LookupString([]byte(page), "result", "nextCursor") }
		list := func(cursor string) string {
			return s.ask(`{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"cursor":"` + cursor + `","v":1.0}}`)
		}
		a.on("tools/list", `"result":{"tools":[{"name":"1"}],"nextCursor":"a \"1\""}`)
		b.on("tools/list", `"result":{"tools":[{"name":"1"}]}`)
		c.on("tools/list", `"result":{"tools":[{"name":"1"}],"nextCursor":"`+strings.Repeat("x", maxCursor+1)+`"}`)
		first := s.ask(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`)
		s.contains(first, `[{"name":"a__1"},{"name":"b__1"},{"name":"c__1"}]`)
		a.took("")
		b.took("")
		a.on("tools/list", `"result":{"tools":[{"name":"2"}]}`)
		second := list(cursor(first))
		s.contains(second, `"tools":[{"name":"a__2"}]}`)
		if cursor(second) != "" {
			t.Error("the last page has a cursor")
		}
		s.contains(a.took("tools/list")[0], `"params":{"cursor":"a \"1\"","v":1.0}`)
		if len(b.took("tools/list"))+len(c.took("tools/list")) != 1 {
			t.Error("an upstream was asked for a page that it does not have")
		}
		good := cursor(first)
		flipped := []byte(good)
		flipped[len(flipped)/2] ^= 1
		for name, bad := range map[string]string{"flipped": string(flipped), "text": "a", "empty": "", "cut": good[:len(good)-4], "huge": strings.Repeat("A", maxSealed+4)} {
			if got := list(bad); !strings.Contains(got, `"code":-32602`) {
				t.Errorf("%s cursor: %s", name, got)
			}
		}
		// Another list's, or another gateway's.
		s.contains(s.ask(`{"jsonrpc":"2.0","id":1,"method":"prompts/list","params":{"cursor":"`+good+`"}}`), `"code":-32602`)
		foreign := newCursorSeal(nil).seal(listCursor{"tools/list", map[string]string{"a": "1"}})
		s.contains(list(foreign), `"code":-32602`)
	})
}

func TestAggregateListWithoutThoseThatFail(t *testing.T) {
	for name, answer := range map[string]string{"hanging": "hang", "lost": "lost", "silent": "drop", "failing": `"error":{"code":-32603,"message":"x"}`} {
		a, b := newPeer("a", everything), newPeer("b", everything)
		a.on("tools/list", answer)
		b.on("tools/list", `"result":{"tools":[{"name":"t"}]}`)
		withAggregate(t, []*peer{a, b}, func(s *aggScene) {
			s.open()
			began := time.Now()
			got := s.ask(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`)
			if !strings.Contains(got, `"tools":[{"name":"b__t"}]}`) {
				t.Errorf("%s: got %s", name, got)
			}
			if answer == "hang" {
				if waited := time.Since(began); waited != 10*time.Second {
					t.Errorf("waited %s", waited)
				}
				began = time.Now()
				s.ask(`{"jsonrpc":"2.0","id":2,"method":"tools/list"}`)
				if time.Since(began) != 0 {
					t.Error("the next list waited again")
				}
				time.Sleep(listRest)
			}
			a.on("tools/list", `"result":{"tools":[{"name":"t"}]}`)
			s.contains(s.ask(`{"jsonrpc":"2.0","id":3,"method":"tools/list"}`), `"a__t"`, `"b__t"`)
		})
	}
}

func TestAggregateRoutesByName(t *testing.T) {
	a, b := newPeer("a", everything), newPeer("b", everything)
	withAggregate(t, []*peer{a, b}, func(s *aggScene) {
		s.open(a, b)
		const answer = `"result":{"content":[ ],"n":12345678901234567890,"resultType":"x"}`
		for _, p := range []*peer{a, b} {
			p.on("tools/call", answer).on("prompts/get", answer).on("completion/complete", answer).on("vendor/x", answer)
		}
		tests := []struct{ sent, want string }{
			{`{"x":1,"jsonrpc":"2.0", "id":9007199254740993,"method":"tools/call","params":{"name":%s,"arguments":{"name":"b__t","e":1.0},"_meta":{"progressToken":1}}}`, `"b__t__u"`},
			{`{"jsonrpc":"2.0","id":"s","method":"prompts/get","params":{"arguments":{ },"name":%s}}`, `"b__t__u"`},
			{`{"jsonrpc":"2.0","id":3,"method":"completion/complete","params":{"ref":{"type":"ref/prompt","name":%s},"argument":{"name":"b__x","value":""}}}`, `"b__t__u"`},
			{`{"jsonrpc":"2.0","id":4,"method":"vendor/x","params":{"name":%s}}`, `"b__t__u"`},
		}
		for _, tt := range tests {
			raw := fmt.Sprintf(tt.sent, tt.want)
			f := wire.MustParse(raw)
			if got, want := s.ask(raw), `{"jsonrpc":"2.0","id":`+string(f.ID)+`,`+answer+`}`; got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
			if got, want := b.took(f.Method), fmt.Sprintf(tt.sent, `"t__u"`); len(got) != 1 || got[0] != want {
				t.Errorf("the upstream got  %s\nwant %s", got, want)
			}
			if got := a.took(f.Method); len(got) != 0 {
				t.Errorf("the other upstream got %s", got)
			}
		}
		for _, name := range []string{"t", "c__t", "__t", "", "A__t"} {
			s.contains(s.ask(`{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"name":"`+name+`"}}`), `"code":-32602`, "one of a, b")
		}
		s.contains(s.ask(`{"jsonrpc":"2.0","id":6,"method":"vendor/y","params":{}}`), `"code":-32601`, "vendor/y", "a, b")
	})
}

func TestAggregateLongNames(t *testing.T) {
	long := strings.Repeat("x", 70)
	a := newPeer("a", everything).on("tools/list", `"result":{"tools":[{"name":"`+long+`1"},{"name":"`+long+`2"},{"name":"`+long[:61]+`"}]}`).on("tools/call", `"result":{}`)
	withAggregate(t, []*peer{a, newPeer("b", everything)}, func(s *aggScene) {
		s.open()
		page := s.ask(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`)
		var names []string
		for _, part := range strings.Split(page, `"name":"`)[1:] {
			names = append(names, part[:strings.Index(part, `"`)])
		}
		if len(names) != 3 || len(names[0]) != maxName || names[0] == names[1] || names[2] != "a__"+long[:61] {
			t.Fatalf("got %q", names)
		}
		for i, want := range []string{long + "1", long + "2", long[:61]} {
			a.took("")
			s.ask(`{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"` + names[i] + `"}}`)
			s.contains(a.took("tools/call")[0], `"name":"`+want+`"`)
		}
	})
}

func TestAggregateRoutesByAddress(t *testing.T) {
	a, b := newPeer("a", everything), newPeer("b", everything)
	a.on("resources/list", `"result":{"resources":[{"uri":"f:/a", "x":1.0},{"uri":"f:/both"}]}`)
	b.on("resources/list", `"result":{"resources":[{"uri":"f:/both"},{"uri":"f:/b"}]}`)
	a.on("resources/templates/list", `"result":{"resourceTemplates":[{"uriTemplate":"db:/{table}"},{"uriTemplate":"g:/{+path}"}]}`)
	b.on("resources/templates/list", `"result":{"resourceTemplates":[{"uriTemplate":"db:/{table}/rows/{id}"},{"uriTemplate":"g:/{+path}.md"}]}`)
	b.on("tools/list", `"result":{"tools":[{"name":"t","_meta":{"ui":{"resourceUri":"ui://t"}}}]}`)
	withAggregate(t, []*peer{a, b}, func(s *aggScene) {
		s.open()
		s.contains(s.ask(`{"jsonrpc":"2.0","id":1,"method":"resources/list"}`), `"resources":[{"uri":"f:/a", "x":1.0},{"uri":"f:/both"},{"uri":"f:/b"}]}`)
		s.ask(`{"jsonrpc":"2.0","id":1,"method":"resources/templates/list"}`)
		s.ask(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`)
		for _, p := range []*peer{a, b} {
			for _, method := range []string{"resources/read", "resources/subscribe", "resources/unsubscribe", "completion/complete"} {
				p.on(method, `"result":{"by":"`+p.name+`"}`)
			}
		}
		for uri, want := range map[string]string{
			"f:/a": "a", "f:/both": "a", "f:/b": "b", "db:/t": "a", "db:/t/rows/1": "b", "g:/x/y": "a", "g:/x/y.md": "b", "ui://t": "b",
		} {
			for _, method := range []string{"resources/read", "resources/subscribe", "resources/unsubscribe"} {
				raw := `{"jsonrpc":"2.0","id":2,"method":"` + method + `","params":{"x":1.0,"uri":"` + uri + `"}}`
				if got := s.ask(raw); got != `{"jsonrpc":"2.0","id":2,"result":{"by":"`+want+`"}}` {
					t.Errorf("%s %s: got %s, want %s", method, uri, got, want)
				}
				for _, p := range []*peer{a, b} {
					if took := p.took(method); (len(took) == 1) != (p.name == want) || len(took) == 1 && took[0] != raw {
						t.Errorf("%s got %s", p.name, took)
					}
				}
			}
		}
		s.contains(s.ask(`{"jsonrpc":"2.0","id":3,"method":"completion/complete","params":{"ref":{"type":"ref/resource","uri":"db:/{table}/rows/{id}"}}}`), `"by":"b"`)
		// Nobody has listed it: they are asked in turn, and it is remembered.
		a.on("resources/read", `"error":{"code":-32002,"message":"not found"}`)
		s.contains(s.ask(`{"jsonrpc":"2.0","id":4,"method":"resources/read","params":{"uri":"new:/x"}}`), `"id":4,"result":{"by":"b"}`)
		a.took("")
		s.ask(`{"jsonrpc":"2.0","id":4,"method":"resources/read","params":{"uri":"new:/x"}}`)
		if took := a.took("resources/read"); len(took) != 0 {
			t.Errorf("a was asked again: %s", took)
		}
		b.on("resources/read", "hang")
		s.contains(s.ask(`{"jsonrpc":"2.0","id":5,"method":"resources/read","params":{"uri":"new:/y"}}`), `"id":5,"error":{"code":-32002,"message":"not found"}`)
	})
}

func TestTemplatePatterns(t *testing.T) {
	for template, uris := range map[string][2]string{ // matched, not matched
		"f:/{a}":          {"f:/x y", "f:/x/y"},
		"f:/{+a}":         {"f:/x/y?z", "g:/x"},
		"f:/{a}/b{?c,d}":  {"f:/x/b?c=1", "f:/x/c"},
		"f:/a.b(c)/{x}":   {"f:/a.b(c)/1", "f:/aXb(c)/1"},
		"{+whole}":        {"anything:/at/all", ""},
		"plain:/resource": {"plain:/resource", "plain:/resource/x"},
	} {
		pattern, _ := templatePattern(template)
		if pattern == nil || !pattern.MatchString(uris[0]) || uris[1] != "" && pattern.MatchString(uris[1]) {
			t.Errorf("%s: %v, want a match of %q and none of %q", template, pattern, uris[0], uris[1])
		}
	}
	for _, bad := range []string{"f:/{", "f:/{}", strings.Repeat("x", maxTemplate+1)} {
		if pattern, _ := templatePattern(bad); pattern != nil {
			t.Errorf("%.20s was taken for a template", bad)
		}
	}
}

func TestAggregateRemembersTasks(t *testing.T) {
	a, b := newPeer("a", everything), newPeer("b", everything)
	b.on("tools/call", `"result":{"task":{"taskId":"t-1"}}`).on("tasks/get", `"result":{"by":"b"}`)
	a.on("tasks/get", `"result":{"by":"a"}`).on("tools/call", `"result":{"resultType":"task","taskId":"t-2"}`)
	withAggregate(t, []*peer{a, b}, func(s *aggScene) {
		s.open()
		s.ask(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"b__x","task":{}}}`)
		s.ask(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a__x"}}`)
		s.contains(s.ask(`{"jsonrpc":"2.0","id":2,"method":"tasks/get","params":{"taskId":"t-1"}}`), `"by":"b"`)
		s.contains(s.ask(`{"jsonrpc":"2.0","id":2,"method":"tasks/get","params":{"taskId":"t-2"}}`), `"by":"a"`)
		s.contains(s.ask(`{"jsonrpc":"2.0","id":2,"method":"tasks/get","params":{"taskId":"t-3"}}`), `"code":-32601`)
	})
}

func TestAggregateSetLevel(t *testing.T) {
	a, b, c := newPeer("a", everything).on("logging/setLevel", `"result":{}`), newPeer("b", everything).on("logging/setLevel", "hang"), newPeer("c", `{"tools":{}}`)
	withAggregate(t, []*peer{a, b, c}, func(s *aggScene) {
		s.open()
		if got := s.ask(setLevel("1", "error")); got != `{"jsonrpc":"2.0","id":1,"result":{}}` {
			t.Errorf("got %s", got)
		}
		if len(a.took("logging/setLevel")) != 1 || len(b.took("logging/setLevel")) != 1 || len(c.took("logging/setLevel")) != 0 {
			t.Error("the level did not go to those that log")
		}
		a.on("logging/setLevel", `"error":{"code":-32602,"message":"what level?"}`)
		s.contains(s.ask(setLevel("2", "loud")), `"id":2,"error":{"code":-32602,"message":"what level?"}`)
	})
}

func TestAggregateQuestionsAndProgress(t *testing.T) {
	a, b := newPeer("a", everything), newPeer("b", everything)
	withAggregate(t, []*peer{a, b}, func(s *aggScene) {
		s.open(a, b)
		const ask = `{"jsonrpc":"2.0","id":1,"method":"sampling/createMessage","params":{"v":1.0,"_meta":{"progressToken":%s}}}`
		var ids [2]string
		for i, p := range []*peer{a, b} {
			p.says(s.t, fmt.Sprintf(ask, "7"))
			got := s.heard()
			f := wire.MustParse(got[0])
			ids[i] = string(f.ID)
			if want := strings.Replace(fmt.Sprintf(ask, ids[i]), `"id":1`, `"id":`+ids[i], 1); got[0] != want {
				t.Errorf("got  %s\nwant %s", got[0], want)
			}
		}
		if ids[0] == ids[1] {
			t.Fatal("two upstreams ask under one id")
		}
		s.tell(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":` + ids[1] + `,"progress":1.0}}`)
		s.tell(`{"jsonrpc":"2.0","id":` + ids[1] + `,"result":{"n":12345678901234567890}}`)
		s.tell(`{"jsonrpc":"2.0","id":` + ids[1] + `,"result":{"again":1}}`)
		s.tell(`{"jsonrpc":"2.0","id":1,"result":{"guessed":1}}`)
		s.tell(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":7,"progress":2}}`)
		want := []string{
			`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":7,"progress":1.0}}`,
			`{"jsonrpc":"2.0","id":1,"result":{"n":12345678901234567890}}`,
		}
		if !slices.Equal(b.got, want) || len(a.got) != 0 {
			t.Errorf("b got %q, a got %q", b.got, a.got)
		}
		// Taken back.
		a.says(s.t, `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1,"reason":"r"}}`)
		s.hears(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":` + ids[0] + `,"reason":"r"}}`)
		s.tell(`{"jsonrpc":"2.0","id":` + ids[0] + `,"result":{}}`)
		if len(a.got) != 0 {
			t.Errorf("a got %q", a.got)
		}
	})
}

func TestAggregateBoundsQuestions(t *testing.T) {
	a := newPeer("a", everything)
	withAggregate(t, []*peer{a}, func(s *aggScene) {
		s.open(a)
		for i := range maxAsked + 1 {
			a.says(s.t, fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"roots/list"}`, i))
		}
		synctest.Wait()
		if len(s.heard()) != maxAsked || len(a.got) != 1 || !strings.Contains(a.got[0], `"id":1000,"error"`) {
			t.Errorf("the upstream got %q", a.got)
		}
	})
}

func TestAggregateNotificationsOfUpstreams(t *testing.T) {
	a, b := newPeer("a", everything), newPeer("b", everything).on("tools/call", "hang")
	withAggregate(t, []*peer{a, b}, func(s *aggScene) {
		s.open()
		for raw, want := range map[string]string{
			changes:          changes,
			updated("f:/x"):  updated("f:/x"),
			logLine("error"): `{"jsonrpc":"2.0","method":"notifications/message","params":{"logger":"a","level":"error","data":1}}`,
			`{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"error","logger":"db","data":1.0}}`: `{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"error","logger":"a/db","data":1.0}}`,
			`{"jsonrpc":"2.0","method":"notifications/message","params":{ }}`:                                        `{"jsonrpc":"2.0","method":"notifications/message","params":{"logger":"a" }}`,
			`{"jsonrpc":"2.0","method":"notifications/message"}`:                                                     `{"jsonrpc":"2.0","method":"notifications/message"}`,
			`{"jsonrpc":"2.0","method":"notifications/vendor","params":{"v":1.0}}`:                                   `{"jsonrpc":"2.0","method":"notifications/vendor","params":{"v":1.0}}`,
		} {
			a.says(s.t, raw)
			s.hears(want)
		}
		// Progress is of the upstream that works on it, and of no other.
		ctx, cancel := context.WithCancel(s.t.Context())
		done := make(chan error, 1)
		go func() {
			done <- s.agg.Exchange(ctx, wire.MustParse(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"b__t","_meta":{"progressToken":"p"}}}`))
		}()
		synctest.Wait()
		const progress = `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"p","progress":1.0}}`
		a.says(s.t, progress)
		s.hears()
		b.says(s.t, progress)
		s.hears(progress)
		// Nor does another answer for it.
		a.says(s.t, `{"jsonrpc":"2.0","id":1,"result":{"forged":1}}`)
		s.hears()
		// Only the one concerned hears of a cancellation.
		a.took("")
		b.took("")
		const cancelled = `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1,"reason":"r"}}`
		s.tell(cancelled)
		s.tell(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":2}}`)
		if got := b.got; len(got) != 1 || got[0] != cancelled || len(a.got) != 0 {
			t.Errorf("b got %q, a got %q", got, a.got)
		}
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		b.says(s.t, `{"jsonrpc":"2.0","id":1,"result":{"late":1}}`)
		s.hears()
	})
}

func TestAggregateCancelsAList(t *testing.T) {
	a, b := newPeer("a", everything).on("tools/list", "hang"), newPeer("b", everything).on("tools/list", `"result":{"tools":[]}`)
	withAggregate(t, []*peer{a, b}, func(s *aggScene) {
		s.open()
		s.heard()
		done := make(chan error, 1)
		go func() {
			done <- s.agg.Exchange(s.t.Context(), wire.MustParse(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`))
		}()
		synctest.Wait()
		began := time.Now()
		s.tell(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`)
		if err := <-done; !errors.Is(err, context.Canceled) || time.Since(began) > 0 {
			t.Errorf("got %v after %s", err, time.Since(began))
		}
		s.hears()
	})
}

func TestAggregateRestoresALostSession(t *testing.T) {
	a, b := newPeer("a", everything), newPeer("b", everything)
	a.on("resources/subscribe", `"result":{}`).on("logging/setLevel", `"result":{}`).on("tools/call", "lost")
	b.on("logging/setLevel", `"result":{}`).on("tools/call", `"result":{}`)
	withAggregate(t, []*peer{a, b}, func(s *aggScene) {
		s.open()
		a.on("resources/list", `"result":{"resources":[{"uri":"f:/x"}]}`)
		s.ask(`{"jsonrpc":"2.0","id":1,"method":"resources/list"}`)
		s.ask(subscribe("1", "f:/x"))
		s.ask(setLevel("2", "error"))
		a.took("")
		listen, stop := context.WithCancel(s.t.Context())
		listened := make(chan error, 1)
		go func() { listened <- s.agg.Listen(listen) }()
		err := s.agg.Exchange(s.t.Context(), wire.MustParse(`{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"a__t"}}`))
		if !errors.Is(err, wire.ErrSessionLost) || !strings.Contains(err.Error(), "upstream a") {
			t.Errorf("got %v", err)
		}
		s.contains(s.ask(`{"jsonrpc":"2.0","id":4,"method":"tools/call","params":{"name":"b__t"}}`), `"result"`)
		a.on("tools/call", `"result":{}`)
		s.ask(`{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"name":"a__t"}}`)
		synctest.Wait()
		all := strings.Join(a.got, "\n")
		s.contains(all, `"initialize"`, "notifications/initialized", `"resources/subscribe","params":{"uri":"f:/x"}`, `"logging/setLevel"`)
		if a.dials != 2 || a.ends != 1 {
			t.Errorf("dialled %d times, ended %d times", a.dials, a.ends)
		}
		s.contains(strings.Join(s.heard(), ""), "notifications/tools/list_changed")
		stop()
		if err := <-listened; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
	if a.ends != 2 || b.ends != 1 {
		t.Errorf("ended %d and %d times", a.ends, b.ends)
	}
}

func TestAggregateOfOne(t *testing.T) {
	a := newPeer("a", everything).on("vendor/x", `"result":{"v":1.0}`).on("resources/read", `"error":{"code":-32002,"message":"m"}`)
	withAggregate(t, []*peer{a}, func(s *aggScene) {
		s.open(a)
		const raw = `{"jsonrpc":"2.0","id":"1","method":"vendor/x","params":[1.0]}`
		if got := s.ask(raw); got != `{"jsonrpc":"2.0","id":"1","result":{"v":1.0}}` {
			t.Errorf("got %s", got)
		}
		if got := a.took("vendor/x"); len(got) != 1 || got[0] != raw {
			t.Errorf("the upstream got %s", got)
		}
		s.contains(s.ask(`{"jsonrpc":"2.0","id":2,"method":"resources/read","params":{"uri":"x:/y"}}`), `"id":2,"error":{"code":-32002,"message":"m"}`)
	})
}
