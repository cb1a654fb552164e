package server

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/mcpctl/mcpctl/internal/wire"
	"github.com/mcpctl/mcpctl/server/auth"
	"github.com/mcpctl/mcpctl/server/gateway"
	"github.com/mcpctl/mcpctl/server/policy"
	"github.com/mcpctl/mcpctl/server/state"
)

// endpoint is one address at which MCP is served: all upstreams as one at the
// public URL, and each alone below it where there are several.
type endpoint struct {
	path    string
	gateway *gateway.Gateway
	streams *wire.StreamableFront
	sse     *wire.SSEFront // at the public URL only, else nil
}

// settings are what can change while the server runs, ready for use.
type settings struct {
	policy *policy.Policy
	limits gateway.LimitOptions
	cache  []gateway.CacheRule

	sessions  wire.SessionBounds
	processes gateway.ProcessBounds
}

func newSettings(c Config) (*settings, error) {
	rules, err := policy.Compile(c.rules())
	if err != nil {
		return nil, fmt.Errorf("reading the policy: %w", err)
	}
	return &settings{
		policy: rules, limits: c.limitOptions(), cache: c.cacheRules(),
		sessions:  wire.SessionBounds{All: c.Limits.Sessions, PerOwner: c.Limits.SessionsPerUser, IdleTTL: c.Limits.SessionIdle},
		processes: gateway.ProcessBounds{All: c.Limits.Processes, PerOwner: c.Limits.ProcessesPerUser},
	}, nil
}

// namedUpstream is an upstream as the configuration names it.
type namedUpstream struct {
	name     string
	upstream gateway.Upstream
}

// endpoints are all that a server serves, and what they share.
type endpoints struct {
	all      []*endpoint // the public URL's first
	settings atomic.Pointer[settings]
	store    state.Store
	replica  *gateway.Replica
	verdicts gateway.Verdicts
	aliases  gateway.Aliases
}

// openEndpoints opens the endpoints before the upstreams.
func (s *Server) openEndpoints(upstreams []namedUpstream, version string) (err error) {
	e := &s.endpoints
	first, err := newSettings(s.cfg)
	if err != nil {
		return err
	}
	e.settings.Store(first)
	e.store = state.NewMemory(state.MemoryOptions{})
	if e.replica, err = gateway.NewReplica(gateway.ReplicaOptions{Store: e.store, Caller: carriedCaller{}, Logger: s.log}); err != nil {
		return err
	}
	s.onReload([]string{"policy", "cache", "limits.requests_per_minute", "limits.burst", "limits.concurrent_requests", "limits.tools", "limits.sessions_per_user", "limits.sessions", "limits.session_idle", "limits.processes", "limits.processes_per_user", "upstreams[].requests_per_minute", "upstreams[].concurrent_requests"},
		func(_, next Config) (func(), error) {
			changed, err := newSettings(next)
			return func() { e.settings.Store(changed) }, err
		})

	base := s.cfg.endpointPath()
	if len(upstreams) == 1 {
		return s.openEndpoint(base, upstreams[0].name, s.dialOne(upstreams[0]), true)
	}
	if err := s.openEndpoint(base, "", s.dialAll(upstreams, version), true); err != nil {
		return err
	}
	for _, up := range upstreams {
		if err := s.openEndpoint(base+"/"+up.name, up.name, s.dialOne(up), false); err != nil {
			return err
		}
	}
	return nil
}

type dialFunc = func(ctx context.Context, deliver wire.Deliver, gone func(error)) (wire.Remote, error)

func (s *Server) dialOne(up namedUpstream) dialFunc {
	return func(ctx context.Context, deliver wire.Deliver, gone func(error)) (wire.Remote, error) {
		return gateway.DialUpstream(ctx, gateway.DialOptions{
			Name: up.name, Upstream: up.upstream, Verdicts: &s.endpoints.verdicts, Logger: s.log.With("upstream", up.name), Gone: gone,
		}, deliver)
	}
}

// dialAll shows all upstreams as one. One that ends is opened again by the
// aggregate, so nobody is told.
func (s *Server) dialAll(upstreams []namedUpstream, version string) dialFunc {
	return func(ctx context.Context, deliver wire.Deliver, _ func(error)) (wire.Remote, error) {
		opts := gateway.AggregateOptions{Aliases: &s.endpoints.aliases, ServerName: "mcpctl", ServerVersion: version, CursorKey: s.endpoints.replica.CursorKey(), Logger: s.log}
		for _, up := range upstreams {
			dial := s.dialOne(up)
			opts.Upstreams = append(opts.Upstreams, gateway.Named{Name: up.name, Dial: func(deliver wire.Deliver) (wire.Remote, error) {
				return dial(ctx, deliver, nil)
			}})
		}
		return gateway.NewAggregate(opts, deliver)
	}
}

