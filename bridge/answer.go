package bridge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/mcpctl/mcpctl/internal/catalogue"
	"github.com/mcpctl/mcpctl/internal/wire"
)

// Error codes of the bridge's own answers. They lie outside the range that
// JSON-RPC 2.0 §5.1 and MCP reserve (-32768 to -32000).
const (
	CodeRemoteFailed = -31000 // the remote gave no usable answer
	CodeSignInNeeded = -31001 // a person has to sign in
	CodeUnreachable  = -31002 // the remote could not be reached; nothing was sent
	CodeOutcome      = -31003 // the remote stopped answering; the work may have been done
	CodeBusy         = -31004 // too many requests in flight
	CodeStopping     = -31005 // the bridge is shutting down
)

// lastingError is a failure that may say of itself that it won't pass by itself,
// such as a certificate that nobody trusts, and what to do about it.
type lastingError interface {
	error
	Lasting() bool
}

// explainer turns failed exchanges into answers for people.
type explainer struct {
	url    string
	tokens TokenSource
	own    bool // credentials of one's own may be among the headers
}

// answer builds the one answer that a failed request gets: the server's own
// JSON-RPC error where it sent one, save for refusals, which concern the person
// and not the request.
func (x explainer) answer(id wire.ID, err error) wire.Frame {
	var status *wire.StatusError
	if errors.As(err, &status) && status.Answer.Kind == wire.Response && !errors.Is(err, wire.ErrNoAnswer) && !errors.Is(err, wire.ErrSessionLost) && !errors.As(err, new(*noStreamError)) &&
		status.Status != http.StatusUnauthorized && status.Status != http.StatusForbidden {
		return status.Answer.WithID(id)
	}
	code, text := x.explain(err)
	return wire.NewError(id, code, text, nil)
}

func (x explainer) explain(err error) (int, string) {
	var lasting lastingError
	var status *wire.StatusError
	var signIn *signInError
	var content *wire.ContentError
	var noStream *noStreamError
	switch {
	case errors.As(err, &signIn):
		return CodeSignInNeeded, signIn.Error()
	case errors.As(err, &noStream):
		return CodeRemoteFailed, fmt.Sprintf("There is no HTTP+SSE stream at %s (%v). Servers that have one mostly offer it at an address of its own, such as one that ends in /sse. To let mcpctl find the transport, leave out --transport sse.", x.url, noStream.err)
	case errors.Is(err, wire.ErrForeignEndpoint):
		return CodeRemoteFailed, fmt.Sprintf("The MCP server at %s can't be used: %v. Credentials must not go elsewhere, so nothing was sent. Ask its operator to have it name an address at the origin that people use, also behind a proxy.", x.url, err)
	case errors.As(err, &content):
		return CodeRemoteFailed, fmt.Sprintf("%s answered with %s (HTTP %d) and not with an MCP message. Either the address is not that of the MCP endpoint, which often ends in /mcp, or something on the way answered in the server's stead, such as the sign-in page of a proxy. Check the address.", x.url, kind(content.Type), content.Status)
	case errors.As(err, &status) && !errors.Is(err, wire.ErrNoAnswer):
		return x.explainStatus(status, err)
	case errors.As(err, &lasting) && lasting.Lasting(): // it says itself what to do
		return CodeUnreachable, fmt.Sprintf("The MCP server at %s could not be reached, so nothing was sent. %v", x.url, lasting)
	case errors.Is(err, wire.ErrNotSent):
		return CodeUnreachable, fmt.Sprintf("The MCP server at %s could not be reached, so nothing was sent: %s. Check the address and the network, then try again.", x.url, strings.TrimSuffix(trimSentinel(err, wire.ErrNotSent), "."))
	case errors.Is(err, wire.ErrNoAnswer), broken(err):
		return CodeOutcome, fmt.Sprintf("The MCP server at %s stopped before it answered: %v. The work may or may not have been done; check before trying again.", x.url, err)
	case errors.Is(err, wire.ErrBusy):
		return CodeBusy, fmt.Sprintf("mcpctl takes no more requests at the moment (%v). Try again when some have been answered.", err)
	case errors.Is(err, wire.ErrStopping), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return CodeStopping, "The request was given up because mcpctl is stopping."
	}
	return CodeRemoteFailed, fmt.Sprintf("The request to the MCP server at %s failed: %v. The work may or may not have been done.", x.url, err)
}

func (x explainer) explainStatus(status *wire.StatusError, err error) (int, string) {
	challenge := status.Header.Values("WWW-Authenticate")
	switch status.Status {
	case http.StatusUnauthorized, http.StatusForbidden:
		if x.tokens != nil {
			return CodeSignInNeeded, x.tokens.Refused(status.Status, challenge).Error()
		}
		if x.own {
			return CodeSignInNeeded, fmt.Sprintf("The MCP server at %s answered HTTP %d: it does not accept the headers that it gets. Check --header and --header-file; or sign in, and leave them out: mcpctl login %s", x.url, status.Status, x.url)
		}
		return CodeSignInNeeded, fmt.Sprintf("The MCP server at %s answered HTTP %d: it wants a sign-in. Run: mcpctl login %s, and leave --no-auth out", x.url, status.Status, x.url)
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		text := fmt.Sprintf("The MCP server at %s is busy (HTTP %d).", x.url, status.Status)
		if after := status.Header.Get("Retry-After"); after != "" {
			text += fmt.Sprintf(" It asks to try again after: %.40s.", after)
		}
		return CodeRemoteFailed, text + " " + x.advice(status.Status)
	}
	if errors.Is(err, wire.ErrSessionLost) {
		return CodeRemoteFailed, fmt.Sprintf("The MCP server at %s no longer knows this session; it was probably restarted. Restart the MCP client or its server entry.", x.url)
	}
	if 300 <= status.Status && status.Status <= 399 {
		return CodeRemoteFailed, fmt.Sprintf("The MCP server at %s redirects (HTTP %d) and mcpctl does not follow: credentials must not go elsewhere. Use the address it is redirecting to: %.200q", x.url, status.Status, bareAddress(status.Header.Get("Location")))
	}
	return CodeRemoteFailed, fmt.Sprintf("The MCP server at %s answered HTTP %d %s without a JSON-RPC message. %s", x.url, status.Status, http.StatusText(status.Status), x.advice(status.Status))
}

// advice is what the catalogue knows about an HTTP status.
func (x explainer) advice(status int) string {
	entry, ok := catalogue.Lookup(fmt.Sprintf("HTTP %d", status))
	if !ok {
		return "Check that the address is its MCP endpoint."
	}
	return strings.ReplaceAll(entry.Hint(), "URL", x.url) + "."
}

// broken reports a connection that broke after it had been made.
func broken(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// kind names what came instead of a message.
func kind(contentType string) string {
	if strings.HasPrefix(strings.ToLower(contentType), "text/html") {
		return "a web page"
	}
	return fmt.Sprintf("%.100q", contentType)
}

// bareAddress is an address without what may be secret in it.
func bareAddress(location string) string {
	u, err := url.Parse(location)
	if err != nil {
		return ""
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	return u.String()
}

// noStreamError: the remote was to be spoken to over HTTP+SSE and has no stream
// at its address.
type noStreamError struct{ err error }

func (e *noStreamError) Error() string { return e.err.Error() }
func (e *noStreamError) Unwrap() error { return e.err }

// trimSentinel drops the sentinel's own words, which the sentence around has.
func trimSentinel(err, sentinel error) string {
	return strings.TrimPrefix(err.Error(), sentinel.Error()+": ")
}
