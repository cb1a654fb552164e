package gateway

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// hasty is an upstream that answers from a goroutine of its own, and whose
// exchanges end with their context all the same, as those with processes do.
type hasty struct {
	deliver wire.Deliver
	done    chan struct{} // closed once the answer has been delivered
}

func (h *hasty) Exchange(ctx context.Context, f wire.Frame) error {
	answer := wire.NewResult(f.ID, map[string]any{})
	go func() {
		defer close(h.done)
		_ = h.deliver(context.Background(), answer)
	}()
	<-ctx.Done()
	return ctx.Err()
}
func (h *hasty) Listen(context.Context) error { return wire.ErrNoListen }
func (h *hasty) End(context.Context) error    { return nil }

// A client that goes away while its answer is on the way: the evidence of that
// is complete before the request's bytes are let go of, and there is one record.
func TestRequestOutlivesItsDelivery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up := &hasty{done: make(chan struct{})}
		recording, goOn := make(chan struct{}), make(chan struct{})
		records, returned := 0, false
		g, err := New(Options{
			Dial: func(_ context.Context, deliver wire.Deliver, _ func(error)) (wire.Remote, error) {
				up.deliver = deliver
				return up, nil
			},
			Record: func(_ context.Context, r Record) error {
				records++
				close(recording)
				<-goOn
				if string(r.Arguments) != `{"a":1}` || r.Outcome != OK {
					t.Errorf("recorded %s, %s", r.Arguments, r.Outcome)
				}
				return nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		front := wire.NewStreamableFront(wire.FrontOptions{Serve: g.Serve, Stateless: func(ctx context.Context, c *wire.Call) {
			g.Stateless(ctx, c)
			returned = true
		}})
		ctx, leave := context.WithCancel(t.Context())
		r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/mcp", strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","arguments":{"a":1},`+
			`"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`))
		for name, value := range map[string]string{
			"Content-Type": "application/json", "Accept": "application/json, text/event-stream",
			wire.HeaderProtocol: "2026-07-28", wire.HeaderMethod: "tools/call", wire.HeaderName: "t",
		} {
			r.Header.Set(name, value)
		}
		go front.ServeHTTP(httptest.NewRecorder(), r)
		<-recording
		leave()
		synctest.Wait()
		if returned {
			t.Error("the request was let go of before it was recorded")
		}
		close(goOn)
		<-up.done
		synctest.Wait()
		if records != 1 || !returned {
			t.Errorf("%d records; returned: %v", records, returned)
		}
		if err := front.Close(t.Context()); err != nil {
			t.Error(err)
		}
		_ = g.Close()
	})
}
