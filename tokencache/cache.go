package tokencache

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"sync"
	"time"

	"github.com/AzureAD/microsoft-authentication-library-for-go/apps/cache"
)

// Options say which store to use, and how.
type Options struct {
	// Dir holds the store; required.
	Dir string
	// Service is the name that key entries have in a keyring; "mcpctl" if
	// empty. An authority for development gets its own Dir and Service.
	Service string
	// Keyring is the OS keyring; nil is [SystemKeyring].
	Keyring Keyring
	// KeyringTimeout bounds one call to Keyring; 3 s if zero.
	KeyringTimeout time.Duration
	// LockTimeout bounds the wait for the refresh lock; 20 s if zero.
	LockTimeout time.Duration
	// Logger gets what can't be returned as an error; nil discards.
	Logger *slog.Logger
}

// Cache is MSAL's cache on disk. It implements [cache.ExportReplace] and may
// be shared by goroutines and by MSAL clients.
type Cache struct {
	files  files
	lock   *fileLock
	stores keyStores
	logger *slog.Logger

	mu  sync.Mutex
	key *key // of the file last read, or the one that a login made
	// seen is the file as this Cache last read or wrote it; nil is no file.
	seen []byte
	// unsaved is the file, sealed, that could not be written. It stands in for
	// the one on disk until a write succeeds or that one is another.
	unsaved []byte
	// saveErr is why the last save failed.
	saveErr error
	// backend keeps key; only a login sets it.
	backend Backend
	// creates is set for a login: it may write where there is no file.
	creates bool
}

var _ cache.ExportReplace = (*Cache)(nil)

// Open returns the cache of an existing sign-in, or of none: then MSAL finds
// no account. It touches neither disk nor keyring; the first Replace does.
func Open(opts Options) (*Cache, error) {
	if opts.Dir == "" {
		return nil, errors.New("opening token store: no directory given")
	}
	if opts.Service == "" {
		opts.Service = "mcpctl"
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	files := newFiles(opts.Dir)
	stores := keyStores{
		BackendKeyring: newOSKeyStore(opts.Keyring, opts.Service, opts.KeyringTimeout),
		BackendFile:    fileKeyStore{files},
	}
	if kernel := newKernelKeyStore(opts.Service); kernel != nil {
		stores[BackendKernel] = kernel
	}
	return &Cache{
		files:  files,
		lock:   newFileLock(files, opts.LockTimeout, opts.Logger),
		stores: stores,
		logger: opts.Logger,
	}, nil
}

// Lock takes the lock that makes a refresh the only one among processes. It
// waits at most Options.LockTimeout, then fails with [ErrLockTimeout]; or with
// ctx's error. A process that dies frees its lock. Calling unlock again does
// nothing.
func (c *Cache) Lock(ctx context.Context) (unlock func(), err error) { return c.lock.lock(ctx) }

// TryLock takes the lock if nobody has it. unlock is never nil.
func (c *Cache) TryLock() (unlock func(), ok bool, err error) { return c.lock.tryLock() }

// Replace gives MSAL what the store holds; an empty cache if there is none.
//
// It ignores the hints: MSAL exports a device-code login under one partition
// and looks for it under another. It also ignores a ctx that is done already,
// and honours it only while it waits for a keyring: MSAL calls Replace between
// receiving a token and storing it, and a refresh token may exist only once.
//
// The errors are [ErrUnreadable], [ErrKeyringUnavailable], and those of the
// file system.
func (c *Cache) Replace(ctx context.Context, u cache.Unmarshaler, _ cache.ReplaceHints) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.unsaved != nil && c.keepsUnsaved() {
		blob, err := unseal(c.key, c.unsaved)
		if err != nil {
			return unreadable(c.files.path(tokensName), err)
		}
		return u.Unmarshal(blob)
	}
	c.unsaved = nil
	blob, err := c.load(ctx)
	if err != nil {
		return err
	}
	// With no file this is Unmarshal(nil), which empties MSAL's memory. Leaving
	// that untouched would keep a bridge signed in after logout, and its next
	// refresh would write the store anew.
	if err := u.Unmarshal(blob); err != nil {
		// The content was authentic, so only another version of MSAL can
		// explain it. MSAL's error may quote what it could not read.
		return unreadable(c.files.path(tokensName), errContent)
	}
	return nil
}

