package cmd

import (
	"os"
	"time"

	"golang.org/x/sys/windows"
)

// parentAlive returns what tells whether the process that has started this one
// is still there, and what to call when that is not asked any more.
func parentAlive() (alive func() bool, done func()) {
	self, err := processHandle(windows.CurrentProcess()).started()
	if err != nil {
		return unwatched()
	}
	const rights = windows.SYNCHRONIZE | windows.PROCESS_QUERY_LIMITED_INFORMATION
	parent, err := windows.OpenProcess(rights, false, uint32(os.Getppid()))
	if err != nil { // gone, or of another user
		return unwatched()
	}
	return watchOpened(processHandle(parent), self)
}

// processHandle is an openedProcess.
type processHandle windows.Handle

func (h processHandle) started() (time.Time, error) {
	var created, exited, kernel, user windows.Filetime
	if err := windows.GetProcessTimes(windows.Handle(h), &created, &exited, &kernel, &user); err != nil {
		return time.Time{}, err
	}
	return time.Unix(0, created.Nanoseconds()), nil
}

// ended asks without waiting: a process's handle is signalled once it has ended.
func (h processHandle) ended() bool {
	event, err := windows.WaitForSingleObject(windows.Handle(h), 0)
	return err == nil && event == windows.WAIT_OBJECT_0
}

func (h processHandle) close() { _ = windows.CloseHandle(windows.Handle(h)) }
