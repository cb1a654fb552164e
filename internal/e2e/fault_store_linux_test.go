package e2e_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"

	"github.com/mcpctl/mcpctl/internal/fakeentra"
)

// fillDisk is a disk that is full for one process, and again has room with full
// false.
func (p *process) fillDisk(full bool) {
	p.t.Helper()
	var limit unix.Rlimit
	err := unix.Prlimit(p.cmd.Process.Pid, unix.RLIMIT_FSIZE, nil, &limit)
	if err == nil {
		limit.Cur = limit.Max
		if full {
			limit.Cur = 1
		}
		err = unix.Prlimit(p.cmd.Process.Pid, unix.RLIMIT_FSIZE, &limit, nil)
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

// When a new token can't be stored, calls go on with what is in memory. Once
// there is room again it is stored, by itself: refresh tokens that work once
// would otherwise make the next bridge ask for a sign-in.
func TestFaultDiskFullOnRefresh(t *testing.T) {
	t.Parallel()
	s, d := newStackWith(t, scripted(t), fakeentra.Options{Lifetimes: expiring, OneTimeRefreshTokens: true}), newDesk(t)
	d.login(t, s.url, s.caFile, ada)
	ctx := testContext(t)
	p, process := d.bridge(t, s.url)
	p.open(ctx)

	process.fillDisk(true)
	stored, err := os.ReadFile(filepath.Join(d.dir, "dev", "tokens.bin"))
	if err != nil {
		t.Fatal(err)
	}
	before := s.refreshed()
	for s.refreshed() < before+3 {
		p.works(ctx)
	}
	if now, err := os.ReadFile(filepath.Join(d.dir, "dev", "tokens.bin")); err != nil || string(now) != string(stored) {
		t.Fatalf("the file was written all the same: %v", err)
	}
	if _, err := process.stderr.await(ctx, regexp.MustCompile(`(?m)level=WARN msg="storing tokens" .*tokens.bin.*file too large`)); err != nil {
		t.Fatal("the log does not say what could not be done, and why")
	}

	process.fillDisk(false)
	p.works(ctx)
	if err := p.w.Close(); err != nil {
		t.Fatal(err)
	}
	s.ended(ctx, p, process, s.url)
	if left, _ := filepath.Glob(filepath.Join(d.dir, "dev", ".tokens-*")); len(left) > 0 {
		t.Errorf("%q are left behind", left)
	}
	next, _ := d.bridge(t, s.url)
	next.open(ctx)
	next.works(ctx)
}

// refreshed is how often the authority was asked for a new token.
func (s *stack) refreshed() int {
	return s.authority.CountRequests(fakeentra.EndpointToken, fakeentra.GrantRefreshToken)
}

// A keyring that the person locks concerns nothing that runs. A bridge that
// starts then answers each call with what is wrong, and works as soon as it is
// unlocked.
func TestFaultKeyringLocked(t *testing.T) {
	k := startKeyring(t)
	s, d := newStackWith(t, scripted(t), fakeentra.Options{Lifetimes: expiring, OneTimeRefreshTokens: true}), newDesk(t)
	d.login(t, s.url, s.caFile, ada, "--token-store", "keyring")
	ctx := testContext(t)
	p, _ := d.bridge(t, s.url)
	p.open(ctx)
	p.works(ctx)

	k.lock()
	before := s.refreshed()
	for s.refreshed() < before+2 {
		p.works(ctx)
	}
	late, _ := d.bridge(t, s.url)
	late.opensWithout(ctx, "keyring unavailable")
	for range 3 {
		late.refused(late.call(ctx, "tools/list", `{}`), "keyring unavailable", "make sure that it runs and is unlocked")
	}
	k.unlock()
	late.awaits(ctx, "notifications/tools/list_changed")
	late.works(ctx)
	p.works(ctx)
}

// opensWithout opens a session in which the server can't be used, and makes sure
// that the client is told why.
func (p *peer) opensWithout(ctx context.Context, why string) {
	p.t.Helper()
	m := p.call(ctx, "initialize", initialize)
	if m.Error != nil || !strings.Contains(string(m.Result), why) || strings.Contains(string(m.Result), "Nobody is signed in") {
		p.t.Errorf("initialize: %s", m.raw)
	}
	p.send(`{"jsonrpc":"2.0","method":"notifications/initialized"}`)
}

// awaits waits for a notification and drops other messages before it.
func (p *peer) awaits(ctx context.Context, method string) {
	p.t.Helper()
	for {
		if m, ok := p.next(ctx); !ok {
			p.t.Fatalf("the output ended before %s", method)
		} else if m.Method == method {
			return
		}
	}
}

// A keyring that gives no answer, as one that waits for a person to type a
// password, holds a call up for seconds and not for ever.
func TestFaultKeyringHangs(t *testing.T) {
	k := startKeyring(t)
	s, d := newStack(t, scripted(t)), newDesk(t)
	d.login(t, s.url, s.caFile, ada, "--token-store", "keyring")
	ctx := testContext(t)
	k.signal(syscall.SIGSTOP)
	p, _ := d.bridge(t, s.url)
	p.openSignedOut(ctx) // is answered before the keyring has been given up
	for range 2 {
		m := p.call(ctx, "tools/call", `{"name":"big","arguments":{"bytes":3}}`)
		p.refused(m, "keyring unavailable", "answer", "make sure that it runs and is unlocked")
	}
	k.signal(syscall.SIGCONT)
	p.awaits(ctx, "notifications/tools/list_changed")
	p.works(ctx)
}

// keyring is a session bus with gnome-keyring on it, which all processes of the
// test use.
type keyring struct {
	t    *testing.T
	conn *dbus.Conn
	cmd  *exec.Cmd
}

const (
	busVariable = "DBUS_SESSION_BUS_ADDRESS"
	password    = "correct horse"
	collection  = dbus.ObjectPath("/org/freedesktop/secrets/collection/login")
)

// A bus of its own configuration starts no services.
const busConfig = `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path=%s/bus</listen>
  <policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy>
</busconfig>
`

func startKeyring(t *testing.T) *keyring {
	t.Helper()
	dir := t.TempDir()
	config := filepath.Join(dir, "bus.conf")
	if err := os.WriteFile(config, fmt.Appendf(nil, busConfig, dir), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv(busVariable, "unix:path="+filepath.Join(dir, "bus"))
	k := &keyring{t: t}
	k.daemon(exec.Command("dbus-daemon", "--nofork", "--nopidfile", "--nosyslog", "--config-file="+config))
	for until := time.Now().Add(patience); k.conn == nil; time.Sleep(10 * time.Millisecond) {
		conn, err := dbus.Connect(os.Getenv(busVariable))
		if err == nil {
			k.conn = conn
		} else if time.Now().After(until) {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { _ = k.conn.Close() })
	k.cmd = exec.Command("gnome-keyring-daemon", "--foreground", "--unlock", "--components=secrets")
	k.cmd.Env = []string{"PATH=" + os.Getenv("PATH"), busVariable + "=" + os.Getenv(busVariable)}
	for _, name := range []string{"HOME", "XDG_RUNTIME_DIR", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"} {
		k.cmd.Env = append(k.cmd.Env, name+"="+dir)
	}
	k.cmd.Stdin = strings.NewReader(password)
	k.daemon(k.cmd)
	for until, owned := time.Now().Add(patience), false; !owned; time.Sleep(10 * time.Millisecond) {
		err := k.conn.BusObject().Call("org.freedesktop.DBus.NameHasOwner", 0, "org.freedesktop.secrets").Store(&owned)
		if err != nil || time.Now().After(until) {
			t.Fatalf("gnome-keyring does not offer its service: %v", err)
		}
	}
	return k
}

// daemon runs a program until the end of the test.
func (k *keyring) daemon(cmd *exec.Cmd) {
	k.t.Helper()
	if err := cmd.Start(); err != nil {
		k.t.Fatalf("%v. Run: bash .ci/setup", err)
	}
	k.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
}

func (k *keyring) signal(s syscall.Signal) {
	k.t.Helper()
	if err := k.cmd.Process.Signal(s); err != nil {
		k.t.Fatal(err)
	}
}

func (k *keyring) secrets() dbus.BusObject {
	return k.conn.Object("org.freedesktop.secrets", "/org/freedesktop/secrets")
}

func (k *keyring) lock() {
	k.t.Helper()
	if err := k.secrets().Call("org.freedesktop.Secret.Service.Lock", 0, []dbus.ObjectPath{collection}).Err; err != nil {
		k.t.Fatal(err)
	}
}

// unlock gives the password without a prompt, on an interface of gnome-keyring's
// own.
func (k *keyring) unlock() {
	k.t.Helper()
	var out dbus.Variant
	var session dbus.ObjectPath
	if err := k.secrets().Call("org.freedesktop.Secret.Service.OpenSession", 0, "plain", dbus.MakeVariant("")).Store(&out, &session); err != nil {
		k.t.Fatal(err)
	}
	secret := struct {
		Session           dbus.ObjectPath
		Parameters, Value []byte
		ContentType       string
	}{session, nil, []byte(password), "text/plain"}
	if err := k.secrets().Call("org.gnome.keyring.InternalUnsupportedGuiltRiddenInterface.UnlockWithMasterPassword", 0, collection, secret).Err; err != nil {
		k.t.Fatal(err)
	}
}
