package doctor

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// diagnosis is what mcpctl serve says about the caller at the address that its
// metadata names in mcpctl_diagnosis_uri.
type diagnosis struct {
	Exchanges []struct {
		Upstream string `json:"upstream"`
		OK       bool   `json:"ok"`
		Reason   string `json:"reason"` // as in server/obo
		Text     string `json:"text"`
		Fix      string `json:"fix"`
	} `json:"exchanges"`
}

// signInReasons are those that a sign-in ends.
var signInReasons = map[string]bool{"sign-in": true, "claims": true}

// onBehalf has the server try to get tokens in the caller's name (On-Behalf-Of),
// which only the server can: that takes its own credential. Nothing is done with
// the tokens.
func (x *examination) onBehalf(ctx context.Context) finding {
	switch {
	case x.without():
		return noSignIn
	case x.found.DiagnosisURL == "":
		return needless("only the server can try: its operator runs mcpctl serve --check")
	}
	d, why := x.diagnose(ctx)
	if why != "" {
		return needless("the server could not be asked: %s", why)
	}
	if len(d.Exchanges) == 0 {
		return needless("the server needs no token in your name")
	}
	var good, bad, fixes []string
	signIn := true
	for _, e := range d.Exchanges {
		if e.OK {
			good = append(good, e.Upstream)
			continue
		}
		bad = append(bad, fmt.Sprintf("%s: %s", e.Upstream, strings.TrimSuffix(e.Text, ".")))
		fix := strings.TrimSuffix(e.Fix, ".")
		if signInReasons[e.Reason] {
			fix = x.login()
		} else {
			signIn = false
		}
		if len(fixes) == 0 || fixes[len(fixes)-1] != fix {
			fixes = append(fixes, fix)
		}
	}
	if len(bad) > 0 {
		f := fail(strings.Join(fixes, "; "), "%s", strings.Join(bad, "; "))
		f.signIn = signIn
		return f
	}
	return ok("the server got tokens in your name for %s", strings.Join(good, ", "))
}

// diagnose asks the server; why says what kept it from answering. The token goes
// to the server's own origin, which entra.Discover has seen to.
func (x *examination) diagnose(ctx context.Context) (d diagnosis, why string) {
	u, err := url.Parse(x.found.DiagnosisURL)
	if err != nil {
		return d, reason(err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), nil)
	if err != nil {
		return d, reason(err)
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Authorization", "Bearer "+x.token.Value.Reveal())
	resp, err := x.client.Do(req)
	if err != nil {
		return d, reason(bare(err))
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusTooManyRequests {
		return d, "it has been asked too often; try again in a minute"
	}
	if resp.StatusCode != http.StatusOK {
		return d, fmt.Sprintf("HTTP %d", resp.StatusCode)
	}
	if err := decode(resp.Body, &d); err != nil {
		return d, "it answers with something else than JSON"
	}
	return d, ""
}
