package tokencache

import (
	"context"
	"errors"
	"fmt"
)

// Mode is what a login may use to keep the key.
type Mode string

// The values of --token-store.
const (
	ModeAuto    Mode = "auto"    // OS keyring, else the Linux kernel keyring, else refuse
	ModeKeyring Mode = "keyring" // OS keyring only
	ModeFile    Mode = "file"    // a file beside the store
)

// ParseMode reads the value of --token-store; "" is auto.
func ParseMode(s string) (Mode, error) {
	switch m := Mode(s); m {
	case "":
		return ModeAuto, nil
	case ModeAuto, ModeKeyring, ModeFile:
		return m, nil
	}
	return "", fmt.Errorf("unknown token store %q: use auto, keyring or file", s)
}

// candidates are the backends that a new key may go to, best first.
func (m Mode) candidates() []Backend {
	switch m {
	case ModeKeyring:
		return []Backend{BackendKeyring}
	case ModeFile:
		return []Backend{BackendFile}
	}
	return []Backend{BackendKeyring, BackendKernel}
}

// accepts reports whether a store whose key is in b suits the mode. Auto keeps
// whatever an earlier login chose, a file included: the person asked for it.
func (m Mode) accepts(b Backend) bool {
	switch m {
	case ModeKeyring:
		return b == BackendKeyring
	case ModeFile:
		return b == BackendFile
	}
	return true
}

// Backend is where the key of a store is kept.
type Backend string

// The backends there are.
const (
	BackendKeyring Backend = "keyring" // Credential Manager, Keychain, Secret Service
	BackendKernel  Backend = "kernel"  // Linux kernel keyring: gone after a restart
	BackendFile    Backend = "file"    // protected by file permissions only
)

// String says it in words for people.
func (b Backend) String() string {
	switch b {
	case BackendKeyring:
		return "OS keyring"
	case BackendKernel:
		return "Linux kernel keyring"
	case BackendFile:
		return "key file"
	}
	return string(b)
}

// keyStore keeps keys. Its errors are ErrKeyNotFound, ErrKeyringUnavailable,
// the context's, or (get) that the entry is damaged.
type keyStore interface {
	get(ctx context.Context, id keyID) (*key, error)
	set(ctx context.Context, k *key) error
	delete(ctx context.Context, id keyID) error
}

// keyStores finds the store of a backend.
type keyStores map[Backend]keyStore

func (s keyStores) of(b Backend) (keyStore, error) {
	if ks := s[b]; ks != nil {
		return ks, nil
	}
	return nil, unavailable(b, errNoBackend, "run `mcpctl logout --all` and `mcpctl login`")
}

var errNoBackend = errors.New("this system, or this mcpctl, has none")

// store keeps k and proves that it comes back: macOS's `security -i` exits 0
// when the command inside it failed.
func (s keyStores) store(ctx context.Context, b Backend, k *key) error {
	ks, err := s.of(b)
	if err != nil {
		return err
	}
	if err := ks.set(ctx, k); err != nil {
		return err
	}
	got, err := ks.get(ctx, k.id)
	if err != nil {
		return fmt.Errorf("reading back the key: %w", err)
	}
	if got.secret() != k.secret() {
		return errors.New("reading back the key: another key came back")
	}
	return nil
}
