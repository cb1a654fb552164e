package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func receive(t *testing.T, c Conn) Frame {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	f, err := c.Read(ctx)
	if err != nil {
		t.Fatalf("Read: %v", err)
	}
	return f
}

func send(t *testing.T, c Conn, raw string) {
	t.Helper()
	if err := c.Write(t.Context(), MustParse(raw)); err != nil {
		t.Fatalf("Write: %v", err)
	}
}

func TestChildEchoesAndEndsWithItsInput(t *testing.T) {
	c := startRole(t, "echo", ChildOptions{StopGrace: time.Minute})
	for i := range 100 {
		raw := fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"ping"}`, i)
		send(t, c, raw)
		f := receive(t, c)
		if string(f.Raw) != raw {
			t.Fatalf("got %s, want %s", f.Raw, raw)
		}
		f.Release()
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if c.exitErr == nil || c.exitErr.Code != 0 {
		t.Errorf("the child ended with %v, want its own exit", c.exitErr)
	}
	if _, err := c.Read(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("Read after Close: %v, want ErrClosed", err)
	}
	if err := c.Write(t.Context(), MustParse(`{"jsonrpc":"2.0","method":"x"}`)); !errors.Is(err, ErrClosed) {
		t.Errorf("Write after Close: %v, want ErrClosed", err)
	}
}

func TestChildStopLadder(t *testing.T) {
	const short = 50 * time.Millisecond
	tests := []struct {
		role       string
		stop, kill time.Duration
		signal     syscall.Signal
	}{
		{"deaf", short, time.Minute, syscall.SIGTERM},
		{"stubborn", short, short, syscall.SIGKILL},
	}
	for _, tt := range tests {
		t.Run(tt.role, func(t *testing.T) {
			c := startRole(t, tt.role, ChildOptions{StopGrace: tt.stop, KillGrace: tt.kill})
			receive(t, c).Release()
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
			if runtime.GOOS == "windows" {
				return // no signals to tell apart; that Close returned is the point
			}
			if want := "signal: " + tt.signal.String(); c.exitErr == nil || c.exitErr.Status != want || c.exitErr.Code != -1 {
				t.Errorf("the child ended with %+v, want %s", c.exitErr, want)
			}
		})
	}
}

func TestChildLeavesNoGrandchild(t *testing.T) {
	for _, role := range []string{"parent", "waiting-parent"} {
		t.Run(role, func(t *testing.T) {
			c := startRole(t, role, ChildOptions{StopGrace: 50 * time.Millisecond, KillGrace: 50 * time.Millisecond})
			var pid int
			for pid == 0 { // the grandchild greets too
				f := receive(t, c)
				if f.Method == "pid" {
					pid, _ = strconv.Atoi(string(Lookup(f.Raw, "params")))
				}
				f.Release()
			}
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
			for processRuns(pid) {
				time.Sleep(time.Millisecond) // a killed process takes a moment; the test's own timeout bounds this
			}
		})
	}
}

func TestChildThatExitsWhileGrandchildHoldsItsOutput(t *testing.T) {
	c := startRole(t, "parent", ChildOptions{StopGrace: 50 * time.Millisecond, KillGrace: 50 * time.Millisecond})
	for {
		f, err := c.Read(t.Context())
		if err == nil {
			f.Release()
			continue
		}
		if !errors.Is(err, io.EOF) {
			t.Fatalf("Read: %v, want an exit", err)
		}
		break
	}
}

func TestChildStderrNeverBlocks(t *testing.T) {
	var mu sync.Mutex
	var lines []string
	unblock := make(chan struct{})
	c := startRole(t, "noisy", ChildOptions{Stderr: func(line string) {
		<-unblock // a handler that does not take anything while the child talks
		mu.Lock()
		defer mu.Unlock()
		lines = append(lines, line)
	}})
	send(t, c, `{"jsonrpc":"2.0","id":1,"method":"ping"}`)
	receive(t, c).Release()
	close(unblock)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	// Of the 20,000 lines, those that wait for the handler come through, and what
	// a pipe still held when it woke up.
	const atMost = stderrBacklog + 2 + (64<<10)/1000 + 1
	if len(lines) < 2 || len(lines) > atMost {
		t.Errorf("the handler got %d lines, want some and no more than %d", len(lines), atMost)
	}
	for _, line := range lines {
		if len(line) > maxStderrLine+len("…") {
			t.Errorf("a line of %d bytes, want at most %d", len(line), maxStderrLine)
		}
	}
	tail := c.stderr.tail()
	if len(tail) != tailLines || tail[tailLines-1] != "last line" {
		t.Errorf("last lines %q", tail)
	}
}

func TestChildStderrLinesInOrder(t *testing.T) {
	got := make(chan string, 10)
	c := startRole(t, "mortal", ChildOptions{Stderr: func(line string) { got <- line }})
	send(t, c, `{"jsonrpc":"2.0","id":1,"method":"ping"}`)
	if line := <-got; line != "Error: cannot find module 'x'" {
		t.Errorf("got %q", line)
	}
}

func TestChildDiesMidCall(t *testing.T) {
	c := startRole(t, "mortal", ChildOptions{})
	send(t, c, `{"jsonrpc":"2.0","id":1,"method":"ping"}`)
	if f := receive(t, c); f.Method != "goodbye" {
		t.Errorf("got %s, want the message written before the end", f.Raw)
	}
	_, err := c.Read(t.Context())
	exit, ok := errors.AsType[*ExitError](err)
	if !ok || !errors.Is(err, io.EOF) {
		t.Fatalf("Read: %v, want an ExitError that is io.EOF", err)
	}
	if exit.Code != 7 || !strings.Contains(err.Error(), "exit status 7") || !strings.Contains(err.Error(), "cannot find module") {
		t.Errorf("%q (code %d) should name exit code 7 and the last line", err, exit.Code)
	}
	if err := c.Write(t.Context(), MustParse(`{"jsonrpc":"2.0","method":"x"}`)); !errors.Is(err, io.EOF) {
		t.Errorf("Write to a dead child: %v, want its exit", err)
	}
}

func TestChildsLastMessagesAreReadHoweverLate(t *testing.T) {
	c := startRole(t, "prolific", ChildOptions{})
	receive(t, c).Release()
	time.Sleep(drainGrace + drainGrace/2) // a reader slower than the grace for output
	n := 1
	for {
		f, err := c.Read(t.Context())
		if err != nil {
			if exit, ok := errors.AsType[*ExitError](err); !ok || exit.Code != 3 {
				t.Errorf("Read: %v, want exit 3", err)
			}
			break
		}
		if got := string(Lookup(f.Raw, "params", "i")); got != strconv.Itoa(n) {
			t.Fatalf("message %s where %d should come", got, n)
		}
		f.Release()
		n++
	}
	if n != 500 {
		t.Errorf("read %d messages, want 500", n)
	}
}

func TestChildWritesAnEndlessLine(t *testing.T) {
	c := startRole(t, "endless", ChildOptions{MaxMessage: 1 << 20})
	_, err := c.Read(t.Context())
	bad, ok := errors.AsType[*FrameError](err)
	if !ok || string(bad.ID) != "42" || bad.Request || bad.Code != CodeInvalidRequest {
		t.Fatalf("Read: %#v, want a FrameError for response 42", err)
	}
	send(t, c, `{"jsonrpc":"2.0","id":1,"method":"ping"}`)
	receive(t, c).Release()
}

func TestChildWithoutOutputIsEnded(t *testing.T) {
	c := startRole(t, "mute", ChildOptions{StopGrace: 50 * time.Millisecond})
	if _, err := c.Read(t.Context()); !errors.Is(err, io.EOF) {
		t.Errorf("Read: %v, want its exit", err)
	}
}

func TestChildThatNeverReadsIsEnded(t *testing.T) {
	c := startRole(t, "chatty", ChildOptions{StopGrace: 50 * time.Millisecond, Queue: 4})
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	big := MustParse(`{"jsonrpc":"2.0","method":"x","params":"` + strings.Repeat("x", 100_000) + `"}`)
	var err error
	for err == nil {
		err = c.Write(ctx, big)
	}
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Write: %v, want to wait for the child until ctx ends", err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

func TestChildGetsExactlyItsEnvironmentAndDir(t *testing.T) {
	t.Setenv("WIRE_TEST_SECRET", "must stay here")
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	c := startRole(t, "environment", ChildOptions{Env: []string{"A=b"}, Dir: dir})
	f := receive(t, c)
	defer f.Release()
	got := string(f.Raw)
	if strings.Contains(got, "WIRE_TEST_SECRET") || !strings.Contains(got, `"A=b"`) {
		t.Errorf("the child's environment: %s", got)
	}
	if !strings.Contains(got, filepath.Base(dir)) {
		t.Errorf("the child ran elsewhere than in %s: %s", dir, got)
	}
}

func TestChildRefusesAnEmptyFrame(t *testing.T) {
	c := startRole(t, "echo", ChildOptions{})
	if err := c.Write(t.Context(), Frame{}); err == nil {
		t.Error("Write took a frame that holds nothing")
	}
}

func TestStartChildErrors(t *testing.T) {
	tests := []struct {
		name    string
		command []string
		want    string
	}{
		{"none", nil, "starting a command: none is given"},
		{"empty", []string{""}, "starting a command: none is given"},
		{"unknown", []string{"no-such-command-here"}, `starting command "no-such-command-here": executable file not found in `},
		{"no file", []string{filepath.Join(t.TempDir(), "x")}, "starting command"},
		{"directory", []string{t.TempDir()}, "starting command"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := StartChild(ChildOptions{Command: tt.command})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
	t.Run("dir", func(t *testing.T) {
		self, _ := os.Executable()
		_, err := StartChild(ChildOptions{Command: []string{self}, Dir: filepath.Join(t.TempDir(), "none")})
		if !errors.Is(err, os.ErrNotExist) {
			t.Errorf("got %v, want a missing directory", err)
		}
	})
}
