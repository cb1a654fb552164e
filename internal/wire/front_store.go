package wire

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"
)

// EventStore keeps the events of resumable streams (MCP 2025-11-25,
// basic/transports, "Resumability and Redelivery"), within bounds of its own. It
// is used concurrently and answers within seconds.
//
// Streams belong to sessions, and places count from 1 in each stream. What a
// place holds never changes, so that every process that shares the store can
// serve a client that comes back.
type EventStore interface {
	// AppendEvent keeps data, which it borrows, at a place behind all others of
	// the stream.
	AppendEvent(ctx context.Context, session string, stream, place uint64, data []byte) error
	// EventsAfter returns up to limit events behind a place, in order. gap says
	// that what should follow directly is not kept, or that the stream, as far as
	// it is known, never had such a place.
	EventsAfter(ctx context.Context, session string, stream, place uint64, limit int) (events []StoredEvent, gap bool, err error)
}

// StoredEvent is an event that an EventStore has kept.
type StoredEvent struct {
	Place uint64
	Data  []byte
}

// SessionRegistry knows the sessions of all processes that serve the same
// clients. It is used concurrently and answers within seconds.
type SessionRegistry interface {
	// Register makes a session of the owner known as one that lives in this
	// process. ErrTooManySessions: a bound is reached.
	Register(ctx context.Context, id, owner string) error
	// Renew keeps a session known that is in use. ErrUnknownSession: somebody has
	// ended it, or it lives elsewhere by now.
	Renew(ctx context.Context, id, owner string) error
	// Remove makes a session unknown, with its events.
	Remove(ctx context.Context, id, owner string) error
	// Find returns what serves the requests of a session that lives in another
	// process, nil if that process is gone. ErrUnknownSession: there is none, or
	// it is another owner's. The handler lifts the read deadline of the connection
	// once it has the body, which is read under FrontOptions.ReadTimeout.
	Find(ctx context.Context, id, owner string) (http.Handler, error)
}

// Errors of a SessionRegistry.
var (
	ErrTooManySessions = errors.New("too many sessions are open; close one, or try again later")
	ErrUnknownSession  = errors.New("there is no such session")
)

// errUnregistered: the registry could not be asked.
var errUnregistered = errors.New("sessions can't be looked up at the moment; try again later")

// register makes a new session known; on an error it has to end.
func (f *front) register(ctx context.Context, s *Session) error {
	if f.opts.Registry == nil {
		return nil
	}
	err := f.opts.Registry.Register(ctx, s.id, s.owner)
	if err != nil && !errors.Is(err, ErrTooManySessions) {
		f.opts.Logger.Error("a session could not be registered", "reason", err)
		if ctx.Err() != nil {
			f.unregister(s, err) // the client has gone; it may be known all the same
		}
		err = errUnregistered
	}
	return err
}

// unregister makes a session that has ended unknown. When the process ends, its
// sessions stay known for a while: clients may still fetch answers from the store.
func (f *front) unregister(s *Session, cause error) {
	if f.opts.Registry == nil || errors.Is(cause, errShuttingDown) || errors.Is(cause, errElsewhere) {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), storePatience)
	defer cancel()
	if err := f.opts.Registry.Remove(ctx, s.id, s.owner); err != nil && !errors.Is(err, ErrUnknownSession) {
		f.opts.Logger.Warn("a session that has ended stays registered until it expires", "reason", err)
	}
}

// renew keeps the sessions registered that were used since it did so last.
func (f *front) renew(sessions []*Session) {
	if f.opts.Registry == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), storePatience)
	defer cancel()
	now := f.opts.Now()
	for _, s := range sessions {
		if !s.renewalDue(now) {
			continue
		}
		switch err := f.opts.Registry.Renew(ctx, s.id, s.owner); {
		case errors.Is(err, ErrUnknownSession):
			s.end(errElsewhere, "the session was ended")
		case err != nil:
			f.opts.Logger.Warn("sessions could not be kept registered", "reason", err)
			return // the next sweep tries again
		default:
			s.renewed(now)
		}
	}
}

// renewalDue says whether a session has been in use since it was registered and
// should be so again.
func (s *Session) renewalDue(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return (s.connected > 0 || s.used.After(s.registered)) && !now.Before(s.renewAt)
}

func (s *Session) renewed(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.registered, s.renewAt = now, now.Add(s.front.bounds().IdleTTL/4)
}

// elsewhere answers a request for a session that does not live here, and
// reports whether it did.
func (f *front) elsewhere(w http.ResponseWriter, r *http.Request, id string) bool {
	if f.opts.Registry == nil || len(id) > maxSessionID {
		return false
	}
	owner := f.opts.Owner(r)
	there, err := f.opts.Registry.Find(r.Context(), id, owner)
	switch {
	case errors.Is(err, ErrUnknownSession):
		return false
	case err != nil:
		f.opts.Logger.Error("a session could not be looked up", "reason", err)
		refuseErr(w, nil, errUnregistered)
		return true
	case there == nil:
		return !f.single && r.Method == http.MethodGet && f.replay(w, r, id, nil)
	}
	if r.Body == nil {
		r.Body = http.NoBody
	}
	limited := http.MaxBytesReader(w, r.Body, int64(f.opts.MaxMessage))
	r.Body = struct {
		io.Reader
		io.Closer
	}{f.patient(w, limited), limited}
	there.ServeHTTP(w, r)
	return true
}

const (
	// storePatience bounds what the sweep and the end of a session wait for.
	storePatience = 5 * time.Second
	// maxSessionID is longer than any id given here.
	maxSessionID = 256
)
