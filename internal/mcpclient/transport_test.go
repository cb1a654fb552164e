package mcpclient

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mark3labs/mcp-go/client/transport"
	"github.com/mark3labs/mcp-go/mcp"

	"github.com/mcpctl/mcpctl/internal/wire"
)

func request(id any, method string, params any) transport.JSONRPCRequest {
	return transport.JSONRPCRequest{JSONRPC: "2.0", ID: mcp.NewRequestId(id), Method: method, Params: params}
}

// send sends a request in the background.
func send(ctx context.Context, tr *Transport, r transport.JSONRPCRequest) <-chan outcome {
	done := make(chan outcome, 1)
	go func() {
		response, err := tr.SendRequest(ctx, r)
		done <- outcome{response, err}
	}()
	return done
}

type outcome struct {
	response *transport.JSONRPCResponse
	err      error
}

func TestRequestsAndResponsesKeepTheirBytes(t *testing.T) {
	tr, server := newPeer(t, TransportOptions{})
	done := send(t.Context(), tr, request(int64(7), "tools/call", json.RawMessage(`{"z":1,"a":9007199254740993,"html":"<b>&"}`)))
	got := server.next()
	if want := `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"z":1,"a":9007199254740993,"html":"<b>&"}}`; string(got.Raw) != want {
		t.Errorf("sent %s, want %s", got.Raw, want)
	}
	server.send(`{"jsonrpc":"2.0","id":7,"result":{"z":1e400,"a":[9007199254740993],"z":2}}`)
	o := <-done
	if o.err != nil {
		t.Fatal(o.err)
	}
	if want := `{"z":1e400,"a":[9007199254740993],"z":2}`; string(o.response.Result) != want {
		t.Errorf("result %s, want %s", o.response.Result, want)
	}
}

func TestResponsesFindTheirRequests(t *testing.T) {
	tr, server := newPeer(t, TransportOptions{})
	one := send(t.Context(), tr, request(int64(1), "tools/call", nil))
	server.next()
	two := send(t.Context(), tr, request("1", "tools/call", nil))
	server.next()
	server.send(`{"jsonrpc":"2.0","id":99,"result":"nobody's"}`)
	server.send(`{"jsonrpc":"2.0","id":"1","result":"two"}`)
	server.send(`{"jsonrpc":"2.0","id":"1","result":"twice"}`)
	server.send(`[{"jsonrpc":"2.0","id":1,"error":{"code":-32000,"message":"no","data":{"n":9007199254740993}}}]`)
	if o := <-two; o.err != nil || string(o.response.Result) != `"two"` {
		t.Errorf("the string id got %+v", o)
	}
	o := <-one
	if o.err != nil || o.response.Error == nil || o.response.Error.Message != "no" {
		t.Fatalf("the numeric id got %+v", o)
	}
	if data, _ := json.Marshal(o.response.Error.Data); string(data) != `{"n":9007199254740993}` {
		t.Errorf("error data %s", data)
	}
	again := send(t.Context(), tr, request(int64(2), "ping", nil))
	server.next()
	if _, err := tr.SendRequest(t.Context(), request(int64(2), "ping", nil)); !errors.Is(err, wire.ErrDuplicateID) {
		t.Errorf("an id that is in use: %v", err)
	}
	server.send(`{"jsonrpc":"2.0","id":2,"result":{}}`)
	<-again
}

func TestNotificationsComeInOrderAndBeforeTheResult(t *testing.T) {
	var seen, typed []string
	tr, server := newPeer(t, TransportOptions{Notify: func(method string, params json.RawMessage) {
		seen = append(seen, method+string(params))
	}})
	tr.SetNotificationHandler(func(n mcp.JSONRPCNotification) { typed = append(typed, n.Method) })
	done := send(t.Context(), tr, request(int64(1), "tools/call", nil))
	server.next()
	want := []string{}
	for i := range 1000 {
		method := []string{"notifications/progress", "notifications/message"}[i%2]
		params := `{"n":9007199254740993}`
		want = append(want, method+params)
		server.send(`{"jsonrpc":"2.0","method":%q,"params":%s}`, method, params)
	}
	server.send(`{"jsonrpc":"2.0","id":1,"result":{}}`)
	if o := <-done; o.err != nil {
		t.Fatal(o.err)
	}
	if err := tr.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(seen, want) {
		t.Errorf("%d notifications were handled, out of order or changed", len(seen))
	}
	if len(typed) != len(want) {
		t.Errorf("mcp-go's handler saw %d of %d", len(typed), len(want))
	}
}

