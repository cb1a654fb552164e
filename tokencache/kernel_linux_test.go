package tokencache

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/AzureAD/microsoft-authentication-library-for-go/apps/cache"
	"golang.org/x/sys/unix"
)

func init() {
	children["fill"] = childFill
	children["readonly"] = childReadOnly
}

// The kernel's own answer decides what is tested: with kernel keyrings the key
// has to be there for other threads and processes and to be gone after
// logout; without, the login has to say so and keep nothing.
func TestKernelKeyring(t *testing.T) {
	opts := storeOptions(t, ModeKeyring)
	opts.Keyring = newRingThatFails()
	l, err := OpenForLogin(t.Context(), opts, ModeAuto)
	if errors.Is(err, ErrNoKeyring) {
		distinct(t, err, ErrNoKeyring)
		if !strings.Contains(err.Error(), BackendKernel.String()) {
			t.Errorf("%q does not name the kernel keyring", err)
		}
		t.Logf("this kernel refuses: %v", err)
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if l.Backend() != BackendKernel {
		t.Fatalf("the key is in the %v", l.Backend())
	}
	signIn(t, opts, ModeAuto, "tokens")
	for range 4 { // keyrings are reached per thread
		done := make(chan struct{})
		go func() {
			defer close(done)
			runtime.LockOSThread() // and never unlocked: the thread ends here
			wantRead(t, open(t, opts), "tokens")
		}()
		<-done
	}
	if out := output(t, statusChild(t, opts)); !strings.HasPrefix(out, "readable kernel ") {
		t.Errorf("another process says %q", out)
	}
	path := filepath.Join(opts.Dir, tokensName)
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	rec, err := os.ReadFile(filepath.Join(opts.Dir, recordName))
	if err != nil {
		t.Fatal(err)
	}
	if err := Erase(t.Context(), opts); err != nil {
		t.Fatal(err)
	}
	// Even with file and record restored, as from a backup.
	if err := errors.Join(os.WriteFile(path, raw, 0o600), os.WriteFile(filepath.Join(opts.Dir, recordName), rec, 0o600)); err != nil {
		t.Fatal(err)
	}
	if out := output(t, statusChild(t, opts)); !strings.HasPrefix(out, "unreadable kernel ") {
		t.Errorf("after logout another process says %q", out)
	}
}

func newRingThatFails() *ring {
	r := newRing()
	r.fail(errors.New("not here"))
	return r
}

func TestKernelRefuses(t *testing.T) {
	for _, errno := range []error{unix.EPERM, unix.ENOSYS, unix.EACCES, unix.EDQUOT} {
		s := &kernelKeyStore{service: "mcpctl", attach: func() (int, error) { return 0, errno }}
		_, err := s.get(t.Context(), keyID{})
		distinct(t, err, ErrKeyringUnavailable)
		distinct(t, s.set(t.Context(), newKey()), ErrKeyringUnavailable)
		distinct(t, s.delete(t.Context(), keyID{}), ErrKeyringUnavailable)
		if !errors.Is(err, errno) {
			t.Errorf("%q hides %q", err, errno)
		}
	}
}

// A real write that fails half-way: the process may write no file of more than
// a few bytes.
func TestDiskFull(t *testing.T) {
	opts, _ := options(t)
	signIn(t, opts, ModeFile, "old")
	if out := output(t, child(t, "fill", "STORE="+opts.Dir)); out != "new" {
		t.Errorf("the process reads %q after a failed write", out)
	}
	wantRead(t, open(t, opts), "old")
	for _, name := range names(t, opts.Dir) {
		if strings.HasPrefix(name, ".tokens-") {
			t.Errorf("%s was left behind", name)
		}
	}
}

func childFill() error {
	signal.Ignore(syscall.SIGXFSZ)
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: 10, Max: 10}); err != nil {
		return err
	}
	return childRefresh()
}

// A directory that the process may read and not write.
func TestUnwritableDirectory(t *testing.T) {
	opts, _ := options(t)
	signIn(t, opts, ModeFile, "old")
	// The test may run as root, whom no mode stops; the process becomes nobody.
	dir, err := os.MkdirTemp("", "tokencache-readonly-") //nolint:usetesting // nobody can't enter t.TempDir
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.CopyFS(dir, os.DirFS(opts.Dir)); err != nil {
		t.Fatal(err)
	}
	for _, name := range append(names(t, dir), ".") {
		mode := os.FileMode(0o400)
		if name == "." {
			mode = 0o500
		}
		if err := os.Chmod(filepath.Join(dir, name), mode); err != nil {
			t.Fatal(err)
		}
		if os.Getuid() == 0 {
			if err := os.Chown(filepath.Join(dir, name), nobody, nobody); err != nil {
				t.Fatal(err)
			}
		}
	}
	if out := output(t, child(t, "readonly", "STORE="+dir)); out != "new" {
		t.Errorf("the process reads %q after a failed write", out)
	}
}

const nobody = 65534

func childReadOnly() error {
	if os.Getuid() == 0 {
		if err := errors.Join(syscall.Setgid(nobody), syscall.Setuid(nobody)); err != nil {
			return err
		}
	}
	if _, err := OpenForLogin(context.Background(), Options{Dir: os.Getenv("STORE")}, ModeKeyring); !errors.Is(err, os.ErrPermission) {
		return fmt.Errorf("login says %w", err)
	}
	return childRefresh()
}

// childRefresh stores "new" where that is impossible and prints what MSAL is
// given next.
func childRefresh() error {
	c, err := Open(Options{Dir: os.Getenv("STORE")})
	if err != nil {
		return err
	}
	unlock, err := c.Lock(context.Background())
	if err != nil {
		return err
	}
	defer unlock()
	var m msal
	if err := c.Replace(context.Background(), &m, cache.ReplaceHints{}); err != nil {
		return err
	}
	if err := c.Export(context.Background(), &msal{data: []byte("new")}, cache.ExportHints{}); err != nil {
		return err
	}
	if err := c.Replace(context.Background(), &m, cache.ReplaceHints{}); err != nil {
		return err
	}
	_, err = os.Stdout.Write(m.data)
	return err
}
