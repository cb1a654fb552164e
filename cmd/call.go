package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mcpctl/mcpctl/internal/mcpclient/arguments"
	"github.com/mcpctl/mcpctl/internal/wire"
)

// callOptions are the flags of mcpctl call.
type callOptions struct {
	deps     Deps
	to       target
	tool     string
	resource string
	prompt   string
	words    []string
	json     string
	noCheck  bool
	out      callOutput
	save     string
	roots    []string
	remote   remoteFlags
}

func newCall(deps Deps, run func(context.Context, callOptions) error) *cobra.Command {
	o := callOptions{deps: deps}
	c := &cobra.Command{
		Use:     "call {URL TOOL [KEY=VALUE]... | TOOL [KEY=VALUE]... -- COMMAND ARG...}",
		Short:   "Call a tool of an MCP server, read a resource, or fill in a prompt",
		GroupID: "client",
		Long: `Call a tool of an MCP server and print what it returns. The server is a URL,
reached as "mcpctl bridge" would with the sign-in of "mcpctl login", or a command
after -- that speaks MCP on its standard input and output. --resource and --prompt
take the place of the tool.

Arguments are typed as the tool's schema wants them and checked before they are
sent:

  key=value      text, a number, true or false, or JSON where a list or an object
                 is wanted
  key=a key=b    a list
  key.part=value a member of an object
  key:=JSON      a JSON value, whatever the schema says
  key=@FILE      the content of a file (@- is standard input; @@ is a plain @)
  --json JSON    all arguments at once; key=value then changes single ones

Progress is shown on a terminal. A server that asks for input asks on the
terminal, and is declined elsewhere. On a terminal the server's text is shown
without control characters; in a pipe it is what the server sent.

The exit code is 1 when the tool reports an error, and 2 when the arguments do
not fit.`,
		Example: `  mcpctl call https://mcp.contoso.com/mcp get_quote symbol=ADVW
  mcpctl call https://mcp.contoso.com/mcp search filter.city=Rome tags=a tags=b limit=5 -o json
  mcpctl call https://mcp.contoso.com/mcp import --json @rows.json
  mcpctl call https://mcp.contoso.com/mcp --resource market://quotes/ADVW
  mcpctl call https://mcp.contoso.com/mcp --prompt summary symbol=ADVW
  mcpctl call echo message=hello -- npx -y @modelcontextprotocol/server-everything`,
		Args: func(c *cobra.Command, args []string) error { return o.parse(c, args) },
		RunE: func(c *cobra.Command, _ []string) error {
			if err := o.check(c); err != nil {
				return err
			}
			return run(c.Context(), o)
		},
	}
	f := c.Flags()
	f.StringVar(&o.resource, "resource", "", "read the resource with this `URI` instead of calling a tool")
	f.StringVar(&o.prompt, "prompt", "", "fill in the prompt with this `name` instead of calling a tool")
	f.StringVar(&o.json, "json", "", "arguments as a `JSON` object; @FILE reads a file, - standard input")
	f.BoolVar(&o.noCheck, "no-check", false, "send the arguments without checking them against the tool's schema")
	f.StringVar(&o.save, "save", "", "save images, audio and other data into this `folder`")
	f.StringArrayVar(&o.roots, "root", nil, "tell the server that it may work in this `folder` (repeatable)")
	o.out.add(c)
	o.remote.add(c, 0)
	c.ValidArgsFunction = completeTool(deps)
	return c
}

// parse takes the arguments apart: which are the server's, which the tool's.
func (o *callOptions) parse(c *cobra.Command, args []string) error {
	before, command := splitAtDash(c, args)
	o.to.command = command
	named := o.resource != "" || o.prompt != ""
	switch {
	case command != nil && len(command) == 0:
		return errors.New("no command follows the --")
	case command != nil && len(before) > 0 && looksLikeURL(before[0]):
		return fmt.Errorf("the server is %s or the command after --, not both", before[0])
	case command == nil && len(before) == 0:
		return errors.New("name the URL of the MCP server, or its command after --")
	case command == nil && !looksLikeURL(before[0]):
		return fmt.Errorf("%q is not the URL of an MCP server: put the URL first, as in: mcpctl call https://mcp.example.com/mcp %s, or a server's command after --", before[0], strings.Join(before, " "))
	case command == nil:
		o.to.url, before = before[0], before[1:]
	}
	if !named {
		if len(before) == 0 {
			return fmt.Errorf("name the tool to call; %s lists them", o.to.inspect())
		}
		o.tool, before = before[0], before[1:]
		if strings.Contains(o.tool, "=") && !strings.Contains(o.tool, " ") {
			return fmt.Errorf("%q stands where the tool's name should", o.tool)
		}
	}
	o.words = before
	return nil
}

// check refuses flags that do not go together, before anything is sent.
func (o *callOptions) check(c *cobra.Command) error {
	switch {
	case o.resource != "" && o.prompt != "":
		return usagef(c, "choose --resource or --prompt, not both")
	case o.resource != "" && (len(o.words) > 0 || o.json != ""):
		return usagef(c, "a resource takes no arguments")
	case o.prompt != "" && o.json != "":
		return usagef(c, "--json is for tools; a prompt takes key=value")
	}
	for _, word := range o.words {
		if _, err := arguments.Parse(word); err != nil {
			return usageError(c, err)
		}
	}
	return o.remote.check(c, o.to)
}

func runCall(ctx context.Context, o callOptions) error {
	ctx, cancel := o.remote.limit(ctx)
	defer cancel()
	base, err := o.base()
	if err != nil {
		return &exitError{exitUsage, err}
	}
	roots, err := rootsOf(o.roots)
	if err != nil {
		return &exitError{exitUsage, err}
	}
	ui := newCallUI(o.deps)
	server, done, err := o.remote.connect(ctx, o.deps, o.to, dialOptions{elicit: ui, roots: roots, progress: ui.progress, log: ui.log})
	if err != nil {
		return err
	}
	defer done()
	ui.connected(server.Server().ServerInfo.Name)
	if wire.Lookup(server.Hello(), "capabilities", "logging") != nil {
		if err := server.SetLogLevel(ctx, mcpLevel(server.level)); err != nil && ctx.Err() != nil {
			return explainCall(ctx, err)
		}
	}
	var result json.RawMessage
	switch {
	case o.resource != "":
		result, err = server.ReadResource(ctx, o.resource)
	case o.prompt != "":
		result, err = o.fillIn(ctx, server, ui)
	default:
		result, err = o.callTool(ctx, server, ui, base)
	}
	ui.clear()
	if err != nil {
		return explainCall(ctx, err)
	}
	return o.print(result)
}

// base is the JSON object of --json, nil without.
func (o callOptions) base() (json.RawMessage, error) {
	switch {
	case o.json == "":
		return nil, nil
	case o.json == "-":
		return o.readFile("-")
	case strings.HasPrefix(o.json, "@"):
		return o.readFile(o.json[1:])
	}
	return json.RawMessage(o.json), nil
}

// readFile reads a file that an argument names, up to the size of a message.
func (o callOptions) readFile(name string) ([]byte, error) {
	from := o.deps.Stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		from = f
	}
	data, err := io.ReadAll(io.LimitReader(from, wire.DefaultMaxMessage+1))
	if len(data) > wire.DefaultMaxMessage {
		return nil, fmt.Errorf("%s is larger than a message may be (%s)", name, byteSize(wire.DefaultMaxMessage))
	}
	return data, err
}
