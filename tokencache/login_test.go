package tokencache

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
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
		if before := finish(t, l, "new"); before != want {
			t.Errorf("the login adds to %q, want %q", before, want)
		}
		if err := l.Err(); err != nil {
			t.Error(err)
		}
		wantRead(t, open(t, opts), "new")
		if r.len() != 1 {
			t.Errorf("%d keys in the keyring, want 1", r.len())
		}
	}
}

// While the person types, siblings refresh; the sign-in adds to what they
// stored.
func TestSiblingsRefreshDuringLogin(t *testing.T) {
	opts, _ := options(t)
	signIn(t, opts, ModeAuto, "old")
	l, err := OpenForLogin(t.Context(), opts, ModeAuto)
	if err != nil {
		t.Fatal(err)
	}
	wantRead(t, l, "old")
	write(t, open(t, opts), "refreshed")
	if before := finish(t, l, "new"); before != "refreshed" {
		t.Errorf("the login adds to %q", before)
	}
	wantRead(t, open(t, opts), "new")
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
