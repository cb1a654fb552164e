package desktop

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// desk is a History and a client's file in a folder of their own.
func desk(t *testing.T) (History, Config) {
	t.Helper()
	dir := t.TempDir()
	c := config(t, "cursor")
	c.Scope, c.Path = User, filepath.Join(dir, "home", ".cursor", "mcp.json")
	now := time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)
	return History{Dir: filepath.Join(dir, "backups"), Now: func() time.Time { return now }}, c
}

func write(t *testing.T, path, text string, mode fs.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func install(c Config, s Server) func([]byte, [][]byte) ([]byte, error) {
	return func(doc []byte, _ [][]byte) ([]byte, error) { return c.Add(doc, s, false) }
}

func uninstall(c Config, name string) func([]byte, [][]byte) ([]byte, error) {
	return func(doc []byte, earlier [][]byte) ([]byte, error) { return c.Remove(doc, name, earlier...) }
}

func mustApply(t *testing.T, h History, c Config, edit func([]byte, [][]byte) ([]byte, error)) Change {
	t.Helper()
	change, err := h.Apply(c, edit)
	if err != nil {
		t.Fatal(err)
	}
	return change
}

func TestApplyKeepsWhatTheFileIs(t *testing.T) {
	if runtime.GOOS == "windows" {
		return // no modes, and links need a privilege
	}
	h, c := desk(t)
	real := filepath.Join(t.TempDir(), "dotfiles", "mcp.json")
	const text = "{\r\n  \"a\": 1\r\n}"
	write(t, real, text, 0o640)
	if err := os.MkdirAll(filepath.Dir(c.Path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(real, c.Path); err != nil {
		t.Fatal(err)
	}
	change := mustApply(t, h, c, install(c, contoso))
	if got := read(t, real); got != string(change.After) || !strings.Contains(got, "contoso") {
		t.Errorf("the file holds %s", got)
	}
	if info, err := os.Stat(real); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("the mode is %v, %v", info.Mode(), err)
	}
	if to, err := os.Readlink(c.Path); err != nil || to != real {
		t.Errorf("the link leads to %s, %v", to, err)
	}
	if read(t, change.Backup) != text {
		t.Error("the backup is not the file as it was")
	}
	if info, err := os.Stat(change.Backup); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the backup's mode is %v, %v", info.Mode(), err)
	}
	mustApply(t, h, c, uninstall(c, "contoso"))
	if read(t, real) != text {
		t.Error("the file is not as it was")
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(real), ".*")); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func TestNewFilesAreOnesOwn(t *testing.T) {
	h, c := desk(t)
	mustApply(t, h, c, install(c, contoso))
	if info, err := os.Stat(c.Path); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("got %v, %v", info, err)
	}
	mustApply(t, h, c, uninstall(c, "contoso"))
	if _, err := os.Stat(filepath.Dir(c.Path)); !errors.Is(err, fs.ErrNotExist) {
		t.Error("the folder that was made for the file is left")
	}
}

// Another program's change is never lost, and a change that goes on is told.
func TestConcurrentChange(t *testing.T) {
	h, c := desk(t)
	write(t, c.Path, "{}", 0o600)
	times := 0
	edit := func(meddle int) func([]byte, [][]byte) ([]byte, error) {
		times = 0
		return func(doc []byte, _ [][]byte) ([]byte, error) {
			if times++; times <= meddle {
				write(t, c.Path, `{"n": `+strings.Repeat("1", times)+`}`, 0o600)
			}
			return c.Add(doc, contoso, false)
		}
	}
	change, err := h.Apply(c, edit(2))
	if err != nil || string(change.Before) != `{"n": 11}` || !strings.HasPrefix(read(t, c.Path), `{"n": 11,`) {
		t.Errorf("got %v, and the file holds %s", err, read(t, c.Path))
	}
	write(t, c.Path, "{}", 0o600)
	if _, err = h.Apply(c, edit(100)); !errors.Is(err, ErrChanged) || times != attempts || read(t, c.Path) != `{"n": 111}` {
		t.Errorf("got %v after %d attempts, and the file holds %s", err, times, read(t, c.Path))
	}
	if n := len(h.records("")); n != 1 {
		t.Errorf("%d records of one change", n)
	}
}

func TestRefusedFiles(t *testing.T) {
	h, c := desk(t)
	if err := os.MkdirAll(c.Path, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Apply(c, install(c, contoso)); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("a folder: got %v", err)
	}
	if err := os.Remove(c.Path); err != nil {
		t.Fatal(err)
	}
	write(t, c.Path, "{}", 0o400)
	if _, err := h.Apply(c, install(c, contoso)); err == nil || !strings.Contains(err.Error(), "read-only") {
		t.Errorf("a read-only file: got %v", err)
	}
	if read(t, c.Path) != "{}" || len(h.records("")) != 0 {
		t.Error("something was changed")
	}
}

func TestUndo(t *testing.T) {
	h, c := desk(t)
	if _, err := h.PlanUndo(""); !errors.Is(err, ErrNothingToUndo) {
		t.Errorf("got %v", err)
	}
	second := contoso
	second.Name = "second"
	mustApply(t, h, c, install(c, contoso))
	one := read(t, c.Path)
	mustApply(t, h, c, install(c, second))
	mustApply(t, h, c, uninstall(c, "contoso"))
	mustApply(t, h, c, uninstall(c, "second"))
	if _, err := os.Stat(c.Path); !errors.Is(err, fs.ErrNotExist) {
		t.Fatal("the file is still there")
	}
	for i, want := range []string{"second", "contoso", one} {
		u, err := h.PlanUndo("cursor")
		if err == nil {
			err = u.Apply()
		}
		if got := read(t, c.Path); err != nil || !strings.Contains(got, want) {
			t.Errorf("undo %d: %v, %s", i, err, got)
		}
	}
	// What came later is not lost by accident.
	write(t, c.Path, "{}", 0o600)
	u, err := h.PlanUndo("")
	if !errors.Is(err, ErrChanged) || string(u.Before) != "{}" || u.After != nil {
		t.Errorf("got %v", err)
	}
	if err := u.Apply(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(c.Path); !errors.Is(err, fs.ErrNotExist) {
		t.Error("the file is still there")
	}
}

func TestBackupsAreBounded(t *testing.T) {
	h, c := desk(t)
	write(t, c.Path, "{}", 0o600)
	for range keptPerFile {
		mustApply(t, h, c, install(c, contoso))
		mustApply(t, h, c, uninstall(c, "contoso"))
	}
	entries, err := os.ReadDir(h.Dir)
	if err != nil || len(entries) != 2*keptPerFile+1 { // and the lock
		t.Errorf("%d files, %v", len(entries), err)
	}
	list := h.records(c.Path)
	if len(list) != keptPerFile || !slices.IsSortedFunc(list, func(a, b record) int { return b.Time.Compare(a.Time) }) {
		t.Errorf("got %v", list)
	}
}
