package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/mark3labs/mcp-go/client"
	"github.com/mark3labs/mcp-go/mcp"
	"github.com/spf13/cobra"

	"github.com/mcpctl/mcpctl/bridge"
	"github.com/mcpctl/mcpctl/internal/mcpclient"
	"github.com/mcpctl/mcpctl/internal/redact"
	"github.com/mcpctl/mcpctl/internal/wire"
)

// remoteFlags say how a command that is an MCP client itself reaches a server.
type remoteFlags struct {
	transport string
	headers   headerFlags
	noAuth    bool
	timeout   time.Duration
	network   networkFlags
	log       logFlags
	chatty    bool // --log-level was given
}

func (r *remoteFlags) add(c *cobra.Command, timeout time.Duration) {
	f := c.Flags()
	f.StringVar(&r.transport, "transport", bridge.TransportAuto, "`transport` to the server: auto, http (Streamable HTTP) or sse (HTTP+SSE)")
	r.headers.add(c)
	f.BoolVar(&r.noAuth, "no-auth", false, "send no token, for servers that need none; an Authorization header implies it")
	f.DurationVar(&r.timeout, "timeout", timeout, "give up after this `time`, such as 30s; 0 never does")
	r.network.add(c)
	r.log.add(c, "error") // what goes wrong is this command's to tell
	completeValues(c, "transport", transports...)
}

// target is the server that a command speaks to: an address or a program.
type target struct {
	url     string
	command []string
}

func (t target) String() string {
	if t.url != "" {
		return redact.URL(t.url)
	}
	return strings.Join(t.command, " ")
}

// inspect is the command that shows what the server has.
func (t target) inspect() string {
	if t.url != "" {
		return "mcpctl inspect " + redact.URL(t.url)
	}
	return "mcpctl inspect -- " + t.String()
}

// looksLikeURL tells an address from the name of a tool.
func looksLikeURL(arg string) bool { return strings.Contains(arg, "://") }

// connection is an established session with a server.
type connection struct {
	*mcpclient.Session
	transport func() string
	level     slog.Level // of the server's messages that are wanted
}

// patience bounds how long an unreachable server is tried: somebody waits.
const patience = 2 * time.Second

// discoverPatience bounds how long a local server may take to start and answer
// its first message: package runners download it before.
const discoverPatience = 10 * time.Second

// dialOptions are the parts of a session that a command brings.
type dialOptions struct {
	elicit   client.ElicitationHandler
	roots    []mcp.Root
	progress func(mcpclient.Progress)
	log      func(mcpclient.LogMessage)
}

// connect establishes a session. The caller calls the returned function when
// done with it.
func (r remoteFlags) connect(ctx context.Context, deps Deps, to target, with dialOptions) (*connection, func(), error) {
	header, err := r.headers.read(deps.Getenv)
	if err != nil {
		return nil, nil, &exitError{exitUsage, err}
	}
	if deps.Network, err = r.network.settings(deps.Now); err != nil {
		return nil, nil, err
	}
	log, closeLog, err := r.log.open(deps.Stderr, header.secrets...)
	if err != nil {
		return nil, nil, err
	}
	for _, warning := range header.warnings {
		log.Warn("a file of headers is not private", "reason", warning)
	}
	c := &connection{level: slog.LevelWarn}
	if r.chatty {
		_ = c.level.UnmarshalText([]byte(r.log.level)) // open has checked it
	}
	opts := mcpclient.Options{
		Client: mcp.Implementation{Name: "mcpctl", Title: "mcpctl", Version: buildVersion().Version},
		Elicit: with.elicit, Roots: with.roots, Progress: with.progress, Log: with.log,
		Final:  func(code int) bool { return code == bridge.CodeSignInNeeded || code == bridge.CodeUnreachable },
		Logger: log,
	}
	var closeIdle func()
	if opts.Conn, c.transport, closeIdle, err = r.dial(deps, to, header, log); err != nil {
		closeLog()
		return nil, nil, err
	}
	if to.url == "" {
		opts.DiscoverTimeout = discoverPatience
	}
	done := func() {
		closeIdle()
		closeLog()
	}
	if c.Session, err = mcpclient.Connect(ctx, opts); err != nil {
		done()
		return nil, nil, explainCall(ctx, err)
	}
	return c, func() {
		if err := c.Close(); err != nil {
			log.Debug("ending the session failed", "reason", err)
		}
		done()
	}, nil
}

