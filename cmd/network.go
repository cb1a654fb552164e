package cmd

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/mcpctl/mcpctl/internal/entra"
	"github.com/mcpctl/mcpctl/internal/netconf"
	"github.com/mcpctl/mcpctl/internal/profile"
	"github.com/mcpctl/mcpctl/internal/redact"
)

// networkFlags are the flags that say how to reach a server.
type networkFlags struct{ netconf.Settings }

func (n *networkFlags) add(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&n.Proxy, "proxy", "", "`proxy` to connect through: a URL (http, https or socks5), none, or auto (the proxy variables, else the system's settings)")
	f.StringVar(&n.NoProxy, "no-proxy", "", "`hosts` to connect to without the proxy: names, .domains, addresses and blocks, separated by commas")
	f.StringArrayVar(&n.CAFiles, "ca-file", nil, "trust the certificate authorities in this PEM `file` too (repeatable)")
	f.StringVar(&n.ClientCert, "client-cert", "", "certificate `file`, PEM or PKCS#12, for servers that ask for one")
	f.StringVar(&n.ClientKey, "client-key", "", "key `file` of the client certificate, where the certificate's file has none")
	f.StringVar(&n.ClientPassword, "client-cert-password-file", "", "`file` with the password of a PKCS#12 client certificate")
}

// settings returns what the flags say, with absolute paths. What can't be used
// is an error at once.
func (n *networkFlags) settings(now func() time.Time) (netconf.Settings, error) {
	s, err := n.Absolute()
	if err == nil {
		_, err = netconf.Open(netconf.Options{Settings: s, Now: now})
	}
	if err != nil {
		return s, &exitError{exitUsage, err}
	}
	return s, nil
}

// openNetwork opens the way to a server: what flags say, then what the profile
// says, then the environment and the operating system.
func openNetwork(deps Deps, stored profile.Network, log *slog.Logger) (*netconf.Network, error) {
	return netconf.Open(netconf.Options{
		Settings: deps.Network.Over(netconf.Settings(stored)), Getenv: deps.Getenv, Now: deps.Now, Logger: log,
	})
}

// serverTransport connects to the MCP server of a profile, whose network may be
// empty.
func serverTransport(ctx context.Context, deps Deps, address string, stored profile.Network, log *slog.Logger) (http.RoundTripper, error) {
	n, err := openNetwork(deps, stored, log)
	if err != nil {
		return nil, err
	}
	if u, err := url.Parse(address); err == nil {
		if proxy, source, err := n.ProxyFor(ctx, u); err == nil && proxy != nil {
			log.Info("connecting through a proxy", "proxy", proxy.Host, "from", source)
		}
	}
	return n.RoundTripper(n.Transport()), nil
}

// authorityTransport connects to the authority of a profile; nil, which is the
// authority's own way, for one in development. Settings that can't be used fail
// each request, and not what needs none: a token that is still valid, a logout.
func authorityTransport(deps Deps, p profile.Profile, authority entra.Authority, log *slog.Logger) http.RoundTripper {
	if authority.IsDev() {
		return nil
	}
	n, err := openNetwork(deps, p.Network, log)
	if err != nil {
		return unusable{err}
	}
	return n.RoundTripper(n.SignInTransport())
}

// keepNetwork returns what the profile shall say about reaching the server, and
// tells what it can't.
func (u *loginUI) keepNetwork(ctx context.Context, deps Deps, p profile.Profile, log *slog.Logger) profile.Network {
	settings, dropped := deps.Network.Over(netconf.Settings(p.Network)).Storable()
	if dropped {
		u.say("The proxy's password is not kept. Set HTTPS_PROXY in the environment of each MCP client that starts a bridge.")
	}
	if settings.Proxy != "" {
		return profile.Network(settings)
	}
	n, err := openNetwork(deps, p.Network, log)
	server, urlErr := url.Parse(p.URL)
	if err != nil || urlErr != nil {
		return profile.Network(settings) // it has just worked; there is nothing to tell
	}
	if proxy, source, err := n.ProxyFor(ctx, server); err == nil && proxy != nil && strings.HasSuffix(strings.ToUpper(source), "_PROXY") {
		u.say("The proxy " + proxy.Host + " comes from " + source + ", which MCP clients may not pass on to bridges. To keep it, run: mcpctl login " + redact.URL(p.URL) + " --proxy " + proxy.Scheme + "://" + proxy.Host)
	}
	return profile.Network(settings)
}

