//go:build unix

package wire

import (
	"os"
	"strconv"
	"strings"
	"syscall"
)

// processRuns reports whether the process exists and is more than a zombie
// that nobody has waited for.
func processRuns(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err != nil || !strings.Contains(string(stat), ") Z ")
}
