package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// countingRemote answers every call with a result that a test has set, marked
// with a count.
type countingRemote struct {
	deliver wire.Deliver
	result  string
	calls   int
}

func (c *countingRemote) Exchange(ctx context.Context, f wire.Frame) error {
	c.calls++
	raw := fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"result":%s}`, f.ID, strings.ReplaceAll(c.result, "COUNT", fmt.Sprint(c.calls)))
	if strings.HasPrefix(c.result, "error") {
		raw = fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"error":{"code":-1,"message":"no"}}`, f.ID)
	}
	return c.deliver(ctx, wire.MustParse(raw))
}
func (c *countingRemote) Listen(context.Context) error { return wire.ErrNoListen }
func (c *countingRemote) End(context.Context) error    { return nil }

type cacheBench struct {
	cacher  *cacher
	remote  *countingRemote
	got     []string
	advance func(time.Duration)
}

func caching(t *testing.T, result string, rules ...CacheRule) *cacheBench {
	t.Helper()
	store, advance := movingStore(t)
	b := &cacheBench{remote: &countingRemote{result: result}, advance: advance}
	var err error
	b.cacher, err = newCacher(cacheConfig{Rules: func() []CacheRule { return rules }, Store: store, Owner: ownerOf, Listed: func(name string) string { return name }, Scope: "s", Logger: slog.New(slog.DiscardHandler)},
		func(_ context.Context, f wire.Frame) error { b.got = append(b.got, string(f.Raw)); return nil },
		func(d wire.Deliver) (wire.Remote, error) { b.remote.deliver = d; return b.remote, nil })
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// send sends a request as an owner and returns how often the upstream was asked.
func (b *cacheBench) send(t *testing.T, owner, id, method, params string) int {
	t.Helper()
	before := b.remote.calls
	f := wire.MustParse(`{"jsonrpc":"2.0","id":` + id + `,"method":"` + method + `","params":` + params + `}`)
	if err := b.cacher.Exchange(as(t.Context(), owner), f); err != nil {
		t.Fatal(err)
	}
	return b.remote.calls - before
}

const kept = `{"content":[],"n":COUNT,"big":9007199254740993}`

var cacheTool = CacheRule{Tool: "quote", TTL: time.Minute}

// A kept result comes back byte for byte, under the new id, to its owner only.
func TestCacheKeepsPerUser(t *testing.T) {
	b := caching(t, kept, cacheTool)
	if n := b.send(t, "ada", "1", "tools/call", `{"name":"quote","arguments":{"s":"A"}}`); n != 1 {
		t.Fatal("the first was not asked for")
	}
	if n := b.send(t, "ada", `"two"`, "tools/call", `{"name":"quote","arguments":{"s":"A"}}`); n != 0 {
		t.Error("the second was asked for again")
	}
	if want := `{"jsonrpc":"2.0","id":"two","result":{"content":[],"n":1,"big":9007199254740993}}`; b.got[1] != want {
		t.Errorf("got %s", b.got[1])
	}
	for _, other := range []struct{ owner, params string }{
		{"grace", `{"name":"quote","arguments":{"s":"A"}}`},
		{"ada", `{"name":"quote","arguments":{"s":"B"}}`},
		{"ada", `{"name":"other","arguments":{"s":"A"}}`},
		{"ada", `{"name":"quote","arguments":{"s":"A"},"requestState":"x"}`},
		{"ada", `{"name":"quote","arguments":{"s":"A"},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}`},
		{"", `{"name":"quote","arguments":{"s":"A"}}`},
	} {
		if n := b.send(t, other.owner, "3", "tools/call", other.params); n != 1 {
			t.Errorf("%q got somebody else's result for %s", other.owner, other.params)
		}
	}
	b.advance(2 * time.Minute)
	if n := b.send(t, "ada", "4", "tools/call", `{"name":"quote","arguments":{"s":"A"}}`); n != 1 {
		t.Error("an old result came back")
	}
}

// TestRow45PrivateResult: what is declared public is shared, unless the result
// itself says that it is private.
func TestRow45PrivateResult(t *testing.T) {
	public := CacheRule{Tool: "quote", TTL: time.Minute, Public: true}
	for result, shared := range map[string]bool{
		kept:                                     true,
		`{"cacheScope":"public","ttlMs":60000}`:  true,
		`{"cacheScope":"private","ttlMs":60000}`: false,
		`{"ttlMs":0}`:                            false,
		`{"isError":true,"content":[]}`:          false,
		`{"resultType":"input_required"}`:        false,
		`{"resultType":"complete","content":[]}`: true,
		"error":                                  false,
	} {
		b := caching(t, result, public)
		b.send(t, "ada", "1", "tools/call", `{"name":"quote"}`)
		if n := b.send(t, "grace", "2", "tools/call", `{"name":"quote"}`); (n == 0) != shared {
			t.Errorf("%s: shared %v", result, n == 0)
		}
	}
}

func TestCacheHonoursTTLOfTheResult(t *testing.T) {
	b := caching(t, `{"ttlMs":1000}`, cacheTool)
	b.send(t, "ada", "1", "tools/call", `{"name":"quote"}`)
	b.advance(2 * time.Second)
	if n := b.send(t, "ada", "2", "tools/call", `{"name":"quote"}`); n != 1 {
		t.Error("the result outlived its own ttlMs")
	}
}

func TestCacheDropsOnUpdates(t *testing.T) {
	for note, dropped := range map[string]bool{
		`{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"a://1"}}`: true,
		`{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"a://2"}}`: false,
		`{"jsonrpc":"2.0","method":"notifications/resources/list_changed"}`:                     true,
		`{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}`:                         false,
	} {
		b := caching(t, kept, CacheRule{Resource: "a://*", TTL: time.Minute})
		b.send(t, "ada", "1", "resources/read", `{"uri":"a://1"}`)
		if err := b.cacher.fromNext(t.Context(), wire.MustParse(note)); err != nil {
			t.Fatal(err)
		}
		if n := b.send(t, "ada", "2", "resources/read", `{"uri":"a://1"}`); (n == 1) != dropped {
			t.Errorf("%s: dropped %v", note, n == 1)
		}
	}
}

func TestNothingIsKeptWithoutARule(t *testing.T) {
	b := caching(t, kept)
	for range 2 {
		if n := b.send(t, "ada", "1", "tools/call", `{"name":"quote"}`); n != 1 {
			t.Error("kept without a rule")
		}
	}
}
