package statetest_test

import (
	"context"
	"errors"

	"github.com/mcpctl/mcpctl/server/state"
)

type oneStream struct{ state.Store }

func (s oneStream) EventsAfter(ctx context.Context, session string, _, after uint64, limit int) ([]state.Event, error) {
	return s.Store.EventsAfter(ctx, session, 1, after, limit)
}

type gapless struct{ state.Store }

func (s gapless) EventsAfter(ctx context.Context, session string, stream, after uint64, limit int) ([]state.Event, error) {
	out, err := s.Store.EventsAfter(ctx, session, stream, after, limit)
	if errors.Is(err, state.ErrGap) {
		err = nil
	}
	return out, err
}

type partGapless struct{ state.Store }

func (s partGapless) EventsAfter(ctx context.Context, session string, stream, after uint64, limit int) ([]state.Event, error) {
	out, err := s.Store.EventsAfter(ctx, session, stream, after, limit)
	if errors.Is(err, state.ErrGap) && len(out) > 0 {
		err = nil
	}
	return out, err
}

type twice struct{ state.Store }

func (s twice) AppendEvent(ctx context.Context, session string, stream uint64, e state.Event, keep state.Keep) error {
	if err := s.Store.AppendEvent(ctx, session, stream, e, keep); !errors.Is(err, state.ErrConflict) {
		return err
	}
	return nil
}

type keepsMore struct {
	state.Store
	events, bytes int
}

func (s keepsMore) AppendEvent(ctx context.Context, session string, stream uint64, e state.Event, keep state.Keep) error {
	keep.Events *= s.events
	keep.Bytes *= s.bytes
	return s.Store.AppendEvent(ctx, session, stream, e, keep)
}

type keepsLonger struct{ state.Store }

func (s keepsLonger) AppendEvent(ctx context.Context, session string, stream uint64, e state.Event, keep state.Keep) error {
	keep.Age *= 1000
	return s.Store.AppendEvent(ctx, session, stream, e, keep)
}

// renames keeps events where DeleteSession does not look for them.
type renames struct{ state.Store }

func (s renames) AppendEvent(ctx context.Context, session string, stream uint64, e state.Event, keep state.Keep) error {
	return s.Store.AppendEvent(ctx, "events of "+session, stream, e, keep)
}

func (s renames) EventsAfter(ctx context.Context, session string, stream, after uint64, limit int) ([]state.Event, error) {
	return s.Store.EventsAfter(ctx, "events of "+session, stream, after, limit)
}
