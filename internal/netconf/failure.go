package netconf

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
)

// An Error is a connection that was not made, with words for a person.
type Error struct {
	Text string // what happened and what to do; one or more sentences
	Err  error
	// Stays says that trying again is of no use until somebody does something.
	Stays bool
	tls   bool
}

func (e *Error) Error() string { return e.Text }

// Lasting reports whether trying again is of no use. The relay asks for it.
func (e *Error) Lasting() bool { return e.Stays }

// Unwrap returns the failure itself.
func (e *Error) Unwrap() error { return e.Err }

// A ProxyRefusal is a proxy's answer to CONNECT (RFC 9110 section 9.3.6) other
// than success. No request was sent to the server.
type ProxyRefusal struct {
	Proxy  string   // host and port
	Status int      // the HTTP status
	Offers []string // authentication schemes that it asks for
}

func (e *ProxyRefusal) Error() string {
	return fmt.Sprintf("the proxy %s answered HTTP %d %s", e.Proxy, e.Status, http.StatusText(e.Status))
}

// refusedByProxy implements http.Transport.OnProxyConnectResponse. The OpError
// is what net/http itself returns for a proxy that can't be connected to.
func refusedByProxy(_ context.Context, proxy *url.URL, _ *http.Request, resp *http.Response) error {
	if resp.StatusCode == http.StatusOK {
		return nil
	}
	e := &ProxyRefusal{Proxy: proxy.Host, Status: resp.StatusCode}
	for _, challenge := range resp.Header.Values("Proxy-Authenticate") {
		scheme, _, _ := strings.Cut(strings.TrimSpace(challenge), " ")
		if len(scheme) <= 20 {
			e.Offers = append(e.Offers, scheme)
		}
	}
	return &net.OpError{Op: "proxyconnect", Net: "tcp", Err: e}
}

// RoundTripper wraps one of n's transports: failures to connect come back as an
// [*Error] that says what to do. Closing idle connections works through it.
func (n *Network) RoundTripper(t *http.Transport) http.RoundTripper { return explaining{t, n} }

type explaining struct {
	*http.Transport
	network *Network
}

// RoundTrip implements http.RoundTripper.
func (e explaining) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := e.Transport.RoundTrip(r)
	switch {
	case err == nil:
		e.network.answered.Store(true)
	case r.Context().Err() == nil:
		err = e.network.explain(r, err)
	}
	return resp, err
}

// turnedAway reports a connection that broke, before any answer ever, after the
// server had asked for a client certificate. In TLS 1.3 the client is through
// with the handshake before the server looks at its certificate (RFC 8446
// section 4.4.2.4), so that a refusal arrives like this, often without the alert
// that says why.
func (n *Network) turnedAway(err error) bool {
	if !n.wanted.Load() || n.answered.Load() {
		return false
	}
	var op *net.OpError
	return errors.As(err, &op) && (op.Op == "read" || op.Op == "write") ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		strings.Contains(err.Error(), "http2: client conn could not be established")
}

func (n *Network) explain(r *http.Request, err error) error {
	if text, ok := explainTLS(err, n.now()); ok {
		return &Error{Text: text, Err: err, Stays: true, tls: true}
	}
	if n.turnedAway(err) {
		text := alerts["tls: bad certificate"]
		if n.client == nil {
			text = alerts["tls: certificate required"]
		}
		return &Error{Text: text, Err: err, Stays: true, tls: true}
	}
	var op *net.OpError
	if !errors.As(err, &op) {
		return err
	}
	switch op.Op {
	case "proxyconnect", "socks connect":
		proxy, source, perr := n.ProxyFor(r.Context(), r.URL)
		if perr != nil || proxy == nil {
			return err // the settings have changed meanwhile
		}
		return &Error{Text: explainProxy(proxy.Host, source, op), Err: err, Stays: forbids(op)}
	case "dial":
		if script := n.Script(); script != "" {
			return &Error{Err: err, Text: fmt.Sprintf("%s (this machine is set up with the proxy script %s, which mcpctl does not run; ask for the proxy's address and add --proxy http://HOST:PORT)",
				sentence(err), script)}
		}
	}
	return err
}

// sentence is an error's text without a full stop: those of Windows have one.
func sentence(err error) string { return strings.TrimSuffix(err.Error(), ".") }

// forbids reports a refusal that is about the person or the server, not about
// the moment.
func forbids(op *net.OpError) bool {
	var refusal *ProxyRefusal
	return errors.As(op, &refusal) && (refusal.Status == http.StatusProxyAuthRequired || refusal.Status == http.StatusForbidden)
}

func explainProxy(host, source string, op *net.OpError) string {
	var refusal *ProxyRefusal
	if !errors.As(op, &refusal) {
		return fmt.Sprintf("The proxy %s, from %s, could not be used: %s. Check its address; --proxy none connects without it.", host, source, sentence(op.Err))
	}
	switch refusal.Status {
	case http.StatusProxyAuthRequired:
		if !offersBasic(refusal.Offers) {
			return fmt.Sprintf("The proxy %s, from %s, wants a sign-in by %s, which mcpctl does not speak. Run a local proxy that does, such as Px or Cntlm, and add --proxy http://127.0.0.1:3128.",
				host, source, strings.Join(refusal.Offers, " or "))
		}
		return fmt.Sprintf("The proxy %s, from %s, wants a user name and password. Set HTTPS_PROXY=http://USER:PASSWORD@%s in the environment, for a bridge in the MCP client's configuration.", host, source, host)
	case http.StatusForbidden:
		return fmt.Sprintf("The proxy %s, from %s, does not allow connections to this server. Ask your IT department, or leave it out for this server: --no-proxy HOST.", host, source)
	}
	return fmt.Sprintf("The proxy %s, from %s, did not connect: HTTP %d %s.", host, source, refusal.Status, http.StatusText(refusal.Status))
}

func offersBasic(schemes []string) bool {
	for _, s := range schemes {
		if strings.EqualFold(s, "Basic") {
			return true
		}
	}
	return len(schemes) == 0
}
