package cmd

import (
	"context"

	"github.com/mcpctl/mcpctl/bridge"
)

// withProfile adds what the profile of the URL pins.
func withProfile(_ context.Context, _ Deps, opts bridge.Options) (bridge.Options, error) {
	return opts, nil
}
