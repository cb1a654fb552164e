package tokencache

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/AzureAD/microsoft-authentication-library-for-go/apps/cache"
	"go.uber.org/goleak"
)

// childVariable makes the test binary be another process of the person: it
// names the part to play instead of running tests.
const childVariable = "TOKENCACHE_TEST_CHILD"

// children are the parts; files of one platform add theirs.
var children = map[string]func() error{
	"acquire": childAcquire,
	"hold":    childHold,
	"write":   childWrite,
}

func TestMain(m *testing.M) {
	if part := os.Getenv(childVariable); part != "" {
		if err := children[part](); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	stop, err := startKeyring()
	if err != nil {
		fmt.Fprintln(os.Stderr, "starting a private keyring:", err)
		os.Exit(1)
	}
	code := m.Run()
	stop()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// child prepares another process with this process's environment.
func child(t testing.TB, part string, env ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), append(env, childVariable+"="+part, "GORACE=atexit_sleep_ms=0")...)
	cmd.Stderr = &bytes.Buffer{}
	return cmd
}

// output runs a child that must succeed.
func output(t testing.TB, cmd *exec.Cmd) string {
	t.Helper()
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("child: %v\n%s", err, cmd.Stderr)
	}
	return string(out)
}

// msal stands in for MSAL's memory.
type msal struct{ data []byte }

func (m *msal) Marshal() ([]byte, error) { return bytes.Clone(m.data), nil }

func (m *msal) Unmarshal(data []byte) error {
	m.data = bytes.Clone(data)
	return nil
}

// ring is a keyring in memory.
type ring struct {
	mu      sync.Mutex
	entries map[string]string
	err     error // of every call, if set
	reads   int
}

func newRing() *ring { return &ring{entries: map[string]string{}} }

func (r *ring) Get(service, account string) (string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reads++
	if r.err != nil {
		return "", r.err
	}
	secret, ok := r.entries[service+"/"+account]
	if !ok {
		return "", ErrKeyNotFound
	}
	return secret, nil
}

func (r *ring) Set(service, account, secret string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return r.err
	}
	r.entries[service+"/"+account] = secret
	return nil
}

func (r *ring) Delete(service, account string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return r.err
	}
	if _, ok := r.entries[service+"/"+account]; !ok {
		return ErrKeyNotFound
	}
	delete(r.entries, service+"/"+account)
	return nil
}

func (r *ring) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = err
}

func (r *ring) len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.entries)
}

// readCount counts the calls of Get.
func (r *ring) readCount() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.reads
}

// options uses a directory of the test's own and a keyring in memory.
func options(t testing.TB) (Options, *ring) {
	t.Helper()
	r := newRing()
	return Options{Dir: filepath.Join(t.TempDir(), "mcpctl"), Keyring: r}, r
}

// signIn stores content as a login does.
func signIn(t testing.TB, opts Options, mode Mode, content string) *Login {
	t.Helper()
	l, err := OpenForLogin(t.Context(), opts, mode)
	if err != nil {
		t.Fatal(err)
	}
	finish(t, l, content)
	if err := l.Err(); err != nil {
		t.Fatal(err)
	}
	return l
}

// finish is what happens when the person has signed in. It returns what was
// stored before.
func finish(t testing.TB, l *Login, content string) (before string) {
	t.Helper()
	unlock, err := l.Lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	var m msal
	if err := l.Replace(t.Context(), &m, cache.ReplaceHints{}); err != nil {
		t.Fatal(err)
	}
	if err := l.Export(t.Context(), &msal{data: []byte(content)}, cache.ExportHints{}); err != nil {
		t.Fatal(err)
	}
	return string(m.data)
}

func open(t testing.TB, opts Options) *Cache {
	t.Helper()
	c, err := Open(opts)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// read returns what MSAL would be given.
func read(t testing.TB, c cache.ExportReplace) (string, error) {
	t.Helper()
	m := msal{data: []byte("left in memory")}
	err := c.Replace(t.Context(), &m, cache.ReplaceHints{PartitionKey: "another"})
	return string(m.data), err
}

// wantRead fails the test unless c holds content.
func wantRead(t testing.TB, c cache.ExportReplace, content string) {
	t.Helper()
	if got, err := read(t, c); err != nil || got != content {
		t.Errorf("read %q, %v; want %q", got, err, content)
	}
}

// write stores content as a refresh does.
func write(t testing.TB, c *Cache, content string) {
	t.Helper()
	unlock, err := c.Lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	if _, err := read(t, c); err != nil {
		t.Fatal(err)
	}
	if err := c.Export(t.Context(), &msal{data: []byte(content)}, cache.ExportHints{}); err != nil {
		t.Fatal(err)
	}
}

// names lists what lies in a store's directory.
func names(t testing.TB, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

// logTo returns a logger and what it wrote.
func logTo() (*slog.Logger, *bytes.Buffer) {
	var buf bytes.Buffer
	return slog.New(slog.NewTextHandler(&buf, &slog.HandlerOptions{Level: slog.LevelDebug})), &buf
}

// distinct fails the test if err is not want, or is another of the errors that
// callers tell apart.
func distinct(t testing.TB, err, want error) {
	t.Helper()
	for _, kind := range []error{ErrUnreadable, ErrKeyringUnavailable, ErrNoKeyring, ErrLockTimeout} {
		if got := errors.Is(err, kind); got != errors.Is(want, kind) {
			t.Errorf("errors.Is(%v, %q) is %v", err, kind, got)
		}
	}
}
