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
	upstream *wire.ClientConn
	log      *slog.Logger
	lost     demise
	over     chan struct{} // closed once the upstream is known to have ended
	overOnce sync.Once
	stirred  chan struct{} // closed once the client asks for something after that
	stirOnce sync.Once

	mu       sync.Mutex
	open     map[string]*request      // the client's requests in flight, by id key
	progress map[string]*request      // those that asked for progress, by token key
	refusals map[string]*wire.Refusal // of requests whose answer is on its way, by id key
}

// request is one request of the client that the upstream has not answered.
type request struct {
	id       wire.ID
	progress string // key of its progress token, "" for none
	ctx      context.Context
	evidence *Evidence
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
	// What comes once the upstream has ended is not taken: the session ends too.
	taking, stopTaking := context.WithCancel(ctx)
	defer stopTaking()
	pumps.Go(func() {
		err := r.up(taking)
		if taking.Err() != nil && ctx.Err() == nil {
			return // the upstream's last answers are on their way
		}
		if !ended(err) {
			r.log.Warn("passing a message to the upstream failed", "reason", err)
		}
		cancel(errClient)
	})
	pumps.Go(func() {
		select {
		case <-r.over:
			if r.asleep() {
				// The client learns of it when it next wants something. If its stream
				// ended now, it would come back at once and take the room of others.
				select {
				case <-r.stirred:
				case <-ctx.Done():
				}
				cancel(errUpstream)
				return
			}
			r.log.Error("the upstream ended", "reason", r.lost.reason())
			stopTaking()
			wait(ctx, r.idle, lastWords) // its last answers are on their way
			cancel(errUpstream)
		case <-ctx.Done():
		}
	})
	err := r.down(ctx)
	died := errors.Is(context.Cause(ctx), errUpstream)
	if !died && !ended(err) {
		r.log.Warn("passing a message to the client failed", "reason", err)
	}
	cancel(errClient)
	pumps.Wait()
	if died {
		r.answerOpen("The MCP server behind this gateway stopped before it answered. The work may or may not have been done. The next request starts a new session.")
		r.client.CloseRefusing(sessionEnded()) // what came in since is not lost
	}
}

// asleep reports that the upstream was ended to make room for others.
func (r *relay) asleep() bool { return errors.Is(r.lost.reason(), errMadeRoom) }

func (r *relay) stir() { r.stirOnce.Do(func() { close(r.stirred) }) }

// upstreamGone is told when the upstream has ended.
func (r *relay) upstreamGone(why error) {
	r.lost.set(why)
	r.overOnce.Do(func() { close(r.over) })
}

// wait waits until done says so, at most d, and not longer than ctx.
func wait(ctx context.Context, done func() bool, d time.Duration) {
	deadline := time.NewTimer(d)
	defer deadline.Stop()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-deadline.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// idle reports that no request is open.
func (r *relay) idle() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.open) == 0
}

// up passes the client's messages to the upstream until the client ends.
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
		if r.asleep() {
			if in.Kind == wire.Request {
				r.note(in)
				r.stir()
			}
			in.Release()
			continue
		}
		// The message's own values; its exchange lives as long as the session.
		write := context.WithoutCancel(in.Request)
		switch {
		case in.Kind == wire.Request:
			write = r.note(in).ctx
		case in.Method == "notifications/cancelled":
			r.cancelled(ctx, in)
		}
		err = r.upstream.Write(write, in.Frame)
		in.Release()
		if err != nil {
			return err
		}
	}
}

// down passes the upstream's messages to the client. Its error is an errClient
// where the client takes no more.
func (r *relay) down(ctx context.Context) error {
	for {
		in, err := r.upstream.ReadWith(ctx)
		if err != nil {
			return err
		}
		err = r.toClient(ctx, in)
		in.Release()
		if err != nil {
			return fmt.Errorf("%w: %w", errClient, err)
		}
	}
}

func (r *relay) toClient(ctx context.Context, in wire.Incoming) error {
	if in.Kind == wire.Response {
		return r.answer(ctx, in.Frame)
	}
	var err error
	if to := r.related(in); to != nil {
		err = r.client.WriteRelated(ctx, in.Frame, to)
	} else {
		err = r.client.Write(ctx, in.Frame)
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
	r.mu.Lock()
	refusal := r.refusals[q.id.Key()]
	delete(r.refusals, q.id.Key())
	r.mu.Unlock()
	outcome := outcomeOf(q.record.Method, f, q.evidence)
	if err := r.record(q, outcome, len(f.Raw)); err != nil {
		f, refusal = withheld(q.id), nil
	}
	if refusal != nil {
		return r.tolerate(r.client.Refuse(ctx, q.id, *refusal))
	}
	return r.tolerate(r.client.Write(ctx, f))
}

// withheld stands in for an answer of which there is no evidence.
func withheld(id wire.ID) wire.Frame {
	return wire.NewError(id, CodeUpstream, "The gateway could not write its audit record and withholds the answer. Its operator finds the reason in the gateway's log.", nil)
}

// explain builds the answer to a request that did not get one; it is
// wire.ClientConnOptions.Explain. Refusals keep their HTTP status for answer.
func (r *relay) explain(id wire.ID, err error) wire.Frame {
	r.mu.Lock()
	q := r.open[id.Key()]
	r.mu.Unlock()
	if errors.Is(err, errMadeRoom) {
		err = wire.ErrSessionLost // it was not sent
		r.stir()
	}
	refusal, f := explain(id, err, q != nil && r.lost.before(q.started))
	if errors.Is(err, wire.ErrSessionLost) {
		r.upstreamGone(err)
	}
	if q != nil {
		noteCrowded(q.evidence, err)
	}
	if refusal != nil && q != nil {
		r.mu.Lock()
		r.refusals[id.Key()] = refusal
		r.mu.Unlock()
	}
	return f
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
	q.record.Evidence = q.evidence
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
	r.mu.Lock()
	delete(r.refusals, q.id.Key())
	r.mu.Unlock()
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
		f := wire.NewError(q.id, CodeUpstream, text, nil)
		if r.lost.before(q.started) || r.asleep() {
			refusal := sessionEnded()
			f = refusal.For(q.id)
			r.mu.Lock()
			r.refusals[q.id.Key()] = &refusal
			r.mu.Unlock()
		}
		if err := r.settle(ctx, q, f); err != nil {
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
