package gateway_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mcpctl/mcpctl/internal/era"
	"github.com/mcpctl/mcpctl/internal/wire"
	"github.com/mcpctl/mcpctl/server/gateway"
)

// elder is a server of the initialize era with one tool, which asks for
// progress and the client's roots.
type elder struct {
	name    string
	serving sync.WaitGroup
}

func (e *elder) start() (wire.Conn, error) {
	near, far := wire.Pipe(100)
	e.serving.Go(func() {
		defer far.Close()
		write := func(format string, args ...any) {
			_ = far.Write(context.Background(), wire.MustParse(fmt.Sprintf(format, args...)))
		}
		for {
			f, err := far.Read(context.Background())
			if err != nil {
				return
			}
			if f.Kind != wire.Request {
				continue
			}
			switch f.Method {
			case "initialize":
				write(`{"jsonrpc":"2.0","id":%s,"result":{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"x","version":"1"}}}`, f.ID)
			case "tools/list":
				write(`{"jsonrpc":"2.0","id":%s,"result":{"tools":[{"name":"t","inputSchema":{"type":"object"}}]}}`, f.ID)
			case "tools/call":
				if token := wire.Lookup(f.Raw, "params", "_meta", "progressToken"); token != nil {
					write(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":%s,"progress":1}}`, token)
				}
				write(`{"jsonrpc":"2.0","id":%s,"result":{"content":[],"by":"%s","name":%s}}`, f.ID, e.name, wire.Lookup(f.Raw, "params", "name"))
			default:
				write(`{"jsonrpc":"2.0","id":%s,"error":{"code":-32601,"message":"Method not found"}}`, f.ID)
			}
		}
	})
	return near, nil
}

// Clients of both eras use two processes of the old one as one server.
func TestAggregateOfProcessesInBothEras(t *testing.T) {
	var upstreams []gateway.Named
	for _, name := range []string{"a", "b"} {
		e := &elder{name: name}
		processes, err := gateway.NewProcesses(gateway.ProcessOptions{Start: e.start, Owner: func(context.Context) string { return "ada" }})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = processes.Close()
			e.serving.Wait()
		})
		upstreams = append(upstreams, gateway.Named{Name: name, Dial: func(deliver wire.Deliver) (wire.Remote, error) {
			return era.New(era.Options{Deliver: deliver, Process: true, AnswerDiscover: true}, func(deliver wire.Deliver) (wire.Remote, error) {
				conn, err := processes.Open(context.Background())
				if err != nil {
					return nil, err
				}
				return era.FromConn(conn, deliver), nil
			})
		}})
	}
	connect := func() *scene {
		s := &scene{t: t}
		var err error
		s.client, err = wire.NewClientConn(wire.ClientConnOptions{EndTimeout: 10 * time.Second}, func(deliver wire.Deliver) (wire.Remote, error) {
			return gateway.NewAggregate(gateway.AggregateOptions{Upstreams: upstreams}, deliver)
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.client.Close(); err != nil {
				t.Error(err)
			}
		})
		return s
	}
	use := func(s *scene, meta string) {
		s.send(s.client, `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{`+strings.TrimPrefix(meta, ",")+`}}}`)
		if f := s.expect(s.client, `"a__t"`); !strings.Contains(string(f.Raw), `"b__t"`) {
			t.Errorf("got %s", f.Raw)
		}
		for _, name := range []string{"b", "a"} {
			s.send(s.client, `{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"`+name+`__t","_meta":{"progressToken":"p"`+meta+`}}}`)
			s.expect(s.client, `"progressToken":"p"`)
			s.expect(s.client, `"by":"`+name+`","name":"t"`)
		}
	}
	legacy, other := connect(), connect()
	for _, s := range []*scene{legacy, other} {
		s.send(s.client, `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"c","version":"1"}}}`)
		s.expect(s.client, `"protocolVersion":"2025-11-25"`)
		s.send(s.client, `{"jsonrpc":"2.0","method":"notifications/initialized"}`)
	}
	use(legacy, "")
	use(other, "")
	modern := connect()
	const meta = `,"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"c","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}`
	modern.send(modern.client, `{"jsonrpc":"2.0","id":0,"method":"server/discover","params":{"_meta":{`+meta[1:]+`}}}`)
	modern.expect(modern.client, `"supportedVersions":["2026-07-28"`)
	use(modern, meta)
}
