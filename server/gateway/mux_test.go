package gateway

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// muxScene is a mux, the clients of a test, and the upstream in its hands.
type muxScene struct {
	t        *testing.T
	mux      *mux
	upstream wire.Conn
}

// withMux runs a test in a bubble of its own, where time passes by itself.
func withMux(t *testing.T, strangers bool, test func(s *muxScene)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		near, far := wire.Pipe(100)
		s := &muxScene{t, newMux(near, strangers, slog.New(slog.DiscardHandler), nil), far}
		defer func() {
			_ = s.mux.close()
			_ = far.Close()
		}()
		test(s)
	})
}

// attach returns a client that has been greeted, without a trace of it upstream.
func (s *muxScene) attach() *muxClient { return s.attachAs("") }

func (s *muxScene) attachAs(owner string) *muxClient {
	s.t.Helper()
	c, err := s.mux.attach(owner)
	if err != nil {
		s.t.Fatal(err)
	}
	s.mux.mu.Lock()
	c.greeted = true
	s.mux.mu.Unlock()
	return c
}

func (s *muxScene) send(to wire.Conn, raw string) {
	s.t.Helper()
	if err := to.Write(s.t.Context(), wire.MustParse(raw)); err != nil {
		s.t.Fatalf("writing %s: %v", raw, err)
	}
}

// gets reads one message, which has to be want byte for byte.
func (s *muxScene) gets(from wire.Conn, want string) {
	s.t.Helper()
	if got := s.next(from); got != want {
		s.t.Fatalf("got  %s\nwant %s", got, want)
	}
}

func (s *muxScene) next(from wire.Conn) string {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	f, err := from.Read(ctx)
	if err != nil {
		s.t.Fatalf("nothing came: %v", err)
	}
	defer f.Release()
	return string(f.Raw)
}

// nothing asserts that no message is there for any of them.
func (s *muxScene) nothing(from ...wire.Conn) {
	s.t.Helper()
	synctest.Wait()
	for i, c := range from {
		ctx, cancel := context.WithTimeout(s.t.Context(), time.Millisecond)
		f, err := c.Read(ctx)
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) {
			s.t.Fatalf("connection %d got %s %v, want nothing", i, f.Raw, err)
		}
	}
}

// ends asserts that the connection has nothing more to give.
func (s *muxScene) ends(from wire.Conn) error {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	f, err := from.Read(ctx)
	if err == nil || ctx.Err() != nil {
		s.t.Fatalf("got %s %v, want the end", f.Raw, err)
	}
	return err
}

func TestMuxKeepsEqualIDsAndTokensApart(t *testing.T) {
	withMux(t, false, func(s *muxScene) {
		a, b := s.attach(), s.attach()
		call := func(id, token string) string {
			return `{"x":1.0,"jsonrpc":"2.0", "id":` + id + `,"method":"tools/call","params":{"name":"t","_meta":{"v":1e400,"progressToken":` + token + `},"n":12345678901234567890}}`
		}
		const own, token = `9007199254740993`, `"p\u002f"`
		s.send(a, call(own, token))
		s.gets(s.upstream, call("1", "1"))
		s.send(b, call(own, token))
		s.gets(s.upstream, call("2", "2"))
		// The upstream answers the second one first.
		s.send(s.upstream, `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":2,"progress":2.50}}`)
		s.send(s.upstream, `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1.50}}`)
		s.send(s.upstream, `{"jsonrpc":"2.0","id":2,"result":{"of":"b"}}`)
		s.send(s.upstream, `{"jsonrpc":"2.0","error":{"code":1,"message":"of a"},"id":1}`)
		s.gets(a, `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":`+token+`,"progress":1.50}}`)
		s.gets(a, `{"jsonrpc":"2.0","error":{"code":1,"message":"of a"},"id":`+own+`}`)
		s.gets(b, `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":`+token+`,"progress":2.50}}`)
		s.gets(b, `{"jsonrpc":"2.0","id":`+own+`,"result":{"of":"b"}}`)
		// What comes late concerns nobody.
		s.send(s.upstream, `{"jsonrpc":"2.0","id":1,"result":{}}`)
		s.send(s.upstream, `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":2}}`)
		s.nothing(a, b, s.upstream)
	})
}

