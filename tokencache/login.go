package tokencache

import (
	"context"

	"github.com/AzureAD/microsoft-authentication-library-for-go/apps/cache"
)

// Login is the cache as a sign-in uses it: it may create the store.
//
// Like those of [Cache], its Replace and Export take no lock. A sign-in takes
// it when MSAL has received the tokens and calls Replace, and keeps it until
// Export has stored them; not before, since then the person types a code, and
// bridges have to go on refreshing. What they store meanwhile is in what
// Replace reads.
//
// A Login serves one sign-in at a time.
type Login struct {
	cache *Cache
	mode  Mode
}

var _ cache.ExportReplace = (*Login)(nil)

// OpenForLogin prepares the store for a sign-in, before the person does
// anything: it finds the key or makes one, where mode allows it.
//
//   - A store that works stays as it is. If its key is kept where mode does not
//     accept it, it gets a new key there, and the old one is removed.
//   - A store that is unreadable is set aside as tokens.bin.bad.
//   - A store whose keyring gives no answer stays as it is, and the login fails
//     with [ErrKeyringUnavailable]: its tokens may be good.
//   - With no place for a key it fails with [ErrNoKeyring].
//
// It holds the lock for as long as that takes: a few calls to a keyring, each
// within Options.KeyringTimeout.
func OpenForLogin(ctx context.Context, opts Options, mode Mode) (*Login, error) {
	mode, err := ParseMode(string(mode))
	if err != nil {
		return nil, err
	}
	c, err := Open(opts)
	if err != nil {
		return nil, err
	}
	c.creates = true
	unlock, err := c.Lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := c.establish(ctx, mode); err != nil {
		return nil, err
	}
	return &Login{cache: c, mode: mode}, nil
}

// Replace is [Cache.Replace]. Under the lock it prepares the store again, in
// case another process has logged out, or out and in, since [OpenForLogin].
func (l *Login) Replace(ctx context.Context, u cache.Unmarshaler, hints cache.ReplaceHints) error {
	if l.cache.lock.held.Load() {
		if err := l.cache.establish(ctx, l.mode); err != nil {
			return err
		}
	}
	return l.cache.Replace(ctx, u, hints)
}

// Export is [Cache.Export]. [Login.Err] tells whether the tokens were stored.
func (l *Login) Export(ctx context.Context, m cache.Marshaler, hints cache.ExportHints) error {
	return l.cache.Export(ctx, m, hints)
}

// Lock is [Cache.Lock].
func (l *Login) Lock(ctx context.Context) (unlock func(), err error) { return l.cache.Lock(ctx) }

// TryLock is [Cache.TryLock].
func (l *Login) TryLock() (unlock func(), ok bool, err error) { return l.cache.TryLock() }

// Backend returns where the key is kept.
func (l *Login) Backend() Backend {
	l.cache.mu.Lock()
	defer l.cache.mu.Unlock()
	return l.cache.backend
}

// Err returns why the tokens of the last Export are not on disk; nil if they
// are. A sign-in ends with it, because Export itself can't say so.
func (l *Login) Err() error {
	l.cache.mu.Lock()
	defer l.cache.mu.Unlock()
	return l.cache.saveErr
}
