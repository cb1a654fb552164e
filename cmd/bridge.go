package cmd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/net/http/httpguts"

	"github.com/mcpctl/mcpctl/bridge"
	"github.com/mcpctl/mcpctl/internal/wire"
)

// bridgeOptions are the flags of mcpctl bridge.
type bridgeOptions struct {
	deps       Deps
	url        string
	transport  string
	headers    []string
	noAuth     bool
	maxMessage int
	log        logFlags
}

func newBridge(deps Deps, run func(context.Context, bridgeOptions) error) *cobra.Command {
	o := bridgeOptions{deps: deps}
	c := &cobra.Command{
		Use:     "bridge URL",
		Short:   "Relay an MCP client on stdio to a remote MCP server",
		GroupID: "client",
		Long: `Relay an MCP client on stdio to a remote MCP server, with the tokens of a
sign-in made by "mcpctl login URL".

This is the command for the configuration of Claude Desktop, Cursor, VS Code and
other clients. It speaks JSON-RPC on standard input and output; everything else
goes to standard error. It never opens a browser and never asks anything.`,
		Example: `  mcpctl login https://mcp.contoso.com/mcp
  mcpctl bridge https://mcp.contoso.com/mcp

  # claude_desktop_config.json
  {"mcpServers": {"contoso": {
    "command": "/usr/local/bin/mcpctl",
    "args": ["bridge", "https://mcp.contoso.com/mcp"]}}}

  # a server on this machine, without sign-in
  mcpctl bridge http://127.0.0.1:8080/mcp --no-auth`,
		Args: oneURL,
		RunE: func(c *cobra.Command, args []string) error {
			o.url = args[0]
			return run(c.Context(), o)
		},
	}
	f := c.Flags()
	f.StringVar(&o.transport, "transport", bridge.TransportAuto, "`transport` to the server: auto, http (Streamable HTTP) or sse (HTTP+SSE)")
	f.StringArrayVar(&o.headers, "header", nil, "send this `'Name: value'` with every request (repeatable)")
	f.BoolVar(&o.noAuth, "no-auth", false, "send no token, for servers that need none or get theirs by --header")
	f.IntVar(&o.maxMessage, "max-message", wire.DefaultMaxMessage>>20, "largest message to relay, in `MiB`")
	o.log.add(c, "warn")
	completeValues(c, "transport", transports...)
	return c
}

// settled is when a client's start-up burst is over.
const settled = 800 * time.Millisecond

func runBridge(ctx context.Context, o bridgeOptions) error {
	if _, err := checkEndpoint(o.url); err != nil {
		return &exitError{exitUsage, err}
	}
	if err := checkTransport(o.transport); err != nil {
		return err
	}
	header, err := parseHeaders(o.headers)
	if err != nil {
		return &exitError{exitUsage, err}
	}
	if o.maxMessage < 1 || o.maxMessage > 1024 {
		return &exitError{exitUsage, fmt.Errorf("--max-message must be between 1 and 1024 MiB, not %d", o.maxMessage)}
	}
	log, closeLog, err := o.log.open(o.deps.Stderr)
	if err != nil {
		return err
	}
	defer closeLog()

	opts := bridge.Options{
		URL:        o.url,
		Transport:  o.transport,
		Header:     header,
		MaxMessage: o.maxMessage << 20,
		Logger:     log,
	}
	if !o.noAuth {
		if opts, err = withProfile(o.deps, opts); err != nil {
			return err
		}
	}
	opts.Client = o.client(log)
	log.Info("bridge started", "url", o.url, "version", buildVersion().Version)
	defer time.AfterFunc(settled, shrink).Stop()
	err = bridge.Run(ctx, opts)
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		log.Info("bridge stopped by a signal")
		return nil // an orderly stop
	}
	return err
}

// client is the connection to the MCP client that started the bridge.
func (o bridgeOptions) client(log *slog.Logger) wire.Conn {
	stream := wire.StreamOptions{MaxMessage: o.maxMessage << 20, Logger: log}
	in, inFile := o.deps.Stdin.(*os.File)
	out, outFile := o.deps.Stdout.(*os.File)
	if inFile && outFile {
		return wire.Stdio(in, out, stream)
	}
	return wire.NewStream(o.deps.Stdin, o.deps.Stdout, stream)
}

// parseHeaders reads 'Name: value' flags. A value is never repeated in an
// error: it may be a secret.
func parseHeaders(flags []string) (http.Header, error) {
	h := http.Header{}
	for _, flag := range flags {
		name, value, ok := strings.Cut(flag, ":")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		if !ok || !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value) {
			return nil, errors.New(`--header wants 'Name: value', with a header's name before the colon`)
		}
		h.Add(name, value)
	}
	return h, nil
}