func TestMuxProgressOnlyWhereAsked(t *testing.T) {
	withMux(t, false, func(s *muxScene) {
		a := s.attach()
		s.send(a, `{"jsonrpc":"2.0","id":5,"method":"tools/call"}`)
		s.gets(s.upstream, `{"jsonrpc":"2.0","id":1,"method":"tools/call"}`)
		s.send(s.upstream, `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1}}`)
		s.nothing(a)
	})
}

func TestMuxRefusesAnIDInFlight(t *testing.T) {
	withMux(t, false, func(s *muxScene) {
		a := s.attach()
		s.send(a, `{"jsonrpc":"2.0","id":"a\/","method":"x"}`)
		s.gets(s.upstream, `{"jsonrpc":"2.0","id":1,"method":"x"}`)
		s.send(a, `{"jsonrpc":"2.0","id":"a/","method":"x"}`)
		if got := s.next(a); !strings.Contains(got, "still in flight") {
			t.Errorf("got %s", got)
		}
		s.nothing(s.upstream)
	})
}

func TestMuxCancelsOnlyOwnRequests(t *testing.T) {
	withMux(t, false, func(s *muxScene) {
		a, b := s.attach(), s.attach()
		s.send(a, `{"jsonrpc":"2.0","id":7,"method":"tools/call"}`)
		s.next(s.upstream)
		// Neither a's id nor the one that the upstream knows is b's to cancel.
		s.send(b, `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":7}}`)
		s.send(b, `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`)
		s.nothing(s.upstream)
		s.send(a, `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"reason":"r","requestId":7}}`)
		s.gets(s.upstream, `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"reason":"r","requestId":1}}`)
		s.send(a, `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":7}}`)
		s.send(s.upstream, `{"jsonrpc":"2.0","id":1,"result":{}}`)
		s.nothing(a, b, s.upstream)
		// The id is free again.
		s.send(a, `{"jsonrpc":"2.0","id":7,"method":"tools/call"}`)
		s.gets(s.upstream, `{"jsonrpc":"2.0","id":2,"method":"tools/call"}`)
	})
}

func TestMuxQuestionsGoToOneClient(t *testing.T) {
	withMux(t, false, func(s *muxScene) {
		a, b := s.attach(), s.attach()
		const ask = `{"jsonrpc":"2.0","id":"q","method":"sampling/createMessage","params":{"big":12345678901234567890}}`
		// Calls that need nothing of the client don't attract questions.
		s.send(a, `{"jsonrpc":"2.0","id":1,"method":"tools/call"}`)
		s.send(b, `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`)
		s.send(b, `{"jsonrpc":"2.0","id":2,"method":"ping"}`)
		s.send(s.upstream, ask)
		s.gets(a, ask)
		s.nothing(b)
		for range 3 {
			s.next(s.upstream)
		}
		// An answer by another client is not one.
		s.send(b, `{"jsonrpc":"2.0","id":"q","result":{"of":"b"}}`)
		s.nothing(s.upstream)
		s.send(a, `{"jsonrpc":"2.0","id":"q","result":{"of":"a"}}`)
		s.gets(s.upstream, `{"jsonrpc":"2.0","id":"q","result":{"of":"a"}}`)
		s.send(a, `{"jsonrpc":"2.0","id":"q","result":{"again":1}}`)
		s.nothing(s.upstream)
		// The newer call wins.
		s.send(b, `{"jsonrpc":"2.0","id":3,"method":"prompts/get"}`)
		s.next(s.upstream)
		s.send(s.upstream, ask)
		s.gets(b, ask)
		// Taken back by the upstream: only b hears of it, and can't answer any more.
		const back = `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"q"}}`
		s.send(s.upstream, back)
		s.gets(b, back)
		s.send(b, `{"jsonrpc":"2.0","id":"q","result":{}}`)
		s.nothing(a, s.upstream)
	})
}

