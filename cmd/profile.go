package cmd

import (
	"errors"

	"github.com/mcpctl/mcpctl/bridge"
	"github.com/mcpctl/mcpctl/internal/profile"
	"github.com/mcpctl/mcpctl/internal/redact"
)

// withProfile adds what the profile of the URL pins: its tokens and transport.
// Without a profile the server is asked without a token, since it may need none.
// A profile that appears later, or changes, counts from then on.
func withProfile(deps Deps, opts bridge.Options) (bridge.Options, error) {
	profiles, err := openProfiles(deps)
	if err != nil {
		return opts, err
	}
	source := newProfileSource(deps, profiles, opts.URL, opts.Logger)
	_, err = source.load()
	switch {
	case errors.Is(err, profile.ErrNotFound):
		opts.Logger.Warn("nobody has signed in to this server; asking it without a token", "url", redact.URL(opts.URL))
	case err != nil:
		opts.Logger.Error("the sign-in can't be used", "reason", err) // the client is told too
	}
	opts.Tokens, opts.Pinned = source, source.transport
	return opts, nil
}

// transport is the one that the profile pins, "" while there is none.
func (s *profileSource) transport() string {
	p, err := s.load()
	if err != nil {
		return ""
	}
	return p.Transport
}
