package gateway_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/mcpctl/mcpctl/internal/wire"
	"github.com/mcpctl/mcpctl/server/gateway"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = time.Minute

// scene is a client, the gateway, and the upstream's end in the test's hands.
type scene struct {
	t        *testing.T
	client   wire.Conn
	upstream wire.Conn
	closed   chan struct{} // closed with the upstream's connection

	mu      sync.Mutex
	records []string // "method target outcome"
	deny    error    // what Record returns
}

// pipe is the gateway's end of an upstream connection.
type pipe struct {
	wire.Conn
	closed chan struct{}
	once   sync.Once
	broken chan struct{} // closed: Write fails from now on
	failed chan struct{} // gets one when it has
}

func (p *pipe) Close() error {
	p.once.Do(func() { close(p.closed) })
	return p.Conn.Close()
}

func (p *pipe) Write(ctx context.Context, f wire.Frame) error {
	select {
	case <-p.broken:
		p.failed <- struct{}{}
		return errors.New("the pipe broke")
	default:
		return p.Conn.Write(ctx, f)
	}
}

type opener func() (wire.Conn, error)

func (o opener) Open(context.Context) (wire.Conn, error) { return o() }

func open(t *testing.T) (*scene, *pipe) {
	t.Helper()
	near, far := wire.Pipe(100)
	p := &pipe{Conn: near, closed: make(chan struct{}), broken: make(chan struct{}), failed: make(chan struct{}, 1)}
	s := &scene{t: t, upstream: far, closed: p.closed}
	t.Cleanup(func() { _ = far.Close() })
	s.serve(opener(func() (wire.Conn, error) { return p, nil }))
	s.initialize()
	return s, p
}

func (s *scene) serve(up gateway.Upstream) {
	s.t.Helper()
	g, err := gateway.New(gateway.Options{Upstream: up, Record: s.record})
	if err != nil {
		s.t.Fatal(err)
	}
	front := wire.NewStreamableFront(wire.FrontOptions{Serve: g.Serve})
	server := httptest.NewServer(front)
	transport := wire.NewTransport()
	s.t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if err := front.Close(ctx); err != nil {
			s.t.Error(err)
		}
		transport.CloseIdleConnections()
		server.Close()
	})
	s.client, err = wire.NewClientConn(wire.ClientConnOptions{}, func(deliver wire.Deliver) (wire.Remote, error) {
		client := *server.Client()
		client.Transport = transport
		return wire.NewStreamableClient(wire.ClientOptions{URL: server.URL, HTTP: &client, Deliver: deliver})
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = s.client.Close() })
}

func (s *scene) record(_ context.Context, r gateway.Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Method != "initialize" {
		s.records = append(s.records, strings.Join([]string{r.Method, r.Target, string(r.Arguments), string(r.Outcome)}, " "))
		return s.deny
	}
	return nil
}

// recorded waits for exactly the records, in any order.
func (s *scene) recorded(want ...string) {
	s.t.Helper()
	var got []string
	slices.Sort(want)
	for until := time.Now().Add(patience); time.Now().Before(until); time.Sleep(time.Millisecond) {
		s.mu.Lock()
		got = slices.Sorted(slices.Values(s.records))
		s.mu.Unlock()
		if len(got) >= len(want) {
			break
		}
	}
	if !slices.Equal(got, want) {
		s.t.Errorf("recorded %q, want %q", got, want)
	}
}

func (s *scene) initialize() {
	s.t.Helper()
	s.send(s.client, `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25"}}`)
	s.expect(s.upstream, `"method":"initialize"`)
	s.send(s.upstream, `{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"2025-11-25"}}`)
	s.expect(s.client, `"id":0`)
}

func (s *scene) send(to wire.Conn, raw string) {
	s.t.Helper()
	if err := to.Write(s.t.Context(), wire.MustParse(raw)); err != nil {
		s.t.Fatalf("writing %s: %v", raw, err)
	}
}

// expect reads the next message, which has to contain a text.
func (s *scene) expect(from wire.Conn, text string) wire.Frame {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	f, err := from.Read(ctx)
	if err != nil || !strings.Contains(string(f.Raw), text) {
		s.t.Fatalf("got %s %v, want %s", f.Raw, err, text)
	}
	return f
}