func TestMuxQuestionsOutsideOfCalls(t *testing.T) {
	withMux(t, false, func(s *muxScene) {
		s.send(s.upstream, `{"jsonrpc":"2.0","id":1,"method":"ping"}`)
		s.gets(s.upstream, `{"jsonrpc":"2.0","id":1,"result":{}}`)
		s.send(s.upstream, `{"jsonrpc":"2.0","id":2,"method":"roots/list"}`)
		if got := s.next(s.upstream); !strings.Contains(got, "-32601") {
			t.Errorf("with no client: %s", got)
		}
		a, b := s.attach(), s.attach()
		s.send(a, `{"jsonrpc":"2.0","method":"notifications/vendor"}`)
		s.send(b, `{"jsonrpc":"2.0","method":"notifications/roots/list_changed"}`)
		s.next(s.upstream)
		s.next(s.upstream)
		s.send(s.upstream, `{"jsonrpc":"2.0","id":3,"method":"roots/list"}`)
		s.gets(b, `{"jsonrpc":"2.0","id":3,"method":"roots/list"}`)
		// A client that leaves owes its answer no more: the upstream gets one.
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		if got := s.next(s.upstream); !strings.Contains(got, `"id":3,"error"`) {
			t.Errorf("after the client left: %s", got)
		}
		s.nothing(a)
	})
}

const (
	hello1  = `{"jsonrpc":"2.0","id":"h1","method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{"sampling":{}}}}`
	hello2  = `{"jsonrpc":"2.0","id":"h2","method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{"sampling":{}}}}`
	welcome = `"result":{"protocolVersion":"2025-11-25","capabilities":{},"n":12345678901234567890}}`
	ready   = `{"jsonrpc":"2.0","method":"notifications/initialized"}`
	changes = `{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}`
)

