package builtin_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// Ids come back as the tokens that they were.
func TestIDsAreKept(t *testing.T) {
	p := open(t, newServer(t))
	for _, id := range []string{
		"0", "-1", "9007199254740993", "-9223372036854775809", "123456789012345678901234567890", "1.50", "1e3",
		`""`, `"7"`, `"a\/b"`, `"\u00e9"`, `"日本"`,
	} {
		p.write(`{"jsonrpc":"2.0","id":%s,"method":"ping"}`, id)
		if f := p.read(); string(f.ID) != id || at(f, "result") != "{}" {
			t.Errorf("id %s: got %s", id, f.Raw)
		}
	}
}

// 1,000 notifications and the answer reach a reader that is slower than the
// tool: all of them, in order, the answer last, the token as it was written.
func TestProgressArrivesInOrder(t *testing.T) {
	for _, token := range []string{`"p"`, "9007199254740993", "0"} {
		t.Run(token, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const steps = 1000
				p := open(t, newServer(t))
				p.write(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"run_backtest","arguments":{"symbol":"CTSO","steps":%d},"_meta":{"progressToken":%s}}}`, steps, token)
				for i := 1; i <= steps; i++ {
					time.Sleep(time.Millisecond)
					f := p.read()
					if f.Method != "notifications/progress" || at(f, "params.progress") != strconv.Itoa(i) ||
						at(f, "params.total") != strconv.Itoa(steps) || at(f, "params.progressToken") != token {
						t.Fatalf("message %d is %s", i, f.Raw)
					}
				}
				if f := p.read(); f.Kind != wire.Response || at(f, "result.structuredContent.steps") != strconv.Itoa(steps) {
					t.Fatalf("after the progress: %s", f.Raw)
				}
			})
		})
	}
}

// Two calls at once keep their own progress apart.
func TestProgressOfConcurrentCalls(t *testing.T) {
	const calls, steps = 8, 200
	p := open(t, newServer(t))
	for id := range calls {
		p.write(`{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":"run_backtest","arguments":{"symbol":"CTSO","steps":%d},"_meta":{"progressToken":%d}}}`, id, steps, id)
	}
	var seen [calls]int
	for answered := 0; answered < calls; {
		f := p.read()
		if f.Kind == wire.Response {
			id, _ := strconv.Atoi(string(f.ID))
			if seen[id] != steps {
				t.Errorf("call %d answered after %d of %d notifications", id, seen[id], steps)
			}
			answered++
			continue
		}
		token, _ := strconv.Atoi(at(f, "params.progressToken"))
		seen[token]++
		if at(f, "params.progress") != strconv.Itoa(seen[token]) {
			t.Fatalf("call %d: step %d is %s", token, seen[token], f.Raw)
		}
	}
}

func TestNoProgressWithoutToken(t *testing.T) {
	p := open(t, newServer(t))
	for _, meta := range []string{"", `,"_meta":{}`, `,"_meta":{"progressToken":null}`, `,"_meta":{"progressToken":[1]}`} {
		p.write(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"run_backtest","arguments":{"symbol":"CTSO","steps":5}%s}}`, meta)
		if f := p.read(); f.Kind != wire.Response {
			t.Errorf("%q: got %s", meta, f.Raw)
		}
	}
}

const longCall = `{"jsonrpc":"2.0","id":%s,"method":"tools/call","params":{"name":"run_backtest","arguments":{"symbol":"CTSO","steps":2,"duration_ms":30000}}}`

func TestALongCallHoldsNothingUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := open(t, newServer(t))
		start := time.Now()
		p.write(longCall, "1")
		p.call("ping", `{}`)
		p.tool("get_quote", `{"symbol":"CTSO"}`)
		if waited := time.Since(start); waited != 0 {
			t.Errorf("short calls waited %v", waited)
		}
		if f := p.read(); string(f.ID) != "1" || f.Failed || time.Since(start) != 30*time.Second {
			t.Errorf("after %v: %s", time.Since(start), f.Raw)
		}
	})
}

// A cancellation ends the call of that id in that session and no other; a
// cancelled call has no answer, and its id may be used again.
func TestCancellation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		mine, theirs := open(t, s), open(t, s)
		mine.write(longCall, "9007199254740993")
		mine.write(longCall, "9007199254740992")
		theirs.write(longCall, "9007199254740993")
		time.Sleep(time.Second)
		mine.write(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":9007199254740993,"reason":"changed my mind"}}`)
		mine.write(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"unknown"}}`)
		mine.write(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{}}`)
		synctest.Wait()
		mine.write(longCall, "9007199254740993")

		start := time.Now()
		if f := mine.read(); string(f.ID) != "9007199254740992" || f.Failed {
			t.Errorf("the other call: %s", f.Raw)
		}
		if f := theirs.read(); string(f.ID) != "9007199254740993" || f.Failed {
			t.Errorf("the other session's call: %s", f.Raw)
		}
		if f := mine.read(); string(f.ID) != "9007199254740993" || f.Failed || time.Since(start) != 30*time.Second {
			t.Errorf("the id's second use: %s after %v", f.Raw, time.Since(start))
		}
		mine.nothing(time.Hour)
	})
}

