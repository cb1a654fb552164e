package cmd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/mcpctl/mcpctl/internal/profile"
	"github.com/mcpctl/mcpctl/internal/redact"
	"github.com/mcpctl/mcpctl/tokencache"
)

func newLogout(deps Deps) *cobra.Command {
	var all bool
	c := &cobra.Command{
		Use:     "logout [URL]",
		Short:   "Sign out: forget a server's profile and erase its tokens",
		GroupID: "client",
		Long: `Forget the profile of the server at URL, erase its tokens and remove the log of
its bridges, or everything with --all. The key in the keyring is erased with the
last profile, so that no copy of the token file can be opened again.

Entra ID has no way to revoke single tokens: an access token that was already
handed out stays valid until it expires, within about an hour.`,
		Example: "  mcpctl logout https://mcp.contoso.com/mcp\n  mcpctl logout --all",
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 1 {
				return oneURL(c, args)
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			switch {
			case all && len(args) > 0:
				return usagef(c, "name a URL or --all, not both")
			case all:
				return logoutAll(c.Context(), deps)
			case len(args) == 0:
				return usagef(c, "name the server to sign out from, or --all")
			}
			return logoutOne(c.Context(), deps, args[0])
		},
	}
	c.Flags().BoolVar(&all, "all", false, "sign out everywhere and erase everything")
	return c
}

func logoutAll(ctx context.Context, deps Deps) error {
	profiles, err := openProfiles(deps)
	if err != nil {
		return err
	}
	faults := []error{profiles.Clear(), removeRunLogs(), removeVerdicts()}
	for _, dev := range []bool{false, true} {
		faults = append(faults, eraseStore(ctx, dev))
	}
	if err := errors.Join(faults...); err != nil {
		return fmt.Errorf("signing out: %w", err)
	}
	return newScreen(deps.Stdout, deps.Getenv).prose("Signed out everywhere. Tokens and their key are erased.")
}

func eraseStore(ctx context.Context, dev bool) error {
	at, err := storeOptions(dev, nil)
	if err != nil {
		return err
	}
	return tokencache.Erase(ctx, at)
}

// logoutOne forgets one profile. Tokens go with the last profile of their
// account, the key with the last profile of its store.
func logoutOne(ctx context.Context, deps Deps, url string) error {
	profiles, err := openProfiles(deps)
	if err != nil {
		return err
	}
	p, err := profiles.Load(url)
	if errors.Is(err, profile.ErrNotFound) || errors.Is(err, profile.ErrNewerVersion) {
		return err
	}
	if err != nil { // damaged: there is nothing to keep of it
		return errors.Join(err, profiles.Delete(url), removeRunLog(url))
	}
	list, err := profiles.List()
	if err != nil {
		return err
	}
	sameStore, sameAccount := 0, 0
	for _, other := range list {
		if other.URL == p.URL || (other.DevCA == "") != (p.DevCA == "") {
			continue
		}
		sameStore++
		if other.Account.HomeAccountID == p.Account.HomeAccountID && other.ClientID == p.ClientID {
			sameAccount++
		}
	}
	if err := errors.Join(profiles.Delete(url), removeRunLog(url)); err != nil {
		return err
	}
	text := "Signed out from " + redact.URL(p.URL) + "."
	switch {
	case sameStore == 0:
		err = eraseStore(ctx, p.DevCA != "")
		text += " Tokens and their key are erased."
	case sameAccount == 0:
		err = signOut(ctx, deps, p)
		text += " Its tokens are erased."
	default:
		text += " The same account is still signed in to other servers, so its tokens stay."
	}
	if err != nil {
		return fmt.Errorf("erasing tokens: %w", err)
	}
	return newScreen(deps.Stdout, deps.Getenv).prose("%s", text)
}

func signOut(ctx context.Context, deps Deps, p profile.Profile) error {
	client, err := openSignIn(deps, p, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	return client.SignOut(ctx)
}

// signInNeeded gives a missing profile the exit code of a missing sign-in.
func signInNeeded(err error) error {
	if errors.Is(err, profile.ErrNotFound) {
		return &exitError{exitSignIn, err}
	}
	return err
}
