package tokencache

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
)

// Erase is logout: it deletes the store, whatever lies around of it, and its
// keys in every backend that was ever recorded, so that no copy of the file
// can be opened either. The lock file stays. With no store it does nothing.
//
// It goes on when something fails and returns all failures joined. A keyring
// that can't be reached is [ErrKeyringUnavailable]: the tokens are gone, the
// key remains recorded, and the next Erase tries again. A lock that another
// process does not give up is [ErrLockTimeout], and everything is erased
// nevertheless: without the key, what that process may write is unreadable.
func Erase(ctx context.Context, opts Options) error {
	c, err := Open(opts)
	if err != nil {
		return err
	}
	if _, err := os.Stat(c.files.dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var errs []error
	unlock, err := c.Lock(ctx)
	switch {
	case err == nil:
		defer unlock()
	case ctx.Err() != nil:
		return err
	default:
		errs = append(errs, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	keys, err := c.knownKeys()
	if err != nil {
		errs = append(errs, err)
	}
	errs = append(errs, c.eraseFiles())
	for _, entry := range keys.Keys {
		if err := c.forget(ctx, entry); err != nil {
			errs = append(errs, fmt.Errorf("removing the key from the %v (the tokens are erased; run `mcpctl logout --all` again later): %w", entry.Backend, err))
			continue
		}
		keys = keys.without(entry.ID)
	}
	return errors.Join(append(errs, c.writeRecord(keys))...)
}

// knownKeys returns the record, and without a good one what the file's header
// tells: its key may be in any backend.
func (c *Cache) knownKeys() (record, error) {
	rec, err := c.readRecord()
	if _, damaged := errors.AsType[damage](err); damaged {
		err = nil
	}
	raw, _ := c.readTokens()
	if id, idErr := sealedBy(raw); idErr == nil {
		if _, known := rec.find(id); !known {
			for _, backend := range slices.Sorted(maps.Keys(c.stores)) {
				rec.Keys = append(rec.Keys, keyEntry{ID: id, Backend: backend})
			}
		}
	}
	return rec, err
}

func (c *Cache) eraseFiles() error {
	return errors.Join(
		c.files.remove(tokensName),
		c.files.remove(tokensName+badSuffix),
		c.files.sweep(),
		c.files.removeAll(keyFileGlob),
	)
}
