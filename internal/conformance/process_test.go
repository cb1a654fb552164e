package conformance_test

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/mcpctl/mcpctl/internal/profile"
)

// patience bounds each wait for a process.
const patience = 30 * time.Second

// command is a program that keeps its settings in a folder of the test's own and
// writes to errs on standard error. Under the race detector it would sleep for a
// second before it ends.
func command(t *testing.T, errs *buffer, program string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), profile.DirVariable+"="+t.TempDir(), "GORACE=atexit_sleep_ms=0")
	cmd.Stderr = errs
	return cmd
}

// startServer starts a program that serves until the test ends.
func startServer(t *testing.T, program string, args ...string) {
	t.Helper()
	errs := &buffer{}
	cmd := command(t, errs, program, args...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait()
	}()
	t.Cleanup(func() {
		if runtime.GOOS == "windows" {
			_ = cmd.Process.Kill()
		} else {
			_ = cmd.Process.Signal(syscall.SIGTERM)
		}
		select {
		case <-ended:
		case <-time.After(patience):
			t.Errorf("%s does not end", filepath.Base(program))
			_ = cmd.Process.Kill()
			<-ended
		}
		errs.report(t, filepath.Base(program))
	})
}

// freeAddress finds an address to listen on.
func freeAddress(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// awaitListener waits until a process accepts connections.
func awaitListener(t *testing.T, address string) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		conn, err := net.DialTimeout("tcp", address, time.Second)
		if err == nil {
			_ = conn.Close()
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("nobody listens at %s: %v", address, err)
		}
	}
}

// startEverything starts go-sdk's conformance server over HTTP and returns its
// address.
func startEverything(t *testing.T, stateless bool) string {
	t.Helper()
	address := freeAddress(t)
	startServer(t, server, "-http", address, fmt.Sprintf("-stateless=%t", stateless))
	awaitListener(t, address)
	return "http://" + address
}

// buffer keeps what a process writes on standard error.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

// report shows it if the test failed, which a data race does.
func (b *buffer) report(t *testing.T, name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if strings.Contains(b.b.String(), "DATA RACE") {
		t.Errorf("%s has a data race", name)
	}
	if t.Failed() {
		t.Logf("%s wrote on standard error:\n%s", name, &b.b)
	}
}
