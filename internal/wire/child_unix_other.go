//go:build unix && !linux

package wire

import "syscall"

// setDeathSignal does nothing: there is no such signal here. The child sees the
// end of its input.
func setDeathSignal(*syscall.SysProcAttr) {}
