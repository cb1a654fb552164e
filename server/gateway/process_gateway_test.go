package gateway_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/mcpctl/mcpctl/internal/wire"
	"github.com/mcpctl/mcpctl/server/gateway"
)

// mortal starts upstreams that answer what they are asked, save for calls,
// until they are ended.
type mortal struct {
	calls   chan string // tools called
	current wire.Conn
	serving sync.WaitGroup
}

func (m *mortal) start() (wire.Conn, error) {
	near, far := wire.Pipe(100)
	m.current = far
	m.serving.Go(func() {
		defer far.Close()
		for {
			f, err := far.Read(context.Background())
			if err != nil {
				return
			}
			switch {
			case f.Method == "tools/call":
				m.calls <- wire.LookupString(f.Raw, "params", "name")
			case f.Kind == wire.Request:
				_ = far.Write(context.Background(), wire.MustParse(fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"result":{"protocolVersion":"2025-11-25","capabilities":{}}}`, f.ID)))
			}
		}
	})
	return near, nil
}

// Two sessions of one person share a process. When it dies, both get answers
// for what they had asked, and the next session starts another.
func TestSessionsOfAProcessThatDies(t *testing.T) {
	up := &mortal{calls: make(chan string, 10)}
	processes, err := gateway.NewProcesses(gateway.ProcessOptions{Start: up.start, Owner: func(context.Context) string { return "ada" }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = processes.Close()
		up.serving.Wait()
	})
	begin := func() *scene {
		s := &scene{t: t}
		s.serve(processes)
		s.send(s.client, `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{}}}`)
		s.expect(s.client, `"id":0,"result"`)
		s.send(s.client, `{"jsonrpc":"2.0","method":"notifications/initialized"}`)
		return s
	}
	const call = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x"}}`
	a, b := begin(), begin()
	a.send(a.client, call)
	b.send(b.client, call)
	<-up.calls
	<-up.calls
	first := up.current
	_ = first.Close()
	a.expect(a.client, "stopped before it answered")
	b.expect(b.client, "stopped before it answered")
	c := begin()
	c.send(c.client, `{"jsonrpc":"2.0","id":2,"method":"ping"}`)
	c.expect(c.client, `"id":2,"result"`)
	if up.current == first {
		t.Error("the next session got no process of its own")
	}
}
