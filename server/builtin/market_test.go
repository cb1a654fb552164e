package builtin_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mcpctl/mcpctl/internal/wire"
	"github.com/mcpctl/mcpctl/server/builtin"
)

type quote struct {
	Symbol         string
	Last, Bid, Ask float64
	AsOf           string `json:"as_of"`
	Simulated      bool
}

func marketAt(t *testing.T, seed uint64, now *time.Time) peer {
	t.Helper()
	s, err := builtin.New(builtin.Options{Names: []string{"market"}, Seed: seed, Now: func() time.Time { return *now }})
	if err != nil {
		t.Fatal(err)
	}
	return open(t, s)
}

// Two replicas with one seed and one clock agree, second by second; another
// seed is another market.
func TestPricesDependOnSeedAndSecond(t *testing.T) {
	now := time.Date(2026, 7, 28, 14, 30, 0, 0, time.UTC)
	one, replica, other := marketAt(t, 1, &now), marketAt(t, 1, &now), marketAt(t, 2, &now)
	var moved, differs int
	const seconds = 120
	var before quote
	for range seconds {
		a := structuredContent[quote](t, one.tool("get_quote", `{"symbol":"CTSO"}`))
		b := structuredContent[quote](t, replica.tool("get_quote", `{"symbol":"CTSO"}`))
		c := structuredContent[quote](t, other.tool("get_quote", `{"symbol":"CTSO"}`))
		if a != b {
			t.Fatalf("replicas differ: %+v, %+v", a, b)
		}
		if a.Bid >= a.Last || a.Last >= a.Ask || !a.Simulated || a.AsOf != now.Format(time.RFC3339) {
			t.Errorf("at %v: %+v", now, a)
		}
		if a.Last < 184.20*0.95 || a.Last > 184.20*1.05 {
			t.Errorf("%v is far from the base price", a.Last)
		}
		if a.Last != before.Last {
			moved++
		}
		if a.Last != c.Last {
			differs++
		}
		before = a
		now = now.Add(time.Second)
	}
	if moved < seconds*3/4 || differs < seconds*3/4 {
		t.Errorf("of %d prices %d moved and %d differed from another seed's", seconds, moved, differs)
	}
}

func TestEverySymbolHasItsQuote(t *testing.T) {
	p := open(t, newServer(t))
	type listing struct {
		Symbols []struct{ Symbol, Name, URI string }
	}
	list := structuredContent[listing](t, p.tool("list_symbols", `{}`))
	resources := at(p.call("resources/list", `{}`), "result.resources")
	if len(list.Symbols) == 0 {
		t.Fatal("no symbols")
	}
	for _, l := range list.Symbols {
		if q := structuredContent[quote](t, p.tool("get_quote", fmt.Sprintf(`{"symbol":%q}`, l.Symbol))); q.Symbol != l.Symbol || q.Last <= 0 {
			t.Errorf("%s: %+v", l.Symbol, q)
		}
		if !strings.Contains(resources, fmt.Sprintf("%q", l.URI)) {
			t.Errorf("%s is not among the resources", l.URI)
		}
		read := p.call("resources/read", fmt.Sprintf(`{"uri":%q}`, l.URI))
		if !strings.Contains(string(read.Raw), `\"symbol\":\"`+l.Symbol+`\"`) {
			t.Errorf("reading %s: %s", l.URI, read.Raw)
		}
	}
	if got := at(p.call("resources/templates/list", `{}`), "result.resourceTemplates"); !strings.Contains(got, `"market://quotes/{symbol}"`) {
		t.Errorf("templates: %s", got)
	}
	if got := at(p.call("prompts/list", `{}`), "result.prompts"); !strings.Contains(got, `"explain_quote"`) {
		t.Errorf("prompts: %s", got)
	}
}

// The same seed, symbol and steps give the same backtest.
func TestBacktestsRepeat(t *testing.T) {
	now := time.Now()
	run := func(seed uint64) string {
		return at(marketAt(t, seed, &now).tool("run_backtest", `{"symbol":"CTSO","steps":500}`), "result.structuredContent")
	}
	first := run(1)
	if again := run(1); first == "" || again != first {
		t.Errorf("got %s, then %s", first, again)
	}
	if other := run(2); other == first {
		t.Errorf("another seed gives the same: %s", other)
	}
}

func TestABacktestTakesItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := open(t, newServer(t))
		start := time.Now()
		p.write(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"run_backtest","arguments":{"symbol":"CTSO","steps":4,"duration_ms":10000},"_meta":{"progressToken":1}}}`)
		for i := 1; i <= 4; i++ {
			p.read()
			if want := time.Duration(i) * 2500 * time.Millisecond; time.Since(start) != want {
				t.Errorf("step %d after %v, want %v", i, time.Since(start), want)
			}
		}
	})
}

func subscribe(p peer, symbol string) {
	p.t.Helper()
	if f := p.call("resources/subscribe", fmt.Sprintf(`{"uri":"market://quotes/%s"}`, symbol)); f.Failed {
		p.t.Fatalf("subscribing to %s: %s", symbol, f.Raw)
	}
}

func (p peer) update(symbol string) {
	p.t.Helper()
	f := p.read()
	if f.Method != "notifications/resources/updated" || at(f, "params") != fmt.Sprintf(`{"uri":"market://quotes/%s"}`, symbol) {
		p.t.Fatalf("got %s, want an update of %s", f.Raw, symbol)
	}
}

// Each second there is one update per subscription, until it ends.
func TestSubscriptions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		p, bystander := open(t, s), open(t, s)
		subscribe(p, "WING")
		subscribe(p, "CTSO")
		subscribe(p, "WING") // again: still one update a second
		start := time.Now()
		for second := 1; second <= 3; second++ {
			p.update("CTSO")
			p.update("WING")
			if got := time.Since(start); got != time.Duration(second)*time.Second {
				t.Errorf("update %d after %v", second, got)
			}
		}
		p.call("resources/unsubscribe", `{"uri":"market://quotes/CTSO"}`)
		p.update("WING")
		p.update("WING")
		p.call("resources/unsubscribe", `{"uri":"market://quotes/WING"}`)
		p.nothing(time.Hour)
		subscribe(p, "FBKM")
		p.update("FBKM")
		bystander.nothing(time.Millisecond)
	})
}

// An update says that reading gives something new.
func TestAnUpdateIsWorthReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := open(t, newServer(t))
		subscribe(p, "CTSO")
		before := ""
		for range 3 {
			p.update("CTSO")
			after := at(p.call("resources/read", `{"uri":"market://quotes/CTSO"}`), "result")
			if after == before {
				t.Errorf("nothing new: %s", after)
			}
			before = after
		}
	})
}

// A reader that stays away for an hour finds a bounded number of updates, and
// unsubscribing still takes effect at once.
func TestASlowSubscriber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := open(t, newServer(t))
		subscribe(p, "CTSO")
		time.Sleep(time.Hour)
		p.write(`{"jsonrpc":"2.0","id":9,"method":"resources/unsubscribe","params":{"uri":"market://quotes/CTSO"}}`)
		updates := 0
		for f := p.read(); f.Kind == wire.Notification; f = p.read() {
			updates++
		}
		if updates == 0 || updates > 100 {
			t.Errorf("%d updates were kept", updates)
		}
		p.nothing(time.Hour)
	})
}

// What is written one after the other takes effect in that order, though the
// answers are not awaited.
func TestSubscribingWithoutWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := open(t, newServer(t))
		for id := range 50 {
			method := []string{"resources/subscribe", "resources/unsubscribe"}[id%2]
			p.write(`{"jsonrpc":"2.0","id":%d,"method":%q,"params":{"uri":"market://quotes/CTSO"}}`, id, method)
		}
		for range 50 {
			p.read()
		}
		p.nothing(time.Hour)
	})
}

const modern = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}`

// Since 2026-07-28 one request listens: it is told what it got, then of every
// change, each message under the request's id, until it is cancelled.
func TestListen(t *testing.T) {
	for _, id := range []string{"9007199254740993", `"a\/b"`} {
		t.Run(id, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				meta := `{"io.modelcontextprotocol/subscriptionId":` + id + `}`
				p := open(t, newServer(t))
				p.write(`{"jsonrpc":"2.0","id":%s,"method":"subscriptions/listen","params":{"notifications":{"toolsListChanged":true,"resourceSubscriptions":["market://quotes/CTSO","market://quotes/NOPE","market://quotes/CTSO"]},%s}}`, id, modern)
				f := p.read()
				if f.Method != "notifications/subscriptions/acknowledged" || at(f, "params._meta") != meta ||
					at(f, "params.notifications") != `{"resourceSubscriptions":["market://quotes/CTSO"]}` {
					t.Fatalf("first message: %s", f.Raw)
				}
				for range 3 {
					f := p.read()
					if f.Method != "notifications/resources/updated" || at(f, "params._meta") != meta || at(f, "params.uri") != `"market://quotes/CTSO"` {
						t.Fatalf("update: %s", f.Raw)
					}
				}
				p.write(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":%s}}`, id)
				p.nothing(time.Hour)
			})
		})
	}
}

func TestListeningForNothingEnds(t *testing.T) {
	for _, names := range [][]string{{"market"}, {"whoami"}} {
		p := open(t, newServer(t, names...))
		p.write(`{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{"notifications":{"toolsListChanged":true,"resourceSubscriptions":["market://quotes/NOPE"]},%s}}`, modern)
		if f := p.read(); at(f, "params.notifications") != "{}" {
			t.Errorf("first message: %s", f.Raw)
		}
		if f := p.read(); string(f.ID) != "1" || at(f, "result.resultType") != `"complete"` {
			t.Errorf("answer: %s", f.Raw)
		}
	}
}
