package cmd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/mcpctl/mcpctl/internal/fakeentra"
)

// testStack is what `mcpctl serve --dev` runs, inside the test, so that scripts
// can let misfortune happen to it.
type testStack struct {
	*devStack
	stop   context.CancelFunc
	served chan error
}

func startTestStack(life fakeentra.Lifetimes) (*testStack, error) {
	life.PollInterval = time.Second // the shortest there is
	ctx, stop := context.WithCancel(context.Background())
	d, err := startDev(ctx, devOptions{
		listen: "127.0.0.1:0", authorityListen: "127.0.0.1:0", lifetimes: life, log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		stop()
		return nil, err
	}
	s := &testStack{devStack: d, stop: stop, served: make(chan error, 1)}
	go func() { s.served <- d.server.Run(ctx) }()
	return s, nil
}

func (s *testStack) close() {
	s.stop()
	if err := <-s.served; err != nil && !errors.Is(err, context.Canceled) {
		panic(fmt.Sprintf("the test's server ended with: %v", err))
	}
	s.devStack.close()
}

// announce tells scripts where the servers are.
func (s *testStack) announce(setenv func(name, value string)) {
	setenv("MCP_URL", s.server.PublicURL())
	setenv("SSE_URL", s.server.SSEURL())
	setenv("AUTHORITY", s.authority.Authority())
	setenv("TENANT", s.authority.TenantID())
	setenv("CLIENT", s.sample.Client.ClientID)
	setenv("SCOPE", s.server.Scopes()[0])
	setenv("CA", s.caFile)
}

// ownStack starts servers for this script alone.
func ownStack(ts *testscript.TestScript, life fakeentra.Lifetimes) *testStack {
	state := stateOf(ts)
	if state.own == nil {
		own, err := startTestStack(life)
		ts.Check(err)
		state.own = own
		own.announce(ts.Setenv)
	}
	return state.own
}

// scriptFaults are the misfortunes that scripts can name.
var scriptFaults = map[string]func() []fakeentra.Fault{
	"blocked":      func() []fakeentra.Fault { return fakeentra.FaultDeviceCodeBlocked(fakeentra.BlockInvalidGrant) },
	"expired-code": func() []fakeentra.Fault { return []fakeentra.Fault{fakeentra.FaultCodeExpired()} },
	"revoked":      func() []fakeentra.Fault { return []fakeentra.Fault{fakeentra.FaultRevoked()} },
	"not-assigned": func() []fakeentra.Fault { return []fakeentra.Fault{fakeentra.FaultNotAssigned()} },
	"outage":       func() []fakeentra.Fault { return []fakeentra.Fault{fakeentra.FaultOutage()} },
	"no-flows":     func() []fakeentra.Fault { return []fakeentra.Fault{fakeentra.FaultPublicFlowsOff()} },
	"captive":      func() []fakeentra.Fault { return []fakeentra.Fault{fakeentra.FaultCaptivePortal()} },
}

// cmdFault gives the script servers of its own and lets the named misfortunes
// happen there: «fault NAME...»; «fault short-tokens» makes tokens that have to
// be refreshed each time; «fault none» ends them.
func cmdFault(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: fault NAME...")
	}
	var life fakeentra.Lifetimes
	if args[0] == "short-tokens" {
		// MSAL wants five minutes left of a token that it brings from its cache.
		life = fakeentra.Lifetimes{AccessToken: 2 * time.Minute, CAEAccessToken: 2 * time.Minute}
	}
	s := ownStack(ts, life)
	s.authority.ClearFaults()
	for _, name := range args {
		if name == "none" || name == "short-tokens" {
			continue
		}
		fault, ok := scriptFaults[name]
		if !ok {
			ts.Fatalf("no fault is called %q", name)
		}
		s.authority.Inject(fault()...)
	}
}
