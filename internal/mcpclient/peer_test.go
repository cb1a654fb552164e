package mcpclient

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// peer is a server whose messages a test writes itself.
type peer struct {
	t    *testing.T
	conn wire.Conn
}

// newPeer returns a started transport and the server at its other end.
func newPeer(t *testing.T, opts TransportOptions) (*Transport, *peer) {
	t.Helper()
	near, far := wire.Pipe(16)
	tr := NewTransport(near, opts)
	if err := tr.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = tr.Close()
		_ = far.Close()
	})
	return tr, &peer{t, far}
}

// next returns the client's next message.
func (p *peer) next() wire.Frame {
	p.t.Helper()
	f, err := p.conn.Read(p.t.Context())
	if err != nil {
		p.t.Fatalf("reading from the client: %v", err)
	}
	return f
}

func (p *peer) send(format string, args ...any) {
	p.t.Helper()
	if err := p.conn.Write(p.t.Context(), wire.MustParse(fmt.Sprintf(format, args...))); err != nil {
		p.t.Fatalf("writing to the client: %v", err)
	}
}

// script is a server that answers each method with fixed results in turn, the
// last one again and again, and remembers what it was sent. A result is sent as
// it stands; one that starts with "error:" is an error member.
type script struct {
	answers map[string][]string

	mu   sync.Mutex
	seen []wire.Frame
}

// legacy is the handshake of a server before MCP 2026-07-28.
func legacy(answers map[string][]string) *script {
	answers["server/discover"] = []string{`error:{"code":-32601,"message":"Method not found"}`}
	if answers["initialize"] == nil {
		answers["initialize"] = []string{`{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"old","version":"1"},"vendor":9007199254740993}`}
	}
	return &script{answers: answers}
}

// modern is a server of MCP 2026-07-28.
func modern(answers map[string][]string) *script {
	answers["server/discover"] = []string{`{"supportedVersions":["2026-07-28"],"capabilities":{"tools":{}},"resultType":"complete","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"new","version":"2"}}}`}
	return &script{answers: answers}
}

// serve answers until the client is gone.
func (s *script) serve(conn wire.Conn) {
	ctx := context.Background()
	for {
		f, err := conn.Read(ctx)
		if err != nil {
			return
		}
		s.mu.Lock()
		s.seen = append(s.seen, f.Clone())
		var answer string
		if left := s.answers[f.Method]; len(left) > 0 {
			answer = left[0]
			if len(left) > 1 {
				s.answers[f.Method] = left[1:]
			}
		}
		s.mu.Unlock()
		if f.Kind != wire.Request || answer == "" {
			continue
		}
		raw := fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"result":%s}`, f.ID, answer)
		if rest, ok := cutError(answer); ok {
			raw = fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"error":%s}`, f.ID, rest)
		}
		if conn.Write(ctx, wire.MustParse(raw)) != nil {
			return
		}
	}
}

func cutError(answer string) (string, bool) {
	const mark = "error:"
	if len(answer) > len(mark) && answer[:len(mark)] == mark {
		return answer[len(mark):], true
	}
	return "", false
}

// requests returns the params of what came with the method.
func (s *script) requests(method string) (params []json.RawMessage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.seen {
		if f.Method == method {
			params = append(params, wire.Lookup(f.Raw, "params"))
		}
	}
	return params
}

// connect establishes a session with the script.
func (s *script) connect(t *testing.T, opts Options) (*Session, error) {
	t.Helper()
	near, far := wire.Pipe(16)
	var served sync.WaitGroup
	served.Go(func() { s.serve(far) })
	t.Cleanup(func() {
		_ = far.Close()
		served.Wait()
	})
	opts.Conn = near
	session, err := Connect(t.Context(), opts)
	if err == nil {
		t.Cleanup(func() { _ = session.Close() })
	}
	return session, err
}
