package era

import (
	"context"
	"sync"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// answers holds back responses of the remote until they have been looked at.
type answers struct {
	mu   sync.Mutex
	open map[string]*wire.Frame // by id key
}

// take keeps a response that is waited for.
func (a *answers) take(f wire.Frame) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	slot, ok := a.open[f.ID.Key()]
	if ok && slot.Kind == wire.Invalid {
		*slot = f.Retain()
	}
	return ok
}

func (a *answers) expect(key string) *wire.Frame {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.open == nil {
		a.open = map[string]*wire.Frame{}
	}
	slot := new(wire.Frame)
	a.open[key] = slot
	return slot
}

func (a *answers) forget(key string, slot *wire.Frame) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.open[key] == slot {
		delete(a.open, key)
	}
}

// ask exchanges a request and returns its response, which the caller releases,
// instead of delivering it. A StatusError may hold a response, too.
func (t *Translator) ask(ctx context.Context, f wire.Frame) (wire.Frame, error) {
	key := f.ID.Key()
	slot := t.waiting.expect(key)
	err := t.down().Exchange(ctx, f)
	t.waiting.forget(key, slot)
	if slot.Kind == wire.Response {
		return *slot, nil
	}
	if err == nil {
		err = wire.ErrNoAnswer
	}
	return wire.Frame{}, err
}