func (s *muxScene) bare() *muxClient {
	s.t.Helper()
	c, err := s.mux.attach("")
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

func TestMuxGreetsOnce(t *testing.T) {
	withMux(t, false, func(s *muxScene) {
		a, b := s.bare(), s.bare()
		s.send(a, hello1)
		s.gets(s.upstream, strings.Replace(hello1, `"h1"`, "1", 1))
		s.send(b, hello2) // while the first is under way
		s.nothing(s.upstream)
		s.send(s.upstream, `{"jsonrpc":"2.0","id":1,`+welcome)
		s.send(s.upstream, changes) // comes after the answer, to both
		s.gets(a, `{"jsonrpc":"2.0","id":"h1",`+welcome)
		s.gets(a, changes)
		s.gets(b, `{"jsonrpc":"2.0","id":"h2",`+welcome)
		s.gets(b, changes)
		s.send(b, ready)
		s.gets(s.upstream, ready)
		s.send(a, ready)
		s.nothing(s.upstream)
		c := s.bare()
		s.send(s.upstream, changes)
		s.gets(a, changes)
		s.gets(b, changes)
		s.nothing(c) // not before it was greeted
		s.send(c, hello2)
		s.gets(c, `{"jsonrpc":"2.0","id":"h2",`+welcome)
		s.nothing(s.upstream)
	})
}

func TestMuxFirstClientLeavesInHandshake(t *testing.T) {
	withMux(t, false, func(s *muxScene) {
		a, b := s.bare(), s.bare()
		s.send(a, hello1)
		s.send(b, hello2)
		s.next(s.upstream)
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
		s.nothing(s.upstream) // initialize can't be cancelled
		s.send(s.upstream, `{"jsonrpc":"2.0","id":1,`+welcome)
		s.gets(b, `{"jsonrpc":"2.0","id":"h2",`+welcome)
		s.send(b, ready)
		s.gets(s.upstream, ready)
	})
}

func TestMuxFailedHandshakeIsTriedAgain(t *testing.T) {
	withMux(t, false, func(s *muxScene) {
		a, b := s.bare(), s.bare()
		s.send(a, hello1)
		s.send(b, hello2)
		s.next(s.upstream)
		s.send(s.upstream, `{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"no"}}`)
		s.gets(a, `{"jsonrpc":"2.0","id":"h1","error":{"code":-32602,"message":"no"}}`)
		s.gets(b, `{"jsonrpc":"2.0","id":"h2","error":{"code":-32602,"message":"no"}}`)
		s.send(b, hello2)
		s.gets(s.upstream, strings.Replace(hello2, `"h2"`, "2", 1))
		s.send(s.upstream, `{"jsonrpc":"2.0","id":2,`+welcome)
		s.gets(b, `{"jsonrpc":"2.0","id":"h2",`+welcome)
	})
}

func TestMuxUpstreamEndsInHandshake(t *testing.T) {
	withMux(t, false, func(s *muxScene) {
		a, b := s.bare(), s.bare()
		s.send(a, hello1)
		s.send(b, hello2)
		_ = s.upstream.Close()
		for _, c := range []*muxClient{a, b} {
			if err := s.ends(c); !errors.Is(err, io.EOF) {
				t.Errorf("got %v, want the end of the upstream", err)
			}
		}
		if _, err := s.mux.attach(""); err == nil {
			t.Error("a client could join an upstream that has ended")
		}
	})
}

func TestMuxAnswersWaitBeforeTheEnd(t *testing.T) {
	withMux(t, false, func(s *muxScene) {
		a := s.attach()
		s.send(a, `{"jsonrpc":"2.0","id":7,"method":"x"}`)
		s.send(s.upstream, `{"jsonrpc":"2.0","id":1,"result":{}}`)
		_ = s.upstream.Close()
		synctest.Wait()
		s.gets(a, `{"jsonrpc":"2.0","id":7,"result":{}}`)
		s.ends(a)
		if err := a.Write(s.t.Context(), wire.MustParse(ready)); err == nil {
			t.Error("writing to an upstream that has ended succeeded")
		}
	})
}

func subscribe(id, uri string) string {
	return `{"jsonrpc":"2.0","id":` + id + `,"method":"resources/subscribe","params":{"uri":"` + uri + `"}}`
}

func unsubscribe(id, uri string) string {
	return strings.Replace(subscribe(id, uri), "sub", "unsub", 1)
}

func updated(uri string) string {
	return `{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"` + uri + `"}}`
}

func TestMuxCountsSubscriptions(t *testing.T) {
	withMux(t, false, func(s *muxScene) {
		a, b := s.attach(), s.attach()
		answer := func(id string) { s.send(s.upstream, `{"jsonrpc":"2.0","id":`+id+`,"result":{}}`) }
		s.send(a, subscribe("1", "f:/x"))
		s.gets(s.upstream, subscribe("1", "f:/x"))
		answer("1")
		s.next(a)
		s.send(s.upstream, updated("f:/x"))
		s.gets(a, updated("f:/x"))
		s.nothing(b)
		s.send(b, subscribe("1", "f:/x"))
		s.gets(s.upstream, subscribe("2", "f:/x"))
		answer("2")
		s.next(b)
		s.send(s.upstream, updated("f:/x/part"))
		s.gets(a, updated("f:/x/part"))
		s.gets(b, updated("f:/x/part"))
		s.send(s.upstream, updated("f:/xy"))
		s.nothing(a, b)
		// The first to give up keeps the upstream's for the other.
		s.send(a, unsubscribe("2", "f:/x"))
		s.gets(a, `{"jsonrpc":"2.0","id":2,"result":{}}`)
		s.nothing(s.upstream)
		s.send(s.upstream, updated("f:/x"))
		s.gets(b, updated("f:/x"))
		s.nothing(a)
		// The last one's leaving ends it.
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		s.gets(s.upstream, unsubscribe("3", "f:/x"))
		answer("3")
		s.nothing(a, s.upstream)
	})
}

func TestMuxLastUnsubscribeIsPassedOn(t *testing.T) {
	withMux(t, false, func(s *muxScene) {
		a := s.attach()
		s.send(a, subscribe("1", "f:/x"))
		s.next(s.upstream)
		s.send(a, unsubscribe("2", "f:/x"))
		s.gets(s.upstream, unsubscribe("2", "f:/x"))
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
		// What is left are the two requests without answers.
		got := s.next(s.upstream) + s.next(s.upstream)
		if strings.Count(got, "notifications/cancelled") != 2 {
			t.Errorf("got %s", got)
		}
		s.nothing(s.upstream)
	})
}

func TestMuxFailedSubscriptionCountsForNothing(t *testing.T) {
	withMux(t, false, func(s *muxScene) {
		a, b := s.attach(), s.attach()
		s.send(a, subscribe("1", "f:/x"))
		s.send(s.upstream, `{"jsonrpc":"2.0","id":1,"error":{"code":-32002,"message":"no"}}`)
		s.next(a)
		s.next(s.upstream)
		s.send(b, subscribe("1", "f:/x"))
		s.send(s.upstream, `{"jsonrpc":"2.0","id":2,"result":{}}`)
		s.next(b)
		s.next(s.upstream)
		s.send(s.upstream, updated("f:/x"))
		s.gets(b, updated("f:/x"))
		s.nothing(a)
	})
}

func logLine(level string) string {
	return `{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"` + level + `","data":1}}`
}

func setLevel(id, level string) string {
	return `{"jsonrpc":"2.0","id":` + id + `,"method":"logging/setLevel","params":{"level":"` + level + `"}}`
}

func TestMuxLogLevelOfEachClient(t *testing.T) {
	withMux(t, false, func(s *muxScene) {
		a, b, c := s.attach(), s.attach(), s.attach()
		// As long as nobody has said anything, the upstream decides.
		s.send(s.upstream, logLine("debug"))
		for _, client := range []wire.Conn{a, b, c} {
			s.gets(client, logLine("debug"))
		}
		// The upstream's level is the lowest that anybody wants.
		s.send(a, setLevel("1", "error"))
		s.gets(s.upstream, setLevel("1", "info"))
		s.send(b, setLevel("1", "debug"))
		s.gets(s.upstream, setLevel("2", "debug"))
		s.send(a, setLevel("2", "warning"))
		s.gets(s.upstream, setLevel("3", "debug"))
		for level, want := range map[string][]wire.Conn{"debug": {b}, "info": {b, c}, "warning": {a, b, c}, "emergency": {a, b, c}} {
			s.send(s.upstream, logLine(level))
			for _, client := range want {
				s.gets(client, logLine(level))
			}
			s.nothing(a, b, c)
		}
		// What no level is, is the upstream's to refuse.
		s.send(a, setLevel("9", "loud"))
		s.gets(s.upstream, setLevel("4", "loud"))
	})
}

func TestMuxSubscriptionsOfTheStatelessEra(t *testing.T) {
	const listen = `{"jsonrpc":"2.0","id":"L","method":"subscriptions/listen","params":{"notifications":{"toolsListChanged":true}}}`
	note := func(method, id string) string {
		return `{"jsonrpc":"2.0","method":"notifications/` + method + `","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":` + id + `},"v":1.0}}`
	}
	withMux(t, false, func(s *muxScene) {
		a, b := s.attach(), s.attach()
		s.send(a, listen)
		s.gets(s.upstream, strings.Replace(listen, `"L"`, "1", 1))
		s.send(b, listen)
		s.gets(s.upstream, strings.Replace(listen, `"L"`, "2", 1))
		for _, method := range []string{"subscriptions/acknowledged", "tools/list_changed", "resources/updated"} {
			s.send(s.upstream, note(method, "2"))
			s.gets(b, note(method, `"L"`))
		}
		s.send(s.upstream, note("tools/list_changed", "3"))
		s.nothing(a, b)
		// Both ways in which servers end it.
		s.send(s.upstream, `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":2}}`)
		s.gets(b, `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"L"}}`)
		s.send(s.upstream, `{"jsonrpc":"2.0","id":1,"result":{"_meta":{"io.modelcontextprotocol/subscriptionId":1}}}`)
		s.gets(a, `{"jsonrpc":"2.0","id":"L","result":{"_meta":{"io.modelcontextprotocol/subscriptionId":"L"}}}`)
		// Only what listens can be ended so.
		s.send(a, `{"jsonrpc":"2.0","id":"x","method":"tools/call"}`)
		s.next(s.upstream)
		s.send(s.upstream, `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":3}}`)
		s.nothing(a)
		s.send(s.upstream, `{"jsonrpc":"2.0","id":3,"result":{}}`)
		s.gets(a, `{"jsonrpc":"2.0","id":"x","result":{}}`)
	})
}

func TestMuxErrorWithoutAnIDEndsTheOnlyRequest(t *testing.T) {
	withMux(t, false, func(s *muxScene) {
		a, b := s.attach(), s.attach()
		const failure = `"error":{"code":-32700,"message":"?"}}`
		s.send(a, `{"jsonrpc":"2.0","id":7,"method":"x"}`)
		s.send(s.upstream, `{"jsonrpc":"2.0","id":null,`+failure)
		s.gets(a, `{"jsonrpc":"2.0","id":7,`+failure)
		s.send(a, `{"jsonrpc":"2.0","id":7,"method":"x"}`)
		s.send(b, `{"jsonrpc":"2.0","id":7,"method":"x"}`)
		s.send(s.upstream, `{"jsonrpc":"2.0","id":null,`+failure) // whose?
		s.nothing(a, b)
	})
}

func TestMuxLeavingCancelsWhatIsInFlight(t *testing.T) {
	withMux(t, false, func(s *muxScene) {
		a, b := s.attach(), s.attach()
		s.send(a, `{"jsonrpc":"2.0","id":1,"method":"x"}`)
		s.send(b, `{"jsonrpc":"2.0","id":1,"method":"x"}`)
		s.next(s.upstream)
		s.next(s.upstream)
		for range 2 { // twice is once
			if err := a.Close(); err != nil {
				t.Fatal(err)
			}
		}
		s.gets(s.upstream, `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`)
		s.send(s.upstream, `{"jsonrpc":"2.0","id":2,"result":{}}`)
		s.gets(b, `{"jsonrpc":"2.0","id":1,"result":{}}`)
		s.nothing(s.upstream)
		if err := a.Write(s.t.Context(), wire.MustParse(ready)); !errors.Is(err, wire.ErrClosed) {
			t.Errorf("writing after Close: %v", err)
		}
		if err := s.ends(a); !errors.Is(err, wire.ErrClosed) {
			t.Errorf("reading after Close: %v", err)
		}
	})
}

func TestMuxStalledClientIsCutOff(t *testing.T) {
	withMux(t, false, func(s *muxScene) {
		a, b := s.attach(), s.attach()
		s.send(a, `{"jsonrpc":"2.0","id":1,"method":"x"}`)
		s.next(s.upstream)
		go func() {
			for range queueMessages + 10 {
				_ = s.upstream.Write(s.t.Context(), wire.MustParse(changes))
			}
		}()
		began := time.Now()
		for range queueMessages + 10 {
			s.gets(b, changes)
		}
		if waited := time.Since(began); waited > 2*ownPatience {
			t.Errorf("the other client waited %s", waited)
		}
		for range queueMessages { // what was queued for it is still there
			s.gets(a, changes)
		}
		if err := s.ends(a); !errors.Is(err, errStalled) {
			t.Errorf("got %v", err)
		}
		_ = a.Close()
		s.gets(s.upstream, `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`)
	})
}

func TestMuxQueueIsBoundedInBytes(t *testing.T) {
	q := newQueue()
	large := wire.MustParse(`{"jsonrpc":"2.0","method":"` + strings.Repeat("x", queueBytes) + `"}`)
	small := wire.MustParse(changes)
	if q.offer(large) != nil {
		t.Fatal("the first message has to fit, whatever its size")
	}
	room := q.offer(small)
	if room == nil {
		t.Fatal("there is no room, and the message was taken")
	}
	if f, ok := q.take(); !ok || len(f.Raw) != len(large.Raw) {
		t.Fatal("the first message is not there")
	}
	<-room
	if q.offer(small) != nil {
		t.Error("there is room, and the message was not taken")
	}
}

func TestMuxUpstreamThatAsksAndDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := wire.Pipe(0)
		m := newMux(near, false, slog.New(slog.DiscardHandler), nil)
		s := &muxScene{t, m, far}
		a := s.attach()
		s.mux.strangers = true // so that nobody is asked
		go func() {
			for {
				if far.Write(s.t.Context(), wire.MustParse(`{"jsonrpc":"2.0","id":1,"method":"ping"}`)) != nil {
					return
				}
			}
		}()
		if err := s.ends(a); !errors.Is(err, errDeaf) {
			t.Errorf("got %v", err)
		}
		_ = m.close()
		_ = far.Close()
	})
}

