package gateway

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// mute is an upstream that takes messages and says nothing.
type mute struct{}

func (mute) Open(context.Context) (wire.Conn, error) {
	conn, other := wire.Pipe(0)
	go func() {
		for {
			f, err := other.Read(context.Background())
			if err != nil {
				return
			}
			f.Release()
		}
	}()
	return conn, nil
}

func TestSilentUpstreamIsNotWaitedForForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		remote, err := DialUpstream(t.Context(), DialOptions{Name: "mute", Upstream: mute{}, Verdicts: &Verdicts{}}, func(context.Context, wire.Frame) error { return nil })
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		err = remote.Exchange(t.Context(), wire.MustParse(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{}}}`))
		if !errors.Is(err, errSilent) || time.Since(began) != helloTimeout {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
		if err := remote.End(context.Background()); err != nil {
			t.Error(err)
		}
	})
}
