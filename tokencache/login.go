package tokencache

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/AzureAD/microsoft-authentication-library-for-go/apps/cache"
)

// holdLimit ends a hold that no Export ended. MSAL needs milliseconds from
// Replace to Export; the rest is for a key store that has to be set up anew.
const holdLimit = 10 * time.Second

// Login is the cache as a sign-in uses it: it may create the store, and it
// takes the refresh lock by itself, from the Replace that follows the token
// response until the Export that stores it. So the lock is never held while
// the person types a code, bridges go on refreshing meanwhile, and the sign-in
// adds to what they stored.
//
// A Login serves one sign-in at a time. Its Lock and TryLock are those of a
// [Cache]; while the caller holds that lock, Replace does not take it again.
type Login struct {
	cache *Cache
	mode  Mode

	mu      sync.Mutex
	release func() // ends the hold; nil without one
	timer   *time.Timer
	alone   bool // goes on without the lock, which is not to be had
	saveErr error
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
// Close the Login when the sign-in is over.
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

// Backend returns where the key is kept.
func (l *Login) Backend() Backend {
	l.cache.mu.Lock()
	defer l.cache.mu.Unlock()
	return l.cache.backend
}

// Replace is [Cache.Replace] under the lock. If another process has logged out
// or in since [OpenForLogin], it prepares the store again.
func (l *Login) Replace(ctx context.Context, u cache.Unmarshaler, hints cache.ReplaceHints) error {
	if err := l.hold(ctx); err != nil {
		return err
	}
	if err := l.cache.establish(ctx, l.mode); err != nil {
		l.letGo()
		return err
	}
	return l.cache.Replace(ctx, u, hints)
}

// Export is [Cache.Export]; it ends the hold. [Login.Close] tells whether the
// tokens were stored.
func (l *Login) Export(ctx context.Context, m cache.Marshaler, _ cache.ExportHints) error {
	// Only if the process was suspended between Replace and here.
	if err := l.hold(context.WithoutCancel(ctx)); err != nil {
		l.cache.logger.Warn("storing tokens without the lock", "err", err)
	}
	err := l.cache.save(m)
	l.mu.Lock()
	l.saveErr = err
	l.mu.Unlock()
	l.letGo()
	return nil
}

// Lock is [Cache.Lock].
func (l *Login) Lock(ctx context.Context) (unlock func(), err error) { return l.cache.Lock(ctx) }

// TryLock is [Cache.TryLock].
func (l *Login) TryLock() (unlock func(), ok bool, err error) { return l.cache.TryLock() }

// Close ends the sign-in. Its error says that the last tokens MSAL received
// are not on disk, and why.
func (l *Login) Close() error {
	l.letGo()
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.saveErr
}

// hold takes the lock unless this Login has it. A process that has the lock
// for as long as the bound is not refreshing but hanging; throwing away the
// person's sign-in would be worse than going on.
func (l *Login) hold(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.alone || l.cache.lock.held.Load() {
		return nil
	}
	unlock, err := l.cache.Lock(ctx)
	if errors.Is(err, ErrLockTimeout) {
		l.cache.logger.Warn("signing in without the lock", "err", err)
		l.alone = true
		return nil
	}
	if err != nil {
		return err
	}
	l.release = unlock
	l.timer = time.AfterFunc(holdLimit, unlock)
	return nil
}

func (l *Login) letGo() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.alone = false
	if l.release == nil {
		return
	}
	l.timer.Stop()
	l.release()
	l.release, l.timer = nil, nil
}