func TestMuxStrangers(t *testing.T) {
	const clash = `,"_META":{}`
	withMux(t, true, func(s *muxScene) {
		a, b := s.bare(), s.bare()
		s.send(a, strings.Replace(hello1, `"h1"`, "7", 1))
		// The upstream is told of no capability.
		s.gets(s.upstream, `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{}}}`)
		s.send(s.upstream, `{"jsonrpc":"2.0","id":1,`+welcome)
		s.gets(a, `{"jsonrpc":"2.0","id":7,`+welcome)
		// A client with an older revision is told its own.
		s.send(b, strings.Replace(hello2, "2025-11-25", "2025-03-26", 1))
		s.gets(b, `{"jsonrpc":"2.0","id":"h2",`+strings.Replace(welcome, "2025-11-25", "2025-03-26", 1))
		s.send(a, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"_meta":{"progressToken":1}}}`)
		s.next(s.upstream)
		// Nobody sees what could be another's, and nobody can be asked.
		s.send(s.upstream, logLine("error"))
		s.send(s.upstream, `{"jsonrpc":"2.0","method":"notifications/vendor","params":{"secret":1}}`)
		s.send(s.upstream, `{"jsonrpc":"2.0","method":"notifications/tasks/status","params":{"taskId":"1"}}`)
		s.nothing(a, b)
		s.send(s.upstream, `{"jsonrpc":"2.0","id":1,"method":"sampling/createMessage"}`)
		if got := s.next(s.upstream); !strings.Contains(got, "-32601") {
			t.Errorf("asked: %s", got)
		}
		s.send(s.upstream, `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":2,"progress":1}}`)
		s.gets(a, `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1}}`)
		s.send(s.upstream, changes)
		s.gets(a, changes)
		s.gets(b, changes)
		// One stranger does not set the log level of all, nor list all tasks.
		s.send(b, setLevel("3", "debug"))
		s.gets(b, `{"jsonrpc":"2.0","id":3,"result":{}}`)
		s.send(b, `{"jsonrpc":"2.0","id":4,"method":"tasks/list"}`)
		if got := s.next(b); !strings.Contains(got, "-32601") {
			t.Errorf("tasks/list: %s", got)
		}
		// Messages that an upstream might read as another's are not passed on.
		for _, raw := range []string{
			`{"jsonrpc":"2.0","id":5,"method":"x","params":{"_meta":{"progressToken":2,"ProgressToken":2}}}`,
			`{"jsonrpc":"2.0","id":5,"method":"x","params":{"_meta":{"progressToken":2}` + clash + `}}`,
		} {
			s.send(b, raw)
			if got := s.next(b); !strings.Contains(got, "-32600") {
				t.Errorf("%s: %s", raw, got)
			}
		}
		s.send(b, `{"jsonrpc":"2.0","id":6,"method":"x"}`)
		s.next(s.upstream)
		for _, raw := range []string{
			`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":2,"requestId":6}}`,
			`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":6,"RequestID":2}}`,
			`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":2}}`,
			`{"jsonrpc":"2.0","method":"notifications/roots/list_changed"}`,
		} {
			s.send(b, raw)
		}
		s.nothing(a, b, s.upstream)
	})
}

