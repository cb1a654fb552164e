package cmd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/mcpctl/mcpctl/internal/fakeentra"
	"github.com/mcpctl/mcpctl/server"
)

// devStack is the embedded authority and a server that trusts it.
type devStack struct {
	authority *fakeentra.Server
	sample    fakeentra.Sample
	server    *server.Server
	dir       string // holds the CA file; removed by close
	caFile    string
}

// devOptions say what startDev builds.
type devOptions struct {
	listen, authorityListen string
	publicURL               string
	command                 []string
	auditFile               string
	lifetimes               fakeentra.Lifetimes
	log                     *slog.Logger
}

// startDev starts the embedded authority, registers the sample tenant for the
// server's address, and opens the server. Everything is on loopback.
func startDev(ctx context.Context, o devOptions) (_ *devStack, err error) {
	if o.listen == "" {
		o.listen = "127.0.0.1:8080"
	}
	if host, _, err := net.SplitHostPort(o.listen); err != nil || !isLoopback(host) {
		return nil, fmt.Errorf("--dev listens on this machine only, as its authority lets in anybody. Use --listen 127.0.0.1:PORT, not %s", o.listen)
	}
	d := &devStack{}
	defer func() {
		if err != nil {
			d.close()
		}
	}()
	if d.authority, err = fakeentra.Start(fakeentra.Options{Addr: o.authorityListen, Lifetimes: o.lifetimes, Logger: o.log.With("part", "authority")}); err != nil {
		return nil, fmt.Errorf("starting the development authority: %w. If the port is taken, choose another with --dev-authority-listen", err)
	}
	if d.dir, err = os.MkdirTemp("", "mcpctl-dev-"); err != nil {
		return nil, fmt.Errorf("making a folder for the authority's CA: %w", err)
	}
	d.caFile = filepath.Join(d.dir, "ca.pem")
	if err = os.WriteFile(d.caFile, d.authority.CAPEM(), 0o600); err != nil {
		return nil, fmt.Errorf("writing the authority's CA: %w", err)
	}
	if o.publicURL == "" {
		if o.listen, err = concretePort(ctx, o.listen); err != nil {
			return nil, err
		}
		o.publicURL = "http://" + o.listen + "/mcp"
	}
	if d.sample, err = d.authority.AddSample(o.publicURL); err != nil {
		return nil, fmt.Errorf("registering the sample applications: %w", err)
	}
	upstream := server.Upstream{Name: "sample", Builtin: []string{"whoami", "market"}}
	if len(o.command) > 0 {
		upstream = server.Upstream{Name: "command", Command: o.command}
	}
	d.server, err = server.Listen(ctx, server.Options{
		Config: server.Config{
			Listen: o.listen, PublicURL: o.publicURL,
			Entra: server.Entra{
				Authority: d.authority.Authority(), CAFile: d.caFile, TenantID: d.authority.TenantID(),
				ClientID: d.sample.API.ClientID, PublicClientID: d.sample.Client.ClientID,
				RequiredScopes: []string{fakeentra.SampleScope},
			},
			Upstreams: []server.Upstream{upstream},
			Audit:     server.Audit{File: o.auditFile},
		},
		Version: buildVersion().Version,
		Logger:  o.log,
	})
	return d, err
}

// concretePort turns port 0 into a free one: the public URL is registered as
// the App ID URI before the server listens.
func concretePort(ctx context.Context, listen string) (string, error) {
	host, port, err := net.SplitHostPort(listen)
	if err != nil || port != "0" {
		return listen, err
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return "", fmt.Errorf("finding a free port: %w", err)
	}
	defer ln.Close()
	return ln.Addr().String(), nil
}

func (d *devStack) close() {
	if d.server != nil {
		d.server.Close()
	}
	if d.authority != nil {
		_ = d.authority.Close()
	}
	if d.dir != "" {
		_ = os.RemoveAll(d.dir)
	}
}

func serveDev(ctx context.Context, o serveOptions, log *slog.Logger) error {
	d, err := startDev(ctx, devOptions{
		listen: o.listen, authorityListen: o.devAddr, publicURL: o.publicURL, command: o.command, auditFile: o.auditFile, log: log,
	})
	if err != nil {
		return err
	}
	defer d.close()
	if err := d.printNext(o); err != nil {
		return err
	}
	err = serveUntil(ctx, d.server, o, ready{
		Authority: d.authority.Authority(), TenantID: d.authority.TenantID(), ClientID: d.sample.Client.ClientID, CAFile: d.caFile,
	})
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// printNext says what runs and what to type next.
func (d *devStack) printNext(o serveOptions) error {
	program := "mcpctl"
	if exe, err := o.deps.Executable(); err == nil && !strings.Contains(exe, "go-build") {
		program = exe
	}
	url := d.server.PublicURL()
	_, err := fmt.Fprintf(o.deps.Stdout, `A protected MCP server and an authority for trying it out are running.

  MCP server   %s   (HTTP+SSE: %s)
  Authority    %s
  People       %s (role %s), %s, %s (not assigned: is refused)

Next, in another terminal:

  %s
  %s

Stop with Ctrl-C.
`, url, d.server.SSEURL(), d.authority.Authority(),
		d.sample.Ada.UPN, fakeentra.SampleWriterRole, d.sample.Grace.UPN, d.sample.Alan.UPN,
		shellCommand(program, "login", url, "--dev-ca", d.caFile),
		shellCommand(program, "bridge", url))
	return err
}
