package era

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// call takes one request of the client to its answer, through as many rounds of
// input as it needs (MCP 2026-07-28 basic/patterns/mrtr).
func (l *legacyClient) call(ctx context.Context, f wire.Frame) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	l.open(f.ID, cancel)
	defer l.close(f.ID)

	input := inputRounds{client: l}
	request := l.modernise(f)
	base := request
	for {
		answer, err := l.t.askModern(ctx, request)
		if err != nil {
			return l.failed(ctx, f, err)
		}
		kind := wire.LookupString(answer.Raw, "result", "resultType")
		switch {
		case answer.Failed || kind == "complete" || kind == "":
			err := l.finish(ctx, f, answer, &input)
			answer.Release()
			return err
		case kind == "input_required" && mayAskForInput(f.Method):
		default:
			answer.Release()
			return l.t.opts.Deliver(ctx, wire.NewError(f.ID, wire.CodeInternal,
				fmt.Sprintf("The server's answer to %s is of a kind that can't be translated (%.100q)", f.Method, kind), nil))
		}
		retry, err := input.next(ctx, base, answer)
		answer.Release()
		if err != nil {
			return l.giveUp(ctx, f, err)
		}
		request = retry
	}
}

// finish hands the client its answer.
func (l *legacyClient) finish(ctx context.Context, f, answer wire.Frame, input *inputRounds) error {
	if err := input.complete(ctx); err != nil {
		return err
	}
	return l.t.opts.Deliver(ctx, l.legacyAnswer(f, answer))
}

// failed turns an exchange that failed into its outcome for the client.
func (l *legacyClient) failed(ctx context.Context, f wire.Frame, err error) error {
	var status *wire.StatusError
	if !errors.As(err, &status) || saysNoEra(status.Status) {
		return err
	}
	if sign := read(f.Method, wire.Frame{}, err); l.t.opts.Mode == ModeAuto && sign != saysModern && !plainError(err) {
		if again, ok := turn(ctx); ok && l.fallBack(again) {
			return l.t.Exchange(again, f)
		}
	}
	if status.Answer.Kind != wire.Response {
		return err
	}
	return l.t.opts.Deliver(ctx, l.legacyAnswer(f, status.Answer))
}

// giveUp answers a call whose rounds of input came to no end.
func (l *legacyClient) giveUp(ctx context.Context, f wire.Frame, err error) error {
	var refused *refusedInput
	switch {
	case errors.As(err, &refused):
		return l.t.opts.Deliver(ctx, wire.NewError(f.ID, refused.code, refused.message, refused.data))
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return l.t.opts.Deliver(ctx, wire.NewError(f.ID, wire.CodeInternal, "The server asked for input that it could not be given: "+err.Error(), nil))
}

// pauses wait longer each time, with jitter.
type pauses struct{ next time.Duration }

func (p *pauses) wait(ctx context.Context, first, longest time.Duration) error {
	if p.next == 0 {
		p.next = first
	}
	d := p.next/2 + rand.N(p.next/2+1) //nolint:gosec // jitter, no secret
	p.next = min(2*p.next, longest)
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
