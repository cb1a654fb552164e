package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"github.com/mcpctl/mcpctl/internal/entra"
	"github.com/mcpctl/mcpctl/server"
)

// serveOptions are the flags of mcpctl serve.
type serveOptions struct {
	deps      Deps
	config    string
	listen    string
	publicURL string
	dev       bool
	devAddr   string
	readyFile string
	command   []string
	log       logFlags

	tenant         string
	clientID       string
	publicClientID string
	scopes         []string
	auditFile      string

	checkOnly   bool
	printSchema bool
	output      outputFlag
}

func newServe(deps Deps, run func(context.Context, serveOptions) error) *cobra.Command {
	o := serveOptions{deps: deps}
	c := &cobra.Command{
		Use:     "serve [flags] [-- COMMAND ARG...]",
		Short:   "Serve an MCP server to callers with a valid Entra ID token",
		GroupID: "server",
		Long: `Let in callers with a valid Microsoft Entra ID token and relay them to the MCP
server behind: the command after --, or the upstream of the configuration.

Streamable HTTP is served at the path of the public URL (/mcp), HTTP+SSE at /sse
and /messages. Without --config, flags say whose tokens are accepted.

With --check it looks at the configuration and at what that depends on instead:
files, certificates, the authority, the MCP servers behind. SIGHUP makes a
running server read --config anew, and open its audit log anew; sessions go on.

With --dev it brings an authority of its own for trying things out on this
machine: sample people who sign in without a password, and sample tools if no
command is named.`,
		Example: `  mcpctl serve --dev
  mcpctl serve --dev -- npx -y @modelcontextprotocol/server-everything
  mcpctl serve --config mcpctl.yaml
  mcpctl serve --config mcpctl.yaml --check
  mcpctl serve --listen 0.0.0.0:8080 --public-url https://mcp.contoso.com/mcp \
    --tenant TENANT --client-id API --scope Mcp.Access -- python server.py`,
		Args: func(c *cobra.Command, args []string) error {
			if dash := c.ArgsLenAtDash(); dash > 0 || dash < 0 && len(args) > 0 {
				return fmt.Errorf("unexpected argument %q: the upstream's command follows after --", args[0])
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			o.command = args
			if err := o.check(c); err != nil {
				return err
			}
			return run(c.Context(), o)
		},
	}
	f := c.Flags()
	f.StringVar(&o.config, "config", "", "read the configuration from this `file`")
	f.StringVar(&o.listen, "listen", "", "`address` to listen on (default 127.0.0.1:8080)")
	f.StringVar(&o.publicURL, "public-url", "", "`URL` that people type, if it is not the address listened on")
	f.StringVar(&o.tenant, "tenant", "", "`id` of the tenant whose callers are let in")
	f.StringVar(&o.clientID, "client-id", "", "application `id` of this API: the audience of its tokens")
	f.StringVar(&o.publicClientID, "public-client-id", "", "application `id` told to mcpctl login")
	f.StringArrayVar(&o.scopes, "scope", nil, "`scope` that a caller needs (repeatable: any of them)")
	f.StringVar(&o.auditFile, "audit-file", "", "append one JSON line for each request to this `file`")
	f.BoolVar(&o.dev, "dev", false, "bring a development authority, for this machine only")
	f.StringVar(&o.devAddr, "dev-authority-listen", "127.0.0.1:9443", "`address` of the development authority")
	f.StringVar(&o.readyFile, "ready-file", "", "write a JSON `file` with the addresses once the server listens")
	f.BoolVar(&o.checkOnly, "check", false, "check the configuration and what it depends on, and don't serve")
	f.BoolVar(&o.printSchema, "print-schema", false, "print the JSON Schema of the configuration file, for editors")
	o.output.add(c)
	c.MarkFlagsMutuallyExclusive("check", "print-schema")
	o.log.add(c, "info")
	return c
}

func (o serveOptions) check(c *cobra.Command) error {
	identity := []string{"tenant", "client-id", "public-client-id", "scope"}
	for _, name := range append(identity, "listen", "public-url", "audit-file") {
		if o.config != "" && c.Flags().Changed(name) {
			return usagef(c, "--%s does not go with --config: the file says it", name)
		}
	}
	for _, name := range identity {
		if o.dev && c.Flags().Changed(name) {
			return usagef(c, "--%s does not go with --dev, which brings its own", name)
		}
	}
	switch {
	case o.printSchema:
		return nil
	case o.output.json() && !o.checkOnly:
		return usagef(c, "--output json goes with --check only")
	case o.checkOnly && o.config == "":
		return usagef(c, "--check needs a file to check: name it with --config")
	case o.config != "" && o.dev:
		return usagef(c, "--dev does not go with --config")
	case o.config != "" && len(o.command) > 0:
		return usagef(c, "a command does not go with --config: the file names the upstream")
	case o.config == "" && !o.dev && (o.tenant == "" || o.clientID == ""):
		return usagef(c, "whose tokens are to be accepted? Name a --config file, or --tenant and --client-id, or try --dev")
	case o.dev:
		return o.checkLoopback(c)
	case o.config == "":
		return o.checkIdentity(c)
	}
	return nil
}

// checkLoopback keeps a development server on this machine.
func (o serveOptions) checkLoopback(c *cobra.Command) error {
	for flag, addr := range map[string]string{"listen": o.listen, "dev-authority-listen": o.devAddr} {
		if host, _, err := net.SplitHostPort(addr); addr != "" && (err != nil || !isLoopback(host)) {
			return usagef(c, "--dev listens on this machine only, as its authority lets in anybody. Use --%s 127.0.0.1:PORT, not %s", flag, addr)
		}
	}
	return nil
}

// checkIdentity checks the flags that stand for a configuration's entra part.
func (o serveOptions) checkIdentity(c *cobra.Command) error {
	for flag, id := range map[string]string{"tenant": o.tenant, "client-id": o.clientID, "public-client-id": o.publicClientID} {
		if id != "" && !entra.IsGUID(id) {
			return usagef(c, "--%s %q is not an id as the Entra admin center shows it, like 00000000-0000-0000-0000-000000000000", flag, id)
		}
	}
	if len(o.scopes) == 0 {
		return usagef(c, "which scope does a caller need? Name the one that the app registration exposes, such as --scope Mcp.Access")
	}
	return nil
}

func runServe(ctx context.Context, o serveOptions) error {
	if o.printSchema {
		_, err := o.deps.Stdout.Write(server.Schema())
		return err
	}
	log, closeLog, err := o.log.open(o.deps.Stderr)
	if err != nil {
		return err
	}
	defer closeLog()
	if o.dev {
		return serveDev(ctx, o, log)
	}
	if o.checkOnly {
		return checkServe(ctx, o, log)
	}
	cfg, err := o.configuration()
	if err != nil {
		return err
	}
	credentials, err := serverCredentials(cfg, log)
	if err != nil {
		return err
	}
	defer raiseHeapFloor(o.deps.Getenv)()
	s, err := server.Listen(ctx, server.Options{Config: cfg, Credentials: credentials, Version: buildVersion().Version, Getenv: o.deps.Getenv, Logger: log})
	if err != nil {
		return err
	}
	if o.config != "" {
		defer onReload(ctx, func() { _ = s.Reload(ctx, o.configuration) })() // it logs what went wrong
	}
	return serveUntil(ctx, s, o, ready{})
}

// onReload calls do for each signal that asks for it, until stop is called,
// which waits for a call under way. It does nothing where there is no such signal.
func onReload(ctx context.Context, do func()) (stop func()) {
	signals := reloadSignals()
	if len(signals) == 0 {
		return func() {}
	}
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, signals...)
	ctx, cancel := context.WithCancel(ctx)
	var loop sync.WaitGroup
	loop.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-asked:
				do()
			}
		}
	})
	return func() {
		signal.Stop(asked)
		cancel()
		loop.Wait()
	}
}

