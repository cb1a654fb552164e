package tokencache

import (
	"context"
	"errors"
	"fmt"
)

// The errors that callers tell apart with errors.Is. No two of them match the
// same error.
var (
	// ErrUnreadable means that the store exists and can't be opened: it is
	// empty, truncated or altered, or its key is lost or another one. Nothing
	// was deleted. Only a new sign-in helps; it sets the file aside.
	ErrUnreadable = errors.New("token store unreadable")

	// ErrKeyringUnavailable means that the place that holds the key did not
	// give an answer: it is locked, blocked on a prompt, or not running. The
	// store may be perfectly good, so nothing is ever discarded because of it.
	ErrKeyringUnavailable = errors.New("keyring unavailable")

	// ErrNoKeyring means that a login found no place to keep a new key that
	// the person agreed to.
	ErrNoKeyring = errors.New("no usable keyring")

	// ErrLockTimeout means that another process held the refresh lock for
	// longer than the bound. It also is a context.DeadlineExceeded.
	ErrLockTimeout error = lockTimeout{}

	// ErrKeyNotFound is what a [Keyring] returns from Get and Delete when it
	// works and has no such entry.
	ErrKeyNotFound = errors.New("key not found")

	// errNotStored is why tokens live in memory only.
	errNotStored = errors.New("tokens not stored")
)

// unreadable reports why the store at path can't be opened.
func unreadable(path string, reason error) error {
	return fmt.Errorf("opening %s: %w: %w; run `mcpctl login` to sign in again", path, ErrUnreadable, reason)
}

// unavailable reports why a key store gave no answer. The hint says what to do
// about that kind of store.
func unavailable(b Backend, reason error, hint string) error {
	return fmt.Errorf("%w: %v: %w; %s", ErrKeyringUnavailable, b, reason, hint)
}

// lockTimeout is the type of ErrLockTimeout.
type lockTimeout struct{}

func (lockTimeout) Error() string { return "token store locked by another mcpctl process" }

// Is makes the bound look like the caller's own deadline, so that callers may
// set either.
func (lockTimeout) Is(target error) bool { return target == context.DeadlineExceeded }

// Timeout follows the convention of package net.
func (lockTimeout) Timeout() bool { return true }
