//go:build !windows

package logfile

import "os"

// openAppend opens or creates path for appending.
func openAppend(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
}

// openShared opens path for reading.
func openShared(path string) (*os.File, error) { return os.Open(path) }
