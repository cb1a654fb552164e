package auth

import (
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// Header fields by which reverse proxies say what they were asked.
const (
	headerFor   = "X-Forwarded-For"
	headerProto = "X-Forwarded-Proto"
	headerHost  = "X-Forwarded-Host"
)

// maxForwardedFor bounds how many addresses of X-Forwarded-For are looked at.
const maxForwardedFor = 20

// ForwardedOptions configures [NewForwarded].
type ForwardedOptions struct {
	// Trusted are the addresses that reverse proxies connect from.
	Trusted []netip.Prefix
	// PublicURL is the address that people type. Requests that came another way
	// are served and reported.
	PublicURL string
	Now       func() time.Time // nil is [time.Now]
	Logger    *slog.Logger     // nil discards
}

// Forwarded makes requests that come through trusted reverse proxies look as
// they did at the outermost one: its client's address is the remote address,
// and the host is the one asked for. From anybody else the header fields that
// say so are removed unread, since whoever sends them could claim anything.
//
// No address that this server publishes is made from such fields: those come
// from the configured public URL alone. Where they don't fit together the log
// says so, once in ten minutes.
type Forwarded struct {
	trusted []netip.Prefix
	public  *url.URL
	now     func() time.Time
	log     *slog.Logger

	mu   sync.Mutex
	said map[string]time.Time
}

// NewForwarded checks the options.
func NewForwarded(o ForwardedOptions) (*Forwarded, error) {
	u, err := parsePublicURL(o.PublicURL)
	if err != nil {
		return nil, err
	}
	f := &Forwarded{trusted: slices.Clone(o.Trusted), public: u, now: o.Now, log: o.Logger, said: map[string]time.Time{}}
	if f.now == nil {
		f.now = time.Now
	}
	if f.log == nil {
		f.log = slog.New(slog.DiscardHandler)
	}
	return f, nil
}

// Handler returns next behind the reverse proxies. It belongs before everything
// that looks at addresses.
func (f *Forwarded) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, f.Settle(r))
	})
}

// Settle returns the request as it was at the outermost reverse proxy.
func (f *Forwarded) Settle(r *http.Request) *http.Request {
	peer, ok := peerAddr(r.RemoteAddr)
	if !ok || !f.trusts(peer) {
		if r.Header[headerFor] == nil && r.Header[headerProto] == nil && r.Header[headerHost] == nil {
			return r
		}
		if f.due("untrusted") {
			f.log.Warn("a request has X-Forwarded fields from an address that is not among the trusted proxies; they are ignored. If it is a reverse proxy of yours, add it to trusted_proxies",
				"peer", peer.String())
		}
		r = withHeader(r)
		f.drop(r.Header)
		return r
	}
	r = withHeader(r)
	if client, ok := f.client(r.Header.Values(headerFor)); ok {
		r.RemoteAddr = netip.AddrPortFrom(client, 0).String()
	}
	if host := firstOf(r.Header.Get(headerHost)); host != "" && plainHost(host) {
		r.Host = host
	}
	f.check(r, strings.ToLower(firstOf(r.Header.Get(headerProto))))
	f.drop(r.Header)
	return r
}

func (f *Forwarded) drop(h http.Header) {
	for _, name := range []string{headerFor, headerProto, headerHost} {
		h.Del(name)
	}
}

// withHeader is a shallow copy of r with header fields of its own.
func withHeader(r *http.Request) *http.Request {
	r = r.WithContext(r.Context())
	r.Header = r.Header.Clone()
	return r
}

// client is the address that the outermost trusted proxy was called from: the
// last one that is not itself a trusted proxy's. What stands before it was
// written by that client and proves nothing.
func (f *Forwarded) client(values []string) (netip.Addr, bool) {
	list := strings.Split(strings.Join(values, ","), ",")
	var client netip.Addr
	for i := len(list) - 1; i >= 0 && len(list)-i <= maxForwardedFor; i-- {
		addr, ok := forwardedAddr(strings.TrimSpace(list[i]))
		if !ok {
			break
		}
		client = addr
		if !f.trusts(addr) {
			break
		}
	}
	return client, client.IsValid()
}

// forwardedAddr reads an address with or without a port.
func forwardedAddr(s string) (netip.Addr, bool) {
	if addr, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil {
		return addr.Unmap().WithZone(""), true
	}
	return peerAddr(s)
}

func peerAddr(hostPort string) (netip.Addr, bool) {
	ap, err := netip.ParseAddrPort(hostPort)
	return ap.Addr().Unmap().WithZone(""), err == nil
}

func (f *Forwarded) trusts(addr netip.Addr) bool {
	return slices.ContainsFunc(f.trusted, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// check reports requests that did not come by the public URL, which confuses
// clients: they compare it with what they were told.
func (f *Forwarded) check(r *http.Request, proto string) {
	if proto == "" {
		return
	}
	if f.public.Scheme == "https" && proto == "http" && f.due("proto") {
		f.log.Warn("a reverse proxy was asked over http:// although public_url begins with https://: tokens travel in the clear there. Have it redirect to https://, and check what people type",
			"public_url", f.public.String())
	}
	if f.public.Scheme == "http" && proto == "https" && f.due("proto") {
		f.log.Warn("a reverse proxy was asked over https:// although public_url begins with http://. Write public_url as people type it",
			"public_url", f.public.String())
	}
	if !sameHost(r.Host, f.public) && f.due("host") {
		f.log.Warn("requests come for another host than that of public_url. Clients that were given that address refuse the metadata of this one",
			"host", show(r.Host), "public_url", f.public.String())
	}
}

func sameHost(host string, public *url.URL) bool {
	standard := map[string]string{"https": "443", "http": "80"}[public.Scheme]
	bare := func(h string) string { return strings.ToLower(strings.TrimSuffix(h, ":"+standard)) }
	return bare(host) == bare(public.Host)
}

// plainHost reports whether s can be a Host field.
func plainHost(s string) bool {
	if h, _, err := net.SplitHostPort(s); err == nil {
		s = h
	}
	return s != "" && !strings.ContainsAny(s, "/@ \\?#\"'<>")
}

// firstOf is the first of a list: what the outermost proxy was asked.
func firstOf(list string) string {
	first, _, _ := strings.Cut(list, ",")
	return strings.TrimSpace(first)
}

// reportEvery is how often the same complaint is logged.
const reportEvery = 10 * time.Minute

// due reports whether a complaint is to be made now.
func (f *Forwarded) due(kind string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.now()
	if last, again := f.said[kind]; again && now.Sub(last) < reportEvery {
		return false
	}
	f.said[kind] = now
	return true
}
