package tokencache

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/AzureAD/microsoft-authentication-library-for-go/apps/cache"
)

// writePauses are the pauses between attempts to write the store.
var writePauses = [...]time.Duration{50 * time.Millisecond, 200 * time.Millisecond}

// save writes what MSAL holds. Its error says that it is in memory only.
func (c *Cache) save(m cache.Marshaler) error {
	blob, err := m.Marshal()
	if err != nil {
		return errors.New("MSAL could not serialise its cache")
	}
	if c.key == nil || c.seen == nil && !c.creates {
		// Logged out, or never signed in. Keeping the blob would undo that.
		return fmt.Errorf("%w: there is no store; run `mcpctl login`", errNotStored)
	}
	raw, err := seal(c.key, blob)
	if err != nil {
		return fmt.Errorf("%w: %w", errNotStored, err)
	}
	for _, pause := range writePauses {
		if err = c.write(raw); err == nil {
			return nil
		}
		time.Sleep(pause)
	}
	if err = c.write(raw); err != nil {
		c.unsaved = raw
		return fmt.Errorf("%w: %w", errNotStored, err)
	}
	return nil
}

// write puts raw, sealed with c.key, in the file's place.
func (c *Cache) write(raw []byte) error {
	if c.lock.held.Load() {
		if err := c.files.sweep(); err != nil {
			c.logger.Debug("removing remains of earlier writes", "err", err)
		}
	}
	if err := c.files.replace(tokensName, raw); err != nil {
		return err
	}
	c.seen, c.unsaved, c.saveErr = raw, nil, nil
	return nil
}

// keepsUnsaved reports whether the unsaved blob still is the newest there is,
// and writes it if that is possible now without waiting. Once a sibling has
// written or a logout has deleted the file, the file counts.
func (c *Cache) keepsUnsaved() bool {
	raw, err := c.readTokens()
	if err != nil {
		return true // can't be read now: memory is the best we have
	}
	if !c.unchanged(raw) {
		return false
	}
	unlock, ok, err := c.lock.tryLock()
	if err != nil || !ok {
		return true
	}
	defer unlock()
	if raw, err := c.readTokens(); err != nil || !c.unchanged(raw) {
		return err != nil
	}
	// On success the caller reads it from the file.
	return c.write(c.unsaved) != nil
}

// unchanged reports whether raw, nil for no file, is what this Cache saw last.
func (c *Cache) unchanged(raw []byte) bool {
	return (raw == nil) == (c.seen == nil) && bytes.Equal(raw, c.seen)
}
