package desktop

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"
)

const (
	// lockLimit bounds the wait for another mcpctl, which needs milliseconds.
	lockLimit = 30 * time.Second
	lockPoll  = 10 * time.Millisecond
	lockName  = "lock"
)

// lock keeps other processes that use the folder from changing a file until
// unlock is called: between a look at a file and its replacement, what they write
// would be lost. Where the folder can't have a lock, as in some network file
// systems, there is none.
func (h History) lock() (unlock func(), err error) {
	none := func() {}
	if os.MkdirAll(h.Dir, 0o700) != nil {
		return none, nil // whatever is to be written there says why it can't
	}
	fl := flock.New(filepath.Join(h.Dir, lockName), flock.SetPermissions(0o600))
	ctx, cancel := context.WithTimeout(context.Background(), lockLimit)
	defer cancel()
	_, err = fl.TryLockContext(ctx, lockPoll)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return none, fmt.Errorf("another mcpctl has been changing files for %s: try again, or end the process that hangs", lockLimit)
	case err != nil:
		return none, nil
	}
	return func() { _ = fl.Unlock() }, nil
}
