package tokencache

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gofrs/flock"
)

const (
	defaultLockTimeout = 20 * time.Second
	lockPoll           = 10 * time.Millisecond
)

// fileLock is the lock among processes, and among the goroutines of this one.
// The kernel frees it when its holder dies, however it dies. The file stays:
// deleting a lock file lets two processes lock two different files.
type fileLock struct {
	files   files
	timeout time.Duration
	logger  *slog.Logger

	// turn queues the goroutines of this process, so that only one polls.
	turn chan struct{}
	held atomic.Bool
}

func newFileLock(f files, timeout time.Duration, logger *slog.Logger) *fileLock {
	if timeout <= 0 {
		timeout = defaultLockTimeout
	}
	return &fileLock{files: f, timeout: timeout, logger: logger, turn: make(chan struct{}, 1)}
}

func (l *fileLock) lock(ctx context.Context) (unlock func(), err error) {
	bounded, cancel := context.WithTimeoutCause(ctx, l.timeout, ErrLockTimeout)
	defer cancel()
	select {
	case l.turn <- struct{}{}:
	case <-bounded.Done():
		return nil, l.timedOut(ctx, bounded)
	}
	fl, err := l.open()
	if err == nil {
		_, err = fl.TryLockContext(bounded, lockPoll)
	}
	if err != nil {
		<-l.turn
		if bounded.Err() != nil {
			return nil, l.timedOut(ctx, bounded)
		}
		return nil, fmt.Errorf("locking token store: %w", err)
	}
	return l.taken(fl), nil
}

func (l *fileLock) tryLock() (unlock func(), ok bool, err error) {
	select {
	case l.turn <- struct{}{}:
	default:
		return func() {}, false, nil
	}
	fl, err := l.open()
	if err == nil {
		ok, err = fl.TryLock()
	}
	if err != nil || !ok {
		<-l.turn
		if err != nil {
			err = fmt.Errorf("locking token store: %w", err)
		}
		return func() {}, false, err
	}
	return l.taken(fl), true, nil
}

// open returns a new handle each time: one flock.Flock that is already locked
// grants the lock to whoever asks next.
func (l *fileLock) open() (*flock.Flock, error) {
	if err := l.files.create(); err != nil {
		return nil, err
	}
	return flock.New(l.files.path(lockName), flock.SetPermissions(0o600)), nil
}

func (l *fileLock) taken(fl *flock.Flock) (unlock func()) {
	l.held.Store(true)
	return sync.OnceFunc(func() {
		l.held.Store(false)
		if err := fl.Unlock(); err != nil {
			l.logger.Warn("unlocking token store", "err", err)
		}
		<-l.turn
	})
}

// timedOut tells the caller's own cancellation from our bound.
func (l *fileLock) timedOut(ctx, bounded context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("locking token store: %w", err)
	}
	err := context.Cause(bounded)
	if !errors.Is(err, ErrLockTimeout) {
		return fmt.Errorf("locking token store: %w", err)
	}
	return fmt.Errorf("waiting %v for %s: %w; try again, or end the process that hangs",
		l.timeout, l.files.path(lockName), err)
}
