package tokencache

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/AzureAD/microsoft-authentication-library-for-go/apps/cache"
)

func TestStoreSurvivesTheProcess(t *testing.T) {
	for _, mode := range []Mode{ModeAuto, ModeKeyring, ModeFile} {
		t.Run(string(mode), func(t *testing.T) {
			opts, _ := options(t)
			signIn(t, opts, mode, `{"AccessToken":"secret"}`)
			wantRead(t, open(t, opts), `{"AccessToken":"secret"}`)
			raw, err := os.ReadFile(filepath.Join(opts.Dir, tokensName))
			if err != nil || strings.Contains(string(raw), "secret") {
				t.Errorf("the file is not sealed: %v", err)
			}
			if runtime.GOOS == "windows" {
				return // access lists, not modes
			}
			for _, name := range append(names(t, opts.Dir), ".") {
				info, err := os.Stat(filepath.Join(opts.Dir, name))
				if err != nil || info.Mode().Perm()&0o077 != 0 {
					t.Errorf("%s is %v, %v", name, info.Mode(), err)
				}
			}
		})
	}
}

func TestLoginMakesTheDirectoryPrivate(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has access lists, not modes")
	}
	opts, _ := options(t)
	if err := os.MkdirAll(opts.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	signIn(t, opts, ModeFile, "tokens")
	if info, err := os.Stat(opts.Dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the directory is %v, %v", info.Mode(), err)
	}
}

// MSAL must forget what it has in memory when there is no store (any more).
func TestEmptyStoreEmptiesMemory(t *testing.T) {
	opts, r := options(t)
	c := open(t, opts)
	wantRead(t, c, "")
	if r.readCount() != 0 {
		t.Error("the keyring was asked although there is no store")
	}
	signIn(t, opts, ModeAuto, "tokens")
	wantRead(t, c, "tokens")
	if err := Erase(t.Context(), opts); err != nil {
		t.Fatal(err)
	}
	wantRead(t, c, "")
	// A refresh that comes too late must not bring the store back.
	if err := c.Export(t.Context(), &msal{data: []byte("tokens")}, cache.ExportHints{}); err != nil {
		t.Fatal(err)
	}
	wantRead(t, c, "")
	wantRead(t, open(t, opts), "")
}

func TestPartitionKeyIsIgnored(t *testing.T) {
	opts, _ := options(t)
	signIn(t, opts, ModeAuto, "tokens")
	c := open(t, opts)
	for _, partition := range []string{"", "uid.utid", "another"} {
		var m msal
		if err := c.Replace(t.Context(), &m, cache.ReplaceHints{PartitionKey: partition}); err != nil || string(m.data) != "tokens" {
			t.Errorf("partition %q: %q, %v", partition, m.data, err)
		}
	}
}

func TestOneKeyringReadPerProcess(t *testing.T) {
	opts, r := options(t)
	signIn(t, opts, ModeKeyring, "tokens")
	c := open(t, opts)
	before := r.readCount()
	for range 5 {
		wantRead(t, c, "tokens")
	}
	write(t, c, "more tokens")
	wantRead(t, c, "more tokens")
	if n := r.readCount() - before; n != 1 {
		t.Errorf("%d keyring reads, want 1", n)
	}
}

// MSAL calls Replace and Export after it has used up a one-time refresh token:
// a deadline that passes just then must not lose its successor.
func TestDoneContextLosesNoToken(t *testing.T) {
	opts, _ := options(t)
	signIn(t, opts, ModeAuto, "tokens")
	c := open(t, opts)
	wantRead(t, c, "tokens")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Replace(ctx, &msal{}, cache.ReplaceHints{}); err != nil {
		t.Fatal(err)
	}
	if err := c.Export(ctx, &msal{data: []byte("rotated")}, cache.ExportHints{}); err != nil {
		t.Fatal(err)
	}
	wantRead(t, open(t, opts), "rotated")
}

