package desktop

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gofrs/flock"
)

const installerVariable = "DESKTOP_TEST_INSTALLER"

// TestMain makes the test binary serve as one of several programs that edit the
// same file.
func TestMain(m *testing.M) {
	name := os.Getenv(installerVariable)
	if name == "" {
		os.Exit(m.Run())
	}
	dir := os.Args[len(os.Args)-1]
	c, err := FindClient("cursor")
	if err == nil {
		config := Config{Client: c, Scope: User, Path: filepath.Join(dir, "mcp.json")}
		h := History{Dir: filepath.Join(dir, "backups"), Now: time.Now}
		_, err = h.Apply(config, install(config, Server{Name: name, Command: "mcpctl", Args: []string{"bridge", "https://" + name + ".example/mcp"}}))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// Twenty programs that add an entry each at the same time: what was reported as
// done is done.
func TestProcessesLoseNoEdits(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	var running sync.WaitGroup
	for i := range 20 {
		running.Go(func() {
			cmd := exec.CommandContext(t.Context(), self, dir)
			cmd.Env = append(os.Environ(), fmt.Sprintf("%s=n%d", installerVariable, i))
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("n%d: %v\n%s", i, err, out)
			}
		})
	}
	running.Wait()
	var doc struct {
		Servers map[string]any `json:"mcpServers"`
	}
	if err := json.Unmarshal([]byte(read(t, filepath.Join(dir, "mcp.json"))), &doc); err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		if name := fmt.Sprintf("n%d", i); doc.Servers[name] == nil {
			t.Errorf("%s is lost", name)
		}
	}
}

// An undo that was planned before another program's change takes back nothing
// of that.
func TestUndoAfterAnotherChange(t *testing.T) {
	h, c := desk(t)
	mustApply(t, h, c, install(c, Server{Name: "one", Command: "mcpctl"}))
	undo, err := h.PlanUndo("cursor")
	if err != nil {
		t.Fatal(err)
	}
	mustApply(t, h, c, install(c, Server{Name: "two", Command: "mcpctl"}))
	if err := undo.Apply(); !errors.Is(err, ErrChanged) || !strings.Contains(read(t, c.Path), "two") {
		t.Errorf("%v: %s", err, read(t, c.Path))
	}
}

// What is done while another program holds the lock waits for it.
func TestApplyWaitsItsTurn(t *testing.T) {
	h, c := desk(t)
	if err := os.MkdirAll(h.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	other := flock.New(filepath.Join(h.Dir, lockName))
	if err := other.Lock(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	began := make(chan struct{})
	go func() {
		close(began)
		_, err := h.Apply(c, install(c, Server{Name: "two", Command: "mcpctl"}))
		done <- err
	}()
	<-began
	write(t, c.Path, `{"mcpServers":{"one":{"command":"x"}}}`, 0o600)
	if err := other.Unlock(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if text := read(t, c.Path); !strings.Contains(text, "one") || !strings.Contains(text, "two") {
		t.Errorf("got %s", text)
	}
}

// A change of which no copy can be kept is not made and leaves nothing behind.
func TestNoHalfABackup(t *testing.T) {
	h, c := desk(t)
	const before = `{"mcpServers":{}}`
	write(t, c.Path, before, 0o600)
	backup := filepath.Join(h.Dir, "cursor-mcp.json"+backupMark+h.Now().Format(stampForm))
	inTheWay := filepath.Join(backup+".json", "x")
	write(t, inTheWay, "", 0o600)
	if _, err := h.Apply(c, install(c, Server{Name: "one", Command: "mcpctl"})); err == nil || !strings.Contains(err.Error(), "keeping a backup") {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(backup); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is left: %v", backup, err)
	}
	if text := read(t, c.Path); text != before {
		t.Errorf("got %s", text)
	}
}