// unusable fails each request. The error is that of a connection that was not
// made, so that nothing counts as sent.
type unusable struct{ err error }

// RoundTrip implements http.RoundTripper.
func (u unusable) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body != nil {
		_ = req.Body.Close()
	}
	return nil, &netconf.Error{Text: u.err.Error(), Err: &net.OpError{Op: "dial", Err: u.err}, Stays: true}
}

// resourceClient asks the MCP server of a profile about signing in.
func resourceClient(ctx context.Context, deps Deps, p profile.Profile, log *slog.Logger) (*entra.HTTPClient, error) {
	transport, err := serverTransport(ctx, deps, p.URL, p.Network, log)
	if err != nil {
		return nil, err
	}
	return entra.NewResourceClient(p.URL, p.DevCA, transport)
}

// profileTransport connects to an MCP server as its profile says now, so that a
// login with another proxy or CA counts at once.
type profileTransport struct {
	deps     Deps
	profiles *profile.Store
	url      string
	log      *slog.Logger

	mu      sync.Mutex
	stamp   string // of the profile's file when it was read
	network profile.Network
	current http.RoundTripper
}

func newProfileTransport(deps Deps, url string, log *slog.Logger) (*profileTransport, error) {
	profiles, err := openProfiles(deps)
	if err != nil {
		return nil, err
	}
	return &profileTransport{deps: deps, profiles: profiles, url: url, log: log}, nil
}

// networkOf is the transport to a server. Where nobody signs in to it, profiles
// would only say how to reach it, and it does without if there is no place for
// them.
func networkOf(deps Deps, url string, signIn bool, log *slog.Logger) (*profileTransport, error) {
	t, err := newProfileTransport(deps, url, log)
	if err == nil || signIn {
		return t, err
	}
	log.Debug("profiles can't be read; going on without", "reason", err)
	return &profileTransport{deps: deps, url: url, log: log}, nil
}

// prepare reads what the first request needs while nothing waits for it: on some
// systems another program tells the proxy settings. The function that it returns
// ends that.
func (t *profileTransport) prepare(ctx context.Context) (done func()) {
	ctx, cancel := context.WithCancel(ctx)
	var reading sync.WaitGroup
	reading.Go(func() { t.transport(ctx) })
	return func() {
		cancel()
		reading.Wait()
	}
}

// RoundTrip implements http.RoundTripper.
func (t *profileTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	return t.transport(req.Context()).RoundTrip(req)
}

// CloseIdleConnections closes idle connections, as http.Transport does.
func (t *profileTransport) CloseIdleConnections() {
	t.mu.Lock()
	defer t.mu.Unlock()
	closeIdle(t.current)
}

func (t *profileTransport) transport(ctx context.Context) http.RoundTripper {
	t.mu.Lock()
	defer t.mu.Unlock()
	stamp := "none"
	if t.profiles == nil {
		// There is no place for profiles.
	} else if path, err := t.profiles.Path(t.url); err == nil {
		stamp = fileStamp(path)
	}
	if t.current != nil && stamp == t.stamp {
		return t.current
	}
	var p profile.Profile
	if t.profiles != nil {
		// Whoever needs the rest of it says what is wrong with it.
		p, _ = t.profiles.Load(t.url)
	}
	t.stamp = stamp
	if t.current != nil && reflect.DeepEqual(p.Network, t.network) {
		return t.current
	}
	closeIdle(t.current)
	t.network = p.Network
	var err error
	if t.current, err = serverTransport(ctx, t.deps, t.url, p.Network, t.log); err != nil {
		t.log.Error("the server can't be reached with these settings", "reason", err)
		t.current = unusable{err}
	}
	return t.current
}

func closeIdle(rt http.RoundTripper) {
	if c, ok := rt.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}