// dial returns the connection, what names its transport, and what lets go of
// the network afterwards.
func (r remoteFlags) dial(deps Deps, to target, header headers, log *slog.Logger) (wire.Conn, func() string, func(), error) {
	if to.url == "" {
		// What a person starts by hand gets the person's environment.
		child, err := wire.StartChild(wire.ChildOptions{Command: to.command, Env: os.Environ(), Logger: log})
		return child, func() string { return "stdio" }, func() {}, err
	}
	signIn := !r.noAuth && !header.authorizes()
	network, err := networkOf(deps, to.url, signIn, log)
	if err != nil {
		return nil, nil, nil, err
	}
	opts := bridge.Options{URL: to.url, Transport: r.transport, Header: header.Header, HTTP: network, Patience: patience, Logger: log}
	if signIn {
		if opts, err = withProfile(deps, opts); err != nil {
			return nil, nil, nil, err
		}
	}
	conn, err := bridge.Connect(opts)
	if err != nil {
		return nil, nil, nil, err
	}
	return conn, conn.Transport, network.CloseIdleConnections, nil
}

// remoteOnly are flags that say nothing to a local server.
var remoteOnly = []string{
	"transport", "header", "header-file", "no-auth",
	"proxy", "no-proxy", "ca-file", "client-cert", "client-key", "client-cert-password-file",
}

// check refuses flags and targets that can't be used, before anything is sent.
func (r *remoteFlags) check(c *cobra.Command, to target) error {
	r.chatty = c.Flags().Changed("log-level")
	if to.url == "" {
		for _, flag := range remoteOnly {
			if c.Flags().Changed(flag) {
				return usagef(c, "--%s is for servers with a URL, not for a command", flag)
			}
		}
		return nil
	}
	if _, err := checkEndpoint(to.url); err != nil {
		return &exitError{exitUsage, err}
	}
	return checkTransport(r.transport)
}

var errTimeout = errors.New("the time of --timeout has passed")

// limit bounds ctx by --timeout.
func (r remoteFlags) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	if r.timeout <= 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeoutCause(ctx, r.timeout, fmt.Errorf("%w: gave up after %s", errTimeout, r.timeout))
}

// explainCall gives a failed request the exit code and the words it deserves.
func explainCall(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); errors.Is(cause, errTimeout) && errors.Is(err, context.DeadlineExceeded) {
		return cause
	}
	answered, ok := errors.AsType[*mcpclient.Error](err)
	switch {
	case !ok:
		return cleaned{err}
	case answered.Code == bridge.CodeSignInNeeded:
		return &exitError{exitSignIn, errors.New(clean(answered.Message))}
	case bridge.CodeStopping <= answered.Code && answered.Code <= bridge.CodeRemoteFailed:
		return errors.New(clean(answered.Message)) // the bridge's own: whole sentences
	case answered.Code == mcp.URL_ELICITATION_REQUIRED:
		return errors.New(clean(answered.Message) + pagesToVisit(answered.Data))
	}
	return cleaned{err}
}

// cleaned is an error whose text may be a server's.
type cleaned struct{ error }

func (e cleaned) Error() string { return clean(e.error.Error()) }
func (e cleaned) Unwrap() error { return e.error }

// pagesToVisit lists the pages that a server wants to have been visited before
// it takes the request (MCP client/elicitation, URL Elicitation Required Error).
func pagesToVisit(data json.RawMessage) string {
	var wanted struct {
		Elicitations []struct{ Message, URL string }
	}
	_ = json.Unmarshal(data, &wanted) // without pages the message has to do
	text := ""
	for _, page := range wanted.Elicitations {
		text += fmt.Sprintf("\n  %s %s", oneLine(page.Message), oneLine(page.URL))
	}
	if text != "" {
		text += "\nVisit what you trust, then call again."
	}
	return text
}
