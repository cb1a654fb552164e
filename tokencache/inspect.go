package tokencache

import (
	"context"
	"errors"
)

// State is what a store is found to be.
type State string

// What a store can be.
const (
	StateEmpty       State = "empty"       // nobody is signed in
	StateReadable    State = "readable"    // the key answers and opens the file
	StateUnreadable  State = "unreadable"  // as ErrUnreadable
	StateUnavailable State = "unavailable" // as ErrKeyringUnavailable
	StateFailed      State = "failed"      // the file system's fault
)

// Status describes a store without its secrets.
type Status struct {
	Path    string  // of the sealed file
	State   State   //
	Backend Backend // where its key is kept; "" if there is none
	Err     error   // why it is not readable; it names no secret
}

// Inspect looks at the store as a bridge would: it takes no lock, writes
// nothing and asks only the recorded backend, once, for at most
// Options.KeyringTimeout.
func Inspect(ctx context.Context, opts Options) (Status, error) {
	c, err := Open(opts)
	if err != nil {
		return Status{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s := Status{Path: c.files.path(tokensName), State: StateReadable}
	if rec, err := c.readRecord(); err == nil {
		entry, _ := rec.current()
		if raw, err := c.readTokens(); err == nil {
			if id, err := sealedBy(raw); err == nil {
				if e, ok := rec.find(id); ok {
					entry = e
				}
			}
		}
		s.Backend = entry.Backend
	}
	_, err = c.load(ctx)
	switch {
	case errors.Is(err, ErrUnreadable):
		s.State = StateUnreadable
	case errors.Is(err, ErrKeyringUnavailable):
		s.State = StateUnavailable
	case err != nil:
		s.State = StateFailed
	case c.seen == nil:
		s.State = StateEmpty
	}
	s.Err = err
	return s, nil
}
