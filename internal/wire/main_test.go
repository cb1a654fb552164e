package wire

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// TestMain plays the child when a test started this binary as one, and else
// runs the tests with released buffers made unreadable and goroutines counted.
func TestMain(m *testing.M) {
	if role := os.Getenv(roleVariable); role != "" {
		playChild(role)
	}
	poisonReleased.Store(true)
	goleak.VerifyTestMain(m)
}
