package auth

import (
	"context"
	"log/slog"
	"slices"
	"time"
)

// A Principal is a proven caller. Requests with the same token share one, so it
// must not be modified.
type Principal struct {
	TenantID string // tid
	ObjectID string // oid: a user, or the service principal of an app-only caller
	Name     string // for display only
	Username string // for display only: it can be reassigned to another person

	ClientID string // the application that obtained the token (azp or appid)
	AppOnly  bool   // the application acts as itself, without a user

	// AgentBlueprint is the application of the agent blueprint where the caller
	// is an agent identity (xms_par_app_azp), else empty.
	AgentBlueprint string

	Scopes []string // delegated permissions, short names
	Roles  []string // app roles of the user or, if AppOnly, of the application
	Groups []string // object ids of groups, if the token carries them

	// GroupsOverage says that the caller is in more groups than a token holds:
	// Groups being empty then does not mean that the caller is in none.
	GroupsOverage bool

	// ClientCapabilities are what the client said it can handle (xms_cc);
	// "cp1" means claims challenges.
	ClientCapabilities []string

	UTI       string    // the token's own id, as in Entra's sign-in logs; no secret
	ExpiresAt time.Time // exp, without skew
}

// Key identifies the caller: tenant and object id. Neither alone is unique or
// stable, and no other claim is both.
func (p *Principal) Key() string { return p.TenantID + "/" + p.ObjectID }

// HasScope reports whether the caller has a delegated permission, by short name.
func (p *Principal) HasScope(name string) bool { return slices.Contains(p.Scopes, name) }

// HasRole reports whether the caller has an app role.
func (p *Principal) HasRole(name string) bool { return slices.Contains(p.Roles, name) }

// LogValue implements [slog.LogValuer] with identifiers only, no names.
func (p *Principal) LogValue() slog.Value {
	attrs := []slog.Attr{
		slog.String("tid", p.TenantID),
		slog.String("oid", p.ObjectID),
		slog.String("client", p.ClientID),
		slog.String("uti", p.UTI),
	}
	if p.AppOnly {
		attrs = append(attrs, slog.Bool("app_only", true))
	}
	if p.AgentBlueprint != "" {
		attrs = append(attrs, slog.String("agent_blueprint", p.AgentBlueprint))
	}
	return slog.GroupValue(attrs...)
}

type principalKey struct{}

// NewContext returns a context that carries the caller.
func NewContext(ctx context.Context, p *Principal) context.Context {
	return context.WithValue(ctx, principalKey{}, p)
}

// FromContext returns the caller that [Guard] put into the request's context.
func FromContext(ctx context.Context) (*Principal, bool) {
	p, ok := ctx.Value(principalKey{}).(*Principal)
	return p, ok && p != nil
}
