package cmd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mcpctl/mcpctl/bridge"
	"github.com/mcpctl/mcpctl/internal/era"
	"github.com/mcpctl/mcpctl/internal/profile"
	"github.com/mcpctl/mcpctl/internal/redact"
	"github.com/mcpctl/mcpctl/internal/wire"
)

// protocols are the values of --protocol.
var protocols = []string{era.ModeAuto, "2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28"}

// bridgeOptions are the flags of mcpctl bridge.
type bridgeOptions struct {
	deps        Deps
	url         string
	transport   string
	protocol    string
	headers     headerFlags
	noAuth      bool
	maxMessage  int
	maxInFlight int
	retryTime   time.Duration
	finishTime  time.Duration
	network     networkFlags
	log         logFlags
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
goes to standard error, and to a log that "mcpctl logs URL" shows.

Starting it asks nobody anything. Where a sign-in is missing or has ended, the MCP
client gets a tool, sign_in, that tells a code and a page to enter it, or is asked
to open that page; a sign-in in a terminal counts at once too.

MCP clients start commands with hardly any environment variables. What the
network asks for is best told once, to mcpctl login (--proxy, --ca-file,
--client-cert): bridges take it from the profile. Without it they use the proxy
variables, else the settings of Windows, macOS, GNOME or KDE.

The bridge ends when its input does, when it is told to, and when the program that
started it is gone.`,
		Example: `  mcpctl login https://mcp.contoso.com/mcp
  mcpctl bridge https://mcp.contoso.com/mcp

  # claude_desktop_config.json
  {"mcpServers": {"contoso": {
    "command": "/usr/local/bin/mcpctl",
    "args": ["bridge", "https://mcp.contoso.com/mcp"]}}}

  # a server on this machine, without sign-in
  mcpctl bridge http://127.0.0.1:8080/mcp --no-auth

  # a server with a key of its own, from the variables of the client's entry
  mcpctl bridge https://mcp.example.com/mcp --header 'X-Api-Key: ${EXAMPLE_KEY}'

  # through a proxy that inspects TLS, for this run only
  mcpctl bridge https://mcp.contoso.com/mcp --proxy http://proxy.contoso.com:8080 --ca-file contoso-root.pem`,
		Args: oneURL,
		RunE: func(c *cobra.Command, args []string) error {
			o.url = args[0]
			return run(c.Context(), o)
		},
	}
	f := c.Flags()
	f.StringVar(&o.transport, "transport", bridge.TransportAuto, "`transport` to the server: auto, http (Streamable HTTP) or sse (HTTP+SSE)")
	o.headers.add(c)
	f.BoolVar(&o.noAuth, "no-auth", false, "send no token, for servers that need none; an Authorization header implies it")
	f.IntVar(&o.maxMessage, "max-message", wire.DefaultMaxMessage>>20, "largest message to relay, in `MiB`")
	f.IntVar(&o.maxInFlight, "max-in-flight", 1000, "largest `number` of requests that wait for the server at a time; more are answered with an error")
	f.DurationVar(&o.retryTime, "retry-time", 20*time.Second, "`time` for which a request that could not be delivered is tried again; a third of it for the first one, where the server's address refuses connections")
	f.DurationVar(&o.finishTime, "finish-time", 10*time.Second, "`time` for which running requests are waited for after the end of input")
	o.network.add(c)
	o.log.add(c, "warn")
	completeValues(c, "transport", transports...)
	f.StringVar(&o.protocol, "protocol", era.ModeAuto, "`revision` to speak to the server: auto (the client's own, translated where the server refuses), or one such as 2025-11-25 or 2026-07-28")
	completeValues(c, "protocol", protocols...)
	return c
}

// settled is when a client's start-up burst is over.
const settled = 800 * time.Millisecond

