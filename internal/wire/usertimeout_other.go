//go:build !linux

package wire

import (
	"syscall"
	"time"
)

// setUserTimeout does nothing: Windows and macOS give up what stays
// unacknowledged by themselves, in less than a minute and in about ten.
func setUserTimeout(syscall.RawConn, time.Duration) error { return nil }
