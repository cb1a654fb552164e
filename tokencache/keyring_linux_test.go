package tokencache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
)

func init() {
	children["status"] = childStatus
	children["login"] = childLogin
}

const password = "correct horse"

const installHint = "install it, on Debian with: apt-get install -y --no-install-recommends gnome-keyring dbus"

// A bus of its own configuration knows no services to start, so that nothing
// runs that the tests didn't start.
const busConfig = `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path=%s/bus</listen>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
`

// startKeyring gives the tests a session bus and an unlocked gnome-keyring of
// their own and lets the environment point to them. Both end with stop, and
// with this process if that is killed.
func startKeyring() (stop func(), err error) {
	runtime.LockOSThread() // Pdeathsig watches the thread that started the child
	dir, err := os.MkdirTemp("", "tokencache-keyring-")
	if err != nil {
		return nil, err
	}
	bus, err := startBus(dir)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	daemon := exec.Command("gnome-keyring-daemon", "--foreground", "--unlock", "--components=secrets")
	daemon.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "XDG_RUNTIME_DIR=" + dir, "XDG_DATA_HOME=" + dir,
		"XDG_CONFIG_HOME=" + dir, "XDG_CACHE_HOME=" + dir, busVariable + "=" + bus.address,
	}
	daemon.Stdin = strings.NewReader(password)
	daemon.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := daemon.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("%w; %s", err, installHint), bus.stop(), os.RemoveAll(dir))
	}
	stop = func() {
		// The library keeps one connection for the life of the process.
		if conn, err := dbus.SessionBus(); err == nil {
			_ = conn.Close()
		}
		_ = daemon.Process.Kill()
		_ = daemon.Wait()
		_ = bus.stop()
		_ = os.RemoveAll(dir)
	}
	if err := os.Setenv(busVariable, bus.address); err != nil {
		return nil, err
	}
	if err := bus.await("org.freedesktop.secrets"); err != nil {
		stop()
		return nil, err
	}
	return stop, nil
}

type bus struct {
	cmd     *exec.Cmd
	address string
}

func startBus(dir string) (*bus, error) {
	config := filepath.Join(dir, "bus.conf")
	if err := os.WriteFile(config, fmt.Appendf(nil, busConfig, dir), 0o600); err != nil {
		return nil, err
	}
	cmd := exec.Command("dbus-daemon", "--nofork", "--nopidfile", "--nosyslog", "--config-file="+config)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("%w; %s", err, installHint)
	}
	return &bus{cmd: cmd, address: "unix:path=" + filepath.Join(dir, "bus")}, nil
}

func (b *bus) stop() error {
	_ = b.cmd.Process.Kill()
	_ = b.cmd.Wait()
	return nil
}

