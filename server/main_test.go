package server_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// TestMain plays an upstream when a test started this binary as one, and else
// runs the tests and counts what goroutines they leave.
func TestMain(m *testing.M) {
	if os.Getenv(upstreamVariable) != "" {
		playUpstream()
	}
	if os.Getenv(richVariable) != "" {
		playRich()
	}
	goleak.VerifyTestMain(m)
}
