package era

import (
	"context"
	"fmt"
	"testing"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// Each of many calls at once gets its own progress, question and answer.
func TestManyCallsAtOnce(t *testing.T) {
	const calls = 200
	t.Run("modern client", func(t *testing.T) {
		server := &echoing{}
		p := newPeer(t, Options{Limits: Limits{Parked: calls}}, legacyOnly(server.serve))
		many(p, calls, func(i int, more string) {
			p.ask(fmt.Sprint(i), "tools/call", modernParams(askable, fmt.Sprintf(`,"progressToken":"t%d"`, i), fmt.Sprintf(`,"name":"n%d"%s`, i, more)))
		})
	})
	t.Run("legacy client", func(t *testing.T) {
		p := newPeer(t, Options{Limits: Limits{Asks: calls}}, modernOnly(func(r *fakeRemote, ctx context.Context, f wire.Frame) error {
			name := wire.LookupString(f.Raw, "params", "name")
			if wire.Lookup(f.Raw, "params", "requestState") == nil {
				return r.answer(ctx, f, fmt.Sprintf(`{"resultType":"input_required","requestState":"s","inputRequests":{"q1":{"method":"elicitation/create","params":{"message":%q}}}}`, name))
			}
			note := fmt.Sprintf(`{"progressToken":%s,"message":%q}`, wire.Lookup(f.Raw, "params", "_meta", "progressToken"), name)
			if err := r.deliver(ctx, noteFrame("notifications/progress", []byte(note))); err != nil {
				return err
			}
			return r.answer(ctx, f, fmt.Sprintf(`{"resultType":"complete","said":[%q,%s]}`, name, wire.Lookup(f.Raw, "params", "inputResponses", "q1", "content")))
		}))
		p.greet()
		many(p, calls, func(i int, _ string) {
			p.send(`{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":"n%d","_meta":{"progressToken":"t%d"}}}`, i, i, i)
		})
	})
}

// many makes calls and checks that each of them ends with what belongs to it.
// Call n's question is answered with "n".
func many(p *peer, calls int, call func(i int, more string)) {
	p.Helper()
	go func() {
		for i := range calls {
			call(i, "")
		}
	}()
	progress := map[string]bool{}
	for done := 0; done < calls; {
		f := p.read()
		switch {
		case f.Method == "notifications/progress":
			token, message := wire.LookupString(f.Raw, "params", "progressToken"), wire.LookupString(f.Raw, "params", "message")
			if token[1:] != message[1:] || progress[token] {
				p.Fatalf("progress of another call, or twice: %s", f.Raw)
			}
			progress[token] = true
		case f.Method == "elicitation/create":
			p.send(`{"jsonrpc":"2.0","id":%s,"result":{"action":"accept","content":%s}}`, f.ID, wire.Lookup(f.Raw, "params", "message"))
		case wire.LookupString(f.Raw, "result", "resultType") == "input_required":
			var i int
			_, _ = fmt.Sscan(string(f.ID), &i)
			message := wire.Lookup(f.Raw, "result", "inputRequests", "q1", "params", "message")
			call(i, fmt.Sprintf(`,"requestState":%s,"inputResponses":{"q1":{"content":%s}}`, wire.Lookup(f.Raw, "result", "requestState"), message))
		default:
			done++
			if want := fmt.Sprintf(`["n%s","n%s"]`, f.ID, f.ID); string(wire.Lookup(f.Raw, "result", "said")) != want || !progress["t"+string(f.ID)] {
				p.Fatalf("got %s, want %s after its progress", f.Raw, want)
			}
		}
	}
}

// echoing is a legacy server whose tool asks for its own name and repeats it.
type echoing struct{ asking }

func (e *echoing) serve(r *fakeRemote, ctx context.Context, f wire.Frame) error {
	if f.Kind == wire.Response {
		return e.asking.serve(r, ctx, f)
	}
	name := wire.LookupString(f.Raw, "params", "name")
	var answer wire.Frame
	select {
	case answer = <-e.ask(r, ctx, fmt.Sprintf("%q", name), "elicitation/create", fmt.Sprintf(`{"message":%q}`, name)):
	case <-ctx.Done():
		return ctx.Err()
	}
	note := fmt.Sprintf(`{"progressToken":%s,"message":%q}`, wire.Lookup(f.Raw, "params", "_meta", "progressToken"), name)
	if err := r.deliver(ctx, noteFrame("notifications/progress", []byte(note))); err != nil {
		return err
	}
	return r.answer(ctx, f, fmt.Sprintf(`{"said":[%q,%s]}`, name, wire.Lookup(answer.Raw, "result", "content")))
}
