package gateway

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// errSlow: an upstream was given up on for one request.
var errSlow = errors.New("it did not answer in time")

// ask exchanges a request of our own and returns its response, which the
// caller releases.
func (m *member) ask(ctx context.Context, remote wire.Remote, f wire.Frame) (wire.Frame, error) {
	a := m.agg
	key := f.ID.Key()
	slot := &awaited{member: m}
	a.mu.Lock()
	a.waiting[key] = slot
	a.mu.Unlock()
	err := remote.Exchange(ctx, f)
	a.mu.Lock()
	delete(a.waiting, key)
	a.mu.Unlock()
	if slot.answer.Kind == wire.Response {
		return slot.answer, nil
	}
	if err == nil {
		err = wire.ErrNoAnswer
	}
	return wire.Frame{}, err
}

// awaited is the answer to a request of our own.
type awaited struct {
	member *member
	answer wire.Frame
}

// outcome is what one upstream made of a request to several.
type outcome struct {
	member *member
	answer wire.Frame // the caller releases it
	err    error
}

func releaseOutcomes(all []outcome) {
	for _, o := range all {
		o.answer.Release()
	}
}

// each asks several upstreams at once, each within the timeout, and returns what
// came of it in their order. request makes the request to one.
func (a *Aggregate) each(ctx context.Context, members []*member, timeout time.Duration, request func(*member) wire.Frame) []outcome {
	all := make([]outcome, len(members))
	done := make(chan struct{}, len(members))
	for i, m := range members {
		go func() {
			defer func() { done <- struct{}{} }()
			all[i] = m.askWithin(ctx, timeout, request(m))
		}()
	}
	for range members {
		<-done
	}
	return all
}

func (m *member) askWithin(ctx context.Context, timeout time.Duration, f wire.Frame) outcome {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var answer wire.Frame
	err := m.use(ctx, func(remote wire.Remote) (err error) {
		answer, err = m.ask(ctx, remote, f)
		return err
	})
	if err != nil {
		if ctx.Err() != nil && context.Cause(ctx) == context.DeadlineExceeded { //nolint:errorlint // the cause itself
			err = fmt.Errorf("%w: none within %s", errSlow, timeout)
		}
	}
	return outcome{m, answer, err}
}
