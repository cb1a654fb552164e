// Package state is what the replicas of one server share: session records, the
// events of resumable streams, messages from one replica to another, cached
// results and rate limits.
//
// [Memory] serves a single process. Any other implementation has to pass the
// contract in the package statetest.
package state

import (
	"context"
	"errors"
	"time"
)

// Store is one shared state. All methods may be called concurrently. Every
// error other than those named by a method means that the store could not be
// asked: the caller fails closed.
//
// Keys, ids and owners are opaque, at most [MaxKey] bytes long; longer ones are
// refused with ErrTooLarge, and so are values above [MaxValue] bytes. Returned
// slices belong to the caller, passed ones may be reused.
type Store interface {
	Sessions
	Events
	Mail
	Cache
	Limits
	// Close frees what the store holds. Calls under way end with ErrClosed.
	Close() error
}

// Bounds of every implementation.
const (
	MaxKey   = 1 << 10
	MaxValue = 64 << 20
)

// Errors that methods name.
var (
	ErrNotFound = errors.New("state: not found")
	ErrTooLarge = errors.New("state: too large")
	ErrFull     = errors.New("state: a bound is reached")
	ErrClosed   = errors.New("state: closed")
	// ErrGap: events between the id and the oldest one kept are gone.
	ErrGap = errors.New("state: events are missing")
)

// Session is what has to be known about a session to serve its next request
// anywhere.
type Session struct {
	ID      string
	Owner   string // whose it is; nobody else's requests reach it
	Replica string // where its upstream connections are
	Data    []byte // the server's own: version, capabilities, subscriptions
	Created time.Time
}

// Sessions keeps session records.
type Sessions interface {
	// PutSession stores a record for ttl, replacing one with the same id. An
	// owner has at most max sessions: one more is ErrFull (0: no bound).
	PutSession(ctx context.Context, s Session, ttl time.Duration, max int) error
	// Session returns the record and lets it live for ttl from now on.
	// ErrNotFound: there is none, or it is another owner's.
	Session(ctx context.Context, id, owner string, ttl time.Duration) (Session, error)
	// DeleteSession removes the record and the session's events. ErrNotFound
	// is as for Session.
	DeleteSession(ctx context.Context, id, owner string) error
	// CountSessions counts the owner's sessions.
	CountSessions(ctx context.Context, owner string) (int, error)
}

// Event is one message of a resumable stream.
type Event struct {
	ID   uint64 // counts from 1 in each stream
	Data []byte
}

// Events keeps what was sent on streams, for clients that come back.
type Events interface {
	// AppendEvent adds an event to a stream of a session. Of each session at
	// most keep events are kept for ttl; the oldest go first.
	AppendEvent(ctx context.Context, session, stream string, data []byte, keep int, ttl time.Duration) (id uint64, err error)
	// EventsAfter returns up to limit events after the id, in order. With
	// ErrGap, what is returned does not follow the id directly.
	EventsAfter(ctx context.Context, session, stream string, after uint64, limit int) ([]Event, error)
}

// Mail carries messages to whoever listens on a topic, such as the replica that
// holds the stream a reply belongs to.
type Mail interface {
	// Send delivers data to all listeners of the topic, in the order sent by
	// one caller, and says how many there were. It waits for slow listeners
	// within ctx.
	Send(ctx context.Context, topic string, data []byte) (listeners int, err error)
	// Listen calls handle for each message, one at a time, until ctx ends.
	// ready, if not nil, is closed once nothing sent will be missed.
	Listen(ctx context.Context, topic string, ready chan<- struct{}, handle func(data []byte)) error
}

// Cache keeps results.
type Cache interface {
	// Cached returns a value. ErrNotFound: there is none any more.
	Cached(ctx context.Context, key string) ([]byte, error)
	// PutCached keeps a value for ttl under the key, and under tags by which it
	// can be dropped. The store may drop it at any time.
	PutCached(ctx context.Context, key string, value []byte, ttl time.Duration, tags ...string) error
	// DropCached drops every value with the tag.
	DropCached(ctx context.Context, tag string) error
}

// Limits counts uses.
type Limits interface {
	// Take takes one use from a bucket that holds burst uses and gets rate of
	// them back each second. Where none is left it takes nothing and says how
	// long it takes until there is one.
	Take(ctx context.Context, key string, rate float64, burst int) (ok bool, wait time.Duration, err error)
	// Enter takes one of max places until leave is called; a place that is not
	// left is free again after ttl. ok is false where none is free; leave is
	// then nil.
	Enter(ctx context.Context, key string, max int, ttl time.Duration) (leave func(), ok bool, err error)
}

func checkKeys(keys ...string) error {
	for _, k := range keys {
		if len(k) > MaxKey {
			return ErrTooLarge
		}
	}
	return nil
}
