package netconf

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"golang.org/x/net/http/httpproxy"
)

const (
	// systemLimit bounds reading the operating system's settings.
	systemLimit = 3 * time.Second
	// systemFresh is how long they are good for: a laptop changes networks.
	systemFresh = time.Minute
)

// chooseProxy returns the choice that flags, profile or environment make, and
// where it comes from; nil leaves it to the operating system.
func chooseProxy(s Settings, getenv func(string) string) (func(*url.URL) (*url.URL, error), string, error) {
	noProxy := s.NoProxy
	if noProxy == "" {
		noProxy, _ = variable(getenv, "no_proxy", "NO_PROXY")
	}
	switch s.Proxy {
	case ProxyNone:
		return func(*url.URL) (*url.URL, error) { return nil, nil }, "--proxy none", nil
	case "", ProxyAuto:
		return fromEnvironment(noProxy, getenv)
	}
	u, err := parseProxy(s.Proxy)
	if err != nil {
		return nil, "", fmt.Errorf("%w. Use --proxy http://HOST:PORT, --proxy none or --proxy auto", err)
	}
	c := httpproxy.Config{HTTPProxy: u.String(), HTTPSProxy: u.String(), NoProxy: noProxy}
	return c.ProxyFunc(), "--proxy", nil
}

// fromEnvironment reads the variables that curl made common. They count as set
// as soon as one of them names a proxy.
func fromEnvironment(noProxy string, getenv func(string) string) (func(*url.URL) (*url.URL, error), string, error) {
	c := httpproxy.Config{NoProxy: noProxy}
	source := ""
	for _, v := range []struct {
		into  *string
		names []string
	}{
		{&c.HTTPProxy, []string{"http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"}},
		{&c.HTTPSProxy, []string{"https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"}},
	} {
		value, name := variable(getenv, v.names...)
		if value == "" {
			continue
		}
		u, err := parseProxy(value)
		if err != nil {
			return nil, "", fmt.Errorf("the environment variable %s: %w. Correct it, or overrule it with --proxy", name, err)
		}
		*v.into, source = u.String(), name
	}
	if source == "" {
		return nil, "", nil
	}
	return c.ProxyFunc(), source, nil
}

// variable returns the first of the named variables that is set, and its name.
func variable(getenv func(string) string, names ...string) (value, name string) {
	for _, name := range names {
		if value := strings.TrimSpace(getenv(name)); value != "" {
			return value, name
		}
	}
	return "", ""
}

// parseProxy reads a proxy's address. Its errors quote no password.
func parseProxy(raw string) (*url.URL, error) {
	text := strings.TrimSpace(raw)
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || u.Opaque != "" {
		return nil, fmt.Errorf("%q is not the address of a proxy", withoutUser(raw))
	}
	u.Scheme = strings.ToLower(u.Scheme)
	switch u.Scheme {
	case "http", "https", "socks5", "socks5h":
	case "socks":
		u.Scheme = "socks5"
	default:
		return nil, fmt.Errorf("%q is a kind of proxy that mcpctl does not speak: use http, https or socks5", withoutUser(raw))
	}
	if strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("%q has more in it than a proxy's host and port", withoutUser(raw))
	}
	return &url.URL{Scheme: u.Scheme, User: u.User, Host: u.Host}, nil
}

// withoutUser drops what may be a password, however malformed the rest is.
func withoutUser(raw string) string {
	if i := strings.LastIndexByte(raw, '@'); i >= 0 {
		raw = "…" + raw[i:]
	}
	if len(raw) > 100 {
		raw = raw[:100] + "…"
	}
	return raw
}

// ProxyFor returns the proxy for requests to u, nil for none, and where that
// comes from: a flag, a variable, or the operating system. Loopback is always
// connected to directly.
func (n *Network) ProxyFor(ctx context.Context, u *url.URL) (proxy *url.URL, source string, err error) {
	if isLoopback(u.Hostname()) {
		return nil, "", nil
	}
	if n.choose != nil {
		proxy, err = n.choose(u)
		return proxy, n.source, err
	}
	s := n.systemSettings(ctx)
	proxy, err = s.For(u)
	if err != nil {
		return nil, s.Source, fmt.Errorf("the proxy in %s: %w. Correct it there, or overrule it with --proxy", s.Source, err)
	}
	return proxy, s.Source, nil
}

// systemSettings returns the operating system's settings, read a minute ago at
// most. Those that can't be read count as none.
func (n *Network) systemSettings(ctx context.Context) System {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := n.now()
	if !n.read.IsZero() && now.Sub(n.read) < systemFresh && !now.Before(n.read) {
		return n.current
	}
	ctx, cancel := context.WithTimeout(ctx, systemLimit)
	defer cancel()
	s, err := n.system(ctx)
	if err != nil && errors.Is(ctx.Err(), context.Canceled) {
		return n.current // the request was given up; the next one reads again
	}
	if err != nil {
		if !n.unreadable {
			n.log.Warn("the system's proxy settings can't be read; connecting without them", "reason", err)
		}
		n.unreadable, s = true, System{}
	}
	if s.PAC != "" && s.HTTPS == "" && s.SOCKS == "" && n.reported != s.PAC {
		n.reported = s.PAC
		n.log.Warn("a proxy script is set up on this machine, and mcpctl does not run such scripts: it connects directly. If that fails, ask for the proxy's address and run: mcpctl login URL --proxy http://HOST:PORT",
			"script", withoutUser(s.PAC), "in", s.Source)
	}
	n.current, n.read = s, now
	return s
}

// Script returns the address of the proxy script that is set up on this machine
// and not run, or "". It is known once [Network.ProxyFor] was asked.
func (n *Network) Script() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.choose != nil || n.current.HTTPS != "" || n.current.SOCKS != "" {
		return ""
	}
	return withoutUser(n.current.PAC)
}

// isLoopback reports whether host is this machine (RFC 6761 section 6.3 for the
// names).
func isLoopback(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}
