package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/mcpctl/mcpctl/internal/redact"
)

// A variant is one of the addresses at which clients look for metadata.
type variant struct {
	url *url.URL
	// inserted marks the address that RFC 9728 section 3.1 makes of the
	// server's: the others may be about something else, or missing.
	inserted bool
	// foreign marks addresses of an authority's metadata (RFC 8414, OpenID
	// Connect Discovery). Clients of MCP 2025-03-26 ask an MCP server for it, and
	// take a 404 for "none".
	foreign bool
}

// variants are the well-known addresses of the server at u, but for what the
// server has announced itself.
func variants(u *url.URL) []variant {
	var list []variant
	if path := u.EscapedPath(); path != "" && path != "/" {
		if inserted, err := u.Parse(wellKnown + path); err == nil {
			inserted.RawQuery = u.RawQuery
			list = append(list, variant{url: inserted, inserted: true})
		}
	}
	at := func(path string) *url.URL { return &url.URL{Scheme: u.Scheme, Host: u.Host, Path: path} }
	return append(list,
		variant{url: at(wellKnown), inserted: len(list) == 0},
		variant{url: at("/.well-known/oauth-authorization-server"), foreign: true},
		variant{url: at("/.well-known/openid-configuration"), foreign: true})
}

// variants asks for the metadata at every well-known address: clients differ in
// which of them they try. What keeps mcpctl itself from nothing is a warning;
// what contradicts the metadata that was found is a fault.
func (x *examination) variants(ctx context.Context) finding {
	if x.open() {
		return noSignIn
	}
	var good, odd, wrong []string
	fix := ""
	for _, v := range variants(x.u) {
		path := v.url.EscapedPath()
		switch what, grave := x.variant(ctx, v); {
		case ctx.Err() != nil:
			return needless("%s", reason(ctx.Err()))
		case what == "":
			if !v.foreign {
				good = append(good, path)
			}
		case grave:
			wrong, fix = append(wrong, path+" "+what), x.passOn()
		case v.foreign:
			odd = append(odd, path+" "+what)
			if fix == "" {
				fix = "For whoever runs the reverse proxy: answer what the server does not have with HTTP 404 and no page. Then: curl -i " + redact.URL(v.url.String())
			}
		default:
			odd, fix = append(odd, path+" "+what), x.passOn()
		}
	}
	if len(wrong)+len(odd) == 0 {
		return ok("the same at %s", strings.Join(good, " and "))
	}
	what := strings.Join(append(wrong, odd...), ", ")
	if len(wrong) > 0 {
		return fail(fix, "%s: clients that ask there can't sign in", what)
	}
	return warn(fix, "%s: clients that ask only there can't sign in", what)
}

// variant says what is wrong at an address, "" for nothing, and whether that
// misleads clients rather than leaving them without an answer.
func (x *examination) variant(ctx context.Context, v variant) (what string, grave bool) {
	resp, err := x.get(ctx, x.client, v.url.String())
	if err != nil {
		return "does not answer", false
	}
	defer resp.Body.Close()
	var doc map[string]json.RawMessage
	isJSON := decode(resp.Body, &doc) == nil
	switch {
	case v.foreign && (isJSON || resp.StatusCode != http.StatusOK):
		return "", false
	case resp.StatusCode != http.StatusOK:
		return fmt.Sprintf("is missing (HTTP %d)", resp.StatusCode), false
	case !isJSON:
		// A page for everything: clients read it as metadata.
		return "answers with something else than JSON", !v.foreign
	}
	var resource string
	if json.Unmarshal(doc["resource"], &resource) != nil || resource == "" {
		return "names no resource", v.inserted
	}
	if resource != x.found.Resource {
		return fmt.Sprintf("is about %q", resource), v.inserted
	}
	return "", false
}

// passOn is what a reverse proxy has to do, in the terms of the two most common
// ones.
func (x *examination) passOn() string {
	return fmt.Sprintf("For whoever runs the reverse proxy: pass %s and all below it to the server, path unchanged. nginx: location ^~ %s { proxy_pass http://SERVER; } "+
		"Kubernetes Ingress: path: %s, pathType: Prefix, and no rewrite-target. Then: curl -i %s", wellKnown, wellKnown, wellKnown, redact.URL(variants(x.u)[0].url.String()))
}
