package bridge

import (
	"context"
	"errors"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// deafClient is a client that sends and takes nothing.
type deafClient struct{ *lines }

func (deafClient) Write(context.Context, wire.Frame) error { return errors.New("broken pipe") }

// A client that can't be written to gets no answer any more: the bridge ends
// rather than working on for nobody.
func TestEndsWhenTheClientTakesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, _ := halfClosing()
		began := time.Now()
		client.in <- wire.MustParse(initialize)
		err := Run(t.Context(), Options{Client: deafClient{client}, URL: "https://x.example/mcp", HTTP: &guard{by: func(string) (int, string) { return 500, "" }}})
		if err == nil || !strings.Contains(err.Error(), "writing to the client: broken pipe") {
			t.Errorf("ended with %v", err)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("it took %v to end", took)
		}
	})
}

// A client whose answers could not be written has got none, though it closed its
// end in order.
func TestEndsWithWhatCouldNotBeWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := strings.NewReader(initialize + "\n")
		err := Run(t.Context(), Options{
			Client: wire.NewStream(in, fullDisk{}, wire.StreamOptions{}), URL: "https://x.example/mcp",
			HTTP: &guard{by: func(string) (int, string) { return 500, "" }},
		})
		if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "writing to the client") {
			t.Errorf("ended with %v", err)
		}
	})
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, syscall.ENOSPC }
