package doctor

import (
	"context"
	"strings"

	"github.com/mcpctl/mcpctl/internal/catalogue"
)

// appIDURI compares the Application ID URI, which the scopes begin with, with the
// server's own name, byte for byte as Entra does. Clients that send the name as
// the parameter resource (RFC 8707), as MCP asks of them, are refused where the
// two differ; mcpctl does not send it.
func (x *examination) appIDURI(context.Context) finding {
	if x.open() {
		return noSignIn
	}
	var uri string
	for _, scope := range x.found.Scopes {
		i := strings.LastIndexByte(scope, '/')
		switch {
		case granted(nil, scope): // of OpenID Connect
			continue
		case i <= 0 || strings.HasSuffix(scope[:i], "/"):
			return warn("For the server's operator: list scopes in full, as https://HOST/PATH/NAME (scopes_supported, and scope in the challenge)",
				"the scope %q does not say whose it is: Entra takes it for one of Microsoft Graph", scope)
		}
		if uri = scope[:i]; uri != x.found.Resource {
			return warn(x.mismatch(), "scopes are those of %s, and the server's name is %s: clients that send both get AADSTS9010010", uri, x.found.Resource)
		}
	}
	if uri == "" {
		return needless("the server names no scope")
	}
	return ok("%s, which is the server's name too", uri)
}

func (x *examination) mismatch() string {
	e, known := catalogue.Lookup("AADSTS9010010")
	if !known {
		return "mcpctl explain AADSTS9010010"
	}
	return x.filled(e.Hint())
}
