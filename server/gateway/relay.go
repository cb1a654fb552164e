package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// relay is one session: two pumps between a client and an upstream.
type relay struct {
	gateway  *Gateway
	client   *wire.Session
	upstream wire.Conn
	log      *slog.Logger

	mu       sync.Mutex
	open     map[string]*request // the client's requests in flight, by id key
	progress map[string]*request // those that asked for progress, by token key
}

// request is one request of the client that the upstream has not answered.
type request struct {
	id       wire.ID
	progress string // key of its progress token, "" for none
	ctx      context.Context
	started  time.Time
	record   Record
	args     wire.Frame // keeps record.Arguments alive
}

// Why a relay ends.
var (
	errClient   = errors.New("the client's side ended")
	errUpstream = errors.New("the upstream's side ended")
)

// lastWords is how long an upstream that takes no more messages may go on
// sending what it still has to say.
const lastWords = 10 * time.Second

// run relays until either side ends; then the other is ended too.
func (r *relay) run(ctx context.Context) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var pumps sync.WaitGroup
	pumps.Go(func() {
		err := r.up(ctx)
		if err != nil && !ended(err) {
			r.log.Warn("passing a message to the upstream failed", "reason", err)
		}
		cause := errClient
		if errors.Is(err, errUpstream) {
			cause = errUpstream
			wait(ctx, lastWords)
		}
		cancel(cause)
	})
	err := r.down(ctx)
	if cause := context.Cause(ctx); errors.Is(cause, errUpstream) || cause == nil && !errors.Is(err, errClient) {
		r.log.Error("the upstream ended", "reason", err)
		r.answerOpen("The MCP server behind this gateway stopped before it answered. The work may or may not have been done. The next request starts a new session.")
	}
	cancel(errClient)
	pumps.Wait()
}

func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// up passes the client's messages to the upstream. Its error is an errUpstream
// where the upstream takes no more.
func (r *relay) up(ctx context.Context) error {
	for {
		in, err := r.client.Receive(ctx)
		var bad *wire.FrameError
		if errors.As(err, &bad) {
			continue // the front has answered it
		}
		if err != nil {
			return err
		}
		switch {
		case in.Kind == wire.Request:
			r.note(in)
		case in.Method == "notifications/cancelled":
			r.cancelled(ctx, in)
		}
		// The message's own values, the session's end.
		write, cancel := context.WithCancel(context.WithoutCancel(in.Request))
		stop := context.AfterFunc(ctx, cancel)
		err = r.upstream.Write(write, in.Frame)
		stop()
		cancel()
		in.Release()
		if err != nil {
			return fmt.Errorf("%w: %w", errUpstream, err)
		}
	}
}

// down passes the upstream's messages to the client. Its error is an errClient
// where the client takes no more.
func (r *relay) down(ctx context.Context) error {
	for {
		f, err := r.upstream.Read(ctx)
		var bad *wire.FrameError
		if errors.As(err, &bad) {
			r.malformed(ctx, bad)
			continue
		}
		if err != nil {
			return err
		}
		err = r.toClient(ctx, f)
		f.Release()
		if err != nil {
			return fmt.Errorf("%w: %w", errClient, err)
		}
	}
}

// malformed handles a message of the upstream that can't be passed on: the
// request it would have answered gets an error instead.
func (r *relay) malformed(ctx context.Context, bad *wire.FrameError) {
	r.log.Warn("a message from the upstream was dropped", "reason", bad.Reason)
	if bad.ID == nil {
		return
	}
	if bad.Request {
		_ = r.upstream.Write(ctx, bad.Answer())
		return
	}
	answer := wire.NewError(bad.ID, CodeUpstream, "The answer of the MCP server behind this gateway can't be passed on: "+bad.Reason, nil)
	if err := r.toClient(ctx, answer); err != nil {
		r.log.Debug("an answer was lost", "reason", err)
	}
}

