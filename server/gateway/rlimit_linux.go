package gateway

import (
	"errors"
	"fmt"
	"math"
	"time"

	"golang.org/x/sys/unix"
)

// LimitsSupported says whether the operating system can hold a process to ResourceLimits.
const LimitsSupported = true

// cpuGrace is how much longer a process that ignores SIGXCPU runs until it is
// killed.
const cpuGrace = 5 * time.Second

// apply limits a process that has just been started. It has had no time to do
// anything yet: what it starts inherits the limits, and what it allocates
// counts.
func (l ResourceLimits) apply(pid int) error {
	for _, limit := range []struct {
		name     string
		resource int
		soft     uint64
		grace    uint64
	}{
		{"memory", unix.RLIMIT_DATA, positive(l.Memory), 0},
		{"open_files", unix.RLIMIT_NOFILE, positive(int64(l.OpenFiles)), 0},
		{"processes", unix.RLIMIT_NPROC, positive(int64(l.Processes)), 0},
		{"cpu", unix.RLIMIT_CPU, positive(int64(math.Ceil(l.CPU.Seconds()))), uint64(cpuGrace.Seconds())},
	} {
		if limit.soft == 0 {
			continue
		}
		var now unix.Rlimit
		err := unix.Prlimit(pid, limit.resource, nil, &now)
		if err == nil {
			// Only the privileged may raise what they were given.
			now.Max = min(now.Max, limit.soft+limit.grace)
			now.Cur = min(now.Max, limit.soft)
			err = unix.Prlimit(pid, limit.resource, &now, nil)
		}
		if errors.Is(err, unix.ESRCH) {
			return nil // it has ended; reading from it tells why
		}
		if err != nil {
			return fmt.Errorf("%s: %w", limit.name, err)
		}
	}
	return nil
}

func positive(n int64) uint64 {
	if n <= 0 {
		return 0
	}
	return uint64(n)
}
