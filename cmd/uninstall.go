package cmd

import (
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/mcpctl/mcpctl/internal/desktop"
)

func newUninstall(deps Deps, run func(Deps, installOptions) error) *cobra.Command {
	var o installOptions
	c := &cobra.Command{
		Use:     "uninstall CLIENT NAME",
		Short:   "Remove a server from the configuration of an AI client",
		GroupID: "client",
		Long: `Remove the entry NAME from the configuration of an AI client. Where nothing else
has changed since "mcpctl install", the file is as it was before, to the byte.

The sign-in stays: "mcpctl logout URL" ends it.`,
		Example: `  mcpctl uninstall claude-desktop contoso
  mcpctl uninstall vscode contoso --scope workspace --dry-run`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return fmt.Errorf("name the client and the entry, and nothing else; mcpctl install --list shows them")
			}
			return nil
		},
		ValidArgsFunction: completeClients,
		RunE: func(c *cobra.Command, args []string) error {
			var err error
			if o.client, err = desktop.FindClient(args[0]); err != nil {
				return usageError(c, err)
			}
			o.name = args[1]
			return run(deps, o)
		},
	}
	o.addCommon(c, "remove an entry that is not mcpctl's")
	return c
}

func runUninstall(deps Deps, o installOptions) error {
	config, err := clientConfig(deps, o)
	if err != nil {
		return err
	}
	change, err := o.change(deps, config, func(doc []byte, earlier [][]byte) ([]byte, error) {
		if err := o.mayRemove(config, doc); err != nil {
			return nil, err
		}
		return config.Remove(doc, o.name, earlier...)
	})
	if err != nil {
		return err
	}
	if o.out.json() {
		return writeJSON(deps.Stdout, newInstallResult(o, change, desktop.Server{Name: o.name}))
	}
	if o.dryRun {
		if err := printChange(deps, change); err != nil {
			return err
		}
		_, err := fmt.Fprintln(deps.Stderr, "Nothing was changed. Leave out --dry-run to do it.")
		return err
	}
	s := newScreen(deps.Stdout, deps.Getenv)
	if change.After == nil {
		return s.prose("Removed %q from %s, and with it %s, which was made for it.", o.name, config.Client.Name, config.Path)
	}
	if err := s.prose("Removed %q from %s, in %s.", o.name, config.Client.Name, config.Path); err != nil {
		return err
	}
	return s.prose("The file as it was: %s", change.Backup)
}

// mayRemove refuses an entry that is not there, or not ours.
func (o installOptions) mayRemove(config desktop.Config, doc []byte) error {
	servers, err := config.Servers(doc)
	if err != nil {
		return err
	}
	at := slices.IndexFunc(servers, func(s desktop.Server) bool { return s.Name == o.name })
	if at < 0 {
		hint := ""
		if o.scope == scopeFlag(desktop.User) && slices.Contains(config.Client.Scopes(), desktop.Workspace) {
			hint = ". Entries of this folder go with --scope workspace"
		}
		return fmt.Errorf("%s has no server called %q%s.\nRun: mcpctl install --list", config.Path, o.name, hint)
	}
	if _, ok := servers[at].Bridge(); !ok && !o.force {
		return errors.New(servers[at].Name + " in " + config.Path + " does not start mcpctl. Remove it all the same with --force")
	}
	return nil
}
