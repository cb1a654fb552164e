package wire

import (
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"
)

func TestChildDiesWithAKilledParent(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	keeper := exec.Command(self)
	keeper.Env = []string{roleVariable + "=keeper"}
	out, err := keeper.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := keeper.Start(); err != nil {
		t.Fatal(err)
	}
	var pid int
	if _, err := fmt.Fscan(out, &pid); err != nil {
		t.Errorf("the keeper named no process: %v", err)
	}
	_ = keeper.Process.Kill()
	_ = keeper.Wait()
	for pid != 0 && processRuns(pid) {
		time.Sleep(time.Millisecond) // bounded by the test's own timeout
	}
}