func TestMuxBatchesOfTheUpstream(t *testing.T) {
	withMux(t, false, func(s *muxScene) {
		a, b := s.attach(), s.attach()
		s.send(a, `{"jsonrpc":"2.0","id":"a","method":"x"}`)
		s.send(b, `{"jsonrpc":"2.0","id":"b","method":"x"}`)
		s.send(s.upstream, `[{"jsonrpc":"2.0","id":2,"result":{}},{"jsonrpc":"2.0","id":1,"result":{},"error":{}},1]`)
		s.gets(b, `{"jsonrpc":"2.0","id":"b","result":{}}`)
		if got := s.next(a); !strings.Contains(got, `"id":"a","error"`) || !strings.Contains(got, "can't be passed on") {
			t.Errorf("got %s", got)
		}
	})
}

func TestMuxBoundsOfOneClient(t *testing.T) {
	withMux(t, false, func(s *muxScene) {
		a := s.attach()
		go func() {
			for {
				if _, err := s.upstream.Read(context.Background()); err != nil {
					return
				}
			}
		}()
		for i := range maxOpenCalls {
			s.send(a, `{"jsonrpc":"2.0","id":`+strconv.Itoa(i+2)+`,"method":"x"}`)
		}
		s.send(a, `{"jsonrpc":"2.0","id":1,"method":"x"}`)
		if got := s.next(a); !strings.Contains(got, `"id":1,"error"`) || !strings.Contains(got, "Too many requests") {
			t.Errorf("got %s", got)
		}
	})
}

