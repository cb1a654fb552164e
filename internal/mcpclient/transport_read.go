package mcpclient

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/mark3labs/mcp-go/client/transport"
	"github.com/mark3labs/mcp-go/mcp"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// note is a notification that waits for its handler, or a mark among them.
type note struct {
	frame  wire.Frame
	marked chan<- struct{} // closed when reached; nil for a notification
}

// read takes what comes in until the connection ends.
func (t *Transport) read() {
	defer close(t.ended)
	for {
		f, err := t.conn.Read(t.work)
		var bad *wire.FrameError
		switch {
		case errors.As(err, &bad):
			t.unreadable(bad)
		case err != nil:
			t.mu.Lock()
			t.endErr = ending(err)
			t.mu.Unlock()
			return
		default:
			t.dispatch(f)
		}
	}
}

// ending says in a person's words how a connection ended.
func ending(err error) error {
	var exit *wire.ExitError
	switch {
	case errors.Is(err, context.Canceled):
		return wire.ErrClosed
	case errors.As(err, &exit):
		return err
	case errors.Is(err, io.EOF):
		return fmt.Errorf("the server ended the connection: %w", err)
	}
	return err
}

// unreadable passes a response that can't be used on as an error to whoever
// waits for it.
func (t *Transport) unreadable(bad *wire.FrameError) {
	t.opts.Logger.Warn("a message from the server was refused", "reason", bad.Reason)
	if !bad.Request && bad.ID != nil {
		t.respond(bad.Answer())
	}
}

func (t *Transport) dispatch(f wire.Frame) {
	switch f.Kind {
	case wire.Response:
		t.respond(f)
	case wire.Notification:
		if f.Method == string(mcp.MethodNotificationCancelled) {
			t.takenBack(f)
		}
		select {
		case t.notes <- note{frame: f}:
		case <-t.work.Done():
			f.Release()
		}
	case wire.Request:
		t.serve(f)
	case wire.Batch:
		members, errs := f.Split()
		for i, m := range members {
			if errs[i] == nil {
				t.dispatch(m.Clone())
			}
		}
		f.Release()
	default:
		f.Release()
	}
}

// respond hands a response to its request, which it owns from then on.
func (t *Transport) respond(f wire.Frame) {
	t.mu.Lock()
	key := f.ID.Key()
	answer := t.waiting[key]
	delete(t.waiting, key)
	t.mu.Unlock()
	if answer == nil {
		t.opts.Logger.Debug("a response that nobody waits for was dropped", "id", string(f.ID))
		f.Release()
		return
	}
	answer <- f // has room for the one
}

// handOn calls the handlers of notifications, one at a time.
func (t *Transport) handOn() {
	for {
		select {
		case n := <-t.notes:
			if n.marked != nil {
				close(n.marked)
				continue
			}
			t.handle(n.frame)
		case <-t.work.Done():
			return
		}
	}
}

func (t *Transport) handle(f wire.Frame) {
	defer f.Release()
	if t.opts.Notify != nil {
		t.opts.Notify(f.Method, bytes.Clone(wire.Lookup(f.Raw, "params")))
	}
	t.mu.Lock()
	notify := t.notify
	t.mu.Unlock()
	var typed mcp.JSONRPCNotification
	if notify == nil {
		return
	}
	if err := json.Unmarshal(f.Raw, &typed); err != nil {
		t.opts.Logger.Debug("a notification does not have the shape that mcp-go knows", "method", f.Method, "reason", err)
		return
	}
	notify(typed)
}

// Settle waits until the notifications that came before it have been handled.
// It must not be called by a notification handler.
func (t *Transport) Settle(ctx context.Context) error {
	reached := make(chan struct{})
	select {
	case t.notes <- note{marked: reached}:
	case <-t.work.Done():
		return wire.ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-reached:
		return nil
	case <-t.work.Done():
		return wire.ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// serve answers a request of the server in a goroutine of its own.
func (t *Transport) serve(f wire.Frame) {
	select {
	case t.slots <- struct{}{}:
	default:
		t.reply(t.work, wire.NewError(f.ID, mcp.INTERNAL_ERROR, "Too many requests at a time; try again later", nil))
		f.Release()
		return
	}
	key := f.ID.Key()
	ctx, cancel := context.WithCancel(t.work)
	t.mu.Lock()
	t.serving[key] = cancel
	t.mu.Unlock()
	t.tasks.Go(func() {
		defer func() {
			t.mu.Lock()
			delete(t.serving, key)
			t.mu.Unlock()
			cancel()
			f.Release()
			<-t.slots
		}()
		answer := t.perform(ctx, f)
		if ctx.Err() == nil { // a request taken back gets no answer
			t.reply(ctx, answer)
		}
	})
}

// takenBack ends a request of the server that the server cancels.
func (t *Transport) takenBack(f wire.Frame) {
	t.mu.Lock()
	cancel := t.serving[wire.ID(wire.Lookup(f.Raw, "params", "requestId")).Key()]
	t.mu.Unlock()
	if cancel != nil {
		cancel()
	}
}

// perform returns the answer to a request of the server.
func (t *Transport) perform(ctx context.Context, f wire.Frame) wire.Frame {
	t.mu.Lock()
	handler := t.request
	t.mu.Unlock()
	if t.opts.Refuse != nil {
		if refused := t.opts.Refuse(f.Method); refused != nil {
			return refused.answer(f.ID)
		}
	}
	if handler == nil || !knownRequest(f.Method) {
		return wire.NewError(f.ID, mcp.METHOD_NOT_FOUND, fmt.Sprintf("Method not found: %.100s", f.Method), nil)
	}
	r := transport.JSONRPCRequest{JSONRPC: mcp.JSONRPC_VERSION, Method: f.Method}
	_ = json.Unmarshal(f.ID, &r.ID) // for mcp-go to look at: the answer carries the token itself
	if params := wire.Lookup(f.Raw, "params"); params != nil {
		r.Params = json.RawMessage(bytes.Clone(params))
	}
	response, err := handler(ctx, r)
	var own *Error
	switch {
	case errors.As(err, &own):
		return own.answer(f.ID)
	case err != nil:
		return wire.NewError(f.ID, mcp.INTERNAL_ERROR, err.Error(), nil)
	case response == nil:
		return wire.NewError(f.ID, mcp.INTERNAL_ERROR, "No answer", nil)
	case response.Error != nil:
		return wire.NewError(f.ID, response.Error.Code, response.Error.Message, response.Error.Data)
	}
	return wire.NewResult(f.ID, response.Result)
}

// knownRequest reports what mcp-go's client answers.
func knownRequest(method string) bool {
	switch mcp.MCPMethod(method) {
	case mcp.MethodPing, mcp.MethodSamplingCreateMessage, mcp.MethodElicitationCreate, mcp.MethodListRoots:
		return true
	}
	return false
}

func (t *Transport) reply(ctx context.Context, f wire.Frame) {
	if err := t.conn.Write(ctx, f); err != nil {
		t.opts.Logger.Warn("an answer to the server could not be sent", "reason", err)
	}
}
