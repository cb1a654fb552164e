package cmd

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/spf13/cobra"
)

func newToken(deps Deps) *cobra.Command {
	var out outputFlag
	c := &cobra.Command{
		Use:     "token URL",
		Short:   "Print an access token for a server, for scripts",
		GroupID: "client",
		Long: `Print a valid access token for the server at URL, refreshed where needed.

Whoever has the token can act as you on that server until it expires: keep it out
of logs, shell history and files.`,
		Example: `  curl -H "Authorization: Bearer $(mcpctl token https://mcp.contoso.com/mcp)" …
  mcpctl token https://mcp.contoso.com/mcp -o json`,
		Args: oneURL,
		RunE: func(c *cobra.Command, args []string) error { return runToken(c.Context(), deps, args[0], out) },
	}
	out.add(c)
	return c
}

func runToken(ctx context.Context, deps Deps, url string, out outputFlag) error {
	if _, err := checkEndpoint(url); err != nil {
		return &exitError{exitUsage, err}
	}
	profiles, err := openProfiles(deps)
	if err != nil {
		return err
	}
	p, err := profiles.Load(url)
	if err != nil {
		return signInNeeded(err)
	}
	client, err := openSignIn(deps, p, slog.New(slog.NewTextHandler(deps.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})))
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	token, err := client.Token(ctx)
	if err != nil {
		return tokenSource{url: url}.hint(err)
	}
	if out.json() {
		return writeJSON(deps.Stdout, map[string]any{
			"access_token": token.Value.Reveal(), "expires_on": token.ExpiresOn.UTC().Format(time.RFC3339), "scopes": token.Scopes,
		})
	}
	_, err = fmt.Fprintln(deps.Stdout, token.Value.Reveal())
	return err
}