// An answer that can't be passed on is answered nevertheless, with the reason.
func TestMuxSaysWhyAnAnswerIsUnfit(t *testing.T) {
	const head = `{"jsonrpc":"2.0","id":1,"result":{"text":"`
	for name, tt := range map[string]struct{ said, want string }{
		"too large": {head + strings.Repeat("x", 1<<20) + "\"}}\n", "is larger than 1 MiB, so it can't be passed on"},
		"cut off":   {head + strings.Repeat("x", 1<<10), "stopped in the midst of its answer"},
		"no JSON":   {head + "\"}\n", "can't be passed on: Parse error"},
	} {
		t.Run(name, func(t *testing.T) {
			requests, stdin := io.Pipe()
			stdout, answers := io.Pipe()
			m := newMux(wire.NewStream(stdout, stdin, wire.StreamOptions{MaxMessage: 1 << 20}), false, slog.New(slog.DiscardHandler), nil)
			s := &muxScene{t, m, nil}
			a := s.attach()
			s.send(a, `{"jsonrpc":"2.0","id":"mine","method":"tools/call"}`)
			if _, err := bufio.NewReader(requests).ReadString('\n'); err != nil {
				t.Fatal(err)
			}
			go func() {
				_, _ = io.WriteString(answers, tt.said)
				_ = answers.Close()
			}()
			if got := s.next(a); !strings.Contains(got, `"id":"mine","error"`) || !strings.Contains(got, tt.want) {
				t.Errorf("got %.300s", got)
			}
			_ = m.close()
			_ = requests.Close()
		})
	}
}
