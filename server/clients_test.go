package server_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/mcpctl/mcpctl/internal/wire"
)

func (w *world) url(path string) string {
	return strings.TrimSuffix(w.server.PublicURL(), "/mcp") + path
}

// connect opens a session at a path with the capabilities of its client.
func (w *world) connect(token, path, capabilities string) *session {
	w.t.Helper()
	s := &session{t: w.t}
	var err error
	s.conn, err = wire.NewClientConn(wire.ClientConnOptions{MaxInFlight: 4000}, func(deliver wire.Deliver) (wire.Remote, error) {
		var err error
		s.http, err = wire.NewStreamableClient(wire.ClientOptions{URL: w.url(path), HTTP: w.httpClient(token), Deliver: deliver})
		return s.http, err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(s.close)
	f, _ := s.call("initialize", hello(capabilities))
	if f.Failed {
		w.t.Fatalf("initialize: %s", f.Raw)
	}
	s.write(`{"jsonrpc":"2.0","method":"notifications/initialized"}`)
	return s
}

func hello(capabilities string) string {
	return `{"protocolVersion":"2025-11-25","capabilities":` + capabilities + `,"clientInfo":{"name":"test","version":"1"}}`
}

// rawSession is a session of Streamable HTTP that is spoken to POST by POST.
type rawSession struct {
	w               *world
	token, path, id string
	next            int
}

func (w *world) rawSession(token, path string) *rawSession {
	w.t.Helper()
	s := &rawSession{w: w, token: token, path: path}
	resp, body := w.do(http.MethodPost, path, token, `{"jsonrpc":"2.0","id":0,"method":"initialize","params":`+hello(`{}`)+`}`)
	if s.id = resp.Header.Get(wire.HeaderSession); s.id == "" {
		w.t.Fatalf("initialize: %s %s", resp.Status, body)
	}
	s.post(`{"jsonrpc":"2.0","method":"notifications/initialized"}`)
	return s
}

func (s *rawSession) post(body string) (*http.Response, string) {
	s.w.t.Helper()
	return s.w.do(http.MethodPost, s.path, s.token, body, wire.HeaderSession, s.id)
}

// call makes a request whose answer is no stream.
func (s *rawSession) call(method, params string) (*http.Response, wire.Frame) {
	s.w.t.Helper()
	s.next++
	resp, body := s.post(fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":%q,"params":%s}`, s.next, method, params))
	f, err := wire.Parse([]byte(body))
	if err != nil {
		s.w.t.Fatalf("%s was answered with %s %q: %v", method, resp.Status, body, err)
	}
	return resp, f
}

// start makes a request whose answer may be a stream, which is left.
func (s *rawSession) start(method, params string) *http.Response {
	s.w.t.Helper()
	s.next++
	resp, _ := s.post(fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":%q,"params":%s}`, s.next, method, params))
	return resp
}

// modern is a client of MCP 2026-07-28, which has no session.
type modern struct {
	w                         *world
	token, path, capabilities string
	http                      *http.Client
}

const modernVersion = "2026-07-28"

func (w *world) modern(token, path string) *modern {
	return &modern{w: w, token: token, path: path, capabilities: `{"sampling":{},"elicitation":{}}`, http: w.httpClient(token)}
}

// exchange is one request and what comes back for it.
type exchange struct {
	t      testing.TB
	resp   *http.Response
	lines  *bufio.Scanner
	single bool // the answer is one message and no stream
	cancel context.CancelFunc
}

// start sends a request. params is an object; meta is added to its _meta.
func (m *modern) start(id, method, params, meta string) *exchange {
	t := m.w.t
	t.Helper()
	if meta != "" {
		meta += ","
	}
	own := fmt.Sprintf(`"_meta":{%s"io.modelcontextprotocol/protocolVersion":%q,"io.modelcontextprotocol/clientCapabilities":%s,"io.modelcontextprotocol/clientInfo":{"name":"modern","version":"1"}}`,
		meta, modernVersion, m.capabilities)
	if params != "{}" {
		own += ","
	}
	body := fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"method":%q,"params":{%s%s}`, id, method, own, params[1:])
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, m.w.url(m.path), strings.NewReader(body+"\n"))
	if err != nil {
		t.Fatal(err)
	}
	raw := []byte(body)
	name := wire.LookupString(raw, "params", "name")
	if method == "resources/read" {
		name = wire.LookupString(raw, "params", "uri")
	}
	for key, value := range map[string]string{
		"Content-Type": "application/json", "Accept": "application/json, text/event-stream",
		wire.HeaderProtocol: modernVersion, wire.HeaderMethod: method, wire.HeaderName: name,
	} {
		if value != "" {
			r.Header.Set(key, value)
		}
	}
	resp, err := m.http.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	e := &exchange{t: t, resp: resp, cancel: cancel, single: resp.Header.Get("Content-Type") != "text/event-stream"}
	e.lines = bufio.NewScanner(resp.Body)
	e.lines.Buffer(nil, 16<<20)
	t.Cleanup(e.leave)
	return e
}

// leave closes the stream, which cancels a request that is not answered.
func (e *exchange) leave() {
	e.cancel()
	_ = e.resp.Body.Close()
}

// next returns the next message, and io.EOF at the end.
func (e *exchange) next() (wire.Frame, error) {
	for e.lines.Scan() {
		line, isData := strings.CutPrefix(e.lines.Text(), "data:")
		if line = strings.TrimSpace(line); (isData || e.single) && line != "" {
			return wire.Parse([]byte(line))
		}
	}
	return wire.Frame{}, errors.Join(io.EOF, e.lines.Err())
}

// message is next, of which the test needs one.
func (e *exchange) message() wire.Frame {
	e.t.Helper()
	f, err := e.next()
	if err != nil {
		e.t.Fatalf("after HTTP %s: %v", e.resp.Status, err)
	}
	return f
}

// answer reads on to the answer and returns what came before it.
func (e *exchange) answer() (wire.Frame, []wire.Frame) {
	e.t.Helper()
	defer e.leave()
	var before []wire.Frame
	for {
		f := e.message()
		if f.Kind == wire.Response {
			return f, before
		}
		before = append(before, f)
	}
}

func (m *modern) call(id, method, params string) wire.Frame {
	m.w.t.Helper()
	f, _ := m.start(id, method, params, "").answer()
	return f
}

func (m *modern) tool(id, name, args string) wire.Frame {
	m.w.t.Helper()
	return m.call(id, "tools/call", toolParams(name, args))
}

// names lists a member of each entry of a list.
func names(f wire.Frame, list, member string) []string {
	var all []string
	_ = wire.Elements(wire.Lookup(f.Raw, "result", list), func(item []byte) error {
		all = append(all, wire.LookupString(item, member))
		return nil
	})
	return all
}