func TestUnreadable(t *testing.T) {
	tokens := func(change func(raw []byte) []byte) func(t *testing.T, opts Options, r *ring) {
		return func(t *testing.T, opts Options, _ *ring) {
			path := filepath.Join(opts.Dir, tokensName)
			raw, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, change(raw), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	flip := func(at int) func(*testing.T, Options, *ring) {
		return tokens(func(raw []byte) []byte {
			raw[(at+len(raw))%len(raw)] ^= 1
			return raw
		})
	}
	cut := func(n int) func(*testing.T, Options, *ring) {
		return tokens(func(raw []byte) []byte { return raw[:min(n, len(raw)-1)] })
	}
	for _, test := range []struct {
		name   string
		damage func(t *testing.T, opts Options, r *ring)
		want   error
	}{
		{"empty file", cut(0), errEmpty},
		{"one byte", cut(1), errTruncated},
		{"header only", cut(headerSize), errTruncated},
		{"one byte short", cut(1 << 20), errAltered},
		{"bit flip in magic", flip(0), errForeign},
		{"bit flip in version", flip(len(magic) - 1), errNewer},
		{"bit flip in key id", flip(len(magic)), errKeyLost},
		{"bit flip in nonce", flip(headerSize), errAltered},
		{"bit flip in ciphertext", flip(headerSize + 12), errAltered},
		{"bit flip in tag", flip(-1), errAltered},
		{"appended byte", tokens(func(raw []byte) []byte { return append(raw, 0) }), errAltered},
		{"another file", tokens(func([]byte) []byte { return []byte(`{"AccessToken":{}}`) }), errForeign},
		{"huge file", tokens(func(raw []byte) []byte { return append(raw, make([]byte, maxStoreSize)...) }), errTooLarge},
		{"lost key", func(_ *testing.T, _ Options, r *ring) { clear(r.entries) }, errKeyLost},
		{"wrong key", func(_ *testing.T, _ Options, r *ring) {
			for name := range r.entries {
				r.entries[name] = newKey().reveal()
			}
		}, errAltered},
		{"damaged key", func(_ *testing.T, _ Options, r *ring) {
			for name := range r.entries {
				r.entries[name] = "no key"
			}
		}, errBadKey},
		{"lost record", func(t *testing.T, opts Options, _ *ring) {
			if err := os.Remove(filepath.Join(opts.Dir, recordName)); err != nil {
				t.Fatal(err)
			}
		}, errKeyLost},
		{"damaged record", func(t *testing.T, opts Options, _ *ring) {
			if err := os.WriteFile(filepath.Join(opts.Dir, recordName), []byte("{"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, errBadRecord},
	} {
		t.Run(test.name, func(t *testing.T) {
			opts, r := options(t)
			signIn(t, opts, ModeKeyring, "tokens")
			test.damage(t, opts, r)
			damaged, err := os.ReadFile(filepath.Join(opts.Dir, tokensName))
			if err != nil {
				t.Fatal(err)
			}
			c := open(t, opts)
			for range 2 {
				got, err := read(t, c)
				distinct(t, err, ErrUnreadable)
				if !errors.Is(err, test.want) || !strings.Contains(err.Error(), "mcpctl login") {
					t.Errorf("error is %q, want %q and what to type", err, test.want)
				}
				if got != "left in memory" {
					t.Errorf("MSAL was given %q", got)
				}
			}
			if s, err := Inspect(t.Context(), opts); err != nil || s.State != StateUnreadable || !errors.Is(s.Err, ErrUnreadable) {
				t.Errorf("Inspect: %+v, %v", s, err)
			}
			if after, err := os.ReadFile(filepath.Join(opts.Dir, tokensName)); err != nil || string(after) != string(damaged) {
				t.Errorf("reading changed the file: %v", err)
			}

			signIn(t, opts, ModeKeyring, "new tokens")
			wantRead(t, open(t, opts), "new tokens")
			if aside, err := os.ReadFile(filepath.Join(opts.Dir, tokensName+badSuffix)); err != nil || string(aside) != string(damaged) {
				t.Errorf("the old file was not set aside: %v", err)
			}
		})
	}
}

// A keyring that gives no answer says nothing about the store.
func TestUnavailableKeyringDiscardsNothing(t *testing.T) {
	opts, r := options(t)
	signIn(t, opts, ModeAuto, "tokens")
	before := strings.Join(names(t, opts.Dir), " ")
	r.fail(errors.New("locked"))
	c := open(t, opts)
	_, err := read(t, c)
	distinct(t, err, ErrKeyringUnavailable)
	for _, mode := range []Mode{ModeAuto, ModeKeyring, ModeFile} {
		_, err := OpenForLogin(t.Context(), opts, mode)
		distinct(t, err, ErrKeyringUnavailable)
	}
	if s, err := Inspect(t.Context(), opts); err != nil || s.State != StateUnavailable || s.Backend != BackendKeyring {
		t.Errorf("Inspect: %+v, %v", s, err)
	}
	if after := strings.Join(names(t, opts.Dir), " "); after != before {
		t.Errorf("files were %s, are %s", before, after)
	}
	r.fail(nil)
	wantRead(t, c, "tokens") // the same process, once the keyring is unlocked
}

func TestLogoutAndLoginElsewhere(t *testing.T) {
	opts, r := options(t)
	signIn(t, opts, ModeAuto, "old tokens")
	bridge := open(t, opts)
	wantRead(t, bridge, "old tokens")
	if err := Erase(t.Context(), opts); err != nil {
		t.Fatal(err)
	}
	signIn(t, opts, ModeAuto, "new tokens")
	before := r.readCount()
	wantRead(t, bridge, "new tokens")
	wantRead(t, bridge, "new tokens")
	if n := r.readCount() - before; n != 1 {
		t.Errorf("%d keyring reads for a new key, want 1", n)
	}
	write(t, bridge, "refreshed")
	wantRead(t, open(t, opts), "refreshed")
}

// renewingRing plays a logout and a login in the moment between a reader's
// look at the file and its look at the key.
type renewingRing struct {
	*ring
	renew func()
}

func (r *renewingRing) Get(service, account string) (string, error) {
	if renew := r.renew; renew != nil {
		r.renew = nil
		renew()
	}
	return r.ring.Get(service, account)
}

func TestKeyChangesWhileReading(t *testing.T) {
	opts, r := options(t)
	signIn(t, opts, ModeAuto, "old tokens")
	inner := opts
	opts.Keyring = &renewingRing{ring: r, renew: func() {
		if err := Erase(t.Context(), inner); err != nil {
			t.Error(err)
		}
		signIn(t, inner, ModeAuto, "new tokens")
	}}
	wantRead(t, open(t, opts), "new tokens")
}

func TestInspect(t *testing.T) {
	opts, _ := options(t)
	s, err := Inspect(t.Context(), opts)
	if err != nil || s.State != StateEmpty || s.Backend != "" || s.Err != nil {
		t.Errorf("without a store: %+v, %v", s, err)
	}
	if _, err := os.Stat(opts.Dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("looking has created the directory: %v", err)
	}
	signIn(t, opts, ModeFile, "tokens")
	s, err = Inspect(t.Context(), opts)
	if err != nil || s.State != StateReadable || s.Backend != BackendFile || s.Path != filepath.Join(opts.Dir, tokensName) {
		t.Errorf("with a store: %+v, %v", s, err)
	}
	if err := os.Remove(s.Path); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(s.Path, 0o700); err != nil {
		t.Fatal(err)
	}
	s, err = Inspect(t.Context(), opts)
	distinct(t, s.Err, nil)
	if err != nil || s.State != StateFailed || s.Err == nil {
		t.Errorf("with a directory in place of the file: %+v, %v", s, err)
	}
}

func TestOpenNeedsADirectory(t *testing.T) {
	if _, err := Open(Options{}); err == nil {
		t.Error("no error")
	}
}
