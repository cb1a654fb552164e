package cmd

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/mcpctl/mcpctl/internal/profile"
	"github.com/mcpctl/mcpctl/internal/redact"
	"github.com/mcpctl/mcpctl/tokencache"
)

// profileStatus is one profile as -o json prints it. The field names are stable.
type profileStatus struct {
	URL        string    `json:"url"`
	Username   string    `json:"username"`
	TenantID   string    `json:"tenant_id"`
	Authority  string    `json:"authority"`
	ClientID   string    `json:"client_id"`
	Scopes     []string  `json:"scopes"`
	TokenStore string    `json:"token_store"`
	Transport  string    `json:"transport"`
	Updated    time.Time `json:"updated"`
}

type storeStatus struct {
	Path    string `json:"path"`
	State   string `json:"state"`
	Backend string `json:"backend,omitempty"`
	Error   string `json:"error,omitempty"`
}

func statusOf(p profile.Profile) profileStatus {
	return profileStatus{
		URL: redact.URL(p.URL), Username: p.Account.Username, TenantID: p.TenantID, Authority: p.Authority, ClientID: p.ClientID,
		Scopes: p.Scopes, TokenStore: p.TokenStore, Transport: p.Transport, Updated: p.Updated,
	}
}

func storeName(backend string) string { return tokencache.Backend(backend).String() }

func newStatus(deps Deps) *cobra.Command {
	var out outputFlag
	c := &cobra.Command{
		Use:     "status",
		Short:   "Show who is signed in, and where tokens are kept",
		GroupID: "client",
		Long: `Show the servers that somebody has signed in to, and whether their tokens can be
read. Nothing is asked of the network.

The exit code is 4 when nobody is signed in.`,
		Example: "  mcpctl status\n  mcpctl status -o json",
		Args:    noArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return runStatus(c.Context(), deps, out) },
	}
	out.add(c)
	return c
}

func runStatus(ctx context.Context, deps Deps, out outputFlag) error {
	profiles, err := openProfiles(deps)
	if err != nil {
		return err
	}
	list, listErr := profiles.List()
	if listErr != nil && len(list) == 0 {
		return listErr
	}
	statuses, stores := []profileStatus{}, []storeStatus{}
	seen := map[bool]bool{}
	for _, p := range list {
		statuses = append(statuses, statusOf(p))
		if dev := p.DevCA != ""; !seen[dev] {
			seen[dev] = true
			s, err := inspectStore(ctx, dev)
			if err != nil {
				return err
			}
			stores = append(stores, s)
		}
	}
	if out.json() {
		err = writeJSON(deps.Stdout, map[string]any{"profiles": statuses, "token_stores": stores})
	} else {
		err = printStatus(newScreen(deps.Stdout, deps.Getenv), statuses, stores)
	}
	switch {
	case err != nil:
		return err
	case listErr != nil:
		return listErr
	case len(statuses) == 0:
		return &exitError{exitSignIn, errors.New("nobody is signed in.\nRun: mcpctl login URL")}
	}
	return nil
}

func inspectStore(ctx context.Context, dev bool) (storeStatus, error) {
	at, err := storeOptions(dev, nil)
	if err != nil {
		return storeStatus{}, err
	}
	st, err := tokencache.Inspect(ctx, at)
	if err != nil {
		return storeStatus{}, err
	}
	s := storeStatus{Path: st.Path, State: string(st.State), Backend: string(st.Backend)}
	if st.Err != nil {
		s.Error = st.Err.Error()
	}
	return s, nil
}

func printStatus(s screen, profiles []profileStatus, stores []storeStatus) error {
	if len(profiles) == 0 {
		return nil
	}
	var rows [][]string
	for _, p := range profiles {
		rows = append(rows, []string{p.URL, p.Username, p.TenantID, p.Updated.Local().Format(time.DateTime)})
	}
	if err := s.table([]string{"SERVER", "SIGNED IN AS", "TENANT", "SINCE"}, rows); err != nil {
		return err
	}
	for _, store := range stores {
		line := fmt.Sprintf("Tokens: %s, %s", store.Path, store.State)
		if store.Backend != "" {
			line += "; key in the " + storeName(store.Backend)
		}
		if err := s.prose("%s", line); err != nil {
			return err
		}
		if store.Error != "" {
			if err := s.line("  %s", store.Error); err != nil {
				return err
			}
		}
	}
	return nil
}
