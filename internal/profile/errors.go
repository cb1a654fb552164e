package profile

import (
	"errors"
	"fmt"
	"runtime"
	"strings"

	"github.com/mcpctl/mcpctl/internal/redact"
)

var (
	// ErrNotFound reports that nobody has signed in to a server yet. The error
	// itself is a [*NotFoundError].
	ErrNotFound = errors.New("no profile")
	// ErrCorrupt reports a file that is not a usable profile. The error itself
	// is a [*CorruptError].
	ErrCorrupt = errors.New("profile is damaged")
	// ErrNewerVersion reports a file of a newer mcpctl.
	ErrNewerVersion = errors.New("profile was written by a newer mcpctl")
)

// A NotFoundError matches [ErrNotFound] and says what to type.
type NotFoundError struct {
	URL        string // in canonical form
	Dir        string // where it was looked for
	Suggestion string // the URL of a profile that may be meant, or ""
}

func (e *NotFoundError) Error() string {
	text := fmt.Sprintf("nobody has signed in to %s (looked in %s)", redact.URL(e.URL), e.Dir)
	if e.Suggestion != "" {
		text += "; did you mean " + redact.URL(e.Suggestion) + "? If not,"
	} else {
		text += ";"
	}
	return text + " run: mcpctl login " + quote(redact.URL(e.URL))
}

// Is matches [ErrNotFound].
func (e *NotFoundError) Is(target error) bool { return target == ErrNotFound }

// A CorruptError matches [ErrCorrupt] and names the file.
type CorruptError struct {
	Path string
	Err  error
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("profile %s is damaged: %v; delete that file and sign in again with mcpctl login", e.Path, e.Err)
}

// Is matches [ErrCorrupt].
func (e *CorruptError) Is(target error) bool { return target == ErrCorrupt }

// Unwrap returns why the file is unusable.
func (e *CorruptError) Unwrap() error { return e.Err }

// quote makes an address safe to paste into the system's shell.
func quote(address string) string {
	switch {
	case !strings.ContainsAny(address, "&;?*()[]{}'\"!~#$`|<>^%= "):
		return address
	case runtime.GOOS == "windows":
		return `"` + address + `"` // a URL holds no double quote
	default:
		return "'" + strings.ReplaceAll(address, "'", `'\''`) + "'"
	}
}
