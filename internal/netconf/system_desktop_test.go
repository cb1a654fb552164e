//go:build !darwin && !windows

package netconf

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// person returns the environment of a bridge in a home directory of its own.
func person(t *testing.T, more ...string) (home string, getenv func(string) string) {
	t.Helper()
	home = t.TempDir()
	return home, env(append([]string{"HOME", home, "PATH", os.Getenv("PATH")}, more...)...)
}

// gset is the person's hand in the control panel.
func gset(t *testing.T, home string, schema, key, value string) {
	t.Helper()
	c := exec.Command("gsettings", "set", "org.gnome.system.proxy"+schema, key, value)
	c.Env = []string{"HOME=" + home, "PATH=" + os.Getenv("PATH"), "GSETTINGS_BACKEND=keyfile"}
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("gsettings set: %v\n%s\nThis test needs gsettings and GNOME's schemas. Run: bash .ci/setup", err, out)
	}
}

// What GNOME's settings say is used by a bridge that gets hardly any
// environment, and no longer once they are switched off.
func TestGNOMESettings(t *testing.T) {
	home, getenv := person(t, "GSETTINGS_BACKEND", "keyfile")
	gset(t, home, "", "mode", "manual")
	gset(t, home, ".http", "host", "proxy.contoso.example")
	gset(t, home, ".http", "port", "3128")
	gset(t, home, ".http", "use-authentication", "true")
	gset(t, home, ".http", "authentication-user", "ada")
	gset(t, home, ".http", "authentication-password", `it's "a" \ secret`)
	gset(t, home, "", "ignore-hosts", "['intranet.example']")
	ask := func(target string) string {
		t.Helper()
		n, err := Open(Options{Getenv: getenv})
		if err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(target)
		if err != nil {
			t.Fatal(err)
		}
		proxy, source, err := n.ProxyFor(t.Context(), u)
		if err != nil {
			t.Fatal(err)
		}
		if proxy == nil {
			return "none"
		}
		password, _ := proxy.User.Password()
		return fmt.Sprintf("%s %s %s from %s", proxy.Host, proxy.User.Username(), password, source)
	}
	if got, want := ask("https://mcp.example/mcp"), `proxy.contoso.example:3128 ada it's "a" \ secret from the GNOME proxy settings`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := ask("https://mcp.intranet.example/mcp"); got != "none" {
		t.Errorf("got %s for an exception", got)
	}
	gset(t, home, "", "mode", "none")
	if got := ask("https://mcp.example/mcp"); got != "none" {
		t.Errorf("got %s when switched off", got)
	}
}

// The settings of a real desktop are in a database of dconf's, which is found
// without a variable that says so, and without starting anything that stays.
func TestGNOMESettingsInDconf(t *testing.T) {
	home, getenv := person(t)
	keys := filepath.Join(t.TempDir(), "keys")
	if err := os.MkdirAll(keys, 0o700); err != nil {
		t.Fatal(err)
	}
	const text = "[system/proxy]\nmode='manual'\n[system/proxy/https]\nhost='dconf.example'\nport=8443\n"
	if err := os.WriteFile(filepath.Join(keys, "proxy"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(home, ".config", "dconf"), 0o700); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("dconf", "compile", filepath.Join(home, ".config", "dconf", "user"), keys).CombinedOutput(); err != nil {
		t.Fatalf("dconf compile: %v\n%s\nThis test needs dconf. Run: bash .ci/setup", err, out)
	}
	s, err := readSystem(t.Context(), getenv)
	if err != nil || s.HTTPS != "dconf.example:8443" {
		t.Errorf("got %+v, %v", s, err)
	}
}

// desktopOf lays out a machine with a program "gsettings" of the test's own.
func desktopOf(t *testing.T, script string) (d desktop, ran func() bool) {
	t.Helper()
	root := t.TempDir()
	bin, mark := filepath.Join(root, "usr", "bin"), filepath.Join(root, "ran")
	for _, dir := range []string{bin, filepath.Join(root, "home", ".config", "dconf")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	program := "#!/bin/sh\n: > " + mark + "\n" + script + "\n"
	if err := os.WriteFile(filepath.Join(bin, "gsettings"), []byte(program), 0o755); err != nil {
		t.Fatal(err)
	}
	d = desktop{getenv: env("HOME", filepath.Join(root, "home")), root: root, uid: 1000}
	return d, func() bool { return exists(mark) }
}

func TestServersWithoutADesktopAreNotAsked(t *testing.T) {
	d, ran := desktopOf(t, "exit 1")
	if s, err := d.gsettings(t.Context()); s != nil || err != nil || ran() {
		t.Errorf("got %+v, %v; ran %v", s, err, ran())
	}
}

func TestGSettingsThatFail(t *testing.T) {
	for _, test := range []struct{ script, fault string }{
		{"echo 'No such schema “org.gnome.system.proxy”' >&2; exit 1", ""},
		{"echo 'No schemas installed' >&2; exit 1", ""},
		{"echo 'cannot open shared object' >&2; exit 127", "cannot open shared object"},
		{"exec sleep 600", "deadline"},
		{"sleep 5 & exec sleep 600", "deadline"}, // a child holds its output
	} {
		d, ran := desktopOf(t, test.script)
		if err := os.WriteFile(filepath.Join(d.root, "home", ".config", "dconf", "user"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		s, err := d.gsettings(ctx)
		if err != nil && ctx.Err() != nil {
			err = fmt.Errorf("%w: %w", ctx.Err(), err)
		}
		cancel()
		if s != nil || !ran() || (err == nil) != (test.fault == "") || err != nil && !strings.Contains(err.Error(), test.fault) {
			t.Errorf("%s: got %+v, %v; ran %v", test.script, s, err, ran())
		}
	}
}

func TestKDESettings(t *testing.T) {
	home, _ := person(t)
	if err := os.MkdirAll(filepath.Join(home, ".config"), 0o700); err != nil {
		t.Fatal(err)
	}
	const text = "[Proxy Settings]\nProxyType=1\nhttpsProxy=http://kde.example 8080\n"
	if err := os.WriteFile(filepath.Join(home, ".config", "kioslaverc"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for desktop, want := range map[string]string{"KDE": "kde.example:8080", "": "kde.example:8080", "GNOME": "", "ubuntu:GNOME": ""} {
		s, err := readSystem(t.Context(), env("HOME", home, "XDG_CURRENT_DESKTOP", desktop, "PATH", os.Getenv("PATH")))
		if err != nil || s.HTTPS != want {
			t.Errorf("on %q: got %+v, %v; want %q", desktop, s, err, want)
		}
	}
}
