package server

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"

	"github.com/mcpctl/mcpctl/internal/wire"
	"github.com/mcpctl/mcpctl/server/auth"
	"github.com/mcpctl/mcpctl/server/builtin"
	"github.com/mcpctl/mcpctl/server/gateway"
)

// openUpstreams makes the upstreams that the configuration names.
func (s *Server) openUpstreams(version string) ([]namedUpstream, error) {
	if len(s.cfg.Upstreams) == 0 {
		return nil, errors.New("a server needs an upstream, and the configuration names none. Name a command after --, or an entry under upstreams")
	}
	var all []namedUpstream
	for _, up := range s.cfg.Upstreams {
		opened, err := s.openUpstream(up, version)
		if err != nil {
			return nil, err
		}
		all = append(all, namedUpstream{up.Name, opened})
	}
	return all, nil
}

func (s *Server) openUpstream(up Upstream, version string) (gateway.Upstream, error) {
	switch {
	case len(up.Command) > 0:
		if _, err := exec.LookPath(up.Command[0]); err != nil && !errors.Is(err, exec.ErrDot) {
			return nil, fmt.Errorf("finding the upstream's program: %w. Check the command, or name it with its full path", err)
		}
		return s.openCommand(up)
	case up.URL != "":
		return s.openURL(up)
	case len(up.Builtin) > 0:
		return s.openBuiltin(up, version)
	}
	return nil, errors.New("the upstream has neither a command, nor a url, nor builtin tools")
}

// openURL makes an upstream that is reached over HTTP, with a credential of the
// server's.
func (s *Server) openURL(up Upstream) (gateway.Upstream, error) {
	base := wire.NewTransport()
	s.upstreams = append(s.upstreams, closerFunc(base.CloseIdleConnections))
	withHeaders := s.withHeaders(up, base)
	transport, source, err := s.credentials.transport(up, withHeaders)
	if err != nil {
		return nil, err
	}
	if len(up.OnBehalfOf.Scopes) > 0 {
		s.exchanges = append(s.exchanges, exchange{up.Name, source})
	}
	log := s.log.With("upstream", up.Name)
	s.addProbe(up.Name, probeURL(up, source, transport, withHeaders, log))
	return gateway.URL{Address: up.URL, HTTP: transport, Logger: log}, nil
}

func (s *Server) openBuiltin(up Upstream, version string) (gateway.Upstream, error) {
	opts := builtin.Options{Names: up.Builtin, Caller: caller, Version: version, Logger: s.log}
	if slices.Contains(up.Builtin, "graph") {
		base := wire.NewTransport()
		s.upstreams = append(s.upstreams, closerFunc(base.CloseIdleConnections))
		source, err := s.credentials.graphSource()
		if err != nil {
			return nil, err
		}
		if opts.Graph, err = s.credentials.graph(source, base); err != nil {
			return nil, err
		}
		s.exchanges = append(s.exchanges, exchange{up.Name, source})
		s.addProbe(up.Name, probeCredential(source))
	} else {
		s.health.addUpstream(up.Name, func() error { return nil })
	}
	return builtin.New(opts)
}

// openCommand makes an upstream of processes, shared as the configuration says.
func (s *Server) openCommand(up Upstream) (gateway.Upstream, error) {
	log := s.log.With("upstream", up.Name)
	command := gateway.Command{
		Args: up.Command, Dir: up.Dir, Env: up.Env, Logger: log,
		Limits: gateway.ResourceLimits{
			Memory: int64(up.Limits.Memory), OpenFiles: up.Limits.OpenFiles, Processes: up.Limits.Processes, CPU: up.Limits.CPU,
		},
	}
	s.addProbe(up.Name, probeOpened(func(context.Context) (wire.Conn, error) { return command.Start() }))
	start := func() (wire.Conn, error) {
		conn, err := command.Start()
		s.metrics.upstreamStarted(up.Name, err)
		return conn, err
	}
	processes, err := gateway.NewProcesses(gateway.ProcessOptions{
		Start: start, Process: gateway.Process(up.Process), Owner: principal, IdleStop: up.IdleStop, Logger: log,
		Bounds: func() gateway.ProcessBounds { return s.endpoints.settings.Load().processes },
	})
	if err != nil {
		return nil, err
	}
	s.metrics.processes(up.Name, processes.Running)
	s.upstreams = append(s.upstreams, processes)
	return processes, nil
}

// principal is the key of whoever a request comes from, "" for nobody.
func principal(ctx context.Context) string {
	p, ok := auth.FromContext(ctx)
	if !ok {
		return ""
	}
	return p.Key()
}

type closerFunc func()

func (f closerFunc) Close() error { f(); return nil }

// caller tells built-in tools who sent a message.
func caller(ctx context.Context) builtin.Caller {
	p, ok := auth.FromContext(ctx)
	if !ok {
		return builtin.Caller{}
	}
	return builtin.Caller{
		TenantID: p.TenantID, ObjectID: p.ObjectID, Name: p.Name, Username: p.Username,
		ClientID: p.ClientID, Scopes: p.Scopes, Roles: p.Roles, AppOnly: p.AppOnly,
	}
}
