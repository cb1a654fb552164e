package doctor

import (
	"context"
	"net/http"

	"github.com/mcpctl/mcpctl/internal/entra"
	"github.com/mcpctl/mcpctl/internal/netconf"
)

// authorityInUse is the one that the profile pins, else the one that the server
// names.
func (x *examination) authorityInUse() (entra.Authority, error) {
	if x.profileErr == nil {
		return entra.ParseAuthority(x.profile.Authority, x.profile.DevCA)
	}
	return x.found.Authority("", x.devCA())
}

func (x *examination) authority(ctx context.Context) finding {
	if x.open() && x.profileErr != nil {
		return noSignIn
	}
	if x.profileErr != nil && (x.foundErr != nil || x.found.URL == "") {
		return finding{status: Skip, blocked: true, detail: "not checked: nobody says which one it is"}
	}
	a, err := x.authorityInUse()
	if err != nil {
		return fail("Sign in, with --dev-ca FILE if this is a server for development: "+x.login(), "%s", reason(err))
	}
	if x.authClient, err = x.SignIn(a); err != nil {
		return fail("Correct the setting, or sign in anew: "+x.login(), "%s", reason(err))
	}
	const fix = "Check the network, the proxy and the firewall: this machine has to reach the authority"
	resp, err := x.get(ctx, x.authClient, a.String()+"/v2.0/.well-known/openid-configuration")
	if err != nil {
		if text, isTLS := netconf.ExplainTLS(err); isTLS {
			return fail(fix, "%s: %s", a.Host(), text)
		}
		return fail(fix, "%s can't be reached: %s", a.Host(), reason(bare(err)))
	}
	defer resp.Body.Close()
	x.readClock("the authority", resp.Header)
	var doc struct {
		JWKS  string `json:"jwks_uri"`
		Token string `json:"token_endpoint"`
	}
	switch err := decode(resp.Body, &doc); {
	case resp.StatusCode == http.StatusBadRequest || resp.StatusCode == http.StatusNotFound:
		return fail("Check the tenant: "+x.login()+" --tenant TENANT", "%s knows no tenant %s (HTTP %d)", a.Host(), a.Tenant(), resp.StatusCode)
	case resp.StatusCode != http.StatusOK:
		return fail("Try again later; if it stays, see the status page of Microsoft Entra", "%s answers HTTP %d", a.Host(), resp.StatusCode)
	case err != nil || doc.JWKS == "" || doc.Token == "":
		return fail("A captive portal or proxy may be in between: check the network", "%s answers with something else than its configuration", a.Host())
	}
	x.openIDKeys = doc.JWKS
	return ok("%s", a)
}

func (x *examination) keys(ctx context.Context) finding {
	if x.openIDKeys == "" {
		return noSignIn
	}
	const fix = "Try again later; if it stays, check the proxy and the firewall: tokens can't be verified without the keys"
	resp, err := x.get(ctx, x.authClient, x.openIDKeys)
	if err != nil {
		return fail(fix, "they can't be fetched: %s", reason(bare(err)))
	}
	defer resp.Body.Close()
	var doc struct {
		Keys []struct {
			ID string `json:"kid"`
		}
	}
	err = decode(resp.Body, &doc)
	switch {
	case resp.StatusCode != http.StatusOK:
		return fail(fix, "they can't be fetched: HTTP %d", resp.StatusCode)
	case err != nil || len(doc.Keys) == 0:
		return fail(fix, "the answer holds no keys")
	}
	return ok("%d", len(doc.Keys))
}
