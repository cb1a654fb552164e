// Package cmd holds mcpctl's commands, one file each: parse, call, print.
package cmd

import (
	"context"

	"github.com/spf13/cobra"
)

// Main runs mcpctl with args, the program's name left out, and returns its exit
// code. It ends in order when ctx does.
func Main(ctx context.Context, args []string, deps Deps) int {
	root := newRoot(deps)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	return report(ctx, deps.Stderr, err)
}

func newRoot(deps Deps) *cobra.Command {
	root := &cobra.Command{
		Use:   "mcpctl",
		Short: "Connect AI clients to MCP servers behind Microsoft Entra ID",
		Long: `mcpctl connects desktop AI clients to MCP servers behind Microsoft Entra ID,
and protects such servers.

At a desk:    mcpctl login URL, then "mcpctl bridge URL" as the command in the
              client's configuration.
At a server:  mcpctl serve, in front of any MCP server.
To try it:    mcpctl demo`,
		SilenceUsage:  true,
		SilenceErrors: true,

		SuggestionsMinimumDistance: 2,
		Args:                       noCommand,
		RunE:                       func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.SetIn(deps.Stdin)
	root.SetOut(deps.Stdout)
	root.SetErr(deps.Stderr)
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return usageError(c, err) })
	root.AddGroup(
		&cobra.Group{ID: "client", Title: "At a desk:"},
		&cobra.Group{ID: "server", Title: "At a server:"},
		&cobra.Group{ID: "more", Title: "More:"},
	)
	root.SetHelpCommandGroupID("more")
	root.SetCompletionCommandGroupID("more")
	root.SetHelpCommand(newHelp())
	root.AddCommand(
		newLogin(deps, runLogin),
		newLogout(deps),
		newStatus(deps),
		newToken(deps),
		newBridge(deps, runBridge),
		newInstall(deps, runInstall),
		newUninstall(deps, runUninstall),
		newLogs(deps, runLogs),
		newInspect(deps, runInspect),
		newCall(deps, runCall),
		newExplain(deps, runExplain),
		newDoctor(deps, runDoctor),
		newServe(deps, runServe),
		newSetup(deps),
		newDemo(deps),
		newVersion(deps),
	)
	root.InitDefaultCompletionCmd()
	if completion, _, err := root.Find([]string{"completion"}); err == nil {
		// cobra answers an unknown shell with its help and success.
		completion.Args = noCommand
		completion.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
	}
	wrapArgs(root)
	return root
}

// wrapArgs makes a wrong number of arguments a usage error everywhere.
func wrapArgs(c *cobra.Command) {
	if check := c.Args; check != nil {
		c.Args = func(c *cobra.Command, args []string) error {
			if err := check(c, args); err != nil {
				return usageError(c, err)
			}
			return nil
		}
	}
	for _, sub := range c.Commands() {
		wrapArgs(sub)
	}
}
