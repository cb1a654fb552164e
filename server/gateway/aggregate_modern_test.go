package gateway

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mcpctl/mcpctl/internal/wire"
)

const meta = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{"n":12345678901234567890}}`

func discovered(name, capabilities, hints string) string {
	return `"result":{"resultType":"complete","supportedVersions":["2027-01-01","2026-07-28"],"capabilities":` + capabilities + `,"instructions":"Use ` + name + `."` + hints + `}`
}

func TestAggregateDiscover(t *testing.T) {
	a, b := newPeer("a", "{}").on("server/discover", discovered("a", `{"tools":{}}`, `,"ttlMs":5000,"cacheScope":"public"`)), newPeer("b", "{}")
	b.on("server/discover", strings.Replace(discovered("b", `{"tools":{"listChanged":true},"extensions":{"x":{}}}`, `,"ttlMs":3000,"cacheScope":"public"`), `"2027-01-01",`, "", 1))
	withAggregate(t, []*peer{a, b}, func(s *aggScene) {
		const request = `{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{` + meta + `}}`
		got := s.ask(request)
		s.contains(got, `"supportedVersions":["2026-07-28"]`, `"capabilities":{"extensions":{"x":{}},"tools":{"listChanged":true}}`, "## a", "Use b.",
			`"_meta":{"io.modelcontextprotocol/serverInfo":{"name":"gate","version":"7"}}`, `"resultType":"complete","ttlMs":3000,"cacheScope":"public"`)
		if took := a.took("server/discover"); len(took) != 1 || !strings.Contains(took[0], meta) {
			t.Errorf("the upstream got %s", took)
		}
		b.on("server/discover", "hang")
		s.contains(s.ask(request), "Not available at the moment: b.", `"ttlMs":0,"cacheScope":"private"`)
		a.on("server/discover", `"error":{"code":-32022,"message":"too new"}`)
		s.contains(s.ask(request), `"id":1,"error":{"code":-32022,"message":"too new"}`)
	})
}

func TestAggregateCacheHints(t *testing.T) {
	const page = `"result":{"tools":[],"resultType":"complete"%s}`
	for name, tt := range map[string]struct{ a, b, want string }{
		"shortest":       {`,"ttlMs":500,"cacheScope":"public"`, `,"ttlMs":70,"cacheScope":"public"`, `"ttlMs":70,"cacheScope":"public"`},
		"strictest":      {`,"ttlMs":500,"cacheScope":"public"`, `,"ttlMs":700,"cacheScope":"private"`, `"ttlMs":500,"cacheScope":"private"`},
		"none":           {`,"ttlMs":500,"cacheScope":"public"`, ``, `"ttlMs":0,"cacheScope":"private"`},
		"negative":       {`,"ttlMs":-5,"cacheScope":"public"`, `,"ttlMs":7,"cacheScope":"public"`, `"ttlMs":0,"cacheScope":"public"`},
		"unknown scope":  {`,"ttlMs":5,"cacheScope":"tenant"`, `,"ttlMs":7,"cacheScope":"public"`, `"ttlMs":5,"cacheScope":"private"`},
		"one is missing": {`,"ttlMs":500,"cacheScope":"public"`, "lost", `"ttlMs":0,"cacheScope":"private"`},
	} {
		a, b := newPeer("a", "{}").on("tools/list", fmt.Sprintf(page, tt.a)), newPeer("b", "{}")
		if b.on("tools/list", fmt.Sprintf(page, tt.b)); tt.b == "lost" {
			b.on("tools/list", "lost")
		}
		withAggregate(t, []*peer{a, b}, func(s *aggScene) {
			got := s.ask(`{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{` + meta + `}}`)
			if want := `{"jsonrpc":"2.0","id":1,"result":{"tools":[],"resultType":"complete",` + tt.want + `}}`; got != want {
				t.Errorf("%s:\ngot  %s\nwant %s", name, got, want)
			}
		})
	}
}

func TestAggregateRoundsOfInputGoToOneUpstream(t *testing.T) {
	a, b := newPeer("a", "{}"), newPeer("b", "{}").on("tools/call", `"result":{"resultType":"input_required","requestState":"s","inputRequests":{"x":{}}}`)
	withAggregate(t, []*peer{a, b}, func(s *aggScene) {
		const raw = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{%s,"requestState":"s","inputResponses":{"x":{}},` + meta + `}}`
		s.contains(s.ask(fmt.Sprintf(raw, `"name":"b__t"`)), `"resultType":"input_required","requestState":"s"`)
		if took := b.took("tools/call"); len(took) != 1 || took[0] != fmt.Sprintf(raw, `"name":"t"`) {
			t.Errorf("the upstream got %s", took)
		}
	})
}