func TestHandlersOfNotificationsMaySendRequests(t *testing.T) {
	answered := make(chan outcome, 1)
	tr, server := newPeer(t, TransportOptions{})
	tr.SetNotificationHandler(func(mcp.JSONRPCNotification) {
		response, err := tr.SendRequest(t.Context(), request(int64(5), "tools/list", nil))
		answered <- outcome{response, err}
	})
	server.send(`{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}`)
	server.next()
	server.send(`{"jsonrpc":"2.0","id":5,"result":{"tools":[]}}`)
	if o := <-answered; o.err != nil {
		t.Error(o.err)
	}
}

func TestServerRequestsAreAnswered(t *testing.T) {
	tr, server := newPeer(t, TransportOptions{Refuse: func(method string) *Error {
		if method == "sampling/createMessage" {
			return &Error{Code: -32601, Message: "no model"}
		}
		return nil
	}})
	tr.SetRequestHandler(func(_ context.Context, r transport.JSONRPCRequest) (*transport.JSONRPCResponse, error) {
		switch r.Method {
		case "elicitation/create":
			return nil, errors.New("broken")
		case "roots/list":
			return nil, &Error{Code: -1, Message: "refused", Data: json.RawMessage(`{"why":1}`)}
		}
		return transport.NewJSONRPCResultResponse(r.ID, json.RawMessage(`{"ok":9007199254740993}`)), nil
	})
	for _, tt := range []struct{ id, method, want string }{
		{`9007199254740993`, "ping", `{"jsonrpc":"2.0","id":9007199254740993,"result":{"ok":9007199254740993}}`},
		{`"a\/b"`, "ping", `{"jsonrpc":"2.0","id":"a\/b","result":{"ok":9007199254740993}}`},
		{`1`, "sampling/createMessage", `{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"no model"}}`},
		{`2`, "elicitation/create", `{"jsonrpc":"2.0","id":2,"error":{"code":-32603,"message":"broken"}}`},
		{`3`, "roots/list", `{"jsonrpc":"2.0","id":3,"error":{"code":-1,"message":"refused","data":{"why":1}}}`},
		{`4`, "vendor/thing", `{"jsonrpc":"2.0","id":4,"error":{"code":-32601,"message":"Method not found: vendor/thing"}}`},
	} {
		server.send(`{"jsonrpc":"2.0","id":%s,"method":%q}`, tt.id, tt.method)
		if got := string(server.next().Raw); got != tt.want {
			t.Errorf("%s was answered %s, want %s", tt.method, got, tt.want)
		}
	}
}

func TestServerRequestsAreBoundedAndCanBeTakenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr, server := newPeer(t, TransportOptions{})
		started := make(chan string, maxServerRequests)
		tr.SetRequestHandler(func(ctx context.Context, r transport.JSONRPCRequest) (*transport.JSONRPCResponse, error) {
			started <- r.ID.String()
			<-ctx.Done()
			return nil, ctx.Err()
		})
		for i := range maxServerRequests {
			server.send(`{"jsonrpc":"2.0","id":%d,"method":"elicitation/create"}`, i)
			<-started
		}
		server.send(`{"jsonrpc":"2.0","id":"one more","method":"elicitation/create"}`)
		if f := server.next(); !f.Failed || string(f.ID) != `"one more"` {
			t.Errorf("one request too many was answered %s", f.Raw)
		}
		server.send(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":3}}`)
		synctest.Wait()
		server.send(`{"jsonrpc":"2.0","id":"room again","method":"elicitation/create"}`)
		if got := <-started; got != "string:room again" {
			t.Errorf("%q was started", got)
		}
		if err := tr.Close(); err != nil { // ends the handlers
			t.Error(err)
		}
		if f, err := server.conn.Read(t.Context()); err == nil {
			t.Errorf("what was taken back got the answer %s", f.Raw)
		}
	})
}

