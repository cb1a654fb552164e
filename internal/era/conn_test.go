package era

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// process plays a child process on the other end of a connection.
func process(t *testing.T, serve func(conn wire.Conn, f wire.Frame) bool) wire.Conn {
	t.Helper()
	near, far := wire.Pipe(4)
	var wg sync.WaitGroup
	wg.Go(func() {
		defer far.Close()
		for {
			f, err := far.Read(context.Background())
			if err != nil || !serve(far, f) {
				return
			}
		}
	})
	t.Cleanup(func() {
		_ = near.Close()
		wg.Wait()
	})
	return near
}

func write(conn wire.Conn, format string, args ...any) bool {
	return conn.Write(context.Background(), wire.MustParse(fmt.Sprintf(format, args...))) == nil
}

func TestFromConn(t *testing.T) {
	cancelled := make(chan wire.Frame, 1)
	got := make(chan string, 10)
	var stop context.CancelFunc
	conn := process(t, func(conn wire.Conn, f wire.Frame) bool {
		switch f.Method {
		case "notifications/cancelled":
			cancelled <- f.Clone()
		case "slow":
			stop()
		case "end":
			return false
		default:
			return write(conn, `{"jsonrpc":"2.0","method":"before"}`) && write(conn, `{"jsonrpc":"2.0","id":%s,"result":{}}`, f.ID)
		}
		return true
	})
	r := FromConn(conn, func(_ context.Context, f wire.Frame) error {
		got <- string(f.Raw)
		return nil
	})
	defer func() { _ = r.End(context.Background()) }()
	if err := r.Exchange(t.Context(), wire.MustParse(`{"jsonrpc":"2.0","id":1,"method":"quick"}`)); err != nil {
		t.Fatal(err)
	}
	if a, b := <-got, <-got; a != `{"jsonrpc":"2.0","method":"before"}` || b != `{"jsonrpc":"2.0","id":1,"result":{}}` {
		t.Errorf("delivered %s, %s", a, b)
	}

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stop = cancel
	if err := r.Exchange(ctx, wire.MustParse(`{"jsonrpc":"2.0","id":2,"method":"slow"}`)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if f := <-cancelled; string(wire.Lookup(f.Raw, "params", "requestId")) != "2" {
		t.Errorf("the process got %s", f.Raw)
	}
	if err := r.Exchange(t.Context(), wire.MustParse(`{"jsonrpc":"2.0","id":3,"method":"end"}`)); !errors.Is(err, ErrGone) {
		t.Errorf("after the process has ended: %v", err)
	}
	if err := r.Listen(t.Context()); !errors.Is(err, ErrGone) || !errors.Is(err, io.EOF) {
		t.Errorf("after the process has ended: %v", err)
	}
}

// Processes of the legacy era answer the probe, say nothing, or die of it (MCP
// 2026-07-28 basic/transports/stdio, Backward Compatibility).
func TestProcessProbe(t *testing.T) {
	for _, behaviour := range []string{"answers", "is silent", "dies"} {
		for _, client := range []string{"falls back", "insists"} {
			t.Run(behaviour+", client "+client, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var seen []string
					serve := func(conn wire.Conn, f wire.Frame) bool {
						seen = append(seen, f.Method)
						switch {
						case f.Kind == wire.Notification:
						case f.Method == "initialize":
							return write(conn, `{"jsonrpc":"2.0","id":%s,"result":%s}`, f.ID, initialized)
						case !slices.Contains(seen, "initialize"):
							if behaviour == "answers" {
								return write(conn, `{"jsonrpc":"2.0","id":%s,"error":{"code":-32602,"message":"not initialized"}}`, f.ID)
							}
							return behaviour == "is silent"
						default:
							return write(conn, `{"jsonrpc":"2.0","id":%s,"result":{"tools":[]}}`, f.ID)
						}
						return true
					}
					spawned := 0
					var tr *Translator
					conn, err := wire.NewClientConn(wire.ClientConnOptions{}, func(deliver wire.Deliver) (wire.Remote, error) {
						var err error
						tr, err = New(Options{Deliver: deliver, Process: true}, func(deliver wire.Deliver) (wire.Remote, error) {
							spawned++
							return FromConn(process(t, serve), deliver), nil
						})
						return tr, err
					})
					if err != nil {
						t.Fatal(err)
					}
					p := &peer{T: t, conn: conn, ctx: context.Background()}
					p.ask("1", "server/discover", modernParams("{}", "", ""))
					if answer := p.read(); errorCode(answer) != wire.CodeMethodNotFound {
						t.Errorf("server/discover was answered with %s", answer.Raw)
					}
					if client == "insists" {
						p.ask("2", "tools/list", modernParams("{}", "", ""))
						p.want(`{"jsonrpc":"2.0","id":2,"result":{"resultType":"complete","ttlMs":0,"cacheScope":"private","tools":[]}}`)
					} else {
						p.greet()
						p.send(`{"jsonrpc":"2.0","id":2,"method":"tools/list"}`)
						p.want(`{"jsonrpc":"2.0","id":2,"result":{"tools":[]}}`)
					}
					if want := 1; behaviour != "dies" && spawned != want || behaviour == "dies" && spawned != 2 {
						t.Errorf("the process was started %d times", spawned)
					}
					_ = conn.Close()
				})
			})
		}
	}
}

// A modern process before a legacy client: cancelling is said, not shown.
func TestModernProcess(t *testing.T) {
	told := make(chan wire.Frame, 1)
	started := make(chan struct{})
	serve := func(conn wire.Conn, f wire.Frame) bool {
		switch {
		case f.Method == "initialize":
			return write(conn, `{"jsonrpc":"2.0","id":%s,"error":{"code":-32601,"message":"use 2026-07-28"}}`, f.ID)
		case f.Method == "server/discover":
			return write(conn, `{"jsonrpc":"2.0","id":%s,"result":%s}`, f.ID, discovered)
		case f.Method == "tools/call":
			close(started)
		case f.Method == "notifications/cancelled":
			told <- f.Clone()
		}
		return true
	}
	conn, err := wire.NewClientConn(wire.ClientConnOptions{}, func(deliver wire.Deliver) (wire.Remote, error) {
		return New(Options{Deliver: deliver, Process: true}, func(deliver wire.Deliver) (wire.Remote, error) {
			return FromConn(process(t, serve), deliver), nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	p := &peer{T: t, conn: conn, ctx: t.Context()}
	p.send(hello)
	p.read()
	p.send(`{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"name":"t"}}`)
	<-started
	p.send(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":5}}`)
	if f := <-told; string(wire.Lookup(f.Raw, "params", "requestId")) != "5" {
		t.Errorf("the process got %s", f.Raw)
	}
}
