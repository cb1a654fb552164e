package netconf

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// Words that [Settings.Proxy] takes in place of an address.
const (
	ProxyAuto = "auto" // the proxy variables, else the operating system's settings
	ProxyNone = "none" // connect directly
)

// Settings are what a person can say about the network. They hold paths and
// addresses, never a secret once [Settings.Storable] has let them pass. A
// profile stores them as its Network, field by field.
type Settings struct {
	// Proxy is a proxy's address, ProxyAuto or ProxyNone; "" is ProxyAuto.
	Proxy string
	// NoProxy lists the hosts that Proxy is not for, as NO_PROXY does; "" leaves
	// it to NO_PROXY.
	NoProxy string
	// CAFiles are certificates to trust besides the operating system's.
	CAFiles []string
	// ClientCert is shown to servers that ask for a certificate: a PEM file with
	// its key in ClientKey or beside it, or a PKCS#12 file.
	ClientCert string
	ClientKey  string
	// ClientPassword is a file that holds the password of a PKCS#12 file.
	ClientPassword string
}

// Over returns s, completed by what is said in below and not in s. What belongs
// together, as certificate and key, is taken from one of them.
func (s Settings) Over(below Settings) Settings {
	if s.Proxy == "" {
		s.Proxy = below.Proxy
		if s.NoProxy == "" {
			s.NoProxy = below.NoProxy
		}
	}
	if len(s.CAFiles) == 0 {
		s.CAFiles = below.CAFiles
	}
	if s.ClientCert == "" {
		s.ClientCert, s.ClientKey, s.ClientPassword = below.ClientCert, below.ClientKey, below.ClientPassword
	}
	return s
}

// Absolute returns s with absolute paths, so that it means the same in another
// working directory.
func (s Settings) Absolute() (Settings, error) {
	s.CAFiles = slices.Clone(s.CAFiles)
	paths := []*string{&s.ClientCert, &s.ClientKey, &s.ClientPassword}
	for i := range s.CAFiles {
		paths = append(paths, &s.CAFiles[i])
	}
	for _, p := range paths {
		if *p == "" {
			continue
		}
		abs, err := filepath.Abs(*p)
		if err != nil {
			return s, fmt.Errorf("finding %s: %w", *p, err)
		}
		*p = abs
	}
	return s, nil
}

// Storable returns s without the password in the proxy's address, and whether
// there was one: profiles hold no secret.
func (s Settings) Storable() (stored Settings, dropped bool) {
	if s.Proxy == "" || s.Proxy == ProxyAuto || s.Proxy == ProxyNone {
		return s, false
	}
	u, err := parseProxy(s.Proxy)
	if err != nil || u.User == nil {
		return s, false
	}
	u.User = nil
	s.Proxy = u.String()
	return s, true
}

// Options configure [Open].
type Options struct {
	Settings
	// Getenv reads the environment; nil is an empty one.
	Getenv func(string) string
	// System reads the proxy settings of the operating system or its desktop; nil
	// reads this machine's.
	System func(context.Context) (System, error)
	Now    func() time.Time // nil is time.Now
	Logger *slog.Logger     // nil discards
}

// A Network makes connections the way that its settings say. Safe for
// concurrent use.
type Network struct {
	log    *slog.Logger
	roots  func() *x509.CertPool // nil: the operating system's
	client *clientCert           // nil: none

	wanted   atomic.Bool // a server has asked for a client certificate
	answered atomic.Bool // a server has answered
	choose   func(*url.URL) (*url.URL, error)
	source   string // where choose comes from; "" is the operating system

	system     func(context.Context) (System, error)
	now        func() time.Time
	mu         sync.Mutex
	current    System
	read       time.Time // when current was read
	reported   string    // the proxy script that was warned of
	unreadable bool      // reading failed, and that was said
}

// Open reads the files that o names and returns the network. An error says
// which setting is wrong and how to put it right; it never holds a password.
func Open(o Options) (*Network, error) {
	if o.Getenv == nil {
		o.Getenv = func(string) string { return "" }
	}
	if o.System == nil {
		o.System = func(ctx context.Context) (System, error) { return readSystem(ctx, o.Getenv) }
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	n := &Network{log: o.Logger, system: o.System, now: o.Now}
	var faults []error
	var err error
	n.choose, n.source, err = chooseProxy(o.Settings, o.Getenv)
	faults = append(faults, err)
	n.roots, err = loadRoots(o)
	faults = append(faults, err)
	n.client, err = loadClientCert(o.Settings, o.Now)
	faults = append(faults, err)
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	return n, nil
}

// Transport returns a transport for an MCP server. Each call returns another
// one, with connections of its own.
func (n *Network) Transport() *http.Transport {
	t := n.SignInTransport()
	t.TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		n.wanted.Store(true)
		if n.client == nil {
			return &tls.Certificate{}, nil // none: the server may do without
		}
		return n.client.get(), nil
	}
	return t
}

// SignInTransport returns a transport for an authority. It is that of
// [Network.Transport] without the client certificate, which is between the
// person and the MCP server.
func (n *Network) SignInTransport() *http.Transport {
	t := wire.NewTransport()
	var once sync.Once
	t.Proxy = func(r *http.Request) (*url.URL, error) {
		if r.URL.Scheme == "https" {
			// Asked before each connection is made. Parsing a company's bundle takes
			// longer than all else that happens at start.
			once.Do(func() { t.TLSClientConfig.RootCAs = n.roots() })
		}
		proxy, _, err := n.ProxyFor(r.Context(), r.URL)
		return proxy, err
	}
	t.OnProxyConnectResponse = refusedByProxy
	t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	return t
}
