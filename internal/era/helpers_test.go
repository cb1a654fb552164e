package era

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// fakeRemote is a remote in memory. handle plays the server: it delivers what it
// answers.
type fakeRemote struct {
	deliver wire.Deliver
	handle  func(r *fakeRemote, ctx context.Context, f wire.Frame) error
	listen  func(ctx context.Context) error

	mu   sync.Mutex
	seen []wire.Frame
}

func (r *fakeRemote) Exchange(ctx context.Context, f wire.Frame) error {
	r.mu.Lock()
	r.seen = append(r.seen, f.Clone())
	r.mu.Unlock()
	wroteRequest(ctx)
	return r.handle(r, ctx, f)
}

func (r *fakeRemote) Listen(ctx context.Context) error {
	if r.listen != nil {
		return r.listen(ctx)
	}
	<-ctx.Done()
	return ctx.Err()
}

func (r *fakeRemote) End(context.Context) error { return nil }

// answer delivers a result.
func (r *fakeRemote) answer(ctx context.Context, f wire.Frame, result string) error {
	return r.deliver(ctx, resultFrame(f.ID, []byte(result)))
}

// refuse answers with an error and the HTTP status that goes with it.
func refuse(status int, f wire.Frame, code int, data any) error {
	answer := wire.NewError(f.ID, code, "refused", data)
	return &wire.StatusError{Status: status, Body: answer.Raw, Answer: answer}
}

// methods lists what the remote was sent.
func (r *fakeRemote) methods() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []string
	for _, f := range r.seen {
		list = append(list, f.Method)
	}
	return list
}

// sent returns what the remote was sent under a method.
func (r *fakeRemote) sent(method string) []wire.Frame {
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []wire.Frame
	for _, f := range r.seen {
		if f.Method == method {
			list = append(list, f)
		}
	}
	return list
}

// peer is a client before a Translator before a fakeRemote.
type peer struct {
	*testing.T
	conn   *wire.ClientConn
	remote *fakeRemote
	tr     *Translator
	ctx    context.Context
}

func newPeer(t *testing.T, opts Options, handle func(r *fakeRemote, ctx context.Context, f wire.Frame) error) *peer {
	t.Helper()
	p := &peer{T: t, ctx: t.Context(), remote: &fakeRemote{handle: handle}}
	var err error
	p.conn, err = wire.NewClientConn(wire.ClientConnOptions{}, func(deliver wire.Deliver) (wire.Remote, error) {
		opts.Deliver = deliver
		p.tr, err = New(opts, func(deliver wire.Deliver) (wire.Remote, error) {
			p.remote.deliver = deliver
			return p.remote, nil
		})
		return p.tr, err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.conn.Close() })
	return p
}

func (p *peer) send(format string, args ...any) {
	p.Helper()
	if err := p.conn.Write(p.ctx, wire.MustParse(fmt.Sprintf(format, args...))); err != nil {
		p.Fatal(err)
	}
}

func (p *peer) read() wire.Frame {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, 10*time.Second)
	defer cancel()
	f, err := p.conn.Read(ctx)
	if err != nil {
		p.Fatal(err)
	}
	return f
}

// want reads the next message and compares its bytes.
func (p *peer) want(raw string) {
	p.Helper()
	if f := p.read(); string(f.Raw) != raw {
		p.Fatalf("the client got\n%s\nwant\n%s", f.Raw, raw)
	}
}

// silent checks that nothing comes.
func (p *peer) silent() {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, 20*time.Millisecond)
	defer cancel()
	if f, err := p.conn.Read(ctx); err == nil {
		p.Fatalf("the client got %s", f.Raw)
	}
}

const hello = `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{"roots":{"listChanged":true},"sampling":{},"elicitation":{},"extensions":{"io.modelcontextprotocol/ui":{},"io.modelcontextprotocol/tasks":{}}},"clientInfo":{"name":"old","version":"1"}}}`

// greet opens the session of a legacy client.
func (p *peer) greet() wire.Frame {
	p.Helper()
	p.send(hello)
	answer := p.read()
	if answer.Failed {
		p.Fatalf("initialize failed: %s", answer.Raw)
	}
	p.send(`{"jsonrpc":"2.0","method":"notifications/initialized"}`)
	return answer
}

const discovered = `{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"logging":{},"tools":{"listChanged":true},"resources":{"subscribe":true},"extensions":{"io.modelcontextprotocol/ui":{"x":12345678901234567890},"io.modelcontextprotocol/tasks":{}}},"instructions":"be kind","vendor":1e400,"ttlMs":1000,"cacheScope":"public","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"new","version":"2"}}}`

// modernOnly is a remote of the modern era: initialize is refused as the
// specification says, listening is acknowledged, and everything else is up to
// rest.
func modernOnly(rest func(r *fakeRemote, ctx context.Context, f wire.Frame) error) func(r *fakeRemote, ctx context.Context, f wire.Frame) error {
	return func(r *fakeRemote, ctx context.Context, f wire.Frame) error {
		switch {
		case f.Kind == wire.Request && wire.LookupString(f.Raw, "params", "_meta", metaVersion) != modernVersion:
			return refuse(400, f, codeHeaderMismatch, nil)
		case f.Method == "server/discover":
			return r.answer(ctx, f, discovered)
		case f.Method == "subscriptions/listen":
			ack := fmt.Sprintf(`{"_meta":{"io.modelcontextprotocol/subscriptionId":%s},"notifications":%s}`, f.ID, wire.Lookup(f.Raw, "params", "notifications"))
			if err := r.deliver(ctx, noteFrame("notifications/subscriptions/acknowledged", []byte(ack))); err != nil {
				return err
			}
			<-ctx.Done()
			return ctx.Err()
		case rest != nil:
			return rest(r, ctx, f)
		}
		return r.answer(ctx, f, `{"resultType":"complete"}`)
	}
}

const initialized = `{"protocolVersion":"2025-11-25","capabilities":{"logging":{},"tools":{"listChanged":true},"resources":{"subscribe":true},"tasks":{}},"serverInfo":{"name":"old","version":"1"},"instructions":"be kind","vendor":12345678901234567890}`

// legacyOnly is a remote of the legacy era: nothing modern is taken.
func legacyOnly(rest func(r *fakeRemote, ctx context.Context, f wire.Frame) error) func(r *fakeRemote, ctx context.Context, f wire.Frame) error {
	return func(r *fakeRemote, ctx context.Context, f wire.Frame) error {
		switch {
		case wire.Lookup(f.Raw, "params", "_meta", metaVersion) != nil:
			return &wire.StatusError{Status: 400, Body: []byte("Bad Request: no session")}
		case f.Method == "initialize":
			return r.answer(ctx, f, initialized)
		case f.Kind == wire.Notification && f.Method != "notifications/cancelled":
			return nil
		case rest != nil:
			return rest(r, ctx, f)
		case f.Kind == wire.Request:
			return r.answer(ctx, f, `{}`)
		}
		return nil
	}
}

// modernParams are those of a request of the modern era, with more members.
func modernParams(capabilities, meta, more string) string {
	return `{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"new","version":"2"},"io.modelcontextprotocol/clientCapabilities":` + capabilities + meta + `}` + more + `}`
}

// ask sends a modern request.
func (p *peer) ask(id, method, params string) {
	p.Helper()
	p.send(`{"jsonrpc":"2.0","id":%s,"method":%q,"params":%s}`, id, method, params)
}