// listener is an upstream with subscriptions: it agrees to filter, and goes on
// until it is told to end.
type listener struct {
	*peer
	filter string

	mu    sync.Mutex
	ids   []string
	end   chan string // ends what is listened to: an answer, or "lost"
	wait  time.Duration
	early bool // it tells of a change before it agrees
	quiet bool // it tells of none by itself
}

func newListener(name, filter string) *listener {
	return &listener{peer: newPeer(name, everything), filter: filter, end: make(chan string)}
}

func (l *listener) dial(deliver wire.Deliver) (wire.Remote, error) {
	if _, err := l.peer.dial(deliver); err != nil {
		return nil, err
	}
	return l, nil
}

func (l *listener) Exchange(ctx context.Context, f wire.Frame) error {
	if f.Method != "subscriptions/listen" {
		return l.peer.Exchange(ctx, f)
	}
	l.mu.Lock()
	l.ids = append(l.ids, string(f.ID))
	l.mu.Unlock()
	l.peer.mu.Lock()
	l.got = append(l.got, string(f.Raw))
	deliver := l.deliver
	l.peer.mu.Unlock()
	time.Sleep(l.wait)
	if l.filter != "" {
		said := []string{l.note("subscriptions/acknowledged", `,"notifications":`+l.filter), l.note("tools/list_changed", `,"n":1.0`)}
		if l.early {
			slices.Reverse(said)
		}
		if l.quiet {
			said = said[:1]
		}
		for _, message := range said {
			_ = deliver(ctx, wire.MustParse(message))
		}
	}
	select {
	case answer := <-l.end:
		if answer == "lost" {
			return wire.ErrSessionLost
		}
		return deliver(ctx, wire.MustParse(`{"jsonrpc":"2.0","id":`+string(f.ID)+`,`+answer+`}`))
	case <-ctx.Done():
		return ctx.Err()
	}
}

// times is how often it was listened to.
func (l *listener) times() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.ids)
}

// note is a notification of the newest subscription.
func (l *listener) note(method, members string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return noteFor(l.ids[len(l.ids)-1], method, members)
}

func noteFor(id, method, members string) string {
	return `{"jsonrpc":"2.0","method":"notifications/` + method + `","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":` + id + `}` + members + `}}`
}

