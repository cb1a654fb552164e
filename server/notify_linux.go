package server

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// monotonic is the time of the clock that systemd compares reloads by.
func monotonic() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}

// firstPassed is SD_LISTEN_FDS_START of sd_listen_fds(3).
const firstPassed = 3

// passedListener returns the listener with the name that the service manager
// opened for this process, nil where there is none: sd_listen_fds(3). Sockets
// without names serve where the name "mcp" is asked for.
func passedListener(name string, getenv func(string) string, pid int) (net.Listener, error) {
	if getenv("LISTEN_PID") != strconv.Itoa(pid) {
		return nil, nil
	}
	count, _ := strconv.Atoi(getenv("LISTEN_FDS")) // 0 where it is none
	names := strings.Split(getenv("LISTEN_FDNAMES"), ":")
	for i := range min(count, 16) {
		has := "unknown" // what systemd calls those without
		if i < len(names) && names[i] != "" {
			has = names[i]
		}
		matches := has == name || name == socketMCP && i == 0 && has != socketTelemetry
		if !matches {
			continue
		}
		fd := firstPassed + i
		unix.CloseOnExec(fd) // upstreams must not inherit it
		f := os.NewFile(uintptr(fd), "LISTEN_FD_"+strconv.Itoa(fd))
		ln, err := net.FileListener(f) // duplicates it
		if err != nil {
			_ = f.Close()
			return nil, fmt.Errorf("taking the socket that the service manager passed: %w. It must be a stream socket that listens (ListenStream=)", err)
		}
		_ = f.Close()
		return ln, nil
	}
	return nil, nil
}
