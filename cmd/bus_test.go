package cmd

import (
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

const busVariable = "DBUS_SESSION_BUS_ADDRESS"

// cmdBus starts a D-Bus session bus with a configuration file and makes it the
// script's: «bus FILE».
func cmdBus(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: bus FILE")
	}
	p := newProcess(ts, []string{"dbus-daemon", "--nofork", "--print-address", "--config-file=" + ts.MkAbs(args[0])})
	p.start(ts)
	if !p.await(&p.stdout, func(text string) bool { return strings.HasSuffix(text, "\n") }) {
		ts.Fatalf("the bus ended: %s", p.stderr.String())
	}
	ts.Setenv(busVariable, strings.TrimSpace(p.stdout.String()))
}

// cmdKeyring starts an unlocked gnome-keyring on the script's bus, or locks it:
// «keyring [lock]».
func cmdKeyring(ts *testscript.TestScript, neg bool, args []string) {
	switch {
	case !neg && len(args) == 1 && args[0] == "lock":
		ask(ts, "org.freedesktop.secrets", "/org/freedesktop/secrets", "org.freedesktop.Secret.Service.Lock", "array:objpath:/org/freedesktop/secrets/collection/login")
		return
	case neg || len(args) != 0:
		ts.Fatalf("usage: keyring [lock]")
	}
	p := newProcess(ts, []string{"gnome-keyring-daemon", "--foreground", "--unlock", "--components=secrets"})
	dir := ts.MkAbs("keyring")
	ts.Check(os.MkdirAll(dir, 0o700))
	p.cmd.Env = []string{"PATH=" + ts.Getenv("PATH"), busVariable + "=" + ts.Getenv(busVariable)}
	for _, name := range []string{"HOME", "XDG_RUNTIME_DIR", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"} {
		p.cmd.Env = append(p.cmd.Env, name+"="+dir)
	}
	p.cmd.Stdin = strings.NewReader("correct horse")
	p.start(ts)
	for deadline := time.Now().Add(scriptPatience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if strings.Contains(ask(ts, "org.freedesktop.DBus", "/", "org.freedesktop.DBus.NameHasOwner", "string:org.freedesktop.secrets"), "true") {
			return
		}
	}
	ts.Fatalf("gnome-keyring does not offer its service: %s", p.stderr.String())
}

// ask calls a method on the script's bus and returns the answer.
func ask(ts *testscript.TestScript, to, object, method string, args ...string) string {
	words := append([]string{"--bus=" + ts.Getenv(busVariable), "--print-reply", "--dest=" + to, object, method}, args...)
	out, err := exec.Command("dbus-send", words...).CombinedOutput()
	if err != nil {
		ts.Fatalf("asking %s: %v: %s", to, err, out)
	}
	return string(out)
}
