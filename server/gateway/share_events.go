package gateway

import (
	"context"
	"errors"

	"github.com/mcpctl/mcpctl/internal/wire"
	"github.com/mcpctl/mcpctl/server/state"
)

// events keeps the events of resumable streams in a store; it is a
// wire.EventStore.
type events struct {
	store state.Events
	keep  state.Keep
}

func (e events) AppendEvent(ctx context.Context, session string, stream, place uint64, data []byte) error {
	return e.store.AppendEvent(ctx, session, stream, state.Event{Seq: place, Data: data}, e.keep)
}

func (e events) EventsAfter(ctx context.Context, session string, stream, place uint64, limit int) ([]wire.StoredEvent, bool, error) {
	kept, err := e.store.EventsAfter(ctx, session, stream, place, limit)
	gap := errors.Is(err, state.ErrGap)
	if err != nil && !gap {
		return nil, false, err
	}
	out := make([]wire.StoredEvent, len(kept))
	for i, k := range kept {
		out[i] = wire.StoredEvent{Place: k.Seq, Data: k.Data}
	}
	return out, gap, nil
}
