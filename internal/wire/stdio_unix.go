//go:build unix

package wire

import (
	"os"

	"golang.org/x/sys/unix"
)

// duplicate returns standard output under another descriptor. A write to a
// broken pipe on descriptor 1 would end the process with SIGPIPE (os/signal,
// "SIGPIPE") where the relay still has a session to end; on any other it
// is an error.
func duplicate(out *os.File) *os.File {
	conn, err := out.SyscallConn()
	if err != nil {
		return out
	}
	dup := -1
	if err := conn.Control(func(fd uintptr) { dup, err = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 3) }); err != nil || dup < 0 {
		return out
	}
	return os.NewFile(uintptr(dup), "stdout")
}
