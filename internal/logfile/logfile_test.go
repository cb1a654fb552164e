package logfile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

const writerVariable = "LOGFILE_TEST_WRITER"

// TestMain makes the test binary serve as one of several processes that write
// to one log.
func TestMain(m *testing.M) {
	if name := os.Getenv(writerVariable); name != "" {
		writeMany(name, os.Args[len(os.Args)-1])
		return
	}
	goleak.VerifyTestMain(m)
}

const (
	writers = 4
	records = 2000
	maxSize = 64 << 10
)

func writeMany(name, path string) {
	l, err := Open(path, Options{MaxSize: maxSize, Keep: 10})
	if err == nil {
		for i := range records {
			if _, err = fmt.Fprintf(l, "%s %d %s\n", name, i, strings.Repeat(name, 40)); err != nil {
				break
			}
		}
		err = errors.Join(err, l.Close())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func lines(t *testing.T, path string) []string {
	t.Helper()
	var all []string
	if err := Read(path, func(line []byte) error { all = append(all, string(line)); return nil }); err != nil {
		t.Fatal(err)
	}
	return all
}

// Four bridges that write one log at once: each record is there whole, once and
// in its process's order, and the files stay within their bounds.
func TestProcessesShareALog(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "logs", "shared.log")
	var running sync.WaitGroup
	for i := range writers {
		running.Go(func() {
			cmd := exec.CommandContext(t.Context(), self, path)
			cmd.Env = append(os.Environ(), writerVariable+"="+string(rune('a'+i)))
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("writer %d: %v\n%s", i, err, out)
			}
		})
	}
	running.Wait()
	files := Files(path)
	if len(files) < 3 {
		t.Errorf("the log was not rotated: %q", files)
	}
	for _, name := range files {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if info.Size() > 2*maxSize {
			t.Errorf("%s has %d bytes", name, info.Size())
		}
		if runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", name, info.Mode())
		}
	}
	seen := map[string]bool{}
	for _, line := range lines(t, path) {
		name, rest, _ := strings.Cut(line, " ")
		number, text, _ := strings.Cut(rest, " ")
		if _, err := strconv.Atoi(number); err != nil || text != strings.Repeat(name, 40) {
			t.Fatalf("a torn record: %q", line)
		}
		if seen[name+number] {
			t.Fatalf("a record is there twice: %q", line)
		}
		seen[name+number] = true
	}
	// The oldest files may be gone by design; the last record of each writer
	// can't be among them.
	for i := range writers {
		if last := string(rune('a'+i)) + strconv.Itoa(records-1); !seen[last] {
			t.Errorf("the last record of writer %d is missing", i)
		}
	}
}

func TestRotation(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.log")
	l, err := Open(path, Options{MaxSize: 20, Keep: 3, Header: []byte("head\n")})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for i := range 10 {
		if _, err := fmt.Fprintf(l, "record %d\n", i); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"head", "record 7", "head", "record 8", "head", "record 9"}
	if got := lines(t, path); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := len(Files(path)); got != 3 {
		t.Errorf("there are %d files, want 3", got)
	}
}

func TestKeepOne(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.log")
	l, err := Open(path, Options{MaxSize: 10, Keep: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for i := range 3 {
		_, _ = fmt.Fprintf(l, "record %d\n", i)
	}
	if got := lines(t, path); fmt.Sprint(got) != "[record 2]" {
		t.Errorf("got %q", got)
	}
}

// A log that was removed, as by logout, is begun anew.
func TestRemovedLogIsBegunAnew(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.log")
	l, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, _ = l.Write([]byte("before\n"))
	if err := Remove(path); err != nil {
		t.Fatal(err)
	}
	if files := Files(path); len(files) > 0 {
		t.Fatalf("left: %q", files)
	}
	_, _ = l.Write([]byte("after\n"))
	if got := lines(t, path); fmt.Sprint(got) != "[after]" {
		t.Errorf("got %q", got)
	}
}

func TestClosed(t *testing.T) {
	l, err := Open(filepath.Join(t.TempDir(), "x.log"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(l.Close(), l.Close()); err != nil {
		t.Error(err)
	}
	if _, err := l.Write([]byte("x\n")); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("got %v", err)
	}
}

func TestReadLeavesOutWhatIsNotComplete(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.log")
	long := strings.Repeat("x", MaxLine+5)
	if err := os.WriteFile(path, []byte("one\r\n\n"+long+"\ntw"), 0o600); err != nil {
		t.Fatal(err)
	}
	got := lines(t, path)
	if len(got) != 3 || got[0] != "one" || got[1] != "" || got[2] != long[:MaxLine] {
		t.Errorf("got %d lines, %.20q", len(got), got)
	}
}

func TestFollow(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.log")
	l, err := Open(path, Options{MaxSize: 64, Keep: 3})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, _ = l.Write([]byte("before\n"))
	ctx, cancel := context.WithCancel(t.Context())
	got := make(chan string)
	ended := make(chan error, 1)
	go func() {
		ended <- Follow(ctx, path, time.Millisecond, func(line []byte) error {
			select {
			case got <- string(bytes.Clone(line)):
			case <-ctx.Done():
			}
			return nil
		})
	}()
	// Where following begins is not known; from the first line on none is missing.
	first := ""
	for i := 0; first == ""; i++ {
		_, _ = fmt.Fprintf(l, "probe %d\n", i)
		select {
		case first = <-got:
		case <-time.After(10 * time.Millisecond):
		}
	}
	if first == "before" {
		t.Error("what was there before is shown")
	}
	for i := range 20 {
		want := fmt.Sprintf("record %d", i)
		_, _ = fmt.Fprintln(l, want)
		line := <-got
		for strings.HasPrefix(line, "probe") {
			line = <-got
		}
		if line != want {
			t.Fatalf("got %q, want %q", line, want)
		}
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
