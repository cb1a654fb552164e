//go:build !windows

package tokencache

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// transient reports whether err comes only from another process having the
// file open. On Unix that is no obstacle.
func transient(error) bool { return false }

// tighten takes the directory away from other users if an older umask, or a
// person, left it open.
func (f files) tighten() error {
	info, err := os.Stat(f.dir)
	if err != nil {
		return fmt.Errorf("checking token store: %w", err)
	}
	if info.Mode().Perm()&0o077 == 0 {
		return nil
	}
	if err := os.Chmod(f.dir, 0o700); err != nil {
		return fmt.Errorf("making the token store private: %w", err)
	}
	return nil
}

// syncDir makes a rename survive a power cut. Some file systems can't sync a
// directory and say so.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, syscall.ENOTSUP) {
		return err
	}
	return nil
}
