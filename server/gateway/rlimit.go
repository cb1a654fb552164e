package gateway

import "time"

// ResourceLimits bound what a process of a command upstream may use. They hold
// for each process that it starts, too, and for each on its own. Zero is no
// limit of the gateway's. They exist on Linux only: see LimitsSupported.
type ResourceLimits struct {
	// Memory is the private writable memory, in bytes (RLIMIT_DATA). Address
	// space that is merely reserved, as runtimes do, does not count. A process
	// that reaches it is refused more.
	Memory int64
	// OpenFiles is the number of open files and sockets (RLIMIT_NOFILE).
	OpenFiles int
	// Processes bounds the processes and threads of the operating system user
	// that the gateway runs as, all together (RLIMIT_NPROC): at that number the
	// upstream can start no more. It has no effect on root.
	Processes int
	// CPU is the processor time after which a process is ended, in whole
	// seconds (RLIMIT_CPU).
	CPU time.Duration
}
