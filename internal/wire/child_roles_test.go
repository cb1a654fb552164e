package wire

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"
)

// roleVariable makes this test binary play a child instead of running tests.
const roleVariable = "WIRE_TEST_CHILD"

// startRole starts this binary as a child in the given role.
func startRole(t *testing.T, role string, o ChildOptions) *Child {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	o.Command = append([]string{self}, o.Command...)
	// A binary built with -race would sleep a second before it exits.
	o.Env = append(o.Env, roleVariable+"="+role, "GORACE=atexit_sleep_ms=0")
	c, err := StartChild(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// playChild is the child's main. It never returns.
func playChild(role string) {
	switch role {
	case "echo":
		_, _ = io.Copy(os.Stdout, os.Stdin)
	case "stdio":
		playStdio()
	case "keeper":
		playKeeper()
	case "deaf": // outlives the end of its input, goes on SIGTERM
		fmt.Println(`{"jsonrpc":"2.0","method":"ready"}`)
		time.Sleep(time.Hour)
	case "stubborn": // outlives SIGTERM too
		signal.Ignore(syscall.SIGTERM)
		fmt.Println(`{"jsonrpc":"2.0","method":"ready"}`)
		time.Sleep(time.Hour)
	case "parent": // leaves a grandchild that holds all pipes, and exits
		startGrandchild()
	case "waiting-parent": // waits for a grandchild that ignores everything
		startGrandchild()
		_, _ = io.Copy(io.Discard, os.Stdin)
		time.Sleep(time.Hour)
	case "noisy": // more to standard error than any pipe holds, then an echo
		line := strings.Repeat("x", 999) + "\n"
		for range 20_000 {
			_, _ = io.WriteString(os.Stderr, line)
		}
		_, _ = io.WriteString(os.Stderr, strings.Repeat("y", 1<<20)+"\nlast line\n")
		_, _ = io.Copy(os.Stdout, os.Stdin)
	case "mortal": // dies of the first message, having said why
		_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
		fmt.Println(`{"jsonrpc":"2.0","method":"goodbye"}`)
		fmt.Fprintln(os.Stderr, "Error: cannot find module 'x'")
		os.Exit(7)
	case "prolific": // a burst that fills the pipe, then death
		for i := range 500 {
			fmt.Printf(`{"jsonrpc":"2.0","method":"n","params":{"i":%d,"pad":"%s"}}`+"\n", i, strings.Repeat("p", 500))
		}
		os.Exit(3)
	case "endless": // one line of 200 MB, its id last
		out := bufio.NewWriterSize(os.Stdout, 1<<20)
		_, _ = out.WriteString(`{"result":"`)
		block := bytes.Repeat([]byte("z"), 1<<20)
		for range 200 {
			_, _ = out.Write(block)
		}
		_, _ = out.WriteString("\",\"jsonrpc\":\"2.0\",\"id\":42}\n")
		_ = out.Flush()
		_, _ = io.Copy(os.Stdout, os.Stdin)
	case "mute": // closes its output but lives on
		_ = os.Stdout.Close()
		time.Sleep(time.Hour)
	case "chatty": // writes for ever, never reads
		for {
			fmt.Println(`{"jsonrpc":"2.0","method":"tick"}`)
		}
	case "environment":
		env, _ := os.Getwd()
		fmt.Println(string(NewResult(ID("1"), append(os.Environ(), env)).Raw))
	default:
		fmt.Fprintln(os.Stderr, "unknown role", role)
		os.Exit(2)
	}
	os.Exit(0)
}

func startGrandchild() {
	self, _ := os.Executable()
	cmd := exec.Command(self)
	cmd.Env = []string{roleVariable + "=stubborn"}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	fmt.Printf(`{"jsonrpc":"2.0","method":"pid","params":%d}`+"\n", cmd.Process.Pid)
}

// playKeeper starts a child that only a signal can end, tells its process id,
// and waits to be killed.
func playKeeper() {
	self, _ := os.Executable()
	c, err := StartChild(ChildOptions{Command: []string{self}, Env: []string{roleVariable + "=stubborn"}})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	if _, err := c.Read(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	fmt.Println(c.PID())
	time.Sleep(time.Hour)
}
