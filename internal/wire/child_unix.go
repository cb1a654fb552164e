//go:build unix

package wire

import (
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// processGroup is a child with all its descendants that did not leave the
// group on purpose. The child leads it, so its id is the child's.
type processGroup struct{ id int }

func newProcessGroup(cmd *exec.Cmd) (*processGroup, error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	setDeathSignal(cmd.SysProcAttr)
	return &processGroup{}, nil
}

func (g *processGroup) adopt(p *os.Process) error {
	g.id = p.Pid
	return nil
}

func (g *processGroup) terminate() { _ = unix.Kill(-g.id, unix.SIGTERM) }
func (g *processGroup) kill()      { _ = unix.Kill(-g.id, unix.SIGKILL) }

// alive reports whether anything of the group is left. It is asked only after
// the child itself was waited for. The id can't have been given to another
// process while there is; when the last one goes, alive notices before that
// can happen.
func (g *processGroup) alive() bool {
	// In a container this process may be the one that orphans come to.
	for {
		var status unix.WaitStatus
		if pid, err := unix.Wait4(-g.id, &status, unix.WNOHANG, nil); pid <= 0 || err != nil {
			break
		}
	}
	// EPERM is macOS's word for a group of zombies.
	return unix.Kill(-g.id, 0) == nil
}

func (g *processGroup) close() {}
