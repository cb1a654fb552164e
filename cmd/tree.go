package cmd

import (
	"os"

	"github.com/spf13/cobra"
)

// Tree returns mcpctl's commands for the generator of the reference, the man
// pages and the completions. They say nothing of the machine they are made on,
// and are not meant to be run.
func Tree() *cobra.Command {
	return newRoot(Deps{Getenv: func(string) string { return "" }, Executable: os.Executable})
}
