package cmd

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/mcpctl/mcpctl/internal/desktop"
)

// installOptions is what install and uninstall were asked to do.
type installOptions struct {
	client desktop.Client
	url    string
	name   string
	scope  scopeFlag
	dryRun bool
	npx    bool
	force  bool
	list   bool
	undo   bool
	out    outputFlag
}

// scopeFlag is --scope.
type scopeFlag string

func (s *scopeFlag) add(c *cobra.Command) {
	*s = scopeFlag(desktop.User)
	c.Flags().Var(s, "scope", "`scope` of the entry: user, or workspace for the current folder")
	completeValues(c, "scope", string(desktop.User), string(desktop.Workspace))
}

// String implements pflag.Value.
func (s *scopeFlag) String() string { return string(*s) }

// Type implements pflag.Value.
func (s *scopeFlag) Type() string { return "scope" }

// Set implements pflag.Value.
func (s *scopeFlag) Set(text string) error {
	if text != string(desktop.User) && text != string(desktop.Workspace) {
		return fmt.Errorf("choose user or workspace, not %q", text)
	}
	*s = scopeFlag(text)
	return nil
}

func newInstall(deps Deps, run func(Deps, installOptions) error) *cobra.Command {
	var o installOptions
	c := &cobra.Command{
		Use:     "install CLIENT URL",
		Short:   "Add a server to the configuration of an AI client",
		GroupID: "client",
		Long: `Add the MCP server at URL to the configuration of an AI client, which then starts
"mcpctl bridge URL" by itself. The clients are:

` + clientList() + `
The client's file is edited in place: comments, order and formatting stay. A file
that can't be parsed is refused and left as it is. A copy of the file as it was is
kept, and --undo takes the last change back.

The entry names this program by its path. With --npx it is npx that finds the
program, for files that people on other machines use too.

Where mcpctl's own files are in a folder that MCP clients don't tell the programs
that they start, the entry says so in MCPCTL_CONFIG_DIR.`,
		Example: `  mcpctl install claude-desktop https://mcp.contoso.com/mcp
  mcpctl install vscode https://mcp.contoso.com/mcp --scope workspace --npx
  mcpctl install cursor https://mcp.contoso.com/mcp --dry-run
  mcpctl install --list
  mcpctl install --undo`,
		Args:              func(c *cobra.Command, args []string) error { return o.installArgs(args) },
		ValidArgsFunction: completeClients,
		RunE: func(c *cobra.Command, args []string) error {
			switch {
			case o.list && (o.undo || o.changes(c)) || o.undo && (o.name != "" || o.npx || c.Flags().Changed("scope")):
				return usagef(c, "--list and --undo stand for themselves")
			case o.name != "":
				if err := checkServerName(o.name); err != nil {
					return usageError(c, err)
				}
			}
			if len(args) > 0 {
				var err error
				if o.client, err = desktop.FindClient(args[0]); err != nil {
					return usageError(c, err)
				}
			}
			if len(args) > 1 {
				if _, err := checkEndpoint(args[1]); err != nil {
					return usageError(c, err)
				}
				o.url = args[1]
			}
			return run(deps, o)
		},
	}
	f := c.Flags()
	f.StringVar(&o.name, "name", "", "`name` of the entry (default: from the URL)")
	f.BoolVar(&o.npx, "npx", false, "let npx find mcpctl, in place of this program's path")
	f.BoolVar(&o.list, "list", false, "show the clients that are here and their servers")
	f.BoolVar(&o.undo, "undo", false, "take back the last change, of CLIENT or of any")
	o.addCommon(c, "replace an entry of the same name")
	return c
}

// addCommon adds the flags that install and uninstall share.
func (o *installOptions) addCommon(c *cobra.Command, force string) {
	c.Flags().BoolVar(&o.dryRun, "dry-run", false, "show what would change, and change nothing")
	c.Flags().BoolVar(&o.force, "force", false, force)
	o.scope.add(c)
	o.out.add(c)
}

// changes tells whether flags were given that are about a change.
func (o *installOptions) changes(c *cobra.Command) bool {
	return o.dryRun || o.force || o.npx || o.name != "" || c.Flags().Changed("scope")
}

func (o *installOptions) installArgs(args []string) error {
	switch {
	case o.list && len(args) > 0:
		return errors.New("--list takes no arguments")
	case o.undo && len(args) > 1:
		return errors.New("--undo takes a client at most")
	case o.list || o.undo:
		return nil
	case len(args) == 0:
		return errors.New("name the client and the URL of the MCP server; mcpctl install --list shows the clients that are here")
	case len(args) == 1:
		return errors.New("name the URL of the MCP server too")
	case len(args) > 2:
		return fmt.Errorf("install takes a client and a URL, and got %d arguments", len(args))
	}
	return nil
}

func clientList() string {
	text := ""
	for _, c := range desktop.Clients() {
		text += fmt.Sprintf("  %-15s %s\n", c.ID, c.Name)
	}
	return text
}

func completeClients(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	var ids []string
	for _, c := range desktop.Clients() {
		if len(args) == 0 {
			ids = append(ids, c.ID+"\t"+c.Name)
		}
	}
	return ids, cobra.ShellCompDirectiveNoFileComp
}

func runInstall(deps Deps, o installOptions) error {
	switch {
	case o.list:
		return listClients(deps, o.out)
	case o.undo:
		return undoInstall(deps, o)
	}
	return addServer(deps, o)
}
