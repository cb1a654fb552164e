package doctor

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/mcpctl/mcpctl/internal/netconf"
	"github.com/mcpctl/mcpctl/internal/redact"
)

// wellKnown is RFC 9728's well-known path.
const wellKnown = "/.well-known/oauth-protected-resource"

func (x *examination) address(context.Context) finding {
	if err := x.Address(x.URL); err != nil {
		return fail("Use the address that the server's operator gave you, with https://", "%s", reason(err))
	}
	u, err := url.Parse(x.URL)
	if err != nil {
		return fail("Use the address that the server's operator gave you, with https://", "it can't be read")
	}
	x.u = u
	return ok("%s", redact.URL(x.URL))
}

func (x *examination) network(ctx context.Context) finding {
	if err := x.Network(); err != nil {
		return fail("Correct the setting, or sign in anew without it: "+x.login(), "%s", reason(err))
	}
	proxy, source, err := x.Proxy(ctx, x.u)
	switch {
	case err != nil:
		return fail("Correct the setting, or overrule it: --proxy none", "%s", reason(err))
	case proxy == nil:
		if script := x.Script(); script != "" {
			x.scripted = true
			return ok("none: the server is connected to directly, since mcpctl does not run proxy scripts such as this machine's, %s", script)
		}
		return ok("none: the server is connected to directly")
	}
	x.proxied = true
	return ok("%s, from %s", proxy.Host, source)
}

// unreached is what to do about a server that can't be reached.
func (x *examination) unreached(fix string) string {
	if x.scripted {
		return "Ask your IT department for the proxy's address, then: " + x.login() + " --proxy http://HOST:PORT"
	}
	return fix
}

func (x *examination) name(ctx context.Context) finding {
	host := x.u.Hostname()
	switch {
	case x.proxied:
		return needless("left to the proxy")
	case net.ParseIP(host) != nil:
		return needless("%s is an address", host)
	}
	found, err := x.LookupHost(ctx, host)
	if err != nil {
		why := reason(err)
		if dns := (*net.DNSError)(nil); errors.As(err, &dns) && dns.IsNotFound {
			why = "no such name"
		}
		return fail(x.unreached("Check the spelling, and whether the name is known only inside a VPN or company network"), "%s can't be resolved: %s", host, why)
	}
	return ok("%s is %s", host, strings.Join(found[:min(len(found), 3)], ", "))
}

// connect sends the first request, whose answer several checks look at.
func (x *examination) connect(ctx context.Context) finding {
	client, err := x.Resource(ctx)
	if err != nil {
		return fail("Correct the setting, or sign in anew: "+x.login(), "%s", reason(err))
	}
	x.client = client
	root := &url.URL{Scheme: x.u.Scheme, Host: x.u.Host, Path: wellKnown}
	resp, err := x.get(ctx, client, root.String())
	if err == nil {
		_ = resp.Body.Close()
		x.probed = resp
		x.readClock("the server", resp.Header)
		return ok("the server answers")
	}
	if _, isTLS := netconf.ExplainTLS(err); isTLS {
		x.probeErr = err
		return ok("the server answers")
	}
	own := (*netconf.Error)(nil)
	switch {
	case errors.As(err, &own) && x.scripted: // what it advises is what to do
		err = own.Err
	case own != nil:
		return fail("Check the network and the proxy, then: mcpctl doctor "+redact.URL(x.URL), "%s", strings.TrimSuffix(own.Text, "."))
	}
	return fail(x.unreached("Check host and port, the network or VPN, and that the server is running"), "%s can't be connected to: %s", x.u.Host, reason(bare(err)))
}

// bare takes off the address of the request, which says nothing here.
func bare(err error) error {
	if wrapped := (*url.Error)(nil); errors.As(err, &wrapped) {
		return wrapped.Err
	}
	return err
}

func (x *examination) get(ctx context.Context, client Client, address string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	return client.Do(req)
}

func (x *examination) tls(context.Context) finding {
	if x.probeErr != nil {
		text, _ := netconf.ExplainTLS(x.probeErr)
		// The explanation ends with what to do.
		cause, fix, _ := strings.Cut(text, ". ")
		return fail(cmpOr(fix, "Ask the server's operator"), "%s", strings.TrimSuffix(cause, "."))
	}
	if x.u.Scheme != "https" {
		return needless("plain http, on this machine only")
	}
	state := x.probed.TLS
	if state == nil || len(state.PeerCertificates) == 0 {
		return ok("the certificate is trusted")
	}
	leaf := state.PeerCertificates[0]
	return ok("%s; the certificate of %s is trusted and valid until %s", tls.VersionName(state.Version), leaf.Issuer.CommonName, leaf.NotAfter.Format(time.DateOnly))
}

func cmpOr(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

// clockReading is how far another's clock is ahead of this machine's.
type clockReading struct {
	who   string
	ahead time.Duration
}

// readClock notes the Date of an answer (RFC 9110 section 6.6.1).
func (x *examination) readClock(who string, h http.Header) {
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		x.dates = append(x.dates, clockReading{who, date.Sub(x.Now())})
	}
}

// maxSkew is what Entra and most servers tolerate.
const maxSkew = 5 * time.Minute

func (x *examination) clock(context.Context) finding {
	if len(x.dates) == 0 {
		return needless("nobody who answered told the time")
	}
	var off, right []string
	for _, d := range x.dates {
		if d.ahead.Abs() <= maxSkew {
			right = append(right, d.who)
			continue
		}
		way := "ahead of"
		if d.ahead < 0 {
			way = "behind"
		}
		off = append(off, fmt.Sprintf("the clock of %s is %s %s this machine's", d.who, d.ahead.Abs().Round(time.Minute), way))
	}
	switch {
	case len(off) == 0:
		return ok("agrees with %s", strings.Join(right, " and "))
	case len(right) == 0:
		return fail("Set this machine's clock, and have it set by network time", "%s", strings.Join(off, "; "))
	}
	return fail("Have whoever runs it set that clock, by network time", "%s, and that of %s agrees", strings.Join(off, "; "), strings.Join(right, " and "))
}