// Cancelling reaches a call that waits for a reader.
func TestCancellationOfABlockedCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := open(t, newServer(t))
		p.write(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"run_backtest","arguments":{"symbol":"CTSO","steps":10000},"_meta":{"progressToken":1}}}`)
		synctest.Wait()
		p.write(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`)
		synctest.Wait()
		p.write(`{"jsonrpc":"2.0","id":2,"method":"ping"}`)
		for n := 0; ; n++ {
			f := p.read()
			if f.Kind == wire.Notification && n < 100 {
				continue
			}
			if string(f.ID) != "2" {
				t.Errorf("got %s", f.Raw)
			}
			return
		}
	})
}

func TestAnIDInUseIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := open(t, newServer(t))
		p.write(longCall, "1")
		p.write(`{"jsonrpc":"2.0","id":1,"method":"ping"}`)
		if f := p.read(); string(f.ID) != "1" || at(f, "error.code") != "-32600" {
			t.Errorf("second use: %s", f.Raw)
		}
		if f := p.read(); string(f.ID) != "1" || f.Failed {
			t.Errorf("first use: %s", f.Raw)
		}
	})
}

// A session takes a bounded number of requests; then Write waits for the
// reader, and no request is lost over it.
func TestWriteWaitsForTheReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := open(t, newServer(t))
		var id int
		for {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			err := p.conn.Write(ctx, wire.MustParse(fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"ping"}`, id)))
			cancel()
			if errors.Is(err, context.DeadlineExceeded) {
				break
			}
			if err != nil || id > 10_000 {
				t.Fatalf("writing request %d: %v", id, err)
			}
			id++
		}
		answers := make(map[string]int)
		for range id {
			answers[string(p.read().ID)]++
		}
		for i := range id {
			if answers[strconv.Itoa(i)] != 1 {
				t.Errorf("request %d has %d answers", i, answers[strconv.Itoa(i)])
			}
		}
		p.call("ping", `{}`)
		p.nothing(time.Hour)
	})
}

// Close ends what runs, whether it sleeps or waits for a reader.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := open(t, newServer(t))
		start := time.Now()
		p.write(longCall, "1")
		p.write(`{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"run_backtest","arguments":{"symbol":"CTSO","steps":10000},"_meta":{"progressToken":1}}}`)
		p.write(`{"jsonrpc":"2.0","id":3,"method":"resources/subscribe","params":{"uri":"market://quotes/CTSO"}}`)
		synctest.Wait()
		for range 2 {
			if err := p.conn.Close(); err != nil {
				t.Error(err)
			}
		}
		if time.Since(start) != 0 {
			t.Errorf("closing took %v", time.Since(start))
		}
		if _, err := p.conn.Read(t.Context()); !errors.Is(err, wire.ErrClosed) {
			t.Errorf("reading: %v", err)
		}
		if err := p.conn.Write(t.Context(), wire.MustParse(`{"jsonrpc":"2.0","id":4,"method":"ping"}`)); !errors.Is(err, wire.ErrClosed) {
			t.Errorf("writing: %v", err)
		}
	})
}

func TestCloseWakesTheReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := open(t, newServer(t))
		result := make(chan error)
		go func() {
			_, err := p.conn.Read(context.Background())
			result <- err
		}()
		synctest.Wait()
		p.conn.Close()
		if err := <-result; !errors.Is(err, wire.ErrClosed) {
			t.Errorf("reading: %v", err)
		}
	})
}

func TestOpenAfterTheEnd(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := newServer(t).Open(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// A session outlives the ctx that it was opened with.
func TestASessionOutlivesOpen(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	conn, err := newServer(t).Open(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	cancel()
	peer{t, conn}.call("ping", `{}`)
}

func TestBatches(t *testing.T) {
	p := open(t, newServer(t))
	p.write(`[{"jsonrpc":"2.0","id":1,"method":"ping"},{"jsonrpc":"2.0","method":"notifications/initialized"},{"jsonrpc":"2.0","id":2,"method":"ping"},{"id":3,"method":"ping"},7]`)
	got := make(map[string]string)
	for range 4 {
		f := p.read()
		got[string(f.ID)] = at(f, "result") + at(f, "error.code")
	}
	for id, want := range map[string]string{"1": "{}", "2": "{}", "3": "-32600", "null": "-32600"} {
		if got[id] != want {
			t.Errorf("member %s: got %s, want %s", id, got[id], want)
		}
	}
	p.write(`[]`)
	if f := p.read(); at(f, "error.code") != "-32600" {
		t.Errorf("empty batch: %s", f.Raw)
	}
}

// What is run is what the exact names say: nobody gets another tool past a
// policy by writing it under a second spelling. Of the envelope's own members
// wire.Parse takes no other spelling at all.
func TestOtherSpellingsCountForNothing(t *testing.T) {
	p := open(t, newServer(t))
	for _, tt := range []struct{ message, path, want string }{
		{`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"list_symbols","Name":"place_order"}}`, "result.structuredContent.simulated", "true"},
		{`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"Name":"list_symbols"}}`, "error.code", "-32602"},
		{`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":["list_symbols"]}`, "error.code", "-32602"},
		{`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get_quote","arguments":{"symbol":"WING","Symbol":"CTSO"}}}`, "result.isError", "true"},
	} {
		p.write("%s", tt.message)
		if f := p.read(); string(f.ID) != "1" || at(f, tt.path) != tt.want {
			t.Errorf("%s: got %s", tt.message, f.Raw)
		}
	}
}

