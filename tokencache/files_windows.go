package tokencache

import (
	"errors"

	"golang.org/x/sys/windows"
)

// transient reports whether err comes only from another process having the
// file open: replacing a file that is being read fails with "access denied",
// and reading one that is being replaced with a sharing violation.
func transient(err error) bool {
	return errors.Is(err, windows.ERROR_ACCESS_DENIED) ||
		errors.Is(err, windows.ERROR_SHARING_VIOLATION) ||
		errors.Is(err, windows.ERROR_LOCK_VIOLATION)
}

// tighten does nothing: a user's configuration directory inherits an access
// list that admits that user only.
func (f files) tighten() error { return nil }

// syncDir does nothing: Windows journals the rename.
func syncDir(string) error { return nil }