func (r *relay) toClient(ctx context.Context, f wire.Frame) error {
	switch {
	case f.Kind == wire.Response:
		return r.answer(ctx, f)
	case f.Kind == wire.Batch:
		members, errs := f.Split()
		for i, m := range members {
			var bad *wire.FrameError
			if errors.As(errs[i], &bad) {
				r.malformed(ctx, bad)
			} else if err := r.toClient(ctx, m); err != nil {
				return err
			}
		}
		return nil
	}
	var err error
	if to := r.related(f); to != nil {
		err = r.client.WriteRelated(ctx, f, to)
	} else {
		err = r.client.Write(ctx, f)
	}
	return r.tolerate(err)
}

// tolerate keeps a session alive when one message could not be placed, such as
// one for a request that was cancelled meanwhile.
func (r *relay) tolerate(err error) error {
	if errors.Is(err, wire.ErrNoRequest) {
		r.log.Debug("a late message from the upstream was dropped")
		return nil
	}
	return err
}

// answer passes on a response, once there is evidence of it.
func (r *relay) answer(ctx context.Context, f wire.Frame) error {
	q := r.take(f.ID)
	if q == nil {
		r.log.Debug("a response of the upstream that nobody waits for was dropped")
		return nil
	}
	return r.settle(ctx, q, f)
}

// settle ends a request with its answer.
func (r *relay) settle(ctx context.Context, q *request, f wire.Frame) error {
	outcome := OK
	switch {
	case f.Failed:
		outcome = Failed
	case q.record.Method == "tools/call" && string(wire.Lookup(f.Raw, "result", "isError")) == "true":
		outcome = ToolError
	}
	if err := r.record(q, outcome, len(f.Raw)); err != nil {
		f = wire.NewError(q.id, CodeUpstream, "The gateway could not write its audit record and withholds the answer. Its operator finds the reason in the gateway's log.", nil)
	}
	return r.tolerate(r.client.Write(ctx, f))
}

// record leaves evidence of a request that has ended and lets go of it.
func (r *relay) record(q *request, outcome Outcome, bytesOut int) error {
	defer q.args.Release()
	q.record.Outcome = outcome
	q.record.Duration = time.Since(q.started)
	q.record.BytesOut = bytesOut
	record := r.gateway.opts.Record
	if record == nil {
		return nil
	}
	err := record(q.ctx, q.record)
	if err != nil {
		r.log.Error("the audit record could not be written", "method", q.record.Method, "outcome", outcome, "reason", err)
	}
	return err
}

// cancelled ends a request that the client takes back. The upstream need not
// answer it and mostly doesn't, so it gets its one answer here; should the
// upstream answer nevertheless, the evidence that the client got nothing stays
// true. initialize can't be cancelled (MCP 2025-11-25, basic/utilities/cancellation).
func (r *relay) cancelled(ctx context.Context, in wire.Incoming) {
	id := wire.ID(wire.Lookup(in.Raw, "params", "requestId"))
	r.mu.Lock()
	q := r.open[id.Key()]
	if q == nil || q.record.Method == "initialize" {
		r.mu.Unlock()
		return
	}
	r.takeLocked(id.Key())
	r.mu.Unlock()
	_ = r.record(q, Cancelled, 0) // logged; there is no answer to withhold
	answer := wire.NewError(q.id, codeCancelled, "The request was cancelled by the client.", nil)
	if err := r.tolerate(r.client.Write(ctx, answer)); err != nil {
		r.log.Debug("an answer was lost", "reason", err)
	}
}

// answerOpen answers every request that is still open with an error.
func (r *relay) answerOpen(text string) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	for _, q := range r.takeAll() {
		if err := r.settle(ctx, q, wire.NewError(q.id, CodeUpstream, text, nil)); err != nil {
			r.log.Debug("an answer was lost", "reason", err)
		}
	}
}

// abandon leaves evidence of what the session's end left without an answer.
func (r *relay) abandon() {
	for _, q := range r.takeAll() {
		_ = r.record(q, Unanswered, 0) // logged; there is nobody to tell
	}
}

// refuse answers the session's first request, so that the client learns why
// there will be no session.
func (r *relay) refuse(ctx context.Context, text string) {
	for {
		in, err := r.client.Receive(ctx)
		if err != nil {
			return
		}
		request := in.Kind == wire.Request
		if request {
			r.note(in)
			r.answerOpen(text)
		}
		in.Release()
		if request {
			return
		}
	}
}
