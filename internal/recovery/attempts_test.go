package recovery

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/mcpctl/mcpctl/internal/wire"
)

type lasting bool

func (lasting) Error() string   { return "certificate" }
func (l lasting) Lasting() bool { return bool(l) }

// A certificate that nobody trusts is told at once; a server that is down is
// waited for.
func TestLastingFailuresAreNotTriedAgain(t *testing.T) {
	f := wire.MustParse(`{"jsonrpc":"2.0","id":1,"method":"ping"}`)
	for _, test := range []struct {
		err   error
		again bool
	}{
		{fmt.Errorf("%w: %w", wire.ErrNotSent, lasting(true)), false},
		{fmt.Errorf("%w: %w", wire.ErrNotSent, lasting(false)), true},
		{fmt.Errorf("%w: %w", wire.ErrNotSent, errors.New("refused")), true},
	} {
		if again, _ := newAttempts(Options{Patience: time.Minute, Final: func(error) bool { return false }}).judge(f, test.err, func(wire.Frame) bool { return true }); again != test.again {
			t.Errorf("%v: tried again: %v", test.err, again)
		}
	}
}