func withListeners(t *testing.T, listeners []*listener, test func(s *aggScene)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &aggScene{t: t}
		var opts AggregateOptions
		for _, l := range listeners {
			l.end = make(chan string)
			opts.Upstreams = append(opts.Upstreams, Named{l.name, l.dial})
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

func (s *aggScene) listen(params string) (stop context.CancelFunc, done <-chan error) {
	ctx, cancel := context.WithCancel(s.t.Context())
	out := make(chan error, 1)
	go func() {
		out <- s.agg.Exchange(ctx, wire.MustParse(`{"jsonrpc":"2.0","id":"L","method":"subscriptions/listen","params":{"notifications":`+params+`,`+meta+`}}`))
	}()
	synctest.Wait()
	return cancel, out
}

func TestAggregateListens(t *testing.T) {
	a, b := newListener("a", `{"toolsListChanged":true,"resourceSubscriptions":["f:/a"]}`), newListener("b", `{"promptsListChanged":true,"resourceSubscriptions":["f:/b","f:/?"]}`)
	a.on("resources/list", `"result":{"resources":[{"uri":"f:/a"}]}`)
	b.on("resources/list", `"result":{"resources":[{"uri":"f:/b"}]}`)
	b.wait, b.early = time.Second, true // after that nothing is held back
	withListeners(t, []*listener{a, b}, func(s *aggScene) {
		s.ask(`{"jsonrpc":"2.0","id":1,"method":"resources/list","params":{` + meta + `}}`)
		stop, done := s.listen(`{"toolsListChanged":true,"promptsListChanged":true,"resourceSubscriptions":["f:/a","f:/b","f:/?"]}`)
		s.hears() // b has not agreed yet
		time.Sleep(2 * time.Second)
		s.contains(strings.Join(a.took("subscriptions/listen"), ""), `"resourceSubscriptions":["f:/a","f:/?"]`, meta)
		s.contains(strings.Join(b.took("subscriptions/listen"), ""), `"resourceSubscriptions":["f:/b","f:/?"]`)
		s.hears(
			noteFor(`"L"`, "subscriptions/acknowledged", `,"notifications":{"promptsListChanged":true,"resourceSubscriptions":["f:/a","f:/b","f:/?"],"toolsListChanged":true}`),
			noteFor(`"L"`, "tools/list_changed", `,"n":1.0`), // of both: once is enough
		)
		a.says(s.t, a.note("resources/updated", `,"uri":"f:/a"`))
		s.hears(noteFor(`"L"`, "resources/updated", `,"uri":"f:/a"`))
		b.says(s.t, a.note("resources/updated", `,"uri":"f:/a"`)) // not b's subscription
		s.hears()
		stop()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		a.says(s.t, a.note("resources/updated", `,"uri":"f:/a"`))
		s.hears()
	})
}

func TestAggregateListensAgain(t *testing.T) {
	for name, end := range map[string]string{"lost": "lost", "ended": `"result":{"resultType":"complete"}`, "taken back": ""} {
		a, b := newListener("a", `{"toolsListChanged":true}`), newListener("b", "")
		withListeners(t, []*listener{a, b}, func(s *aggScene) {
			stop, done := s.listen(`{"toolsListChanged":true}`)
			s.hears()
			time.Sleep(11 * time.Second) // b says nothing, and is waited for no longer
			s.hears(noteFor(`"L"`, "subscriptions/acknowledged", `,"notifications":{"toolsListChanged":true}`), noteFor(`"L"`, "tools/list_changed", `,"n":1.0`))
			if end == "" {
				a.says(s.t, `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":`+a.ids[0]+`}}`)
			} else {
				a.end <- end
			}
			time.Sleep(5 * time.Second)
			synctest.Wait()
			// It may have missed a change meanwhile.
			if got := s.heard(); len(got) != 2 || got[0] != noteFor(`"L"`, "tools/list_changed", "") || len(a.ids) != 2 {
				t.Errorf("%s: listened %d times, got %q", name, len(a.ids), got)
			}
			stop()
			<-done
		})
	}
}

// An upstream that agrees to nothing and ends the subscription has nothing to
// tell: the other one's is what is left, without a word about the first.
func TestAggregateListensWhereThereIsSomethingToHear(t *testing.T) {
	const nothing = `{"toolsListChanged":false,"resourceSubscriptions":[]}`
	for _, filter := range []string{`{}`, nothing} {
		a, b := newListener("a", `{"toolsListChanged":true}`), newListener("b", filter)
		b.quiet = true
		withListeners(t, []*listener{a, b}, func(s *aggScene) {
			stop, done := s.listen(`{"toolsListChanged":true,"promptsListChanged":true,"resourcesListChanged":true}`)
			b.end <- `"result":{"resultType":"complete"}`
			time.Sleep(time.Hour)
			if got, n := s.heard(), b.times(); len(got) != 2 || n != 1 {
				t.Errorf("%s: listened %d times and heard %q", filter, n, got)
			}
			a.says(s.t, a.note("tools/list_changed", `,"n":2`))
			s.hears(noteFor(`"L"`, "tools/list_changed", `,"n":2`))
			stop()
			<-done
		})
	}
}

// One that agrees and ends the subscription at once is asked ever more rarely,
// and the client lists anew only what that one tells of. One that held out for
// long is asked again soon.
func TestAggregateListensEverMoreRarely(t *testing.T) {
	a, b := newListener("a", `{"toolsListChanged":true}`), newListener("b", `{"promptsListChanged":true}`)
	b.quiet = true
	withListeners(t, []*listener{a, b}, func(s *aggScene) {
		stop, done := s.listen(`{"toolsListChanged":true,"promptsListChanged":true}`)
		s.heard()
		over := make(chan struct{})
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for {
				select {
				case b.end <- `"result":{"resultType":"complete"}`:
				case <-over:
					return
				}
			}
		}()
		time.Sleep(10 * time.Minute)
		close(over)
		<-ended
		if n := b.times(); n < 10 || n > 20 { // 1, 2, 4 … 60 s apart
			t.Errorf("listened %d times in 10 minutes", n)
		}
		for _, got := range s.heard() {
			if got != noteFor(`"L"`, "prompts/list_changed", "") {
				t.Fatalf("heard %s", got)
			}
		}
		time.Sleep(5 * time.Minute)
		s.heard()
		n := b.times()
		b.end <- "lost"
		time.Sleep(3 * time.Second)
		s.hears(noteFor(`"L"`, "prompts/list_changed", ""))
		if got := b.times(); got != n+1 {
			t.Errorf("after a restart: listened %d times, before %d", got, n)
		}
		stop()
		<-done
	})
}

func TestAggregateListenRefused(t *testing.T) {
	a, b := newListener("a", ""), newListener("b", "")
	withListeners(t, []*listener{a, b}, func(s *aggScene) {
		_, done := s.listen(`{"toolsListChanged":true}`)
		a.end <- `"error":{"code":-32601,"message":"no"}`
		b.end <- `"error":{"code":-32601,"message":"no"}`
		if err := <-done; err != nil {
			t.Error(err)
		}
		s.hears(`{"jsonrpc":"2.0","id":"L","error":{"code":-32601,"message":"no"}}`)
	})
}

func TestAggregateListenEndsWithTheLast(t *testing.T) {
	a := newListener("a", `{}`)
	withListeners(t, []*listener{a}, func(s *aggScene) {
		_, done := s.listen(`{"toolsListChanged":true}`)
		s.heard()
		a.end <- `"error":{"code":-32603,"message":"no more"}`
		if err := <-done; err != nil {
			t.Error(err)
		}
		s.hears(`{"jsonrpc":"2.0","id":"L","result":{"resultType":"complete","_meta":{"io.modelcontextprotocol/subscriptionId":"L"}}}`)
	})
}

func TestAggregateListenForNothing(t *testing.T) {
	a := newListener("a", `{}`)
	withListeners(t, []*listener{a}, func(s *aggScene) {
		stop, done := s.listen(`{}`)
		s.hears(noteFor(`"L"`, "subscriptions/acknowledged", `,"notifications":{}`))
		stop()
		<-done
	})
}

// chaos is an upstream that fails in any way there is.
type chaos struct {
	name  string
	calls *sync.WaitGroup

	mu      sync.Mutex
	deliver wire.Deliver
}

func (c *chaos) dial(deliver wire.Deliver) (wire.Remote, error) {
	if rand.N(10) == 0 {
		return nil, errors.New("no route")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deliver = deliver
	return c, nil
}

func (c *chaos) Exchange(ctx context.Context, f wire.Frame) error {
	if f.Kind != wire.Request {
		return nil
	}
	c.mu.Lock()
	deliver := c.deliver
	c.mu.Unlock()
	answer := wire.MustParse(`{"jsonrpc":"2.0","id":` + string(f.ID) + `,"result":{"by":"` + c.name + `","tools":[{"name":"t"}],"protocolVersion":"2025-11-25","capabilities":{}}}`)
	time.Sleep(rand.N(20 * time.Millisecond))
	switch rand.N(12) {
	case 0:
		return wire.ErrSessionLost
	case 1:
		return errors.New("HTTP 500")
	case 2:
		return nil // without an answer
	case 3:
		<-ctx.Done()
		return ctx.Err()
	case 4: // twice, and late
		c.calls.Go(func() {
			time.Sleep(50 * time.Millisecond)
			_ = deliver(context.Background(), answer)
		})
		_ = deliver(ctx, answer)
		return deliver(ctx, answer)
	case 5: // an answer, and an error
		_ = deliver(ctx, answer)
		return wire.ErrSessionLost
	case 6: // somebody else's id
		_ = deliver(ctx, answer.WithID(wire.ID(fmt.Sprint(rand.N(1000)))))
	case 7:
		_ = deliver(ctx, wire.MustParse(`{"jsonrpc":"2.0","id":`+fmt.Sprint(rand.N(1000))+`,"method":"roots/list"}`))
	case 8:
		return deliver(ctx, wire.NewError(f.ID, -32000, "no", nil))
	}
	return deliver(ctx, answer)
}

func (c *chaos) Listen(ctx context.Context) error {
	if rand.N(2) == 0 {
		return wire.ErrNoListen
	}
	<-ctx.Done()
	return ctx.Err()
}

func (c *chaos) End(context.Context) error { return nil }

// Every request is answered once: by a message, or by the error of its
// Exchange, never by both.
func TestAggregateAnswersEachRequestOnce(t *testing.T) {
	for round := range 20 {
		synctest.Test(t, func(t *testing.T) {
			const requests = 300
			var calls sync.WaitGroup
			var opts AggregateOptions
			for _, name := range []string{"a", "b", "c"} {
				opts.Upstreams = append(opts.Upstreams, Named{name, (&chaos{name: name, calls: &calls}).dial})
			}
			var mu sync.Mutex
			answers := map[string]int{}
			by := map[string]string{}
			agg, err := NewAggregate(opts, func(_ context.Context, f wire.Frame) error {
				mu.Lock()
				defer mu.Unlock()
				if f.Kind == wire.Response {
					answers[f.ID.Key()]++
					by[f.ID.Key()] = wire.LookupString(f.Raw, "result", "by")
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			legacy := round%2 == 0
			if legacy {
				_ = agg.Exchange(t.Context(), wire.MustParse(`{"jsonrpc":"2.0","id":"hello","method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{}}}`))
				_ = agg.Exchange(t.Context(), wire.MustParse(ready))
				calls.Go(func() { _ = agg.Listen(t.Context()) })
			}
			var clients sync.WaitGroup
			for i := range requests {
				clients.Go(func() {
					time.Sleep(rand.N(2 * time.Second))
					ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
					defer cancel()
					owner := string(rune('a' + i%3))
					raw := []string{
						`"method":"tools/call","params":{"name":"` + owner + `__t"}`, `"method":"tools/call","params":{"name":"` + owner + `__t"}`,
						`"method":"tools/list"`, `"method":"resources/read","params":{"uri":"x:/y"}`, `"method":"logging/setLevel","params":{"level":"info"}`, `"method":"x"`,
					}[i%6]
					err := agg.Exchange(ctx, wire.MustParse(fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,%s}`, i, raw)))
					mu.Lock()
					defer mu.Unlock()
					switch n := answers[fmt.Sprint(i)]; {
					case n > 1, n == 1 && err != nil, n == 0 && err == nil:
						t.Errorf("request %d (%s): %d answers, %v", i, raw, n, err)
					case n == 1 && strings.Contains(raw, "tools/call") && by[fmt.Sprint(i)] != owner && by[fmt.Sprint(i)] != "":
						t.Errorf("request %d was answered by %s", i, by[fmt.Sprint(i)])
					}
				})
			}
			clients.Wait()
			if err := agg.End(context.Background()); err != nil {
				t.Error(err)
			}
			calls.Wait()
			mu.Lock()
			defer mu.Unlock()
			for id, n := range answers {
				if n > 1 {
					t.Errorf("request %s has %d answers", id, n)
				}
			}
		})
	}
}

func FuzzCursor(f *testing.F) {
	seal := newCursorSeal([]byte("key"))
	f.Add("a", "c")
	f.Add("", "")
	f.Add("b-2", "\x00\xff\"")
	f.Fuzz(func(t *testing.T, name, cursor string) {
		sealed := seal.seal(listCursor{"tools/list", map[string]string{name: cursor}})
		got, err := seal.open(sealed, "tools/list")
		if err != nil || len(got) != 1 && name != "" {
			t.Fatalf("%q %q: %v %v", name, cursor, got, err)
		}
		if _, err := seal.open(cursor, "tools/list"); err == nil {
			t.Fatalf("%q was taken for a cursor", cursor)
		}
	})
}

func FuzzChanges(f *testing.F) {
	f.Add(`{"jsonrpc":"2.0","id":1,"method":"x","params":{"name":"a"}}`, "b")
	f.Add(`{"params":{"name":{},"name":[1]} ,"method":"x","jsonrpc":"2.0","id":"\u0061"}`, `"`)
	f.Add(`{"jsonrpc":"2.0","method":"x","params":{}}`, "\xff")
	f.Fuzz(func(t *testing.T, raw, value string) {
		m, err := wire.Parse([]byte(raw))
		if err != nil || m.Kind == wire.Batch {
			return
		}
		out := changed(m, set(quoted(value), "params", "name"), set([]byte("7"), "id"))
		again, err := wire.Parse(out.Raw)
		if err != nil {
			t.Fatalf("%s became %s: %v", raw, out.Raw, err)
		}
		if again.Kind != m.Kind || again.Method != m.Method || string(again.ID) != string(out.ID) {
			t.Fatalf("%s became %s", raw, out.Raw)
		}
		if wire.Lookup(m.Raw, "params", "name") != nil && !slices.Equal(wire.Lookup(out.Raw, "params", "name"), quoted(value)) {
			t.Fatalf("%s became %s", raw, out.Raw)
		}
		if _, err := wire.Parse(inserted(m, "logger", quoted(value), "params").Raw); err != nil {
			t.Fatalf("%s: %v", raw, err)
		}
	})
}
