package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/mcpctl/mcpctl/internal/catalogue"
	"github.com/mcpctl/mcpctl/internal/entra"
	"github.com/mcpctl/mcpctl/internal/redact"
)

// exchange is a request that was answered while discovering.
type exchange struct {
	method string
	path   string
	status int
}

// watched notes what goes through a client.
type watched struct {
	Client
	seen *[]exchange
}

// Do implements entra.Doer.
func (w watched) Do(req *http.Request) (*http.Response, error) {
	resp, err := w.Client.Do(req)
	if err == nil {
		*w.seen = append(*w.seen, exchange{req.Method, req.URL.EscapedPath(), resp.StatusCode})
	}
	return resp, err
}

// endpoint asks the server, without a token, how to sign in.
func (x *examination) endpoint(ctx context.Context) finding {
	x.found, x.foundErr = entra.Discover(ctx, watched{x.client, &x.seen}, x.URL)
	challenged := false
	for _, e := range x.seen {
		challenged = challenged || e.status == http.StatusUnauthorized
	}
	switch {
	case challenged:
		return ok("asks for a sign-in (HTTP 401)")
	case x.open():
		return ok("answers without a sign-in")
	case x.foundErr == nil || x.found.MetadataURL != "" || errors.Is(x.foundErr, entra.ErrUntrustedMetadata):
		return ok("answers, and has sign-in metadata")
	}
	status := 0
	for _, e := range x.seen {
		if e.method == http.MethodPost {
			status = e.status
			break
		}
	}
	switch {
	case status == 0:
		return fail("Try again; if it stays, check the network and that the server is running", "%s", reason(x.foundErr))
	case status >= 500 || status == http.StatusTooManyRequests:
		fix := "Try again later; if it stays, tell the server's operator"
		if e, known := catalogue.Lookup(fmt.Sprintf("HTTP %d", status)); known {
			fix = "Try again later. " + x.filled(e.Hint())
		}
		return fail(fix, "the server is out of order (HTTP %d)", status)
	case status >= 300 && status < 400:
		return fail("Use that address, if you trust it", "%s", reason(x.foundErr))
	}
	return fail("Check the path of the address with the server's operator", "what answers at %s is no MCP endpoint (HTTP %d)", cmpOr(x.u.EscapedPath(), "/"), status)
}

// fetched reports whether any metadata was found at all.
func (x *examination) fetched() bool {
	for _, e := range x.seen {
		if e.method == http.MethodGet && e.status == http.StatusOK && strings.Contains(e.path, "/.well-known/") {
			return true
		}
	}
	return x.found.MetadataURL != ""
}

// metadata tells whether mcpctl finds the metadata (RFC 9728 section 3.1).
func (x *examination) metadata(context.Context) finding {
	switch {
	case x.open():
		return noSignIn
	case x.foundErr != nil && x.found.MetadataURL == "" && (!x.fetched() || !errors.Is(x.foundErr, entra.ErrUntrustedMetadata)):
		return fail(x.passOn()+". Or name everything: "+x.login()+" --tenant TENANT --client-id ID --scope SCOPE",
			"%s", reason(x.foundErr))
	}
	// The origin is the server's own, or it would not have been taken.
	return ok("at %s", strings.TrimPrefix(x.found.MetadataURL, x.u.Scheme+"://"+x.u.Host))
}

// decode reads a bounded JSON document.
func decode(r io.Reader, into any) error {
	const most = 1 << 20
	return json.NewDecoder(io.LimitReader(r, most)).Decode(into)
}

// resource compares the server's own name for itself with what was typed, byte
// for byte, as clients do (RFC 9728 section 3.3).
func (x *examination) resource(context.Context) finding {
	const fix = "Type the address exactly as the server names itself, or have the operator set public_url to the one that people type"
	switch {
	case x.open():
		return noSignIn
	case errors.Is(x.foundErr, entra.ErrUntrustedMetadata):
		return fail(fix, "%s", reason(x.foundErr))
	case x.found.Resource != x.URL:
		return fail(fix, "the server names itself %q, and the address is %q: clients that compare the two refuse to sign in", redact.URL(x.found.Resource), redact.URL(x.URL))
	}
	return ok("the server names itself as typed")
}

// settings checks that the metadata says enough for a sign-in.
func (x *examination) settings(context.Context) finding {
	login := x.login()
	switch {
	case x.open():
		return noSignIn
	case x.foundErr != nil:
		return fail("For servers with another sign-in: mcpctl bridge "+redact.URL(x.URL)+" --header 'Authorization: …'", "%s", reason(x.foundErr))
	}
	scopes, err := x.found.RequestScopes(nil)
	if err != nil {
		return fail("Ask the operator for the full scope of the server itself, then: "+login+" --scope SCOPE", "%s", reason(err))
	}
	pinned := x.profileErr == nil
	switch {
	case x.found.Tenant == "" && !pinned:
		return fail(login+" --tenant TENANT", "the server admits several tenants and names none (%s)", strings.Join(x.found.AuthorizationServers, ", "))
	case x.found.ClientID == "" && !pinned:
		return fail("Ask the operator for the application (client) id, then: "+login+" --client-id ID", "the server does not say which client application to sign in with")
	case len(scopes) == 0 && !pinned:
		return fail("Ask the operator for the scope, then: "+login+" --scope SCOPE", "the server does not say which scope to ask for")
	}
	return ok("tenant %s, client %s, scope %s", cmpOr(x.found.Tenant, "as pinned"), cmpOr(x.found.ClientID, "as pinned"), cmpOr(strings.Join(scopes, " "), "as pinned"))
}
