package tokencache

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/AzureAD/microsoft-authentication-library-for-go/apps/cache"
)

var errFull = errors.New("no space left on device")

// fullDisk makes writes of c fail while full is true.
func fullDisk(c *Cache) (full *bool) {
	full = new(bool)
	sync := c.files.sync
	c.files.sync = func(f *os.File) error {
		if *full {
			return errFull
		}
		return sync(f)
	}
	return full
}

// export calls Export under the lock.
func export(t *testing.T, c *Cache, content string) {
	t.Helper()
	unlock, err := c.Lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	if err := c.Export(t.Context(), &msal{data: []byte(content)}, cache.ExportHints{}); err != nil {
		t.Errorf("Export says %v, which makes MSAL discard the token", err)
	}
}

func TestFullDiskKeepsTokensInMemory(t *testing.T) {
	opts, _ := options(t)
	signIn(t, opts, ModeAuto, "old")
	logger, log := logTo()
	opts.Logger = logger
	c := open(t, opts)
	full := fullDisk(c)
	wantRead(t, c, "old")
	*full = true
	export(t, c, "new")
	if !strings.Contains(log.String(), errFull.Error()) || strings.Contains(log.String(), "new") {
		t.Errorf("the log is %s", log)
	}
	wantRead(t, c, "new")
	wantRead(t, open(t, opts), "old")
	for _, name := range names(t, opts.Dir) {
		if strings.HasPrefix(name, ".tokens-") {
			t.Errorf("%s was left behind", name)
		}
	}
	*full = false
	wantRead(t, c, "new")
	wantRead(t, open(t, opts), "new")
}

// What another process did to the file counts more than what is in memory.
func TestUnsavedTokensGiveWay(t *testing.T) {
	for name, test := range map[string]struct {
		event func(t *testing.T, opts Options)
		want  string
	}{
		"a sibling's refresh": {func(t *testing.T, opts Options) { write(t, open(t, opts), "sibling's") }, "sibling's"},
		"logout": {func(t *testing.T, opts Options) {
			if err := Erase(t.Context(), opts); err != nil {
				t.Fatal(err)
			}
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			opts, _ := options(t)
			signIn(t, opts, ModeAuto, "old")
			c := open(t, opts)
			full := fullDisk(c)
			wantRead(t, c, "old")
			*full = true
			export(t, c, "new")
			test.event(t, opts)
			*full = false
			wantRead(t, c, test.want)
			wantRead(t, open(t, opts), test.want)
		})
	}
}

func TestLoginSaysThatNothingWasStored(t *testing.T) {
	opts, _ := options(t)
	l, err := OpenForLogin(t.Context(), opts, ModeAuto)
	if err != nil {
		t.Fatal(err)
	}
	full := fullDisk(l.cache)
	*full = true
	finish(t, l, "tokens")
	if err := l.Err(); !errors.Is(err, errFull) {
		t.Errorf("the login says %v", err)
	}
	wantRead(t, l, "tokens")
	*full = false
	wantRead(t, l, "tokens")
	if err := l.Err(); err != nil {
		t.Errorf("with room again the login says %v", err)
	}
	wantRead(t, open(t, opts), "tokens")
}
