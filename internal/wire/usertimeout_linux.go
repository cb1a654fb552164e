package wire

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// setUserTimeout makes the connection fail when what was sent on it stays
// unacknowledged for d, or the peer takes nothing more for as long
// (TCP_USER_TIMEOUT, RFC 5482).
func setUserTimeout(c syscall.RawConn, d time.Duration) error {
	// A network without the option works as well, only less watchfully.
	return c.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(d.Milliseconds()))
	})
}
