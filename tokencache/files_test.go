package tokencache

import (
	"errors"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/AzureAD/microsoft-authentication-library-for-go/apps/cache"
)

var errInUse = errors.New("access denied") // as Windows says while a sibling reads or writes

// likeWindows lets opens and renames fail for as long as a sibling has the
// file open.
func likeWindows(c *Cache, inUse time.Duration) (attempts *int) {
	attempts = new(int)
	until := time.Now().Add(inUse)
	busy := func() error {
		*attempts++
		if time.Now().Before(until) {
			return &os.LinkError{Op: "rename", Err: errInUse}
		}
		return nil
	}
	c.files.transient = func(err error) bool { return errors.Is(err, errInUse) }
	c.files.rename = func(from, to string) error {
		if err := busy(); err != nil {
			return err
		}
		return os.Rename(from, to)
	}
	c.files.open = func(name string) (*os.File, error) {
		if err := busy(); err != nil {
			return nil, err
		}
		return os.Open(name)
	}
	return attempts
}

func TestFileInUseIsTriedAgain(t *testing.T) {
	opts, _ := options(t)
	signIn(t, opts, ModeFile, "old")
	synctest.Test(t, func(t *testing.T) {
		c := open(t, opts)
		attempts := likeWindows(c, transientFor-200*time.Millisecond)
		wantRead(t, c, "old")
		if *attempts < 3 {
			t.Errorf("%d attempts to read", *attempts)
		}
		likeWindows(c, transientFor-200*time.Millisecond)
		if err := c.Export(t.Context(), &msal{data: []byte("rotated")}, cache.ExportHints{}); err != nil {
			t.Fatal(err)
		}
		wantRead(t, open(t, opts), "rotated")
	})
}

func TestFileInUseForTooLong(t *testing.T) {
	opts, _ := options(t)
	signIn(t, opts, ModeFile, "old")
	synctest.Test(t, func(t *testing.T) {
		c := open(t, opts)
		likeWindows(c, time.Hour)
		start := time.Now()
		_, err := read(t, c)
		distinct(t, err, nil)
		if !errors.Is(err, errInUse) {
			t.Errorf("error is %v", err)
		}
		if waited := time.Since(start); waited < transientFor || waited > 2*transientFor {
			t.Errorf("gave up after %v", waited)
		}
	})
}

func TestOtherErrorsAreNotTriedAgain(t *testing.T) {
	opts, _ := options(t)
	signIn(t, opts, ModeFile, "old")
	c := open(t, opts)
	attempts := 0
	c.files.open = func(string) (*os.File, error) {
		attempts++
		return nil, os.ErrPermission
	}
	_, err := read(t, c)
	distinct(t, err, nil)
	if !errors.Is(err, os.ErrPermission) || attempts != 1 {
		t.Errorf("error %v after %d attempts", err, attempts)
	}
}
