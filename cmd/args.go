package cmd

import (
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/mcpctl/mcpctl/bridge"
)

// noArgs refuses arguments of a command that takes none.
func noArgs(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("%s takes no arguments, and got %q", c.Name(), args[0])
	}
	return nil
}

// oneURL wants the address of one server.
func oneURL(c *cobra.Command, args []string) error {
	switch {
	case len(args) == 0:
		return errors.New("name the URL of the MCP server")
	case len(args) > 1:
		return fmt.Errorf("%s takes one URL, and got %d arguments", c.Name(), len(args))
	}
	return nil
}

// noCommand refuses what should have been a command below c, and suggests the
// one that may have been meant.
func noCommand(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	text := fmt.Sprintf("unknown command %q for %q", args[0], c.CommandPath())
	if near := c.SuggestionsFor(args[0]); len(near) > 0 {
		text += "; did you mean " + near[0] + "?"
	}
	return errors.New(text)
}

// newHelp is cobra's help command, which takes an unknown command for the root.
func newHelp() *cobra.Command {
	return &cobra.Command{
		Use:     "help [COMMAND]",
		Short:   "Help about any command",
		Example: "  mcpctl help login",
		ValidArgsFunction: func(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			var names []string
			if of, _, err := c.Root().Find(args); err == nil {
				for _, sub := range of.Commands() {
					if sub.IsAvailableCommand() {
						names = append(names, sub.Name()+"\t"+sub.Short)
					}
				}
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(c *cobra.Command, args []string) error {
			of, rest, err := c.Root().Find(args)
			if err != nil {
				return usageError(c.Root(), err)
			}
			if err := noCommand(of, rest); err != nil {
				return usageError(of, err)
			}
			of.InitDefaultHelpFlag()
			return of.Help()
		},
	}
}

// completeValues lets shells complete the values of a flag that has few.
func completeValues(c *cobra.Command, flag string, values ...string) {
	_ = c.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
}

// transports are the values of --transport.
var transports = []string{bridge.TransportAuto, bridge.TransportHTTP, bridge.TransportSSE}

func checkTransport(name string) error {
	if !slices.Contains(transports, name) {
		return &exitError{exitUsage, fmt.Errorf("unknown transport %q: use auto, http or sse", name)}
	}
	return nil
}