// Export stores what MSAL holds. The caller has the lock. It always returns
// nil, since MSAL answers an error by throwing away the token it has just
// received: what can't be written is logged, kept in memory, and written later
// when possible. It ignores ctx for the same reason. It takes milliseconds; on
// a disk that fails a quarter of a second, and on Windows at most 2 s for each
// of three attempts while other processes keep the file open.
func (c *Cache) Export(_ context.Context, m cache.Marshaler, _ cache.ExportHints) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.saveErr = c.save(m); c.saveErr != nil {
		c.logger.Warn("storing tokens", "store", c.files.path(tokensName), "err", c.saveErr)
	}
	return nil
}

// load returns the content of the store, nil if there is none, and remembers
// the file and its key.
func (c *Cache) load(ctx context.Context) (blob []byte, err error) {
	raw, err := c.readTokens()
	for again := true; err == nil && raw != nil; again = false {
		k, err := c.keyFor(ctx, raw)
		if errors.Is(err, errKeyLost) && again {
			// Perhaps a logout and a login replaced file and key after we had
			// read the file.
			newer, err := c.readTokens()
			if err != nil {
				return nil, err
			}
			if !bytes.Equal(newer, raw) {
				raw = newer
				continue
			}
		}
		if err == nil {
			blob, err = unseal(k, raw)
		}
		if _, damaged := errors.AsType[damage](err); damaged {
			return nil, unreadable(c.files.path(tokensName), err)
		} else if err != nil {
			return nil, fmt.Errorf("opening %s: %w", c.files.path(tokensName), err)
		}
		c.key = k
		c.saw(raw)
		return blob, nil
	}
	if err != nil {
		return nil, err
	}
	c.saw(nil)
	return nil, nil
}

// saw remembers the file. What could not be written counts no more once the
// file is another one.
func (c *Cache) saw(raw []byte) {
	if !c.unchanged(raw) {
		c.unsaved = nil
	}
	c.seen = raw
}

// readTokens returns the whole file, nil if there is none.
func (c *Cache) readTokens() ([]byte, error) {
	raw, err := c.files.read(tokensName, maxStoreSize)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("reading token store: %w", err)
	case raw == nil:
		raw = []byte{} // an empty file is damage, not absence
	}
	return raw, nil
}

// keyFor returns the key of a file. A process asks a key store only once per
// key: the header tells whether the key in memory still is the right one.
func (c *Cache) keyFor(ctx context.Context, raw []byte) (*key, error) {
	id, err := sealedBy(raw)
	if err != nil {
		return nil, err
	}
	if c.key != nil && c.key.id == id {
		return c.key, nil
	}
	rec, err := c.readRecord()
	if err != nil {
		return nil, err
	}
	entry, ok := rec.find(id)
	if !ok {
		return nil, fmt.Errorf("%w: %s does not name it", errKeyLost, recordName)
	}
	return c.fetch(ctx, entry)
}

// fetch asks the entry's backend, and no other.
func (c *Cache) fetch(ctx context.Context, entry keyEntry) (*key, error) {
	ks, err := c.stores.of(entry.Backend)
	if err != nil {
		return nil, err
	}
	k, err := ks.get(ctx, entry.ID)
	if errors.Is(err, ErrKeyNotFound) {
		return nil, fmt.Errorf("%w: the %v has no such entry", errKeyLost, entry.Backend)
	}
	return k, err
}

func (c *Cache) readRecord() (record, error) {
	data, err := c.files.read(recordName, maxRecordSize)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return record{}, nil
	case err != nil:
		return record{}, fmt.Errorf("reading token store: %w", err)
	}
	return parseRecord(data)
}

// writeRecord stores rec; one without keys leaves no file.
func (c *Cache) writeRecord(rec record) error {
	if len(rec.Keys) == 0 {
		return c.files.remove(recordName)
	}
	data, err := rec.marshal()
	if err == nil {
		err = c.files.replace(recordName, data)
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", c.files.path(recordName), err)
	}
	return nil
}

// String names the store; a Cache prints as nothing else.
func (c *Cache) String() string { return "token store " + c.files.dir }

// GoString implements [fmt.GoStringer].
func (c *Cache) GoString() string { return c.String() }

// Format implements [fmt.Formatter].
func (c *Cache) Format(w fmt.State, _ rune) { _, _ = io.WriteString(w, c.String()) }

// LogValue implements [slog.LogValuer].
func (c *Cache) LogValue() slog.Value { return slog.StringValue(c.String()) }
