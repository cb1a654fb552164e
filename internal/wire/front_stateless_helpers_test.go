package wire

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"testing"
)

// modernScript is a server of MCP 2026-07-28. What it does with a request
// stands in the request's method:
//
//	test/echo, tools/call and the like   answers with the params
//	test/progress   sends params.n notifications first
//	test/hold       answers when the script's hold channel is closed
//	test/silent     returns without an answer
//	test/wait       waits for its context's end and reports the cause
//	test/fail       answers with an error of code params.code
//	test/refuse     refuses with needsLogin; test/late after a notification
//	subscriptions/listen   acknowledges, then sends what comes on the script's feed
//	anything else   an unknown method
type modernScript struct {
	hold  chan struct{}
	began chan *Call  // if not nil, each call that began
	ended chan error  // causes of test/wait
	feed  chan string // raw notifications for listens
}

func (sc *modernScript) serve(ctx context.Context, c *Call) {
	if sc.began != nil {
		sc.began <- c
	}
	f := c.Frame
	switch f.Method {
	case "test/echo", "tools/call", "prompts/get", "resources/read", "tasks/get":
	case "test/progress":
		n, _ := strconv.Atoi(string(Lookup(f.Raw, "params", "n")))
		for i := range n {
			note := fmt.Sprintf(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":%s,"progress":%d}}`, f.ID, i)
			if err := c.Write(ctx, MustParse(note)); err != nil {
				return
			}
		}
	case "test/hold":
		select {
		case <-sc.hold:
		case <-ctx.Done():
			return
		}
	case "test/wait":
		<-ctx.Done()
		sc.ended <- context.Cause(ctx)
		return
	case "test/silent":
		return
	case "test/fail":
		code, _ := strconv.Atoi(string(Lookup(f.Raw, "params", "code")))
		_ = c.Write(ctx, NewError(f.ID, code, "failed", nil))
		return
	case "test/late":
		_ = c.Write(ctx, logNote(1))
		_ = c.Refuse(ctx, needsLogin)
		return
	case "test/refuse", "notifications/refuse":
		_ = c.Refuse(ctx, needsLogin)
		return
	case listenMethod:
		sc.listen(ctx, c)
		return
	default:
		if f.Kind == Request {
			_ = c.Write(ctx, NewError(f.ID, CodeMethodNotFound, "Method not found", nil))
		}
		return
	}
	_ = c.Write(ctx, MustParse(fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"result":%s}`, f.ID, Lookup(f.Raw, "params"))))
}

func (sc *modernScript) listen(ctx context.Context, c *Call) {
	if err := c.Write(ctx, ackOf(c.Frame.ID)); err != nil {
		return
	}
	for {
		select {
		case raw := <-sc.feed:
			if err := c.Write(ctx, MustParse(raw)); err != nil {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

func ackOf(id ID) Frame {
	return MustParse(fmt.Sprintf(`{"jsonrpc":"2.0","method":%q,"params":{"_meta":{%q:%s},"notifications":{}}}`, ackMethod, metaSubscription, id))
}

// modernClient is the raw HTTP of a client of MCP 2026-07-28.
type modernClient struct{ *frontClient }

// startModern starts a front for both eras.
func startModern(t *testing.T, opts FrontOptions, sc *modernScript) (*frontTest, modernClient) {
	t.Helper()
	if opts.Stateless == nil {
		opts.Stateless = sc.serve
	}
	ft := startFront(t, opts)
	return ft, modernClient{&frontClient{t: t, url: ft.server.URL, version: revision20260728, all: ft.front.front.all}}
}

const modernMeta = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"raw","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}`

// modern is a request as the revision wants it; members are further ones of
// its params.
func modern(id, method, members string) string {
	if members != "" {
		members = "," + members
	}
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"method":%q,"params":{%s%s}}`, id, method, modernMeta, members)
}

// headers are those that mirror a message.
func headers(message string) map[string]string {
	f := MustParse(message)
	h := map[string]string{HeaderMethod: f.Method}
	meta := metadataOf(f)
	if name, _ := meta.mirror(f.Method); name != nil {
		h[HeaderName], _ = stringValue(name)
	}
	return h
}

func (c modernClient) send(message string) *http.Response {
	c.t.Helper()
	return c.do(http.MethodPost, message, headers(message))
}

func (c modernClient) call(message string) []Frame {
	c.t.Helper()
	return readMessages(c.t, c.send(message))
}

// begin sends a request whose answer is not awaited; cancel is the client going
// away.
func (c modernClient) begin(message string) (cancel context.CancelFunc, done <-chan struct{}) {
	c.t.Helper()
	ctx, cancel := context.WithCancel(c.t.Context())
	gone := make(chan struct{})
	req := c.request(ctx, http.MethodPost, message, headers(message))
	go func() {
		defer close(gone)
		if resp, err := http.DefaultClient.Do(req); err == nil {
			<-ctx.Done()
			_ = resp.Body.Close()
		}
	}()
	c.t.Cleanup(func() { cancel(); <-gone })
	return cancel, gone
}

func (c modernClient) listen(id string) *listenTest {
	c.t.Helper()
	message := modern(id, listenMethod, `"notifications":{}`)
	return c.stream(http.MethodPost, message, headers(message))
}