// configuration comes from the file, or from flags.
func (o serveOptions) configuration() (server.Config, error) {
	if o.config != "" {
		cfg, err := server.ReadConfig(o.config)
		var faults *server.ConfigError
		if errors.As(err, &faults) {
			return cfg, &exitError{exitUsage, err}
		}
		if err != nil {
			return cfg, fmt.Errorf("%w. Name the file with --config", err)
		}
		return cfg, nil
	}
	cfg := server.Config{
		Listen: o.listen, PublicURL: o.publicURL,
		Entra: server.Entra{TenantID: o.tenant, ClientID: o.clientID, PublicClientID: o.publicClientID, RequiredScopes: o.scopes},
		Audit: server.Audit{File: o.auditFile},
	}
	if len(o.command) > 0 {
		cfg.Upstreams = []server.Upstream{{Name: "command", Command: o.command}}
	} else {
		cfg.Upstreams = []server.Upstream{{Name: "builtin", Builtin: []string{"whoami"}}}
	}
	return cfg, nil
}

// ready is what --ready-file gets. The field names are stable.
type ready struct {
	MCPURL    string   `json:"mcp_url"`
	SSEURL    string   `json:"sse_url"`
	Authority string   `json:"authority"`
	TenantID  string   `json:"tenant_id"`
	ClientID  string   `json:"client_id"` // the public client, for sign-in
	Scopes    []string `json:"scopes"`
	CAFile    string   `json:"ca_file,omitempty"`
	PID       int      `json:"pid"`
}

// serveUntil runs s until ctx ends and keeps the ready file while it does.
func serveUntil(ctx context.Context, s *server.Server, o serveOptions, r ready) error {
	if o.readyFile != "" {
		e := s.Config().Entra
		r.MCPURL, r.SSEURL, r.Scopes, r.PID = s.PublicURL(), s.SSEURL(), s.Scopes(), os.Getpid()
		if r.ClientID == "" {
			r.TenantID, r.ClientID = e.TenantID, e.PublicClientID
		}
		if err := writeReady(o.readyFile, r); err != nil {
			s.Close()
			return err
		}
		defer os.Remove(o.readyFile) // whoever reads it checks the pid
	}
	return s.Run(ctx)
}

// writeReady replaces path in one step: a reader never sees half a file.
func writeReady(path string, r ready) error {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".ready-*")
	if err != nil {
		return fmt.Errorf("writing the ready file: %w", err)
	}
	_, err = tmp.Write(append(data, '\n'))
	if err = errors.Join(err, tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		_ = os.Remove(tmp.Name())
		return fmt.Errorf("writing the ready file %s: %w", path, err)
	}
	return nil
}

// shellCommand spells a command line to copy.
func shellCommand(args ...string) string {
	for i, a := range args {
		if strings.ContainsAny(a, " '\"\\$&|;<>()*?") {
			args[i] = "'" + strings.ReplaceAll(a, "'", `'\''`) + "'"
		}
	}
	return strings.Join(args, " ")
}
