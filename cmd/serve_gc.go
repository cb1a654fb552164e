package cmd

import "runtime"

// heapFloor is memory that a server claims and never touches, so that it takes
// address space only. The collector runs each time the heap has doubled, and a
// gateway's own heap is a few megabytes: under load it would run many times a
// second. With the floor it runs when about so many bytes are garbage.
const heapFloor = 32 << 20

// raiseHeapFloor makes the collector leave a small heap alone until release is
// called. An operator who has set GOGC or GOMEMLIMIT (package runtime) knows
// better.
func raiseHeapFloor(getenv func(string) string) (release func()) {
	if getenv("GOGC") != "" || getenv("GOMEMLIMIT") != "" {
		return func() {}
	}
	floor := make([]byte, heapFloor)
	return func() { runtime.KeepAlive(floor) }
}
