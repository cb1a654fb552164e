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
	ErrConflict = errors.New("state: something else is there already")
	// ErrGap: events that should follow are not kept any more, or never were.
	ErrGap = errors.New("state: events are missing")
)

// Session is what has to be known about a session to serve its next request
// anywhere.
type Session struct {
	ID      string
	Owner   string // whose it is; nobody else's requests reach it
	Replica string // where it lives: its unanswered requests, its upstream connections
	Created time.Time
}

// Quota bounds the sessions of one owner. An owner who has Max already (0: no
// bound) loses the one that was renewed least recently, if that was Idle ago or
// longer (0: none is lost).
type Quota struct {
	Max  int
	Idle time.Duration
}

// Sessions keeps session records.
type Sessions interface {
	// PutSession stores a record for ttl, replacing one of the same owner with the
	// same id. ErrConflict: the id is another owner's. ErrFull: the quota leaves no
	// room, or the store is full.
	PutSession(ctx context.Context, s Session, ttl time.Duration, q Quota) error
	// Session returns the record and renews it: it lives for ttl from now on.
	// ErrNotFound: there is none, or it is another owner's.
	Session(ctx context.Context, id, owner string, ttl time.Duration) (Session, error)
	// DeleteSession removes the record and the session's events. ErrNotFound
	// is as for Session.
	DeleteSession(ctx context.Context, id, owner string) error
}

// Event is one message of a resumable stream.
type Event struct {
	Seq  uint64 // its place in the stream, from 1
	Data []byte
}

// Keep bounds the events of one session, of all its streams together. The oldest
// go first; the newest is kept whatever its size.
type Keep struct {
	Events, Bytes int
	Age           time.Duration
}

// Events keeps what was sent on streams, for clients that come back. Whoever
// asks has made sure that the session is the asker's.
type Events interface {
	// AppendEvent adds an event at its place to a stream of a session, and drops
	// what exceeds keep. ErrConflict: the place is not behind the last event's.
	AppendEvent(ctx context.Context, session string, stream uint64, e Event, keep Keep) error
	// EventsAfter returns up to limit events behind the place after, in order.
	// With ErrGap, what is returned does not follow it directly: events are gone,
	// or after is not a place that the stream, as far as it is known, ever had.
	EventsAfter(ctx context.Context, session string, stream, after uint64, limit int) ([]Event, error)
}

// Mail carries messages to whoever listens on a topic, such as the replica where
// a session lives.
type Mail interface {
	// Send delivers data to all listeners of the topic, in the order sent by
	// one caller, and says how many there were. It waits for slow listeners
	// within ctx.
	Send(ctx context.Context, topic string, data []byte) (listeners int, err error)
	// Listen calls handle for each message, one at a time, until ctx ends.
	// ready, if not nil, is closed once nothing sent will be missed. Its error
	// says why it ended: that of ctx, ErrClosed, or what went wrong.
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