func (b *bus) connect() (conn *dbus.Conn, err error) {
	for range 500 {
		if conn, err = dbus.Connect(b.address); err == nil {
			return conn, nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return nil, err
}

// await waits until somebody owns the name.
func (b *bus) await(name string) error {
	conn, err := b.connect()
	if err != nil {
		return err
	}
	defer conn.Close()
	for range 500 {
		var owned bool
		if err := conn.BusObject().Call("org.freedesktop.DBus.NameHasOwner", 0, name).Store(&owned); err != nil {
			return err
		}
		if owned {
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return fmt.Errorf("nobody offers %s", name)
}

func TestSecretServiceKeepsTheKey(t *testing.T) {
	opts := storeOptions(t, ModeKeyring)
	l := signIn(t, opts, ModeAuto, "tokens")
	if l.Backend() != BackendKeyring {
		t.Errorf("the key is in the %v", l.Backend())
	}
	wantRead(t, open(t, opts), "tokens")
	if files := names(t, opts.Dir); strings.Contains(strings.Join(files, " "), keyFileSuffix) {
		t.Errorf("a key file among %v", files)
	}
	if out := output(t, statusChild(t, opts)); !strings.HasPrefix(out, "readable keyring ") {
		t.Errorf("another process says %q", out)
	}
	id := l.cache.key.id
	if err := Erase(t.Context(), opts); err != nil {
		t.Fatal(err)
	}
	if _, err := SystemKeyring().Get(opts.Service, id.account()); !errors.Is(err, ErrKeyNotFound) {
		t.Errorf("after logout the keyring answers %v", err)
	}
}

// A collection that is locked, with no display to ask the person on.
func TestSecretServiceLocked(t *testing.T) {
	opts := storeOptions(t, ModeKeyring)
	signIn(t, opts, ModeAuto, "tokens")
	const service, collection = "org.freedesktop.secrets", "/org/freedesktop/secrets/collection/login"
	conn, err := dbus.Connect(os.Getenv(busVariable))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	secrets := conn.Object(service, "/org/freedesktop/secrets")
	if err := secrets.Call("org.freedesktop.Secret.Service.Lock", 0, []dbus.ObjectPath{collection}).Err; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(unlockCollection(t))

	before, err := os.ReadFile(filepath.Join(opts.Dir, tokensName))
	if err != nil {
		t.Fatal(err)
	}
	_, err = read(t, open(t, opts))
	distinct(t, err, ErrKeyringUnavailable)
	_, err = OpenForLogin(t.Context(), opts, ModeAuto)
	distinct(t, err, ErrKeyringUnavailable)
	if after, err := os.ReadFile(filepath.Join(opts.Dir, tokensName)); err != nil || string(after) != string(before) {
		t.Errorf("a locked keyring changed the store: %v", err)
	}
}

// unlockCollection gives the tests after this one an unlocked keyring again:
// gnome-keyring takes the password without a prompt on an interface of its own.
func unlockCollection(t *testing.T) func() {
	return func() {
		conn, err := dbus.Connect(os.Getenv(busVariable))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		secrets := conn.Object("org.freedesktop.secrets", "/org/freedesktop/secrets")
		var out dbus.Variant
		var session dbus.ObjectPath
		if err := secrets.Call("org.freedesktop.Secret.Service.OpenSession", 0, "plain", dbus.MakeVariant("")).Store(&out, &session); err != nil {
			t.Fatal(err)
		}
		type secret struct {
			Session     dbus.ObjectPath
			Parameters  []byte
			Value       []byte
			ContentType string
		}
		if err := secrets.Call("org.gnome.keyring.InternalUnsupportedGuiltRiddenInterface.UnlockWithMasterPassword", 0,
			dbus.ObjectPath("/org/freedesktop/secrets/collection/login"),
			secret{Session: session, Value: []byte(password), ContentType: "text/plain"}).Err; err != nil {
			t.Fatal(err)
		}
	}
}

// promptingService is a Secret Service that is locked and shows a prompt that
// nobody answers, as on a desktop while the person is away.
type promptingService struct{ prompted chan struct{} }

func (p *promptingService) Unlock([]dbus.ObjectPath) ([]dbus.ObjectPath, dbus.ObjectPath, *dbus.Error) {
	return []dbus.ObjectPath{}, "/org/freedesktop/secrets/prompt/1", nil
}

func (p *promptingService) Prompt(string) *dbus.Error {
	select {
	case p.prompted <- struct{}{}:
	default:
	}
	return nil
}

func startPromptingService(t *testing.T) (*bus, *promptingService) {
	t.Helper()
	b, err := startBus(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.stop() })
	conn, err := b.connect()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	p := &promptingService{prompted: make(chan struct{}, 1)}
	if err := errors.Join(
		conn.Export(p, "/org/freedesktop/secrets", "org.freedesktop.Secret.Service"),
		conn.Export(p, "/org/freedesktop/secrets/prompt/1", "org.freedesktop.Secret.Prompt"),
	); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.RequestName("org.freedesktop.secrets", dbus.NameFlagDoNotQueue); err != nil {
		t.Fatal(err)
	}
	return b, p
}

func TestSecretServiceUnavailable(t *testing.T) {
	opts := storeOptions(t, ModeKeyring)
	signIn(t, opts, ModeKeyring, "tokens")

	prompting, service := startPromptingService(t)
	idle, err := startBus(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = idle.stop() })
	if conn, err := idle.connect(); err != nil {
		t.Fatal(err)
	} else {
		_ = conn.Close()
	}
	mute, err := net.Listen("unix", filepath.Join(t.TempDir(), "mute"))
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()

	launched := filepath.Join(t.TempDir(), "launched")
	bin := t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "dbus-launch"), []byte("#!/bin/sh\n: > "+launched+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ name, address, want string }{
		{"prompt that nobody answers", prompting.address, "did not answer in time"},
		{"bus that accepts and stays mute", "unix:path=" + mute.Addr().String(), "did not answer in time"},
		{"stale address", "unix:path=" + filepath.Join(t.TempDir(), "gone"), "no such file"},
		{"bus without a keyring", idle.address, "org.freedesktop.secrets"},
		{"no bus", "", "no D-Bus session bus"},
		{"autolaunch", "autolaunch:", "no D-Bus session bus"},
	} {
		t.Run(test.name, func(t *testing.T) {
			cmd := statusChild(t, opts, busVariable+"="+test.address, "PATH="+bin)
			out := output(t, cmd)
			if !strings.HasPrefix(out, "unavailable keyring ") || !strings.Contains(out, test.want) {
				t.Errorf("status is %q, want it to tell %q", out, test.want)
			}
			// A login with a store that may be good refuses; one without a
			// store goes on to the kernel keyring.
			cmd = loginChild(t, opts, ModeAuto, busVariable+"="+test.address, "PATH="+bin)
			if out := output(t, cmd); !strings.HasPrefix(out, "unavailable") {
				t.Errorf("login says %q", out)
			}
			empty, _ := options(t)
			cmd = loginChild(t, empty, ModeKeyring, busVariable+"="+test.address, "PATH="+bin)
			if out := output(t, cmd); !strings.HasPrefix(out, "nokeyring") || !strings.Contains(out, "--token-store file") {
				t.Errorf("first login says %q", out)
			}
		})
	}
	if _, err := os.Stat(launched); err == nil {
		t.Error("the D-Bus library has run dbus-launch")
	}
	select {
	case <-service.prompted:
	default:
		t.Error("the prompting keyring was never asked")
	}
	wantRead(t, open(t, opts), "tokens")
}

func statusChild(t testing.TB, opts Options, env ...string) *exec.Cmd {
	return child(t, "status", append(env, "STORE="+opts.Dir, "SERVICE="+opts.Service)...)
}

func childOptions() Options {
	return Options{Dir: os.Getenv("STORE"), Service: os.Getenv("SERVICE"), KeyringTimeout: 300 * time.Millisecond}
}

// childStatus prints state, backend and error.
func childStatus() error {
	s, err := Inspect(context.Background(), childOptions())
	if err != nil {
		return err
	}
	_, err = fmt.Println(s.State, string(s.Backend), s.Err)
	return err
}

func loginChild(t testing.TB, opts Options, mode Mode, env ...string) *exec.Cmd {
	return child(t, "login", append(env, "STORE="+opts.Dir, "SERVICE="+opts.Service, "MODE="+string(mode))...)
}

// childLogin prints the kind of the error, or the backend.
func childLogin() error {
	l, err := OpenForLogin(context.Background(), childOptions(), Mode(os.Getenv("MODE")))
	switch {
	case err == nil:
		_, err = io.WriteString(os.Stdout, string(l.Backend()))
	case errors.Is(err, ErrNoKeyring):
		_, err = fmt.Println("nokeyring", err)
	case errors.Is(err, ErrKeyringUnavailable):
		_, err = fmt.Println("unavailable", err)
	}
	return err
}
