package tokencache

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestEraseLeavesNothing(t *testing.T) {
	for _, mode := range []Mode{ModeKeyring, ModeFile} {
		t.Run(string(mode), func(t *testing.T) {
			opts, r := options(t)
			opts.Dir += "[1]*" // no pattern
			if runtime.GOOS == "windows" {
				opts.Dir = strings.TrimSuffix(opts.Dir, "*")
			}
			signIn(t, opts, mode, "tokens")
			for _, name := range []string{".tokens-123", tokensName + badSuffix, "token-key-0011223344556677.key"} {
				if err := os.WriteFile(filepath.Join(opts.Dir, name), []byte("x"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if err := Erase(t.Context(), opts); err != nil {
				t.Fatal(err)
			}
			if files := names(t, opts.Dir); !slices.Equal(files, []string{lockName}) || r.len() != 0 {
				t.Errorf("left: %v and %d keys", files, r.len())
			}
			if err := Erase(t.Context(), opts); err != nil {
				t.Errorf("erasing nothing: %v", err)
			}
		})
	}
}

func TestEraseWithoutAStoreCreatesNone(t *testing.T) {
	opts, _ := options(t)
	if err := Erase(t.Context(), opts); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(opts.Dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory exists: %v", err)
	}
}

// The tokens go even if the key can't be reached; the key goes next time.
func TestEraseWithAnUnreachableKeyring(t *testing.T) {
	opts, r := options(t)
	signIn(t, opts, ModeKeyring, "tokens")
	r.fail(errors.New("locked"))
	err := Erase(t.Context(), opts)
	distinct(t, err, ErrKeyringUnavailable)
	if !strings.Contains(err.Error(), "mcpctl logout") {
		t.Errorf("%q does not say what to type", err)
	}
	if files := names(t, opts.Dir); !slices.Equal(files, []string{recordName, lockName}) {
		t.Errorf("left: %v", files)
	}
	r.fail(nil)
	if err := Erase(t.Context(), opts); err != nil {
		t.Fatal(err)
	}
	if files := names(t, opts.Dir); !slices.Equal(files, []string{lockName}) || r.len() != 0 {
		t.Errorf("left: %v and %d keys", files, r.len())
	}
}

func TestEraseReachesEveryBackendEverUsed(t *testing.T) {
	opts, r := options(t)
	signIn(t, opts, ModeKeyring, "tokens")
	// The keyring goes away for a while; logout and a login with a file follow.
	r.fail(errors.New("locked"))
	if err := Erase(t.Context(), opts); !errors.Is(err, ErrKeyringUnavailable) {
		t.Fatal(err)
	}
	signIn(t, opts, ModeFile, "tokens")
	r.fail(nil)
	if err := Erase(t.Context(), opts); err != nil {
		t.Fatal(err)
	}
	if files := names(t, opts.Dir); !slices.Equal(files, []string{lockName}) || r.len() != 0 {
		t.Errorf("left: %v and %d keys", files, r.len())
	}
}

// Without a record the file's header still names the key.
func TestEraseWithADamagedRecord(t *testing.T) {
	opts, r := options(t)
	signIn(t, opts, ModeKeyring, "tokens")
	if err := os.WriteFile(filepath.Join(opts.Dir, recordName), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	// The kernel may refuse where the tests run, which is worth a warning only.
	if err := Erase(t.Context(), opts); err != nil && !errors.Is(err, ErrKeyringUnavailable) {
		t.Fatal(err)
	}
	if r.len() != 0 {
		t.Error("the key is left")
	}
}

func TestEraseDoesNotWaitForEver(t *testing.T) {
	opts, r := options(t)
	signIn(t, opts, ModeKeyring, "tokens")
	unlock, err := open(t, opts).Lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	opts.LockTimeout = 20 * time.Millisecond
	distinct(t, Erase(t.Context(), opts), ErrLockTimeout)
	if r.len() != 0 {
		t.Error("the key is left")
	}
	wantRead(t, open(t, opts), "")
}

// A process that was refreshing during logout stores its result after all:
// the key is gone, so nobody can read it.
func TestEraseIsFinal(t *testing.T) {
	opts, _ := options(t)
	signIn(t, opts, ModeKeyring, "tokens")
	path := filepath.Join(opts.Dir, tokensName)
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := Erase(t.Context(), opts); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = read(t, open(t, opts))
	distinct(t, err, ErrUnreadable)
}
