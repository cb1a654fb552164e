package tokencache

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/AzureAD/microsoft-authentication-library-for-go/apps/cache"
)

// memoryStore is a key store that stands in for the kernel's.
type memoryStore struct {
	keys map[keyID]*key
	err  error
}

func (s *memoryStore) get(_ context.Context, id keyID) (*key, error) {
	if s.err != nil {
		return nil, s.err
	}
	if k := s.keys[id]; k != nil {
		return k, nil
	}
	return nil, ErrKeyNotFound
}

func (s *memoryStore) set(_ context.Context, k *key) error {
	if s.err == nil {
		s.keys[k.id] = k
	}
	return s.err
}

func (s *memoryStore) delete(_ context.Context, id keyID) error {
	delete(s.keys, id)
	return s.err
}

// establish opens a store for login with another kernel keyring; nil is none.
func establish(t *testing.T, opts Options, mode Mode, kernel keyStore) (Backend, error) {
	t.Helper()
	c := open(t, opts)
	c.creates = true
	delete(c.stores, BackendKernel)
	if kernel != nil {
		c.stores[BackendKernel] = kernel
	}
	unlock, err := c.Lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	err = c.establish(t.Context(), mode)
	return c.backend, err
}

func TestWhereANewKeyGoes(t *testing.T) {
	broken := errors.New("broken")
	refusing := func() keyStore { return &memoryStore{err: ErrKeyringUnavailable} }
	working := func() keyStore { return &memoryStore{keys: map[keyID]*key{}} }
	none := func() keyStore { return nil }
	for _, test := range []struct {
		name    string
		mode    Mode
		ringErr error
		kernel  func() keyStore
		want    Backend
		err     error
	}{
		{"auto takes the OS keyring", ModeAuto, nil, working, BackendKeyring, nil},
		{"auto goes on to the kernel", ModeAuto, broken, working, BackendKernel, nil},
		{"auto refuses if the kernel does", ModeAuto, broken, refusing, "", ErrNoKeyring},
		{"auto refuses where there is no kernel keyring", ModeAuto, broken, none, "", ErrNoKeyring},
		{"keyring takes nothing else", ModeKeyring, broken, working, "", ErrNoKeyring},
		{"file asks nobody", ModeFile, broken, refusing, BackendFile, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			opts, r := options(t)
			r.fail(test.ringErr)
			got, err := establish(t, opts, test.mode, test.kernel())
			distinct(t, err, test.err)
			if got != test.want {
				t.Errorf("the key is in %q, want %q", got, test.want)
			}
			if err == nil {
				return
			}
			if !strings.Contains(err.Error(), "--token-store file") {
				t.Errorf("%q does not say what to type", err)
			}
			if files := names(t, opts.Dir); !slices.Equal(files, []string{lockName}) {
				t.Errorf("a refused login left %v", files)
			}
		})
	}
}

func TestKeyStaysWhereItIs(t *testing.T) {
	opts, r := options(t)
	signIn(t, opts, ModeFile, "tokens")
	l := signIn(t, opts, ModeAuto, "more tokens")
	if l.Backend() != BackendFile || r.len() != 0 {
		t.Errorf("auto moved the key to the %v", l.Backend())
	}
}

func TestKeyMovesWhenAsked(t *testing.T) {
	for _, test := range []struct {
		from, to Mode
		want     Backend
	}{
		{ModeFile, ModeKeyring, BackendKeyring},
		{ModeKeyring, ModeFile, BackendFile},
	} {
		t.Run(string(test.from)+" to "+string(test.to), func(t *testing.T) {
			opts, r := options(t)
			signIn(t, opts, test.from, "tokens")
			bridge := open(t, opts)
			wantRead(t, bridge, "tokens")
			l, err := OpenForLogin(t.Context(), opts, test.to)
			if err != nil {
				t.Fatal(err)
			}
			if l.Backend() != test.want {
				t.Errorf("the key is in the %v", l.Backend())
			}
			wantRead(t, bridge, "tokens")
			wantRead(t, open(t, opts), "tokens")
			keyFiles, _ := filepath.Glob(filepath.Join(opts.Dir, keyFileGlob))
			if n := r.len() + len(keyFiles); n != 1 {
				t.Errorf("%d keys are left, want 1", n)
			}
		})
	}
}

func TestLoginFinishesWhatAnEarlierOneBegan(t *testing.T) {
	opts, r := options(t)
	for range 3 { // the person gave up twice
		if _, err := OpenForLogin(t.Context(), opts, ModeAuto); err != nil {
			t.Fatal(err)
		}
	}
	if r.len() != 1 {
		t.Errorf("%d keys in the keyring, want 1", r.len())
	}
	signIn(t, opts, ModeAuto, "tokens")
	wantRead(t, open(t, opts), "tokens")
}

