package builtin

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"

	"github.com/mark3labs/mcp-go/mcp"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// feed tells a session which of the resources that it subscribed to have
// changed. One goroutine serves all of them, and only while there are any.
// Its methods may be called from several goroutines.
type feed struct {
	ctx    context.Context // of the session
	market *market         // nil: nothing to subscribe to
	send   func(context.Context, wire.Frame) error

	mu   sync.Mutex
	uris map[string]struct{}
	stop func() // ends the goroutine and waits for it; nil when none runs
}

func newFeed(ctx context.Context, m *market, send func(context.Context, wire.Frame) error) *feed {
	return &feed{ctx: ctx, market: m, send: send, uris: make(map[string]struct{})}
}

// SubscribeToResourceErr subscribes to a resource that exists.
func (f *feed) SubscribeToResourceErr(uri string) error {
	if f.market == nil {
		return errors.New("no resource here can be subscribed to")
	}
	if _, err := f.market.symbolOf(uri); err != nil {
		return err
	}
	f.update(func() { f.uris[uri] = struct{}{} })
	return nil
}

// SubscribeToResource is SubscribeToResourceErr for callers without use for
// the reason.
func (f *feed) SubscribeToResource(uri string) { _ = f.SubscribeToResourceErr(uri) }

// UnsubscribeFromResource ends a subscription: no update is queued afterwards.
func (f *feed) UnsubscribeFromResource(uri string) {
	f.update(func() { delete(f.uris, uri) })
}

// SubscribedResources lists the subscriptions in the order of their URIs.
func (f *feed) SubscribedResources() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Sorted(maps.Keys(f.uris))
}

// IsSubscribedToResource reports whether uri is subscribed to.
func (f *feed) IsSubscribedToResource(uri string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, ok := f.uris[uri]
	return ok
}

// close ends all subscriptions.
func (f *feed) close() { f.update(func() { clear(f.uris) }) }

// update changes the subscriptions while no goroutine serves them.
func (f *feed) update(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stop != nil {
		f.stop()
		f.stop = nil
	}
	change()
	if len(f.uris) == 0 || f.ctx.Err() != nil {
		return
	}
	ctx, cancel := context.WithCancel(f.ctx)
	done := make(chan struct{})
	uris := slices.Sorted(maps.Keys(f.uris))
	go func() {
		defer close(done)
		f.market.watch(ctx, uris, func(uri string) error {
			update, err := notification(mcp.MethodNotificationResourceUpdated, map[string]string{"uri": uri})
			if err != nil {
				return err
			}
			return f.send(ctx, update)
		})
	}()
	f.stop = func() { cancel(); <-done }
}