func TestCancellation(t *testing.T) {
	for _, tt := range []struct {
		method string
		told   bool
	}{
		{"tools/call", true},
		{"resources/read", true},
		{"initialize", false},
		{"server/discover", false},
	} {
		t.Run(tt.method, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tr, server := newPeer(t, TransportOptions{})
				ctx, cancel := context.WithCancel(t.Context())
				done := send(ctx, tr, request(int64(4), tt.method, nil))
				server.next()
				cancel()
				if o := <-done; !errors.Is(o.err, context.Canceled) {
					t.Errorf("got %+v", o)
				}
				read, stop := context.WithTimeout(t.Context(), time.Second)
				defer stop()
				f, err := server.conn.Read(read)
				if told := err == nil && f.Method == "notifications/cancelled"; told != tt.told {
					t.Errorf("the server was told: %v, want %v", told, tt.told)
				}
				if tt.told && string(wire.Lookup(f.Raw, "params", "requestId")) != "4" {
					t.Errorf("cancelled with %s", f.Raw)
				}
				// The late answer belongs to nobody.
				server.send(`{"jsonrpc":"2.0","id":4,"result":{}}`)
			})
		})
	}
}

// stuck is a connection whose peer takes nothing.
type stuck struct{ done chan struct{} }

func (s stuck) Read(ctx context.Context) (wire.Frame, error) {
	select {
	case <-s.done:
		return wire.Frame{}, wire.ErrClosed
	case <-ctx.Done():
		return wire.Frame{}, ctx.Err()
	}
}

func (s stuck) Write(ctx context.Context, _ wire.Frame) error {
	<-ctx.Done()
	return ctx.Err()
}
func (s stuck) Close() error { close(s.done); return nil }

func TestNothingWaitsForAPeerThatDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := NewTransport(stuck{make(chan struct{})}, TransportOptions{})
		if err := tr.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := tr.SendRequest(ctx, request(int64(1), "ping", nil)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the request ended with %v", err)
		}
		if err := tr.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestEnd(t *testing.T) {
	t.Run("by the server", func(t *testing.T) {
		tr, server := newPeer(t, TransportOptions{})
		done := send(t.Context(), tr, request(int64(1), "tools/call", nil))
		server.next()
		_ = server.conn.Close()
		if o := <-done; !errors.Is(o.err, io.EOF) || !strings.Contains(o.err.Error(), "the server ended the connection") {
			t.Errorf("got %v", o.err)
		}
		if _, err := tr.SendRequest(t.Context(), request(int64(2), "ping", nil)); err == nil {
			t.Error("a request on an ended connection succeeded")
		}
	})
	t.Run("by us", func(t *testing.T) {
		tr, server := newPeer(t, TransportOptions{})
		done := send(t.Context(), tr, request(int64(1), "tools/call", nil))
		server.next()
		for range 2 {
			if err := tr.Close(); err != nil {
				t.Error(err)
			}
		}
		if o := <-done; !errors.Is(o.err, wire.ErrClosed) {
			t.Errorf("got %v", o.err)
		}
		if err := tr.Start(t.Context()); !errors.Is(err, wire.ErrClosed) {
			t.Errorf("Start after Close: %v", err)
		}
		if _, err := tr.SendRequest(t.Context(), request(int64(2), "ping", nil)); !errors.Is(err, wire.ErrClosed) {
			t.Errorf("SendRequest after Close: %v", err)
		}
		if err := tr.Settle(t.Context()); !errors.Is(err, wire.ErrClosed) {
			t.Errorf("Settle after Close: %v", err)
		}
	})
	t.Run("while a notification handler hangs", func(t *testing.T) {
		release := make(chan struct{})
		entered := make(chan struct{}, 1)
		tr, server := newPeer(t, TransportOptions{Notify: func(string, json.RawMessage) {
			entered <- struct{}{}
			<-release
		}})
		server.send(`{"jsonrpc":"2.0","method":"notifications/message"}`)
		<-entered
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := tr.Settle(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("Settle: %v", err)
		}
		close(release)
	})
}

// flushing notes when it is flushed.
type flushing struct {
	wire.Conn
	flushed chan string
	last    string
}

func (c *flushing) Write(ctx context.Context, f wire.Frame) error {
	c.last = f.Method
	return c.Conn.Write(ctx, f)
}

func (c *flushing) Flush(context.Context) error {
	c.flushed <- c.last
	return nil
}

func TestCancellationIsFlushed(t *testing.T) {
	near, far := wire.Pipe(4)
	defer far.Close()
	conn := &flushing{Conn: near, flushed: make(chan string, 1)}
	tr := NewTransport(conn, TransportOptions{})
	defer tr.Close()
	if err := tr.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := send(ctx, tr, request(int64(1), "tools/call", nil))
	if _, err := far.Read(t.Context()); err != nil {
		t.Fatal(err)
	}
	cancel()
	<-done
	// Whoever closes the connection now loses nothing.
	if got := <-conn.flushed; got != "notifications/cancelled" {
		t.Errorf("flushed after %q", got)
	}
}
