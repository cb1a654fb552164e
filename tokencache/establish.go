package tokencache

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// establish makes the store ready for a login to write, as [OpenForLogin]
// promises. The caller has the lock.
func (c *Cache) establish(ctx context.Context, mode Mode) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.files.create(); err != nil {
		return err
	}
	if err := c.files.sweep(); err != nil {
		c.logger.Debug("removing remains of earlier writes", "err", err)
	}
	rec, err := c.readRecord()
	if _, damaged := errors.AsType[damage](err); err != nil && !damaged {
		return err // a damaged record is replaced
	}
	blob, loadErr := c.load(ctx)
	lost := errors.Is(loadErr, ErrUnreadable)
	switch {
	case errors.Is(loadErr, ErrKeyringUnavailable):
		return fmt.Errorf("%w; or give up what is stored there with `mcpctl logout --all`", loadErr)
	case loadErr != nil && !lost:
		return loadErr
	case !lost && c.reuse(ctx, rec, mode):
		return nil
	}
	rec, k, err := c.create(ctx, rec, mode)
	if err != nil {
		return err
	}
	if lost {
		c.logger.Warn("setting the unreadable token store aside", "file", c.files.path(tokensName+badSuffix), "err", loadErr)
		if err := c.files.setAside(tokensName); err != nil {
			return fmt.Errorf("setting aside %s: %w", c.files.path(tokensName), err)
		}
		c.saw(nil)
	}
	c.key = k
	if c.seen != nil {
		raw, err := seal(k, blob)
		if err == nil {
			err = c.write(raw)
		}
		if err != nil {
			return fmt.Errorf("sealing the token store with its new key: %w", err)
		}
	}
	return c.retire(ctx, rec)
}

// reuse reports whether the key there is will do, and makes it the Cache's.
func (c *Cache) reuse(ctx context.Context, rec record, mode Mode) bool {
	if c.seen != nil { // load has found its key
		entry, ok := rec.find(c.key.id)
		c.backend = entry.Backend
		return ok && mode.accepts(entry.Backend)
	}
	// A login that was given up, or a logout that could not reach the key,
	// leaves a key without a file.
	entry, ok := rec.current()
	if !ok || !mode.accepts(entry.Backend) {
		return false
	}
	if c.key == nil || c.key.id != entry.ID {
		k, err := c.fetch(ctx, entry)
		if err != nil {
			return false
		}
		c.key = k
	}
	c.backend = entry.Backend
	return true
}

// create makes a new key and keeps it in the first backend that takes it. The
// record names it before it exists.
func (c *Cache) create(ctx context.Context, rec record, mode Mode) (record, *key, error) {
	if len(rec.Keys) >= maxRecordKeys {
		return rec, nil, fmt.Errorf("%w: %d keys wait in a keyring that does not answer; "+
			"unlock it, or run `mcpctl logout --all`", ErrNoKeyring, len(rec.Keys))
	}
	var refusals []string
	for _, backend := range mode.candidates() {
		if c.stores[backend] == nil {
			continue
		}
		k := newKey()
		attempt := rec.with(keyEntry{ID: k.id, Backend: backend})
		if err := c.writeRecord(attempt); err != nil {
			return rec, nil, err
		}
		err := c.stores.store(ctx, backend, k)
		if err == nil {
			c.backend = backend
			if len(refusals) > 0 {
				c.logger.Warn("keeping the key elsewhere", "backend", backend, "because", strings.Join(refusals, "; "))
			}
			return attempt, k, nil
		}
		refusals = append(refusals, err.Error())
		if errors.Is(err, errBlocked) || ctx.Err() != nil {
			rec = attempt // the key may yet arrive there: logout has to know
		} else if err := c.writeRecord(rec); err != nil {
			return rec, nil, err
		}
		if ctx.Err() != nil {
			return rec, nil, fmt.Errorf("storing the key: %w", ctx.Err())
		}
		if mode == ModeFile {
			return rec, nil, fmt.Errorf("storing the key: %w", err)
		}
	}
	return rec, nil, fmt.Errorf("%w: %s. To keep the key in a file, which only its permissions protect, "+
		"run `mcpctl login --token-store file`", ErrNoKeyring, strings.Join(refusals, "; "))
}

// retire removes all keys but the current one. Those that can't be reached
// stay recorded, for logout.
func (c *Cache) retire(ctx context.Context, rec record) error {
	kept := rec
	for _, entry := range rec.Keys {
		if entry.ID == c.key.id {
			continue
		}
		if err := c.forget(ctx, entry); err != nil {
			c.logger.Debug("removing an old key", "backend", entry.Backend, "err", err)
			continue
		}
		kept = kept.without(entry.ID)
	}
	if len(kept.Keys) == len(rec.Keys) {
		return nil
	}
	return c.writeRecord(kept)
}

// forget removes a key from its backend; one that isn't there is removed.
func (c *Cache) forget(ctx context.Context, entry keyEntry) error {
	ks, err := c.stores.of(entry.Backend)
	if err != nil {
		return err
	}
	if err := ks.delete(ctx, entry.ID); err != nil && !errors.Is(err, ErrKeyNotFound) {
		return err
	}
	return nil
}
