package wire

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"unsafe"

	"golang.org/x/sys/windows"
)

// processGroup is a job object: it holds the child and all its descendants, and
// ends them when its last handle closes, even if this process crashes.
type processGroup struct {
	job windows.Handle
	pid uint32
}

func newProcessGroup(cmd *exec.Cmd) (*processGroup, error) {
	job, err := windows.CreateJobObject(nil, nil)
	if err != nil {
		return nil, fmt.Errorf("creating a job object: %w", err)
	}
	limits := windows.JOBOBJECT_EXTENDED_LIMIT_INFORMATION{
		BasicLimitInformation: windows.JOBOBJECT_BASIC_LIMIT_INFORMATION{
			LimitFlags: windows.JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE,
		},
	}
	if _, err := windows.SetInformationJobObject(job, windows.JobObjectExtendedLimitInformation,
		uintptr(unsafe.Pointer(&limits)), uint32(unsafe.Sizeof(limits))); err != nil {
		_ = windows.CloseHandle(job)
		return nil, fmt.Errorf("setting up a job object: %w", err)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		// Suspended: what the child starts before it is in the job would
		// escape. A group of its own: the only kind CTRL_BREAK can be sent to.
		CreationFlags: windows.CREATE_SUSPENDED | windows.CREATE_NEW_PROCESS_GROUP,
		HideWindow:    true,
	}
	return &processGroup{job: job}, nil
}

// adopt puts the suspended child into the job and lets it run.
func (g *processGroup) adopt(p *os.Process) error {
	g.pid = uint32(p.Pid)
	h, err := windows.OpenProcess(windows.PROCESS_SET_QUOTA|windows.PROCESS_TERMINATE, false, g.pid)
	if err != nil {
		return fmt.Errorf("opening the process: %w", err)
	}
	defer windows.CloseHandle(h) //nolint:errcheck // a handle that was just opened
	if err := windows.AssignProcessToJobObject(g.job, h); err != nil {
		return fmt.Errorf("putting the process into its job: %w", err)
	}
	return resume(g.pid)
}

// resume lets the only thread of a suspended process run. os/exec doesn't keep
// its handle, so it is looked for among all threads.
func resume(pid uint32) error {
	snapshot, err := windows.CreateToolhelp32Snapshot(windows.TH32CS_SNAPTHREAD, 0)
	if err != nil {
		return fmt.Errorf("listing threads: %w", err)
	}
	defer windows.CloseHandle(snapshot) //nolint:errcheck // a handle that was just opened
	entry := windows.ThreadEntry32{}
	entry.Size = uint32(unsafe.Sizeof(entry))
	for err = windows.Thread32First(snapshot, &entry); err == nil; err = windows.Thread32Next(snapshot, &entry) {
		if entry.OwnerProcessID != pid {
			continue
		}
		thread, err := windows.OpenThread(windows.THREAD_SUSPEND_RESUME, false, entry.ThreadID)
		if err != nil {
			return fmt.Errorf("opening the process's thread: %w", err)
		}
		defer windows.CloseHandle(thread) //nolint:errcheck // a handle that was just opened
		if _, err := windows.ResumeThread(thread); err != nil {
			return fmt.Errorf("resuming the process: %w", err)
		}
		return nil
	}
	return errors.New("the process has no thread")
}

// terminate asks through the console, if there is one; console programs take
// CTRL_BREAK as others take SIGTERM.
func (g *processGroup) terminate() {
	_ = windows.GenerateConsoleCtrlEvent(windows.CTRL_BREAK_EVENT, g.pid)
}

func (g *processGroup) kill() { _ = windows.TerminateJobObject(g.job, 1) }

// alive reports whether anything of the group is left.
func (g *processGroup) alive() bool {
	var usage struct { // JOBOBJECT_BASIC_ACCOUNTING_INFORMATION
		_                 [4]int64 // times
		_, _              uint32   // page faults, processes so far
		active            uint32
		terminatedByQuota uint32
	}
	err := windows.QueryInformationJobObject(g.job, windows.JobObjectBasicAccountingInformation,
		uintptr(unsafe.Pointer(&usage)), uint32(unsafe.Sizeof(usage)), nil)
	return err == nil && usage.active > 0
}

func (g *processGroup) close() { _ = windows.CloseHandle(g.job) }