// While the person types, another terminal logs out, or out and in.
func TestStoreChangesDuringLogin(t *testing.T) {
	for _, again := range []bool{false, true} {
		opts, r := options(t)
		signIn(t, opts, ModeAuto, "old")
		l, err := OpenForLogin(t.Context(), opts, ModeAuto)
		if err != nil {
			t.Fatal(err)
		}
		if err := Erase(t.Context(), opts); err != nil {
			t.Fatal(err)
		}
		want := ""
		if again {
			signIn(t, opts, ModeAuto, "other")
			want = "other"
		}
		var m msal
		if err := l.Replace(t.Context(), &m, cache.ReplaceHints{}); err != nil || string(m.data) != want {
			t.Fatalf("the login adds to %q, %v; want %q", m.data, err, want)
		}
		if err := l.Export(t.Context(), &msal{data: []byte("new")}, cache.ExportHints{}); err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		wantRead(t, open(t, opts), "new")
		if r.len() != 1 {
			t.Errorf("%d keys in the keyring, want 1", r.len())
		}
	}
}

func TestLoginHoldsTheLockFromReplaceToExport(t *testing.T) {
	opts, _ := options(t)
	l, err := OpenForLogin(t.Context(), opts, ModeAuto)
	if err != nil {
		t.Fatal(err)
	}
	sibling := open(t, opts)
	free := func() bool {
		unlock, ok, err := sibling.TryLock()
		if err != nil {
			t.Fatal(err)
		}
		unlock()
		return ok
	}
	if !free() {
		t.Error("locked while the person types")
	}
	if err := l.Replace(t.Context(), &msal{}, cache.ReplaceHints{}); err != nil {
		t.Fatal(err)
	}
	if free() {
		t.Error("not locked between Replace and Export")
	}
	if err := l.Export(t.Context(), &msal{data: []byte("tokens")}, cache.ExportHints{}); err != nil {
		t.Fatal(err)
	}
	if !free() {
		t.Error("locked after Export")
	}

	// MSAL may fail in between: Close ends the hold.
	if err := l.Replace(t.Context(), &msal{}, cache.ReplaceHints{}); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil || !free() {
		t.Errorf("locked after Close: %v", err)
	}

	// A caller that has the lock keeps it.
	unlock, err := l.Lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Replace(t.Context(), &msal{}, cache.ReplaceHints{}); err != nil {
		t.Fatal(err)
	}
	if err := l.Export(t.Context(), &msal{data: []byte("tokens")}, cache.ExportHints{}); err != nil {
		t.Fatal(err)
	}
	if free() {
		t.Error("Export gave up the caller's lock")
	}
	unlock()
}

// A read that no Export follows must not lock bridges out.
func TestLoginHoldEnds(t *testing.T) {
	opts, _ := options(t)
	synctest.Test(t, func(t *testing.T) {
		l, err := OpenForLogin(t.Context(), opts, ModeAuto)
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Replace(t.Context(), &msal{}, cache.ReplaceHints{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(holdLimit)
		synctest.Wait()
		unlock, ok, err := open(t, opts).TryLock()
		if err != nil || !ok {
			t.Fatalf("the login still holds the lock: %v", err)
		}
		unlock()
		if err := l.Export(t.Context(), &msal{data: []byte("tokens")}, cache.ExportHints{}); err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		wantRead(t, open(t, opts), "tokens")
	})
}

// A sibling that hangs with the lock must not cost the person the sign-in.
func TestLoginGoesOnWithoutTheLock(t *testing.T) {
	opts, _ := options(t)
	opts.LockTimeout = 20 * time.Millisecond
	l, err := OpenForLogin(t.Context(), opts, ModeAuto)
	if err != nil {
		t.Fatal(err)
	}
	unlock, err := open(t, opts).Lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	if err := l.Replace(t.Context(), &msal{}, cache.ReplaceHints{}); err != nil {
		t.Fatal(err)
	}
	if err := l.Export(t.Context(), &msal{data: []byte("tokens")}, cache.ExportHints{}); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	wantRead(t, open(t, opts), "tokens")
}

func TestLoginSaysWhereItCannotWrite(t *testing.T) {
	opts, _ := options(t)
	if err := os.WriteFile(opts.Dir, nil, 0o600); err != nil { // a file in the directory's place
		t.Fatal(err)
	}
	_, err := OpenForLogin(t.Context(), opts, ModeFile)
	if err == nil || !strings.Contains(err.Error(), opts.Dir) {
		t.Errorf("error is %v", err)
	}
	distinct(t, err, nil)
}

func TestParseMode(t *testing.T) {
	for in, want := range map[string]Mode{"": ModeAuto, "auto": ModeAuto, "keyring": ModeKeyring, "file": ModeFile} {
		if got, err := ParseMode(in); err != nil || got != want {
			t.Errorf("%q is %q, %v", in, got, err)
		}
	}
	if _, err := ParseMode("kernel"); err == nil {
		t.Error("no error for a mode that there isn't")
	}
}
