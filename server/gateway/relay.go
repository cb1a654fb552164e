package gateway

import (
	"context"
	"errors"
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

// run relays until either side ends; then the other is ended too.
func (r *relay) run(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var pumps sync.WaitGroup
	pumps.Go(func() {
		defer cancel()
		if err := r.up(ctx); err != nil && !ended(err) {
			r.log.Warn("passing a message to the upstream failed", "reason", err)
		}
	})
	err := r.down(ctx)
	if ctx.Err() == nil {
		// The upstream ended while the client was still there.
		r.log.Error("the upstream ended", "reason", err)
		r.answerOpen("The MCP server behind this gateway stopped before it answered. The work may or may not have been done. The next request starts a new session.")
	}
	cancel()
	pumps.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, q := range r.open {
		q.args.Release()
	}
}

// up passes the client's messages to the upstream.
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
		// The message's own values, the session's end.
		write, cancel := context.WithCancel(context.WithoutCancel(in.Request))
		stop := context.AfterFunc(ctx, cancel)
		r.note(in)
		err = r.upstream.Write(write, in.Frame)
		stop()
		cancel()
		in.Release()
		if err != nil {
			return err
		}
	}
}

// down passes the upstream's messages to the client.
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
			return err
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
			if errs[i] == nil {
				if err := r.toClient(ctx, m); err != nil {
					return err
				}
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
		return r.tolerate(r.client.Write(ctx, f))
	}
	defer q.args.Release()
	q.record.Duration = time.Since(q.started)
	q.record.Failed = f.Failed
	q.record.BytesOut = len(f.Raw)
	if q.record.Method == "tools/call" && !f.Failed {
		q.record.ToolError = string(wire.Lookup(f.Raw, "result", "isError")) == "true"
	}
	if record := r.gateway.opts.Record; record != nil {
		if err := record(q.ctx, q.record); err != nil {
			r.log.Error("the audit record could not be written; the answer is withheld", "reason", err)
			f = wire.NewError(f.ID, CodeUpstream, "The gateway could not write its audit record and withholds the answer. Its operator finds the reason in the gateway's log.", nil)
		}
	}
	return r.tolerate(r.client.Write(ctx, f))
}

// answerOpen answers every request that is still open with an error.
func (r *relay) answerOpen(text string) {
	r.mu.Lock()
	var ids []wire.ID
	for _, q := range r.open {
		ids = append(ids, q.id)
	}
	r.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	for _, id := range ids {
		if err := r.answer(ctx, wire.NewError(id, CodeUpstream, text, nil)); err != nil {
			r.log.Debug("an answer was lost", "reason", err)
		}
	}
}
