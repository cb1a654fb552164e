package bridge

import (
	"context"
	"errors"
	"strings"
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
