package wire

import "syscall"

// setDeathSignal has the child killed should this process die without a chance
// to end it.
func setDeathSignal(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGKILL }
