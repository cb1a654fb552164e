//go:build !linux

package cmd

import "runtime/debug"

// shrink gives back memory that only starting up needed.
func shrink() { debug.FreeOSMemory() }
