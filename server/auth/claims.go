package auth

import (
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"
)

// claims are the payload's claims that a rule or the principal needs.
type claims struct {
	version, issuer, tenant, audience string
	objectID, name                    string
	preferredUsername, upn            string
	uniqueName                        string
	azp, appid                        string
	scope, idtyp, uti                 string
	agentBlueprint                    string
	roles, groups, capabilities       []string
	expires, notBefore, issued        time.Time // zero if absent
	overage, bound, idToken           bool
}

// maxTime is the last second of the year 9999, the latest that a time in a
// token can sensibly say.
const maxTime = 253402300799

// readClaims picks the known claims, each with the one JSON type Entra uses.
func readClaims(obj object) (claims, *Refusal) {
	r := claimReader{obj: obj}
	c := claims{
		version:           r.text("ver"),
		issuer:            r.text("iss"),
		tenant:            r.text("tid"),
		audience:          r.text("aud"),
		objectID:          r.text("oid"),
		name:              r.text("name"),
		preferredUsername: r.text("preferred_username"),
		upn:               r.text("upn"),
		uniqueName:        r.text("unique_name"),
		azp:               r.text("azp"),
		appid:             r.text("appid"),
		scope:             r.text("scp"),
		idtyp:             r.text("idtyp"),
		uti:               r.text("uti"),
		agentBlueprint:    r.text("xms_par_app_azp"),
		roles:             r.list("roles"),
		groups:            r.list("groups"),
		capabilities:      r.list("xms_cc"),
		expires:           r.time("exp"),
		notBefore:         r.time("nbf"),
		issued:            r.time("iat"),
		overage:           r.overage(),
		bound:             r.has("cnf"),
		idToken:           r.has("nonce") || r.has("at_hash") || r.has("c_hash"),
	}
	if r.wrong != "" {
		return claims{}, invalid(RuleClaimType,
			"The token's claim %s has another form than Entra gives it.", r.wrong)
	}
	return c, nil
}

// claimReader remembers the first claim that had the wrong type.
type claimReader struct {
	obj   object
	wrong string
}

func (r *claimReader) fail(name string) {
	if r.wrong == "" {
		r.wrong = name
	}
}

func (r *claimReader) has(name string) bool {
	_, ok := r.obj[name]
	return ok
}

func (r *claimReader) text(name string) string {
	v, ok := r.obj[name]
	if !ok {
		return ""
	}
	s, ok := v.(string)
	if !ok {
		r.fail(name)
	}
	return s
}

func (r *claimReader) list(name string) []string {
	v, ok := r.obj[name]
	if !ok {
		return nil
	}
	values, ok := v.([]any)
	if !ok {
		r.fail(name)
		return nil
	}
	list := make([]string, 0, len(values))
	for _, value := range values {
		s, ok := value.(string)
		if !ok {
			r.fail(name)
			return nil
		}
		list = append(list, s)
	}
	return list
}

// time reads a NumericDate. RFC 7519 allows fractions, Entra writes whole
// seconds; digits only also keeps out exponents and negative times.
func (r *claimReader) time(name string) time.Time {
	v, ok := r.obj[name]
	if !ok {
		return time.Time{}
	}
	n, ok := v.(json.Number)
	if !ok {
		r.fail(name)
		return time.Time{}
	}
	seconds, err := strconv.ParseUint(n.String(), 10, 63)
	if err != nil || seconds > maxTime {
		r.fail(name)
		return time.Time{}
	}
	return time.Unix(int64(seconds), 0)
}

// overage reports whether Entra left the groups out because there are too many:
// hasgroups, or groups named in _claim_names. The address in _claim_sources is
// never followed; it is Azure AD Graph's, which is retired.
func (r *claimReader) overage() bool {
	if v, ok := r.obj["hasgroups"]; ok {
		// Entra has written both a boolean and a string here.
		if yes, isBool := v.(bool); isBool {
			return yes
		}
		return true
	}
	v, ok := r.obj["_claim_names"]
	if !ok {
		return false
	}
	names, ok := v.(object)
	if !ok {
		r.fail("_claim_names")
		return false
	}
	_, ok = names["groups"]
	return ok
}

// client is the application that asked for the token: azp in v2, appid in v1.
func (c *claims) client(v tokenVersion) string {
	if v == v2 {
		return c.azp
	}
	return c.appid
}

// scopes splits scp, which Entra writes with single spaces.
func (c *claims) scopes() []string {
	if c.scope == "" {
		return nil
	}
	return slices.DeleteFunc(strings.Split(c.scope, " "), func(s string) bool { return s == "" })
}

// username is for display only; it can be reassigned and must decide nothing.
func (c *claims) username() string {
	return cmp.Or(c.preferredUsername, c.upn, c.uniqueName)
}
