// Package statetest is the contract that every implementation of state.Store
// has to keep, as tests.
package statetest

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/mcpctl/mcpctl/server/state"
)

// Harness makes stores for the contract.
type Harness struct {
	// Open returns an empty store; the contract closes it.
	Open func(t *testing.T) state.Store
	// Advance lets time pass for every open store.
	Advance func(d time.Duration)
}

// patience bounds every wait of the contract.
const patience = 10 * time.Second

type part struct {
	name string
	test func(*testing.T, Harness, state.Store)
}

// Run tests the whole contract.
func Run(t *testing.T, h Harness) {
	for _, p := range slices.Concat(sessionParts, eventParts, mailParts, cacheParts, limitParts, callParts) {
		t.Run(p.name, func(t *testing.T) {
			s := h.Open(t)
			t.Cleanup(func() { must(t, s.Close()) })
			p.test(t, h, s)
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func want(t *testing.T, err, wanted error) {
	t.Helper()
	if !errors.Is(err, wanted) {
		t.Fatalf("error %v, want %v", err, wanted)
	}
}

// patient is a context for calls that have to return by themselves.
func patient(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// within fails the test where done is not closed in time.
func within(t *testing.T, what string, done <-chan struct{}) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatalf("still waiting for %s", what)
	}
}
