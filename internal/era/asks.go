package era

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/mcpctl/mcpctl/internal/wire"
)

var (
	errAsksFull    = errors.New("too many questions to the client are open")
	errAskTimedOut = errors.New("the client did not answer in time")
)

// asks holds our requests to the client that it has not answered.
type asks struct {
	limit int
	mu    sync.Mutex
	open  map[string]chan wire.Frame // by id key
}

func (a *asks) add(id wire.ID) (<-chan wire.Frame, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.open) >= a.limit {
		return nil, errAsksFull
	}
	if a.open == nil {
		a.open = map[string]chan wire.Frame{}
	}
	c := make(chan wire.Frame, 1)
	a.open[id.Key()] = c
	return c, nil
}

func (a *asks) remove(id wire.ID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.open, id.Key())
}

// answer takes a response of the client that is waited for.
func (a *asks) answer(f wire.Frame) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	c, ok := a.open[f.ID.Key()]
	if ok {
		delete(a.open, f.ID.Key())
		c <- f.Clone()
	}
	return ok
}

// askClient sends the client a request and waits for its answer. Where the
// waiting ends first, the client is told that the question is off.
func (t *Translator) askClient(ctx context.Context, method string, params []byte) (wire.Frame, error) {
	id := t.newID()
	answered, err := t.asks.add(id)
	if err != nil {
		return wire.Frame{}, err
	}
	defer t.asks.remove(id)
	f := requestFrame(id, method, params)
	if err := t.opts.Deliver(ctx, f); err != nil {
		return wire.Frame{}, err
	}
	expire := time.NewTimer(t.opts.Limits.AskTTL)
	defer expire.Stop()
	select {
	case answer := <-answered:
		return answer, nil
	case <-expire.C:
		err = errAskTimedOut
	case <-ctx.Done():
		err = ctx.Err()
	}
	t.takeBack(ctx, id, err)
	return wire.Frame{}, err
}

// takeBackPatience is how long a client that reads nothing is waited for.
const takeBackPatience = 5 * time.Second

// takeBack cancels a request to the client (MCP basic/utilities/cancellation).
func (t *Translator) takeBack(ctx context.Context, id wire.ID, why error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), takeBackPatience)
	defer cancel()
	if err := t.opts.Deliver(ctx, cancelFrame(id, why.Error())); err != nil {
		t.opts.Logger.Debug("a question to the client could not be taken back", "reason", err)
	}
}

// requestFrame builds a request. params may be nil.
func requestFrame(id wire.ID, method string, params []byte) wire.Frame {
	raw := append([]byte(`{"jsonrpc":"2.0","id":`), id...)
	raw = append(append(raw, `,"method":`...), quote(method)...)
	if params != nil {
		raw = append(append(raw, `,"params":`...), params...)
	}
	return wire.Frame{Raw: append(raw, '}'), Kind: wire.Request, ID: id, Method: method}
}

// noteFrame builds a notification. params may be nil.
func noteFrame(method string, params []byte) wire.Frame {
	raw := append([]byte(`{"jsonrpc":"2.0","method":`), quote(method)...)
	if params != nil {
		raw = append(append(raw, `,"params":`...), params...)
	}
	return wire.Frame{Raw: append(raw, '}'), Kind: wire.Notification, Method: method}
}

// resultFrame builds a response.
func resultFrame(id wire.ID, result []byte) wire.Frame {
	raw := append([]byte(`{"jsonrpc":"2.0","id":`), id...)
	raw = append(append(raw, `,"result":`...), result...)
	return wire.Frame{Raw: append(raw, '}'), Kind: wire.Response, ID: append(wire.ID(nil), id...)}
}

func cancelFrame(id wire.ID, why string) wire.Frame {
	s := newSplice([]byte("{}"))
	s.set("requestId", id)
	s.set("reason", quote(why))
	return noteFrame("notifications/cancelled", s.bytes())
}