// call sends a tool call and waits until the upstream has it.
func (s *scene) call(id int, tool string) {
	s.t.Helper()
	s.send(s.client, fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":%q,"arguments":{"n":%d},"_meta":{"progressToken":"p%d"}}}`, id, tool, id, id))
	s.expect(s.upstream, fmt.Sprintf(`"id":%d`, id))
}

func TestNewNeedsAnUpstream(t *testing.T) {
	if _, err := gateway.New(gateway.Options{}); err == nil {
		t.Error("no error")
	}
}

func TestOutcomes(t *testing.T) {
	s, _ := open(t)
	for id, answer := range map[int]string{
		1: `"result":{"content":[]}`, 2: `"result":{"content":[],"isError":true}`, 3: `"error":{"code":-32602,"message":"no"}`,
	} {
		s.call(id, "t")
		s.send(s.upstream, fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,%s}`, id, answer))
		s.expect(s.client, answer)
	}
	s.recorded(`tools/call t {"n":1} ok`, `tools/call t {"n":2} tool_error`, `tools/call t {"n":3} error`)
}

func TestAnswerWithoutEvidenceIsWithheld(t *testing.T) {
	s, _ := open(t)
	s.mu.Lock()
	s.deny = errors.New("disk full")
	s.mu.Unlock()
	s.call(1, "t")
	s.send(s.upstream, `{"jsonrpc":"2.0","id":1,"result":{"secret":"x"}}`)
	if f := s.expect(s.client, "withholds the answer"); strings.Contains(string(f.Raw), "secret") || strings.Contains(string(f.Raw), "disk") {
		t.Errorf("got %s", f.Raw)
	}
}

// The client here is bare: a whole one would hide late answers.
func TestCancelledRequestGetsOneAnswerAndNoResult(t *testing.T) {
	near, far := wire.Pipe(100)
	s := &scene{t: t, upstream: far}
	defer far.Close()
	g, err := gateway.New(gateway.Options{Upstream: opener(func() (wire.Conn, error) { return near, nil }), Record: s.record})
	if err != nil {
		t.Fatal(err)
	}
	front := wire.NewSSEFront(wire.FrontOptions{Serve: g.Serve}, "/messages")
	server := httptest.NewServer(front)
	defer server.Close()
	defer func() { _ = front.Close(t.Context()) }()
	events := make(chan string, 10)
	sse, err := wire.ConnectSSE(t.Context(), wire.ClientOptions{URL: server.URL, HTTP: server.Client(), Deliver: func(_ context.Context, f wire.Frame) error {
		events <- string(f.Raw)
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sse.End(t.Context()) }()
	var exchanges sync.WaitGroup
	defer exchanges.Wait()
	exchange := func(raw string) {
		exchanges.Go(func() {
			if err := sse.Exchange(t.Context(), wire.MustParse(raw)); err != nil {
				t.Errorf("%s: %v", raw, err)
			}
		})
	}
	next := func(want string) {
		t.Helper()
		select {
		case got := <-events:
			if !strings.Contains(got, want) {
				t.Errorf("got %s, want %s", got, want)
			}
		case <-time.After(patience):
			t.Fatalf("nothing came, want %s", want)
		}
	}
	exchange(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","arguments":{}}}`)
	s.expect(s.upstream, `"id":1`)
	exchange(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`)
	s.expect(s.upstream, "notifications/cancelled")
	next(`"id":1,"error":{"code":-32800`)
	// An upstream that is late, or doesn't care, and one more request.
	s.send(s.upstream, `{"jsonrpc":"2.0","id":1,"result":{"late":true}}`)
	exchange(`{"jsonrpc":"2.0","id":2,"method":"ping"}`)
	s.expect(s.upstream, `"id":2`)
	s.send(s.upstream, `{"jsonrpc":"2.0","id":2,"result":{}}`)
	next(`"id":2,"result":{}`)
	s.recorded("tools/call t {} cancelled", "ping   ok")
}

func TestSessionsEndIsRecorded(t *testing.T) {
	s, _ := open(t)
	s.call(1, "t")
	_ = s.client.Close()
	s.recorded(`tools/call t {"n":1} unanswered`)
	<-s.closed // the upstream's connection is closed with the session
}

func TestUpstreamsLastAnswerArrives(t *testing.T) {
	s, p := open(t)
	s.call(1, "t")
	s.call(2, "t")
	// The upstream takes nothing more, but has not ended its output.
	close(p.broken)
	s.send(s.client, `{"jsonrpc":"2.0","id":3,"method":"ping"}`)
	<-p.failed
	s.expect(s.client, `"id":3,"error"`)
	s.send(s.upstream, `{"jsonrpc":"2.0","id":1,"result":{"last":"words"}}`)
	s.expect(s.client, `"last":"words"`)
	_ = s.upstream.Close()
	s.expect(s.client, "stopped before it answered")
	s.recorded("ping   error", `tools/call t {"n":1} ok`, `tools/call t {"n":2} error`)
}

func TestBrokenMembersOfABatchAreAnswered(t *testing.T) {
	s, _ := open(t)
	s.call(1, "t")
	s.call(2, "t")
	s.send(s.upstream, `[{"jsonrpc":"2.0","id":1,"result":{"ok":1}},{"jsonrpc":"2.0","id":2,"result":1,"error":{}}]`)
	got := string(s.expect(s.client, `"id":`).Raw) + string(s.expect(s.client, `"id":`).Raw)
	if !strings.Contains(got, `"ok":1`) || !strings.Contains(got, "can't be passed on") {
		t.Errorf("got %s", got)
	}
	s.recorded(`tools/call t {"n":1} ok`, `tools/call t {"n":2} error`)
}

func TestUpstreamThatCannotBeOpened(t *testing.T) {
	s := &scene{t: t}
	s.serve(opener(func() (wire.Conn, error) { return nil, errors.New("no such file: /srv/s3cr3t") }))
	s.send(s.client, `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25"}}`)
	if f := s.expect(s.client, "could not be started"); strings.Contains(string(f.Raw), "s3cr3t") {
		t.Errorf("the client is told why: %s", f.Raw)
	}
}

// Progress goes to the request with its token, also when several run.
func TestProgressPrecedesItsAnswer(t *testing.T) {
	s, _ := open(t)
	const n = 20
	for id := 1; id <= n; id++ {
		s.call(id, "t")
	}
	for id := n; id >= 1; id-- {
		for range 2 {
			s.send(s.upstream, fmt.Sprintf(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"p%d","progress":1}}`, id))
		}
		s.send(s.upstream, fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"result":{}}`, id))
	}
	seen := map[string]int{}
	for range 3 * n {
		f := s.expect(s.client, "")
		if f.Kind == wire.Notification {
			seen[wire.LookupString(f.Raw, "params", "progressToken")]++
		} else if got := seen["p"+string(f.ID)]; got != 2 {
			t.Errorf("%s came after %d of 2 notifications", f.Raw, got)
		}
	}
}