func (s *Server) openEndpoint(path, name string, dial dialFunc, withSSE bool) error {
	e := &s.endpoints
	gw, err := gateway.New(gateway.Options{
		Dial:   dial,
		Record: s.record,
		Logger: s.log,
		Steps: gateway.Steps{
			Policy: func() *policy.Policy { return e.settings.Load().policy },
			Caller: policyCaller,
			Challenge: func(ctx context.Context, scopes []string) string {
				return s.metadata.ScopeChallenge(path, withHeld(ctx, scopes), "This needs more permissions.")
			},
			Lacking:    lacking(s.metadata, path),
			Limits:     func() gateway.LimitOptions { return e.settings.Load().limits },
			CacheRules: func() []gateway.CacheRule { return e.settings.Load().cache },
			Around:     s.tracing.step,
			Owner:      principal,
			Store:      e.store,
			Name:       name,
			Upstreams:  s.cfg.upstreamNames(),
			Aliases:    &e.aliases,
			Scope:      path,
		},
	})
	if err != nil {
		return err
	}
	front := wire.FrontOptions{
		Owner:       func(r *http.Request) string { return principal(r.Context()) }, // never "": the guard is before it
		Serve:       gw.Serve,
		Stateless:   gw.Stateless,
		CheckParams: s.checkedParams(gw.CheckParams),
		MaxMessage:  int(s.cfg.Limits.Body),
		Bounds:      func() wire.SessionBounds { return e.settings.Load().sessions },
		MaxPending:  s.cfg.Limits.PendingRequests,
		Queue:       s.cfg.Limits.Queue,
		CheckOrigin: func(*http.Request, string) bool { return true }, // pages has decided
		Logger:      s.log,
	}
	streams, sse := front, front
	serve := e.replica.Share(&streams, gateway.FrontShare{Scope: path, Resumable: true, KeepBytes: int(s.cfg.Limits.EventBytes)})
	ep := &endpoint{path: path, gateway: gw, streams: wire.NewStreamableFront(streams)}
	serve(ep.streams)
	if withSSE {
		serve = e.replica.Share(&sse, gateway.FrontShare{Scope: ssePath})
		ep.sse = wire.NewSSEFront(sse, messagesPath)
		serve(ep.sse)
		s.streams, s.sse = ep.streams, ep.sse
	}
	e.all = append(e.all, ep)
	return nil
}

// fronts are what has to be closed before anything behind it.
func (e *endpoints) fronts() []interface{ Close(context.Context) error } {
	var all []interface{ Close(context.Context) error }
	for _, ep := range e.all {
		all = append(all, ep.streams)
		if ep.sse != nil {
			all = append(all, ep.sse)
		}
	}
	return all
}

// close frees what the endpoints hold; their fronts are closed.
func (e *endpoints) close() {
	for _, ep := range e.all {
		_ = ep.gateway.Close() // waits; has nothing to report
	}
	if e.replica != nil {
		e.replica.Close()
	}
	if e.store != nil {
		_ = e.store.Close()
	}
}

// origins are those whose pages may call: the listed ones, and that of the public
// URL, in the form that browsers send (RFC 6454 §6.2).
func (c Config) origins() []string {
	u, err := url.Parse(c.PublicURL)
	if err != nil || u.Host == "" {
		return c.AllowedOrigins
	}
	host := u.Host
	if port := u.Port(); u.Scheme == "https" && port == "443" || u.Scheme == "http" && port == "80" {
		host = strings.TrimSuffix(host, ":"+port)
	}
	return append([]string{u.Scheme + "://" + host}, c.AllowedOrigins...)
}

// paths are where MCP is served beside the public URL.
func (c Config) otherPaths() []string {
	paths := []string{ssePath}
	if len(c.Upstreams) > 1 {
		for _, up := range c.Upstreams {
			paths = append(paths, c.endpointPath()+"/"+up.Name)
		}
	}
	return paths
}

// withHeld adds the scopes that the caller has to those that are wanted: a client
// signs in anew for what the challenge names and nothing else, and would lose what
// lets it in (MCP 2025-11-25, basic/authorization, "Scope Challenge Handling").
func withHeld(ctx context.Context, wanted []string) []string {
	all := slices.Clone(wanted)
	if p, ok := auth.FromContext(ctx); ok {
		for _, held := range p.Scopes {
			if !slices.Contains(all, held) {
				all = append(all, held)
			}
		}
	}
	return all
}

// policyCaller describes to policies who sent the message that ctx came with.
func policyCaller(ctx context.Context) (policy.User, policy.Client) {
	p, ok := auth.FromContext(ctx)
	if !ok {
		return policy.User{}, policy.Client{}
	}
	return policy.User{
			TenantID: p.TenantID, ObjectID: p.ObjectID, Name: p.Name, Username: p.Username,
			Roles: p.Roles, Groups: p.Groups, Scopes: p.Scopes,
		}, policy.Client{
			ID: p.ClientID, AppOnly: p.AppOnly, Agent: p.AgentBlueprint != "",
		}
}
