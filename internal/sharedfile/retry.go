// Package sharedfile is about files that several processes have open at a time.
package sharedfile

import (
	"errors"
	"io/fs"
	"runtime"
	"time"
)

// Retry repeats what Windows refuses while another process has the file open,
// for two seconds at most: the others hold it for microseconds. Elsewhere it
// calls op once.
func Retry(op func() error) error {
	const limit, pause = 2 * time.Second, 10 * time.Millisecond
	for waited := time.Duration(0); ; waited += pause {
		err := op()
		if err == nil || runtime.GOOS != "windows" || !errors.Is(err, fs.ErrPermission) || waited >= limit {
			return err
		}
		time.Sleep(pause)
	}
}