// Messages that ask for nothing get nothing; what is no message is an error.
func TestMessagesWithoutAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := open(t, newServer(t))
		p.write(`{"jsonrpc":"2.0","method":"notifications/initialized"}`)
		p.write(`{"jsonrpc":"2.0","method":"notifications/unheard_of","params":[1]}`)
		p.write(`{"jsonrpc":"2.0","id":1,"result":{}}`)
		p.write(`{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"?"}}`)
		p.nothing(time.Hour)
		if err := p.conn.Write(t.Context(), wire.Frame{}); err == nil {
			t.Error("the zero frame was taken")
		}
	})
}

// A client hears of levels at or above the one it asked for; before it asks,
// of warnings. Since 2026-07-28 it asks in the request.
func TestLogLevels(t *testing.T) {
	const initialize = `{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}`
	for name, tt := range map[string]struct {
		level string // of logging/setLevel
		meta  string
		want  []string
	}{
		"not asked":               {"", "", nil},
		"debug":                   {"debug", "", []string{"notice"}},
		"notice":                  {"notice", "", []string{"notice"}},
		"error":                   {"error", "", nil},
		"modern, not asked":       {"debug", `"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}`, nil},
		"modern, asked for info":  {"error", `"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},"io.modelcontextprotocol/logLevel":"info"`, []string{"notice"}},
		"modern, asked for alert": {"debug", `"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},"io.modelcontextprotocol/logLevel":"alert"`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			p := open(t, newServer(t))
			p.call("initialize", initialize)
			if tt.level != "" {
				p.call("logging/setLevel", fmt.Sprintf(`{"level":%q}`, tt.level))
			}
			p.write(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"place_order","arguments":{"symbol":"CTSO","side":"buy","quantity":1},"_meta":{%s}}}`, tt.meta)
			var levels []string
			f := p.read()
			for ; f.Kind == wire.Notification; f = p.read() {
				levels = append(levels, wire.LookupString(f.Raw, "params", "level"))
			}
			if fmt.Sprint(levels) != fmt.Sprint(tt.want) || f.Failed {
				t.Errorf("heard %v, want %v; answer %s", levels, tt.want, f.Raw)
			}
		})
	}
}
