//go:build !darwin && !windows

package netconf

import "context"

// ReadSystem returns nothing: there is no one place where such systems keep
// proxy settings other than the environment.
func ReadSystem(context.Context) (System, error) { return System{}, nil }
