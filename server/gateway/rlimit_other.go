//go:build !linux

package gateway

import "errors"

// LimitsSupported says whether the operating system can hold a process to ResourceLimits.
const LimitsSupported = false

func (l ResourceLimits) apply(int) error {
	if l != (ResourceLimits{}) {
		return errors.New("resource limits are supported on Linux only")
	}
	return nil
}
