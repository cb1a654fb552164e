package auth

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/mcpctl/mcpctl/internal/memo"
)

// A GroupLookup finds the groups of a caller whose token leaves them out.
// [*Groups] does. It may be called concurrently. Its error is a [*Refusal], an
// [*UnavailableError] or the context's.
type GroupLookup interface {
	Of(ctx context.Context, p *Principal) ([]string, error)
}

// withGroups adds the groups that a token has left out because there are too
// many, where decisions need them, and fails closed where it can't.
func (v *Verifier) withGroups(ctx context.Context, p *Principal) (*Principal, error) {
	if !v.needGroups || !p.GroupsOverage {
		return p, nil
	}
	if v.groups == nil {
		return nil, groupsRefusal(p, "this server has no way to look them up",
			"Decide by app roles, have tokens list only groups assigned to the application, or give the server a credential for Microsoft Graph.")
	}
	groups, err := v.groups.Of(ctx, p)
	if err != nil {
		return nil, err
	}
	complete := *p
	complete.Groups = groups
	return &complete, nil
}

func groupsRefusal(p *Principal, why, fix string) *Refusal {
	r := forbidden(p, RuleGroupsOverage,
		"The caller is in more groups than a token holds, so Entra left them out; this server's rules need them, and %s.", why)
	r.Fix = fix
	return r
}

// Defaults and bounds of [Groups].
const (
	DefaultGroupsTTL  = 15 * time.Minute
	defaultGroupsSize = 10_000

	groupsTimeout  = 20 * time.Second // of one look-up, all pages
	groupsFailure  = 10 * time.Second // a failure is not repeated sooner
	groupsRefused  = time.Minute      // nor one that an administrator has to mend
	maxGroupsRetry = 2 * time.Minute  // longer waits that Graph asks for are cut to this
)

// GroupsOptions configures [NewGroups].
type GroupsOptions struct {
	// Cloud is the cloud whose Graph is asked; empty is global. With
	// Development the Graph has to be on this machine instead.
	Cloud       Cloud
	Development bool
	// URL is the root of Microsoft Graph, such as https://graph.microsoft.us.
	// Empty is the cloud's usual one.
	URL string
	// Token returns a token for Graph that is this server's own, with the
	// application permission GroupMember.Read.All. Required. An error that has a
	// method RetryAfter() time.Duration and says a time above 0 may pass.
	Token func(ctx context.Context, tenant string) (string, error)
	// TTL is how long groups are good for. Zero is [DefaultGroupsTTL].
	TTL time.Duration
	// HTTPClient sends the requests; nil is one with the system's roots and proxy.
	HTTPClient *http.Client
	Now        func() time.Time // nil is [time.Now]
	Logger     *slog.Logger     // nil discards
}

// Groups asks Microsoft Graph for the groups of callers whose token leaves them
// out. The address that such a token names is never used: it is that of a
// service that Microsoft has switched off, and not ours to trust.
//
// Callers are asked for by object id. Answers are kept for a while, at most
// 10,000; any number of requests of one caller cost one look-up. What can't be
// looked up is an error, never "no groups".
type Groups struct {
	graph graphClient
	ttl   time.Duration
	now   func() time.Time
	log   *slog.Logger
	known *memo.Memo[groupsKey, []string]
}

type groupsKey struct {
	tenant, object string
	app            bool
}

// NewGroups checks the options. Close the groups to end look-ups under way.
func NewGroups(o GroupsOptions) (*Groups, error) {
	if o.Token == nil {
		return nil, errors.New("looking up groups needs a credential for Microsoft Graph")
	}
	root, err := GraphURL(o.Cloud, o.Development, o.URL)
	if err != nil {
		return nil, err
	}
	g := &Groups{ttl: cmp.Or(o.TTL, DefaultGroupsTTL), now: o.Now, log: o.Logger}
	if g.now == nil {
		g.now = time.Now
	}
	if g.log == nil {
		g.log = slog.New(slog.DiscardHandler)
	}
	g.graph = graphClient{root: root, token: o.Token, http: guardedClient(o.HTTPClient), owned: o.HTTPClient == nil}
	g.known = memo.New[groupsKey, []string](memo.Options{Max: defaultGroupsSize, Timeout: groupsTimeout, Now: g.now})
	return g, nil
}

// Close ends look-ups under way.
func (g *Groups) Close() {
	g.known.Close()
	if g.graph.owned {
		g.graph.http.CloseIdleConnections()
	}
}

// Of implements [GroupLookup].
func (g *Groups) Of(ctx context.Context, p *Principal) ([]string, error) {
	key := groupsKey{p.TenantID, p.ObjectID, p.AppOnly}
	groups, err := g.known.Get(ctx, key, func(ctx context.Context) ([]string, time.Time, error) {
		groups, err := g.graph.groups(ctx, key)
		if err != nil {
			g.log.Warn("groups not looked up", "tid", key.tenant, "oid", key.object, "error", err)
			return nil, g.now().Add(failureKept(err)), err
		}
		slices.Sort(groups)
		return groups, g.now().Add(g.ttl), nil
	})
	if err == nil {
		return groups, nil
	}
	return nil, g.explain(ctx, p, err)
}

// nobody is an object id that no directory has.
const nobody = "00000000-0000-0000-0000-000000000000"

// Try finds out whether groups of people of a tenant can be looked up, by asking
// for those of nobody. The error is for the operator; it wraps that of
// GroupsOptions.Token where it is one.
func (g *Groups) Try(ctx context.Context, tenant string) error {
	_, err := g.graph.groups(ctx, groupsKey{tenant: tenant, object: nobody})
	var refused *graphError
	switch {
	case !errors.As(err, &refused):
		return err
	case refused.status == http.StatusNotFound:
		return nil
	case refused.temporary():
		return fmt.Errorf("asking Microsoft Graph: it answers %w", refused)
	}
	return fmt.Errorf("asking Microsoft Graph: it answers %w. %s", refused, grantGroups)
}

// grantGroups is what to do where Graph refuses.
const grantGroups = "Have an administrator grant the server's application the Microsoft Graph permission GroupMember.Read.All (application) and consent to it."

// failureKept is how long a failure stands: no request of the same caller
// leads to another look-up before.
func failureKept(err error) time.Duration {
	var refused *graphError
	if errors.As(err, &refused) && !refused.temporary() {
		return groupsRefused
	}
	return min(max(retryAfterOf(err), groupsFailure), maxGroupsRetry)
}

// explain turns a failed look-up into a decision about the request.
func (g *Groups) explain(ctx context.Context, p *Principal, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var refused *graphError
	if !errors.As(err, &refused) || refused.temporary() {
		return &UnavailableError{What: "the caller's groups", RetryAfter: retryAfter(retryAfterOf(err)), Err: err}
	}
	fix := grantGroups
	why := fmt.Sprintf("Microsoft Graph refused to tell them (%s)", refused)
	if refused.status == http.StatusNotFound {
		fix, why = "Check that the account still exists.", "Microsoft Graph doesn't know the caller"
	}
	return groupsRefusal(p, why, fix)
}

// retryAfterOf is when an error says that another attempt makes sense; 0 where
// it doesn't.
func retryAfterOf(err error) time.Duration {
	var later interface{ RetryAfter() time.Duration }
	if errors.As(err, &later) {
		return max(later.RetryAfter(), 0)
	}
	return 0
}
