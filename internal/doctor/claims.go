package doctor

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/mcpctl/mcpctl/internal/catalogue"
	"github.com/mcpctl/mcpctl/internal/entra"
	"github.com/mcpctl/mcpctl/internal/redact"
)

const minute = time.Minute

// claims are those claims of an access token that say for whom, for what and
// for how long it is. They are not secret.
type claims struct {
	Audience  string `json:"aud"`
	Tenant    string `json:"tid"`
	Version   string `json:"ver"`
	Scopes    string `json:"scp"`
	Expires   int64  `json:"exp"`
	NotBefore int64  `json:"nbf"`
}

// readClaims decodes a token without verifying it: that is the server's
// business.
func readClaims(token string) (claims, bool) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return claims{}, false
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	var c claims
	return c, err == nil && json.Unmarshal(payload, &c) == nil
}

// graph are the audiences of Microsoft Graph.
var graph = map[string]bool{"00000003-0000-0000-c000-000000000000": true, "https://graph.microsoft.com": true, "https://graph.microsoft.com/": true}

// claims compares the token with what the server asks for. The names of the
// rules are those of mcpctl serve.
func (x *examination) claims(context.Context) finding {
	if x.without() {
		return noSignIn
	}
	c, readable := readClaims(x.token.Value.Reveal())
	if !readable {
		return needless("the token is not one that can be read: only its server knows what it says")
	}
	wanted := x.profile.Scopes
	if x.foundErr == nil && len(x.found.Scopes) > 0 {
		wanted = x.found.Scopes
	}
	rule, what := x.brokenRule(c, wanted)
	if rule == "" {
		return ok("aud %s, tid %s, scp %q, ver %s: as the server asks", c.Audience, c.Tenant, c.Scopes, c.Version)
	}
	fix := x.login()
	if e, known := catalogue.LookupRule(rule); known {
		fix = x.filled(e.Fix)
	}
	return fail(fix, "the server's rule %q fails: %s", rule, what)
}

// brokenRule returns the first rule that the token breaks, and how.
func (x *examination) brokenRule(c claims, wanted []string) (rule, what string) {
	now := x.Now()
	expires, begins := time.Unix(c.Expires, 0), time.Unix(c.NotBefore, 0)
	tenants := []string{x.profile.TenantID}
	if x.found.Tenant != "" {
		tenants = append(tenants, x.found.Tenant)
	}
	switch {
	case graph[strings.ToLower(c.Audience)]:
		return "graph-token", fmt.Sprintf("aud is %q", c.Audience)
	case !audienceFits(c, wanted):
		return "audience", fmt.Sprintf("aud is %q, and the server's scope is %s", c.Audience, strings.Join(wanted, " "))
	}
	for _, tenant := range tenants {
		if entra.IsGUID(tenant) && !strings.EqualFold(tenant, c.Tenant) {
			return "foreign-tenant", fmt.Sprintf("tid is %q, and the server's tenant is %s", c.Tenant, tenant)
		}
	}
	switch {
	case now.After(expires.Add(maxSkew)):
		return "expired", "exp is " + expires.UTC().Format(time.RFC3339)
	case c.NotBefore != 0 && now.Before(begins.Add(-maxSkew)):
		return "not-yet-valid", "nbf is " + begins.UTC().Format(time.RFC3339)
	}
	held := strings.Fields(c.Scopes)
	for _, w := range wanted {
		for _, h := range held {
			if strings.EqualFold(h, lastPart(w)) || strings.HasSuffix(w, "/.default") {
				return "", ""
			}
		}
	}
	if len(wanted) > 0 {
		return "scope", fmt.Sprintf("scp is %q, and the server asks for %s", c.Scopes, strings.Join(wanted, " "))
	}
	return "", ""
}

// audienceFits reports whether a token can be for the API of the scopes. A v1
// token names the API as the scope does; a v2 token names its application id,
// which only a scope under api://ID tells.
func audienceFits(c claims, wanted []string) bool {
	known := false
	for _, w := range wanted {
		i := strings.LastIndexByte(w, '/')
		if i <= 0 || strings.HasSuffix(w[:i], ":/") {
			continue // a short name says nothing about the API
		}
		api := strings.TrimSuffix(w[:i], "/")
		id := strings.TrimPrefix(api, "api://")
		switch aud := strings.TrimSuffix(c.Audience, "/"); {
		case strings.EqualFold(aud, api), strings.EqualFold(aud, id):
			return true
		case entra.IsGUID(aud) && !entra.IsGUID(id):
			return true // nobody but the server can tell
		}
		known = true
	}
	return !known
}

// headerLimit is what most servers and proxies take of one header line, in
// bytes: nginx, Apache and IIS differ little.
const headerLimit = 8 << 10

// headers looks whether the token fits into a request.
func (x *examination) headers(context.Context) finding {
	if x.without() {
		return noSignIn
	}
	size := len("Authorization: Bearer \r\n") + len(x.token.Value.Reveal())
	if size > headerLimit {
		fix := "Ask the Entra administrator to put fewer groups into the token"
		if e, known := catalogue.LookupRule("token-too-large"); known {
			fix = "For the Entra administrator: " + e.Fix
		}
		return fail(fix, "the header with the token takes %d bytes, and many servers and proxies take %d (HTTP %d)", size, headerLimit, http.StatusRequestHeaderFieldsTooLarge)
	}
	return ok("the header with the token takes %d of the %d bytes that are common", size, headerLimit)
}

func (x *examination) session(ctx context.Context) finding {
	s, err := x.Connect(ctx)
	if err != nil {
		fix := "mcpctl inspect " + redact.URL(x.URL) + " --log-level debug"
		if known := catalogue.Find(err.Error()); len(known.Entries) > 0 {
			fix = x.filled(known.Entries[0].Fix)
		}
		return fail(fix, "%s", reason(err))
	}
	return ok("MCP %s over %s with %q", s.Protocol, s.Transport, s.Name)
}
