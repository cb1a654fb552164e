package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/spf13/cobra"

	"github.com/mcpctl/mcpctl/internal/mcpclient"
	"github.com/mcpctl/mcpctl/internal/redact"
	"github.com/mcpctl/mcpctl/internal/wire"
)

// inspectOptions are the flags of mcpctl inspect.
type inspectOptions struct {
	deps   Deps
	to     target
	remote remoteFlags
	out    outputFlag
}

func newInspect(deps Deps, run func(context.Context, inspectOptions) error) *cobra.Command {
	o := inspectOptions{deps: deps}
	c := &cobra.Command{
		Use:     "inspect {URL | -- COMMAND ARG...}",
		Short:   "Show what an MCP server offers: tools, resources, prompts",
		GroupID: "client",
		Long: `Show what an MCP server offers: its capabilities, tools with their arguments,
resources and prompts. The server is a URL, reached as "mcpctl bridge" would with
the sign-in of "mcpctl login", or a command after -- that speaks MCP on its
standard input and output.

The table fits the terminal and shortens long texts. -o json prints everything as
the server sent it, fields unknown to mcpctl included.`,
		Example: `  mcpctl inspect https://mcp.contoso.com/mcp
  mcpctl inspect http://127.0.0.1:8080/mcp --no-auth -o json
  mcpctl inspect -- npx -y @modelcontextprotocol/server-everything`,
		Args: func(c *cobra.Command, args []string) error {
			before, command := splitAtDash(c, args)
			switch {
			case command == nil && len(before) == 0:
				return errors.New("name the URL of the MCP server, or its command after --")
			case command != nil && len(before) > 0:
				return fmt.Errorf("inspect takes a URL or a command after --, not both; got %q before the --", before[0])
			case command != nil && len(command) == 0:
				return errors.New("no command follows the --")
			case len(before) > 1:
				return fmt.Errorf("inspect takes one URL; a server's command and its arguments follow after --, as in: mcpctl inspect -- %s …", before[0])
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			before, command := splitAtDash(c, args)
			if o.to.command = command; command == nil {
				o.to.url = before[0]
			}
			if err := o.remote.check(c, o.to); err != nil {
				return err
			}
			return run(c.Context(), o)
		},
	}
	o.remote.add(c, time.Minute)
	o.out.add(c)
	return c
}

// splitAtDash returns the arguments before and after --; after is nil without
// one.
func splitAtDash(c *cobra.Command, args []string) (before, after []string) {
	dash := c.ArgsLenAtDash()
	if dash < 0 {
		return args, nil
	}
	return args[:dash:dash], args[dash:]
}

// inspection is what a server offers. It is what -o json prints: the field
// names are stable, and below them everything is the server's.
type inspection struct {
	URL             string          `json:"url,omitempty"`
	Command         []string        `json:"command,omitempty"`
	Transport       string          `json:"transport"`
	ProtocolVersion string          `json:"protocolVersion"`
	Server          json.RawMessage `json:"server"` // the result of server/discover or initialize

	Tools             []json.RawMessage `json:"tools,omitzero"`
	Resources         []json.RawMessage `json:"resources,omitzero"`
	ResourceTemplates []json.RawMessage `json:"resourceTemplates,omitzero"`
	Prompts           []json.RawMessage `json:"prompts,omitzero"`

	// Errors says which lists could not be read.
	Errors map[mcpclient.List]string `json:"errors,omitempty"`

	hello  mcp.InitializeResult
	listed []mcpclient.List // those that the server declares
}

func runInspect(ctx context.Context, o inspectOptions) error {
	ctx, cancel := o.remote.limit(ctx)
	defer cancel()
	server, done, err := o.remote.connect(ctx, o.deps, o.to, dialOptions{})
	if err != nil {
		return err
	}
	in, err := inspectServer(ctx, server)
	done()
	if err != nil {
		return explainCall(ctx, err)
	}
	in.URL, in.Command = redact.URL(o.to.url), o.to.command
	if o.out.json() {
		err = writeJSON(o.deps.Stdout, in)
	} else {
		err = printInspection(newScreen(o.deps.Stdout, o.deps.Getenv), o.to, in)
	}
	if err == nil && len(in.Errors) > 0 {
		return errors.New("the server did not give all that it declares; see above")
	}
	return err
}

// inspectServer reads every list that the server declares, to its end.
func inspectServer(ctx context.Context, server *connection) (*inspection, error) {
	in := &inspection{
		Transport: server.transport(), ProtocolVersion: server.Server().ProtocolVersion,
		Server: server.Hello(), hello: server.Server(),
	}
	for _, l := range []struct {
		list       mcpclient.List
		capability string
		items      *[]json.RawMessage
	}{
		{mcpclient.Tools, "tools", &in.Tools},
		{mcpclient.Resources, "resources", &in.Resources},
		{mcpclient.ResourceTemplates, "resources", &in.ResourceTemplates},
		{mcpclient.Prompts, "prompts", &in.Prompts},
	} {
		if wire.Lookup(in.Server, "capabilities", l.capability) == nil {
			continue
		}
		*l.items = []json.RawMessage{}
		in.listed = append(in.listed, l.list)
		for item, err := range server.All(ctx, l.list) {
			if err != nil {
				if ctx.Err() != nil {
					return nil, err
				}
				in.failed(l.list, err)
				break
			}
			*l.items = append(*l.items, item)
		}
	}
	return in, nil
}

// failed notes a list that could not be read.
func (in *inspection) failed(list mcpclient.List, err error) {
	var answered *mcpclient.Error
	if errors.As(err, &answered) && answered.Code == mcp.METHOD_NOT_FOUND && list == mcpclient.ResourceTemplates {
		// The resources capability covers two lists, and many servers have one.
		in.listed = slices.DeleteFunc(in.listed, func(l mcpclient.List) bool { return l == list })
		in.ResourceTemplates = nil
		return
	}
	if in.Errors == nil {
		in.Errors = map[mcpclient.List]string{}
	}
	in.Errors[list] = err.Error()
}
