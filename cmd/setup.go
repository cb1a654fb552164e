package cmd

import (
	"github.com/spf13/cobra"
)

func newSetup(deps Deps) *cobra.Command {
	c := &cobra.Command{
		Use:     "setup",
		Short:   "Prepare what a server needs elsewhere",
		GroupID: "server",
		Long: `Prepare what a server needs elsewhere. Nothing is asked of the network, and nothing
is changed but files.`,
		Example: "  mcpctl setup entra",
		Args:    noCommand,
		RunE:    func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newSetupEntra(deps, runSetupEntra))
	return c
}
