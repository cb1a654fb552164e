//go:build !darwin && !windows

package netconf

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// readSystem reads what the desktop's control panel sets: KDE's file, or what
// GNOME and the desktops made of it keep in GSettings. A bridge often does not
// learn which desktop it runs on; then GSettings go first.
func readSystem(ctx context.Context, getenv func(string) string) (System, error) {
	d := desktop{getenv: getenv, root: "/", uid: os.Getuid()}
	names := strings.Split(getenv("XDG_CURRENT_DESKTOP"), ":")
	if slices.Contains(names, "KDE") {
		return d.kde()
	}
	s, err := d.gsettings(ctx)
	if names[0] == "" && err == nil && s == nil {
		return d.kde()
	}
	if s == nil {
		s = &System{}
	}
	return *s, err
}

// desktop is where a person's desktop keeps its settings.
type desktop struct {
	getenv func(string) string
	root   string // "/" outside tests
	uid    int
}

// passedOn are the variables that say where GSettings are kept: dconf(7), and
// "Running GIO applications" in GIO's manual.
var passedOn = []string{
	"HOME", "PATH", "XDG_CONFIG_HOME", "XDG_CONFIG_DIRS", "XDG_DATA_HOME", "XDG_DATA_DIRS", "XDG_CACHE_HOME", "XDG_CURRENT_DESKTOP",
	"DCONF_PROFILE", "GSETTINGS_BACKEND", "GSETTINGS_SCHEMA_DIR", "GIO_MODULE_DIR", "GIO_EXTRA_MODULES",
}

// gsettings asks the program of that name, which knows about profiles, locks and
// vendors' defaults; it takes some ten milliseconds. It is not asked where nobody
// has ever used a desktop. Nil is no proxy.
func (d desktop) gsettings(ctx context.Context) (*System, error) {
	program := d.find("gsettings")
	if program == "" || !d.used() {
		return nil, nil
	}
	c := exec.CommandContext(ctx, program, "list-recursively", "org.gnome.system.proxy")
	c.WaitDelay = 100 * time.Millisecond
	c.Env = []string{"LC_ALL=C"}
	for _, name := range passedOn {
		if value := d.getenv(name); value != "" {
			c.Env = append(c.Env, name+"="+value)
		}
	}
	// Without a bus, GLib would start one that stays behind.
	runtime, bus := d.getenv("XDG_RUNTIME_DIR"), d.getenv("DBUS_SESSION_BUS_ADDRESS")
	if runtime == "" {
		runtime = filepath.Join(d.root, "run", "user", strconv.Itoa(d.uid))
	}
	if bus == "" {
		bus = "unix:path=" + filepath.Join(runtime, "bus")
	}
	if exists(runtime) {
		c.Env = append(c.Env, "XDG_RUNTIME_DIR="+runtime)
	}
	c.Env = append(c.Env, "DBUS_SESSION_BUS_ADDRESS="+bus)
	out, err := c.Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		if strings.Contains(string(exit.Stderr), "No such schema") || strings.Contains(string(exit.Stderr), "No schemas") {
			return nil, nil // a desktop of another family
		}
		return nil, fmt.Errorf("running gsettings: %w: %.200q", err, exit.Stderr)
	}
	if err != nil {
		return nil, fmt.Errorf("running gsettings: %w", err)
	}
	return parseGSettings(string(out))
}

// used reports whether there can be GSettings other than the defaults.
func (d desktop) used() bool {
	for _, name := range []string{"XDG_CURRENT_DESKTOP", "DCONF_PROFILE", "GSETTINGS_BACKEND"} {
		if d.getenv(name) != "" {
			return true
		}
	}
	config := d.config()
	return slices.ContainsFunc([]string{
		filepath.Join(config, "dconf", "user"),
		filepath.Join(config, "glib-2.0", "settings", "keyfile"),
		filepath.Join(d.root, "etc", "dconf", "profile"),
		filepath.Join(d.root, "run", "dconf", "user", strconv.Itoa(d.uid)),
	}, exists)
}

// kde reads the person's file over those of the machine.
func (d desktop) kde() (System, error) {
	dirs := d.getenv("XDG_CONFIG_DIRS")
	if dirs == "" {
		dirs = filepath.Join(d.root, "etc", "xdg")
	}
	order := append([]string{d.config()}, filepath.SplitList(dirs)...)
	slices.Reverse(order)
	var texts []string
	for _, dir := range order {
		text, err := os.ReadFile(filepath.Join(dir, "kioslaverc"))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return System{}, fmt.Errorf("reading KDE's settings: %w", err)
		}
		texts = append(texts, string(text))
	}
	return parseKioslaverc(texts...)
}

// config is the directory of the person's settings (XDG Base Directory
// Specification).
func (d desktop) config() string {
	if dir := d.getenv("XDG_CONFIG_HOME"); filepath.IsAbs(dir) {
		return dir
	}
	return filepath.Join(d.getenv("HOME"), ".config")
}

// find looks for a program. MCP clients pass a PATH on that may be short.
func (d desktop) find(name string) string {
	for _, dir := range append(filepath.SplitList(d.getenv("PATH")), filepath.Join(d.root, "usr", "bin")) {
		path := filepath.Join(dir, name)
		if !filepath.IsAbs(dir) {
			continue
		}
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0 {
			return path
		}
	}
	return ""
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
