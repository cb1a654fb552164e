//go:build windows || darwin

package tokencache

// findSessionBus has nothing to find: these keyrings need no bus.
func findSessionBus() error { return nil }
