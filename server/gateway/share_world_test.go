package gateway_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mcpctl/mcpctl/internal/wire"
	"github.com/mcpctl/mcpctl/server/gateway"
	"github.com/mcpctl/mcpctl/server/state"
)

// replica is one of several processes, as far as a test can have several, that
// serve the same clients. What it serves at /mcp can be resumed, /sse can't.
type replica struct {
	t       *testing.T
	server  *httptest.Server
	gateway *gateway.Gateway
	shared  *gateway.Replica
	fronts  []interface{ Close(context.Context) error }
	once    sync.Once

	mu   sync.Mutex
	open int           // upstream connections
	hold chan struct{} // closed: tool "hold" answers

	working sync.WaitGroup // upstreams
}

type ownerKey struct{}

// owners pass on who a request came from.
type owners struct{}

func (owners) Carry(ctx context.Context) ([]byte, error) {
	return []byte(ctx.Value(ownerKey{}).(string)), nil
}

func (owners) Restore(ctx context.Context, carried []byte) (context.Context, error) {
	return context.WithValue(ctx, ownerKey{}, string(carried)), nil
}

func ownerOf(r *http.Request) string {
	name, _ := r.Context().Value(ownerKey{}).(string)
	return name
}

var sharedKey = []byte(strings.Repeat("k", 32))

func startReplica(t *testing.T, store state.Store, key []byte, change ...func(*wire.FrontOptions)) *replica {
	t.Helper()
	r := &replica{t: t, hold: make(chan struct{})}
	var err error
	r.gateway, err = gateway.New(gateway.Options{Upstream: opener(r.upstream)})
	if err != nil {
		t.Fatal(err)
	}
	r.shared, err = gateway.NewReplica(gateway.ReplicaOptions{Store: store, Key: key, Caller: owners{}, Logger: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	streams := wire.FrontOptions{Serve: r.gateway.Serve, Owner: ownerOf, MaxSessionsPerOwner: 3, AllowedOrigins: []string{"https://good.example"}, LoopbackHost: true}
	for _, c := range change {
		c(&streams)
	}
	sse := streams
	serve := r.shared.Share(&streams, gateway.FrontShare{Scope: "/mcp", Resumable: true})
	front := wire.NewStreamableFront(streams)
	serve(front)
	serve = r.shared.Share(&sse, gateway.FrontShare{Scope: "/sse"})
	sseFront := wire.NewSSEFront(sse, "/messages")
	serve(sseFront)
	r.fronts = append(r.fronts, front, sseFront)
	mux := http.NewServeMux()
	mux.Handle("/mcp", front)
	mux.Handle("/sse", sseFront)
	mux.Handle("/messages", sseFront)
	r.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		mux.ServeHTTP(w, req.WithContext(context.WithValue(req.Context(), ownerKey{}, req.Header.Get("Authorization"))))
	}))
	t.Cleanup(r.stop)
	return r
}

// stop ends the replica; its sessions stay registered.
func (r *replica) stop() {
	r.once.Do(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		for _, f := range r.fronts {
			if err := f.Close(ctx); err != nil {
				r.t.Error(err)
			}
		}
		r.shared.Close()
		r.server.CloseClientConnections()
		r.server.Close()
		if err := r.gateway.Close(); err != nil {
			r.t.Error(err)
		}
		r.working.Wait()
	})
}

func (r *replica) upstream() (wire.Conn, error) {
	near, far := wire.Pipe(100)
	r.count(1)
	r.working.Go(func() {
		defer r.count(-1)
		defer far.Close()
		work(far, r.hold)
	})
	return near, nil
}

func (r *replica) count(n int) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open += n
	return r.open
}

