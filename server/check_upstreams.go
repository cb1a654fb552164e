package server

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mcpctl/mcpctl/internal/wire"
	"github.com/mcpctl/mcpctl/server/gateway"
	"github.com/mcpctl/mcpctl/server/obo"
)

// prepare makes what the server proves itself with. done closes it.
func (c *checker) prepare(from func() (Credentials, error), issuers []string) (done func()) {
	var own Credentials
	if from != nil {
		var err error
		if own, err = from(); err != nil {
			c.lame = true
			c.fail("credential", err, "Check entra.credential")
		}
	}
	c.credentials = newCredentials(own, c.cfg, issuers, c.log)
	return func() { _ = c.credentials.Close() }
}

func (c *checker) upstream(ctx context.Context, up Upstream) {
	name := "upstream " + up.Name
	if c.lame && up.usesCredential() {
		c.add(CheckResult{ID: name, Status: CheckSkip, Detail: "not looked at, as it needs the server's own credential", Because: "credential"})
		return
	}
	const fix = "Check its entry under upstreams, and its own log"
	look, done, err := c.prober(up)
	switch {
	case err != nil:
		c.fail(name, err, fix)
		return
	case look == nil:
		c.skip(name, "built-in tools need no probe")
		return
	}
	defer done()
	began := time.Now()
	seen, err := look(ctx)
	switch {
	case err != nil:
		c.fail(name, err, fix)
	case seen.doubt != "":
		c.warn(name, seen.doubt, "%s", seen.remark)
	case seen.remark != "":
		c.ok(name, "%s", seen.remark)
	default:
		c.ok(name, "it answered after %s", time.Since(began).Round(time.Millisecond))
	}
}

// prober returns what looks at an upstream as the server would use it; nil where
// there is nothing to look at.
func (c *checker) prober(up Upstream) (look prober, done func(), err error) {
	switch {
	case len(up.Command) > 0:
		command := gateway.Command{Args: up.Command, Dir: up.Dir, Env: up.Env, Logger: c.log}
		return probeOpened(func(context.Context) (wire.Conn, error) { return command.Start() }), func() {}, nil
	case up.URL != "":
		base := wire.NewTransport()
		withHeaders := withFields(up.Headers, base)
		transport, source, err := c.credentials.transport(up, withHeaders)
		if err != nil {
			return nil, nil, err
		}
		return probeURL(up, source, transport, withHeaders, c.log), base.CloseIdleConnections, nil
	case slices.Contains(up.Builtin, "graph"):
		source, err := c.credentials.graphSource()
		return probeCredential(source), func() {}, err
	}
	return nil, nil, nil
}

// groups looks at whether the groups can be had of people who are in too many
// for a token, where rules ask for them.
func (c *checker) groups(ctx context.Context) {
	const name = "groups"
	if !c.cfg.needsGroups() || c.lame {
		return
	}
	client, err := authorityClient(c.cfg.Entra.CAFile)
	if err != nil {
		return // said already
	}
	if client != nil {
		defer client.CloseIdleConnections()
	}
	groups, err := c.credentials.groups(client)
	if err != nil {
		c.fail(name, err, "Check entra.graph_url")
		return
	}
	if groups == nil {
		c.warn(name, "Add entra.credential, which lets the server ask Microsoft Graph",
			"the policy looks at groups, which tokens leave out for people who are in too many: these are refused")
		return
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	for _, tenant := range c.cfg.homes() {
		if err := groups.Try(ctx, strings.ToLower(tenant)); err != nil {
			cause, fix := obo.Diagnose(err)
			c.fail(name, withFix(fmt.Errorf("groups of people in tenant %s can't be looked up: %s", tenant, cause), fix), "Try again later, and check that this machine reaches Microsoft Graph")
			return
		}
	}
	c.ok(name, "Microsoft Graph lets this server look up groups")
}