func runBridge(ctx context.Context, o bridgeOptions) error {
	if err := o.check(); err != nil {
		return &exitError{exitUsage, err}
	}
	var err error
	if o.deps.Network, err = o.network.settings(o.deps.Now); err != nil {
		return err
	}
	header, err := o.headers.read(o.deps.Getenv)
	if err != nil {
		return &exitError{exitUsage, err}
	}
	log, runLog, closeLog, err := o.openLogs(header.secrets)
	if err != nil {
		return err
	}
	defer closeLog()
	for _, warning := range header.warnings {
		log.Warn("a file of headers is not private", "reason", warning)
	}
	alive, closeParent := parentAlive()
	defer closeParent()
	ctx, release := withParent(ctx, alive)
	defer release()

	opts := bridge.Options{
		URL:           o.url,
		Transport:     o.transport,
		Protocol:      o.protocol,
		Verdicts:      keptVerdicts(o.deps, log),
		Header:        header.Header,
		MaxMessage:    o.maxMessage << 20,
		MaxInFlight:   o.maxInFlight,
		Patience:      o.retryTime,
		FinishTimeout: o.finishTime,
		Logger:        log,
	}
	signIn := !o.noAuth && !header.authorizes()
	transport, err := networkOf(o.deps, o.url, signIn, log)
	if err == nil && signIn {
		opts, err = withProfile(o.deps, opts)
	}
	opts.Client = o.client(log)
	if err != nil {
		runLog.Error("the bridge can't begin", "reason", err)
		return bridge.Refuse(ctx, opts.Client, fmt.Errorf("the bridge can't begin: %w", homeHint(err)))
	}
	defer transport.CloseIdleConnections()
	opts.HTTP = transport
	log.Info(msgStarted, "url", redact.URL(o.url), "version", buildVersion().Version)
	defer transport.prepare(ctx)()
	defer time.AfterFunc(settled, shrink).Stop()
	err = bridge.Run(ctx, opts)
	switch {
	case err == nil:
		log.Info(msgEnded, "reason", "the MCP client closed its end")
	case errors.Is(err, context.Canceled) && ctx.Err() != nil:
		reason := "a signal"
		if errors.Is(context.Cause(ctx), errOrphaned) {
			reason = errOrphaned.Error()
		}
		log.Info(msgEnded, "reason", reason)
		return nil // an orderly stop
	default:
		runLog.Error(msgEnded, "reason", err) // standard error gets it from Main
	}
	return err
}

// homeHint says where a bridge gets what it needs to find its files: an MCP
// client passes on little more than it is told to.
func homeHint(err error) error {
	if _, dirErr := profile.Dir(); dirErr == nil {
		return err
	}
	return fmt.Errorf("%w, for instance under env in this server's entry in the MCP client's configuration", err)
}

// check refuses flags that can't be used, before anything is opened.
func (o bridgeOptions) check() error {
	if _, err := checkEndpoint(o.url); err != nil {
		return err
	}
	if !slices.Contains(protocols, o.protocol) {
		return fmt.Errorf("unknown protocol %q: use %s", o.protocol, strings.Join(protocols, ", "))
	}
	if err := checkTransport(o.transport); err != nil {
		return err
	}
	if o.maxMessage < 1 || o.maxMessage > 1024 {
		return fmt.Errorf("--max-message must be between 1 and 1024 MiB, not %d", o.maxMessage)
	}
	if o.maxInFlight < 1 || o.maxInFlight > 100_000 {
		return fmt.Errorf("--max-in-flight must be between 1 and 100000, not %d", o.maxInFlight)
	}
	if o.retryTime < time.Second || o.retryTime > 10*time.Minute {
		return fmt.Errorf("--retry-time must be between 1s and 10m, not %v", o.retryTime)
	}
	if o.finishTime < time.Second || o.finishTime > time.Hour {
		return fmt.Errorf("--finish-time must be between 1s and 1h, not %v", o.finishTime)
	}
	return nil
}

// openLogs opens the log that the flags describe together with the one that
// "mcpctl logs" shows, and the latter alone. Without a place to keep that the
// bridge still works.
func (o bridgeOptions) openLogs(secrets []string) (log, run *slog.Logger, done func(), err error) {
	flagged, closeFlagged, err := o.log.handler(o.deps.Stderr)
	if err != nil {
		return nil, nil, nil, err
	}
	level, err := o.log.threshold()
	if err != nil {
		return nil, nil, nil, err
	}
	kept, closeKept, err := openRunLog(o.url, min(level, slog.LevelInfo))
	if err != nil {
		log = slog.New(redact.NewHandler(flagged, secrets...))
		log.Debug("no log is kept for mcpctl logs", "reason", err)
		return log, slog.New(slog.DiscardHandler), closeFlagged, nil
	}
	log = slog.New(redact.NewHandler(slog.NewMultiHandler(flagged, kept), secrets...))
	return log, slog.New(redact.NewHandler(kept, secrets...)), func() {
		closeKept()
		closeFlagged()
	}, nil
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
