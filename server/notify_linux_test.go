package server

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// manager is the socket of a service manager.
func manager(t *testing.T) (path string, next func() string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return path, func() string {
		t.Helper()
		b := make([]byte, 1024)
		_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
		n, err := conn.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		return string(b[:n])
	}
}

// The service manager is told when requests are served, when the configuration
// is read, and when the server stops; meanwhile the watchdog is fed.
func TestNotify(t *testing.T) {
	socket, next := manager(t)
	cfg, err := minimalConfig(t)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Listen(t.Context(), Options{Config: cfg, Getenv: env("NOTIFY_SOCKET", socket, "WATCHDOG_USEC", "20000", "WATCHDOG_PID", strconv.Itoa(os.Getpid()))})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	if got := next(); !strings.HasPrefix(got, "READY=1") {
		t.Errorf("got %q", got)
	}
	for range 3 {
		if got := next(); got != "WATCHDOG=1" {
			t.Errorf("got %q", got)
		}
	}
	until := func(prefix string) string {
		for {
			if got := next(); got != "WATCHDOG=1" {
				if !strings.HasPrefix(got, prefix) {
					t.Errorf("got %q, want %s", got, prefix)
				}
				return got
			}
		}
	}
	if err := s.Reload(ctx, func() (Config, error) { return s.Config(), nil }); err != nil {
		t.Error(err)
	}
	_, us, _ := strings.Cut(until("RELOADING=1\nMONOTONIC_USEC="), "USEC=")
	if n, err := strconv.ParseInt(us, 10, 64); err != nil || n <= 0 {
		t.Errorf("since %q", us)
	}
	until("READY=1")
	cancel()
	until("STOPPING=1")
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestNotifyOnlyWhereAsked(t *testing.T) {
	if n := newNotifier(env(), 1, nil); n != nil {
		t.Error("there is nobody to tell")
	}
	n := newNotifier(env("NOTIFY_SOCKET", "/none", "WATCHDOG_USEC", "1000", "WATCHDOG_PID", "1"), 2, slog.New(slog.DiscardHandler))
	if n.watchdog != 0 {
		t.Error("the watchdog of another process is fed")
	}
	n.ready() // nobody is there: logged
	var none *notifier
	none.ready()
	none.reloading()
	none.guard(t.Context(), nil)
}

// TestPassedSocketHelper is the process that TestSocketActivation starts; by
// itself it does nothing.
func TestPassedSocketHelper(t *testing.T) {
	if os.Getenv("MCPCTL_TEST_PASSED") == "" {
		return
	}
	// systemd sets LISTEN_PID between fork and exec, which Go can't.
	getenv := func(name string) string {
		if name == "LISTEN_PID" {
			return strconv.Itoa(os.Getpid())
		}
		return os.Getenv(name)
	}
	cfg, err := minimalConfig(t)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Listen = "127.0.0.1:1" // nobody may listen there, and nobody has to
	s, err := Listen(t.Context(), Options{Config: cfg, Getenv: getenv})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // until the parent is done
		cancel()
	}()
	if err := s.Run(ctx); err != nil {
		t.Fatal(err)
	}
}

// A service manager passes the sockets; the server listens on no other.
func TestSocketActivation(t *testing.T) {
	var files []*os.File
	var addrs []string
	for range 2 {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		f, err := ln.(*net.TCPListener).File()
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		files, addrs = append(files, f), append(addrs, ln.Addr().String())
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestPassedSocketHelper$")
	cmd.Env = append(os.Environ(), "MCPCTL_TEST_PASSED=1", "LISTEN_FDS=2", "LISTEN_FDNAMES=mcp:telemetry")
	cmd.ExtraFiles = files
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Minute}
	for i, path := range []string{"/.well-known/oauth-protected-resource", "/metrics"} {
		resp, err := client.Get("http://" + addrs[i] + path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %d", path, resp.StatusCode)
		}
	}
	_ = stdin.Close()
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v: %s", err, out.String())
	}
}

func TestPassedSocketsOfOthers(t *testing.T) {
	for _, getenv := range []func(string) string{
		env(), env("LISTEN_PID", "1", "LISTEN_FDS", "1"), env("LISTEN_PID", "2", "LISTEN_FDS", "0"), env("LISTEN_PID", "2", "LISTEN_FDS", "x"),
		env("LISTEN_PID", "2", "LISTEN_FDS", "1", "LISTEN_FDNAMES", socketTelemetry),
	} {
		if ln, err := passedListener(socketMCP, getenv, 2); ln != nil || err != nil {
			t.Errorf("got %v %v", ln, err)
		}
	}
}
