package auth

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Defaults and bounds of [Options].
const (
	DefaultSkew          = 5 * time.Minute
	DefaultMaxTokenBytes = 32 << 10
	DefaultCacheSize     = 10_000

	maxSkew    = 5 * time.Minute
	maxTenants = 1000
)

// Options configures [New].
type Options struct {
	// Cloud is the Microsoft cloud whose tokens are admitted; empty is global.
	Cloud Cloud
	// Authority replaces the cloud by a development authority on this machine,
	// https://127.0.0.1:PORT/TENANT. Its certificate must be trusted by HTTPClient.
	Authority string
	// TenantIDs are the tenants whose callers are admitted. With Authority they
	// may be left out; there is no way to admit every tenant.
	TenantIDs []string
	// Audiences are the API's client id and its App ID URIs. The client id is
	// what v2 tokens name, so at least one GUID is needed.
	Audiences []string

	// RequiredScopes are the delegated permissions of which a user's token needs
	// one, short (Mcp.Access) or in full (https://…/Mcp.Access). If empty, no
	// user is admitted.
	RequiredScopes []string
	// RequiredRoles are the app roles of which an app-only token needs one. If
	// empty, no app-only caller is admitted.
	RequiredRoles []string
	// AllowedClients are the client ids whose tokens are admitted; empty admits all.
	AllowedClients []string
	// NeedGroups says that decisions depend on group membership. Callers whose
	// token leaves the groups out because there are too many are then refused
	// instead of being treated as members of none.
	NeedGroups bool
	// Groups looks up the groups of such callers, so that they need not be
	// refused; nil refuses them. The verifier doesn't close it.
	Groups GroupLookup
	// ClaimsMapping says that the API's tokens are signed with a key of its own,
	// as they are for applications with a claims-mapping policy. Keys are then
	// asked for by the API's client id (appid).
	ClaimsMapping bool

	// Skew is how far clocks may differ, at most five minutes. Zero is five minutes.
	Skew time.Duration
	// MaxTokenBytes bounds the token. Zero is [DefaultMaxTokenBytes], enough for
	// a token with 200 groups.
	MaxTokenBytes int
	// CacheSize is how many verified tokens are remembered. Zero is [DefaultCacheSize].
	CacheSize int

	// HTTPClient fetches metadata and keys. Redirects are never followed,
	// whatever it says. If nil, a client with the system's roots and proxy is used.
	HTTPClient *http.Client
	// Observer is told what happens.
	Observer Observer
	// Now is the clock; nil is [time.Now].
	Now func() time.Time
	// Logger gets key changes and failed fetches; nil discards them.
	Logger *slog.Logger
}

// settle checks the options and puts them into the form the rules compare with.
// Every fault is reported, not only the first.
func (o Options) settle() (*Verifier, error) {
	v := &Verifier{
		needGroups: o.NeedGroups,
		skew:       cmp.Or(o.Skew, DefaultSkew),
		maxBytes:   cmp.Or(o.MaxTokenBytes, DefaultMaxTokenBytes),
		observer:   o.Observer,
		now:        o.Now,
		log:        o.Logger,
	}
	if v.now == nil {
		v.now = time.Now
	}
	if v.log == nil {
		v.log = slog.New(slog.DiscardHandler)
	}
	var faults faultList
	if v.skew < 0 || v.skew > maxSkew {
		faults.add("skew %v is not between 0 and %v", o.Skew, maxSkew)
	}
	if v.maxBytes < 0 || o.CacheSize < 0 {
		faults.add("token size and cache size cannot be negative")
	}
	o.settleAuthority(v, &faults)
	settleTenants(v, &faults)
	o.settleAudiences(v, &faults)
	if i := slices.IndexFunc(v.audiences, isGUID); o.ClaimsMapping && i >= 0 {
		v.authority.appID = v.audiences[i]
	}
	o.settlePermissions(v, &faults)
	return v, errors.Join(faults...)
}

// faultList collects what is wrong with the options.
type faultList []error

func (f *faultList) add(format string, args ...any) { *f = append(*f, fmt.Errorf(format, args...)) }

func (o Options) settleAuthority(v *Verifier, faults *faultList) {
	v.tenants = lowerAll(o.TenantIDs)
	if o.Authority == "" {
		a, err := cloudAuthority(o.Cloud)
		if err != nil {
			faults.add("%w", err)
		}
		v.authority = a
		return
	}
	if o.Cloud != "" {
		faults.add("cloud and authority exclude each other")
	}
	a, tenant, err := loopbackAuthority(o.Authority)
	v.authority = a
	switch {
	case err != nil:
		faults.add("%w", err)
	case len(v.tenants) == 0:
		v.tenants = []string{tenant}
	case !slices.Contains(v.tenants, tenant):
		faults.add("tenant %s of the authority is not among the tenants", tenant)
	}
}

func settleTenants(v *Verifier, faults *faultList) {
	if len(v.tenants) == 0 {
		faults.add("no tenant: name the tenants whose callers may come in")
	}
	if len(v.tenants) > maxTenants {
		faults.add("%d tenants are more than %d", len(v.tenants), maxTenants)
	}
	for _, tenant := range v.tenants {
		switch {
		case !isGUID(tenant):
			faults.add("tenant %q is not a tenant id; names such as common or contoso.com admit tenants unseen, so use the GUID", tenant)
		case tenant == personalTenant:
			faults.add("tenant %s is that of personal Microsoft accounts, which are not supported", tenant)
		}
	}
}

func (o Options) settleAudiences(v *Verifier, faults *faultList) {
	for _, audience := range o.Audiences {
		if lower := strings.ToLower(audience); isGUID(lower) {
			audience = lower
		}
		if audience == "" || isGraph(audience) {
			faults.add("audience %q cannot be this server's own", audience)
		}
		v.audiences = append(v.audiences, audience)
	}
	if !slices.ContainsFunc(v.audiences, isGUID) {
		faults.add("no audience is a client id (GUID), which is what version 2.0 tokens name")
	}
}

func (o Options) settlePermissions(v *Verifier, faults *faultList) {
	for _, scope := range o.RequiredScopes {
		short, err := shortScope(scope, v.audiences)
		if err != nil {
			faults.add("%w", err)
		}
		v.scopes = append(v.scopes, short)
	}
	v.roles = slices.Clone(o.RequiredRoles)
	if slices.Contains(v.roles, "") {
		faults.add("a required role is empty")
	}
	if len(v.scopes) == 0 && len(v.roles) == 0 {
		faults.add("neither a scope nor a role is required: name the scopes for users, the roles for applications, or both")
	}
	v.clients = lowerAll(o.AllowedClients)
	for _, client := range v.clients {
		if !isGUID(client) {
			faults.add("allowed client %q is not a client id (GUID)", client)
		}
	}
}

// shortScope returns a scope as scp spells it. A scope of another resource is
// an error: its name alone would be compared, and could match by accident.
func shortScope(scope string, audiences []string) (string, error) {
	short := scope
	for _, audience := range audiences {
		if rest, ok := strings.CutPrefix(scope, audience+"/"); ok {
			short = rest
			break
		}
	}
	if short == "" || strings.ContainsAny(short, " /") {
		return "", fmt.Errorf("required scope %q is neither a short name nor one of this API's App ID URIs, a slash and a name", scope)
	}
	return short, nil
}

func lowerAll(list []string) []string {
	lower := make([]string, len(list))
	for i, s := range list {
		lower[i] = strings.ToLower(s)
	}
	return lower
}
