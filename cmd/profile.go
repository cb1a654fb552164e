package cmd

import (
	"errors"

	"github.com/mcpctl/mcpctl/bridge"
	"github.com/mcpctl/mcpctl/internal/profile"
)

// withProfile adds what the profile of the URL pins: its tokens and transport.
// Without a profile the server is asked without a token; it may need none, and
// otherwise its refusal says to sign in.
func withProfile(deps Deps, opts bridge.Options) (bridge.Options, error) {
	profiles, err := openProfiles(deps)
	if err != nil {
		return opts, err
	}
	p, err := profiles.Load(opts.URL)
	if errors.Is(err, profile.ErrNotFound) {
		opts.Logger.Warn("nobody has signed in to this server; asking it without a token", "url", opts.URL)
		return opts, nil
	}
	if err != nil {
		return opts, err
	}
	client, err := openSignIn(p, opts.Logger)
	if err != nil {
		return opts, err
	}
	opts.Tokens = tokenSource{url: opts.URL, client: client}
	if opts.Transport == bridge.TransportAuto && p.Transport != "" {
		opts.Transport = p.Transport
	}
	return opts, nil
}
