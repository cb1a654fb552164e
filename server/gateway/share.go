package gateway

import (
	"context"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/mcpctl/mcpctl/internal/wire"
	"github.com/mcpctl/mcpctl/server/state"
)

// ReplicaOptions configure a Replica.
type ReplicaOptions struct {
	// Store is what the replicas share. Required.
	Store state.Store
	// Key is what the replicas have in common and the store does not know, 32
	// bytes: it seals callers on their way between replicas, and authenticates the
	// cursors of merged lists. nil: a random one, which is right for a single replica.
	Key []byte
	// Caller passes on who a request came from. Required.
	Caller Caller
	Logger *slog.Logger
}

// Caller turns what the context of a request says of its caller into bytes, and
// back in another replica. They pass sealed.
type Caller interface {
	Carry(ctx context.Context) ([]byte, error)
	Restore(ctx context.Context, carried []byte) (context.Context, error)
}

// Replica is one of the processes that serve the same clients. A session lives
// in the replica that opened it: there are its unanswered requests, and its
// upstream connections. A request that arrives elsewhere is passed there through
// the store, and so is what it is answered with: responses, events, the client's
// replies to requests of the server, cancellation, the end of the session.
type Replica struct {
	id    string
	store state.Store
	calls Caller
	log   *slog.Logger

	aead    cipher.AEAD // seals callers
	cursors []byte      // the key of cursors

	mu      sync.Mutex
	fronts  map[string]http.Handler // by scope
	asked   map[string]*asking      // requests passed on, by exchange
	serving map[string]*serving     // requests of other replicas, by exchange
	closed  bool

	ctx     context.Context // ends with Close
	cancel  context.CancelFunc
	running sync.WaitGroup
}

// NewReplica joins the replicas that share the store. Call Close when done with it.
func NewReplica(o ReplicaOptions) (*Replica, error) {
	if o.Store == nil || o.Caller == nil {
		return nil, errors.New("gateway: ReplicaOptions.Store or Caller is missing")
	}
	key := o.Key
	if key == nil {
		key = make([]byte, keySize)
		_, _ = rand.Read(key) // never fails
	}
	aead, cursors, err := newSeals(key)
	if err != nil {
		return nil, err
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	r := &Replica{
		id: rand.Text(), store: o.Store, calls: o.Caller, log: o.Logger, aead: aead, cursors: cursors,
		fronts: map[string]http.Handler{}, asked: map[string]*asking{}, serving: map[string]*serving{},
	}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	ready := make(chan struct{})
	r.running.Go(func() { r.listen(ready) })
	select {
	case <-ready:
	case <-time.After(joinPatience):
		r.Close()
		return nil, errors.New("joining the replicas: the store does not answer")
	}
	return r, nil
}

const (
	joinPatience = 10 * time.Second
	// listenAgain is the pause before a store that stopped answering is asked again.
	listenAgain = time.Second
)

// CursorKey is what AggregateOptions.CursorKey should be, so that any replica
// takes the cursors of the others.
func (r *Replica) CursorKey() []byte { return r.cursors }

// Close leaves the replicas. The fronts have to be closed before.
func (r *Replica) Close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.cancel()
	r.running.Wait()
}

func topic(replica string) string { return "replica/" + replica }

// listen takes what other replicas send until the replica is closed.
func (r *Replica) listen(ready chan struct{}) {
	for {
		err := r.store.Listen(r.ctx, topic(r.id), ready, r.receive)
		if r.ctx.Err() != nil {
			return
		}
		r.log.Error("listening to other replicas", "reason", err)
		ready = nil // nobody waits for it any more
		select {
		case <-time.After(listenAgain):
		case <-r.ctx.Done():
			return
		}
	}
}

// FrontShare says what of a front is shared.
type FrontShare struct {
	// Scope tells fronts apart: sessions of one are unknown to the others.
	Scope string
	// KeepBytes bounds what one session keeps for clients that resume a stream, in
	// bytes (4 MiB). 1,024 events and five minutes are further bounds.
	KeepBytes int
	// Resumable fronts keep events.
	Resumable bool
}

const (
	keepEvents = 1024
	keepAge    = 5 * time.Minute
)

// Share lets the front that is made with the options keep in the store what
// other replicas need to serve its clients. serve has to be called with the front.
func (r *Replica) Share(front *wire.FrontOptions, o FrontShare) (serve func(http.Handler)) {
	if o.KeepBytes <= 0 {
		o.KeepBytes = 4 << 20
	}
	if o.Resumable {
		front.Events = events{r.store, state.Keep{Events: keepEvents, Bytes: o.KeepBytes, Age: keepAge}}
	}
	bounds := front.Bounds
	if bounds == nil {
		fixed := wire.SessionBounds{PerOwner: front.MaxSessionsPerOwner, IdleTTL: front.IdleTTL}
		bounds = func() wire.SessionBounds { return fixed }
	}
	front.Registry = &registry{replica: r, scope: o.Scope, bounds: bounds}
	return func(h http.Handler) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.fronts[o.Scope] = h
	}
}
