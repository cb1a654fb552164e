package gateway

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/mcpctl/mcpctl/internal/wire"
	"github.com/mcpctl/mcpctl/server/state"
)

// registry keeps the sessions of one front in the store; it is a
// wire.SessionRegistry.
type registry struct {
	replica *Replica
	scope   string
	bounds  func() wire.SessionBounds // those of the front, which may change
}

// ttl is how long a record is good that is not renewed.
func (g *registry) ttl() time.Duration {
	if idle := g.bounds().IdleTTL; idle > 0 {
		return idle
	}
	return 30 * time.Minute // what the front takes
}

// owner is whose a session is in the store: one owner's sessions of another
// front are another's.
func (g *registry) owner(name string) string { return g.scope + "\n" + name }

func (g *registry) Register(ctx context.Context, id, owner string) error {
	ttl := g.ttl()
	err := g.replica.store.PutSession(ctx, state.Session{
		ID: id, Owner: g.owner(owner), Replica: g.replica.id, Created: time.Now(),
	}, ttl, state.Quota{Max: g.bounds().PerOwner, Idle: ttl / 2}) // sessions in use are renewed more often
	if errors.Is(err, state.ErrFull) {
		return wire.ErrTooManySessions
	}
	return err
}

func (g *registry) Renew(ctx context.Context, id, owner string) error {
	s, err := g.replica.store.Session(ctx, id, g.owner(owner), g.ttl())
	if err == nil && s.Replica != g.replica.id {
		return wire.ErrUnknownSession
	}
	return unknown(err)
}

func (g *registry) Remove(ctx context.Context, id, owner string) error {
	return unknown(g.replica.store.DeleteSession(ctx, id, g.owner(owner)))
}

func (g *registry) Find(ctx context.Context, id, owner string) (http.Handler, error) {
	s, err := g.replica.store.Session(ctx, id, g.owner(owner), g.ttl())
	switch {
	case err != nil:
		return nil, unknown(err)
	case s.Replica == g.replica.id:
		return nil, wire.ErrUnknownSession // it has ended, and its record is about to go
	}
	there, err := g.replica.lives(ctx, s.Replica)
	if err != nil || !there {
		return nil, err
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { g.replica.pass(w, r, s.Replica, g.scope) }), nil
}

func unknown(err error) error {
	if errors.Is(err, state.ErrNotFound) {
		return wire.ErrUnknownSession
	}
	return err
}