// work is an upstream. Its tools are the targets of tools/call: steps sends
// arguments.n progress notifications first, ask asks the client, wait answers
// when it is cancelled, hold when the test says so.
func work(c wire.Conn, hold <-chan struct{}) {
	ctx, cancel := context.WithCancel(context.Background())
	var calls sync.WaitGroup
	defer calls.Wait()
	defer cancel()
	write := func(format string, args ...any) {
		if c.Write(ctx, wire.MustParse(fmt.Sprintf(format, args...))) != nil {
			cancel() // nobody reads any more
		}
	}
	var asked wire.ID
	cancelled := 0
	for {
		f, err := c.Read(ctx)
		if err != nil {
			return
		}
		f = f.Clone()
		params := wire.Lookup(f.Raw, "params")
		switch {
		case f.Kind == wire.Response:
			write(`{"jsonrpc":"2.0","id":%s,"result":{"answer":%s}}`, asked, wire.Lookup(f.Raw, "result"))
		case f.Method == "initialize":
			write(`{"jsonrpc":"2.0","id":%s,"result":{"protocolVersion":%q,"capabilities":{},"serverInfo":{"name":"u","version":"1"}}}`, f.ID, wire.LookupString(params, "protocolVersion"))
		case f.Method == "notifications/cancelled":
			cancelled++
		case f.Method == "notifications/tell":
			write(`{"jsonrpc":"2.0","method":"notifications/message","params":%s}`, params)
		case f.Kind != wire.Request:
		case wire.LookupString(params, "name") == "ask":
			asked = f.ID
			write(`{"jsonrpc":"2.0","id":"q1","method":"elicitation/create","params":{}}`)
		case wire.LookupString(params, "name") == "cancelled":
			write(`{"jsonrpc":"2.0","id":%s,"result":{"cancelled":%d}}`, f.ID, cancelled)
		case wire.LookupString(params, "name") == "wait":
		default:
			n, _ := strconv.Atoi(string(wire.Lookup(params, "arguments", "n")))
			token, pad := wire.Lookup(params, "_meta", "progressToken"), wire.LookupString(params, "arguments", "pad")
			for i := 0; i < n && ctx.Err() == nil; i++ {
				write(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":%s,"progress":%d,"message":%q}}`, token, i+1, pad)
			}
			answer := func() {
				write(`{"jsonrpc":"2.0","id":%s,"result":{"arguments":%s}}`, f.ID, wire.Lookup(params, "arguments"))
			}
			if wire.LookupString(params, "name") != "hold" {
				answer()
				continue
			}
			calls.Go(func() {
				select {
				case <-hold:
					answer()
				case <-ctx.Done():
				}
			})
		}
	}
}

// visitor is a client that knows one session and speaks to any replica.
type visitor struct {
	t              *testing.T
	owner, session string
	client         *http.Client
}

func visit(t *testing.T, owner string) *visitor {
	tr := wire.NewTransport()
	t.Cleanup(tr.CloseIdleConnections)
	return &visitor{t: t, owner: owner, client: &http.Client{Transport: tr}}
}

func (v *visitor) do(r *replica, method, path, body string, header ...string) *http.Response {
	v.t.Helper()
	ctx, cancel := context.WithTimeout(v.t.Context(), patience)
	v.t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, method, r.server.URL+path, strings.NewReader(body))
	if err != nil {
		v.t.Fatal(err)
	}
	req.Header.Set("Accept", "application/json, text/event-stream")
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Authorization", v.owner)
	if v.session != "" {
		req.Header.Set(wire.HeaderSession, v.session)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := v.client.Do(req)
	if err != nil {
		v.t.Fatal(err)
	}
	v.t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

func (v *visitor) initialize(r *replica) {
	v.t.Helper()
	resp := v.do(r, http.MethodPost, "/mcp", `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25"}}`)
	v.session = resp.Header.Get(wire.HeaderSession)
	if resp.StatusCode != http.StatusOK || v.session == "" {
		v.t.Fatalf("initialize: %s", resp.Status)
	}
}

// stream is an answer that comes in events.
type stream struct {
	t      *testing.T
	body   io.Closer
	lines  *bufio.Scanner
	lastID string
}

func (v *visitor) stream(r *replica, method, path, body string, header ...string) *stream {
	v.t.Helper()
	resp := v.do(r, method, path, body, header...)
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/event-stream" {
		text, _ := io.ReadAll(resp.Body)
		v.t.Fatalf("%s %s: %s %s", method, body, resp.Status, text)
	}
	s := &stream{t: v.t, body: resp.Body, lines: bufio.NewScanner(resp.Body)}
	s.lines.Buffer(nil, 1<<20)
	return s
}

// next returns the data of the next event that has some, "" at the end.
func (s *stream) next() string {
	for s.lines.Scan() {
		name, value, _ := strings.Cut(s.lines.Text(), ": ")
		switch {
		case name == "id":
			s.lastID = value
		case name == "data" && value != "":
			return value
		}
	}
	return ""
}

func (s *stream) expect(text string) string {
	s.t.Helper()
	got := s.next()
	if !strings.Contains(got, text) {
		s.t.Fatalf("got %q, want %s", got, text)
	}
	return got
}

func (v *visitor) text(resp *http.Response) string {
	v.t.Helper()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	return string(text)
}

func call(id int, tool, arguments string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":%q,"arguments":%s,"_meta":{"progressToken":"p%d"}}}`, id, tool, arguments, id)
}

// soon waits for something that happens on its own.
func soon(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for until := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("still waiting for %s", what)
		}
	}
}

func sharedStore(t *testing.T) state.Store {
	t.Helper()
	s := state.NewMemory(state.MemoryOptions{})
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}
