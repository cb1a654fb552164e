package auth

import (
	"errors"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/mcpctl/mcpctl/internal/catalogue"
)

// answer is the body of a request that was not let in.
type answer struct {
	Error       string `json:"error"`
	Description string `json:"error_description"`
	Fix         string `json:"fix,omitempty"`
	Rule        Rule   `json:"rule,omitempty"`
	Explain     string `json:"explain,omitempty"` // a command that says more about the rule
	Metadata    string `json:"resource_metadata,omitempty"`
}

// writeRefusal answers a request that was not let in: 401 or 403 with a
// challenge (RFC 6750 section 3, RFC 9728 section 5.1), 431 for a token that is
// too large, 503 if nothing could be decided.
func (m *Metadata) writeRefusal(w http.ResponseWriter, path string, err error) {
	var refusal *Refusal
	if !errors.As(err, &refusal) {
		writeUnavailable(w, err)
		return
	}
	a := answer{
		Error: refusal.OAuthError, Description: refusal.Description, Fix: refusal.Fix, Rule: refusal.Rule,
	}
	if entry, ok := catalogue.LookupRule(string(refusal.Rule)); ok {
		a.Explain = "mcpctl explain " + string(refusal.Rule)
		if a.Fix == "" {
			a.Fix = entry.FixFor(m.resource)
		}
	}
	switch {
	case refusal.Status == http.StatusRequestHeaderFieldsTooLarge:
		a.Error = "request_header_fields_too_large"
	case refusal.Rule != RuleOrigin && refusal.Rule != RuleHost: // no token would help
		a.Metadata = m.URL(path)
	}
	_, header := m.Answer(path, refusal)
	maps.Copy(w.Header(), header)
	switch {
	case a.Error != "":
	case refusal.Status == http.StatusForbidden:
		a.Error = "forbidden"
	default:
		a.Error = "unauthorized"
	}
	writeJSON(w, refusal.Status, encodeJSON(a))
}

// challenge renders WWW-Authenticate. A request without a token gets no error
// attribute (RFC 6750 section 3.1). Scopes are full URIs, and are left out where
// asking for them again could not help.
func (m *Metadata) challenge(path string, r *Refusal) string {
	var b strings.Builder
	b.WriteString("Bearer ")
	attribute := func(name, value string) {
		if value == "" {
			return
		}
		if b.Len() > len("Bearer ") {
			b.WriteString(", ")
		}
		b.WriteString(name + `="` + printable(value) + `"`)
	}
	attribute("resource_metadata", m.URL(path))
	if r.OfferScopes {
		attribute("scope", strings.Join(m.scopes, " "))
	}
	if r.OAuthError != "" {
		attribute("error", r.OAuthError)
		attribute("claims", claimsParameter(r.Claims))
		attribute("error_description", r.Description)
	}
	return b.String()
}

// writeUnavailable answers that nothing could be decided. It does not say what
// the authority answered; that is in the log.
func writeUnavailable(w http.ResponseWriter, err error) {
	wait := time.Second
	a := answer{
		Error:       "temporarily_unavailable",
		Description: "The token could not be checked because the sign-in authority's keys are out of reach. The token may be fine.",
		Fix:         "Try again shortly. If it lasts, have the operator check that the server reaches the authority.",
	}
	var unavailable *UnavailableError
	if errors.As(err, &unavailable) {
		wait = unavailable.RetryAfter
		if unavailable.What != "" {
			a.Description = "The request could not be decided because " + unavailable.What + " could not be fetched. The token is fine."
			a.Fix = "Try again shortly. If it lasts, have the operator look into the server's log."
		}
	}
	w.Header().Set("Retry-After", seconds(wait))
	writeJSON(w, http.StatusServiceUnavailable, encodeJSON(a))
}

// seconds is a duration as Retry-After has it, rounded up.
func seconds(d time.Duration) string {
	return strconv.FormatInt(int64((d+time.Second-1)/time.Second), 10)
}
