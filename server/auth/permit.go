package auth

import (
	"slices"
	"strings"
)

// permit decides what a proven token allows and turns its claims into the
// caller. Users and applications are kept apart by idtyp, never by guessing
// from roles, which both can have.
func (v *Verifier) permit(c *claims, version tokenVersion) (*Principal, *Refusal) {
	p := &Principal{
		TenantID: c.tenant, ObjectID: c.objectID,
		Name: c.name, Username: c.username(),
		ClientID: c.client(version), AgentBlueprint: c.agentBlueprint,
		Scopes: c.scopes(), Roles: c.roles, Groups: c.groups,
		GroupsOverage:      c.overage,
		ClientCapabilities: c.capabilities,
		UTI:                c.uti, ExpiresAt: c.expires,
	}
	if refusal := p.setKind(c.idtyp); refusal != nil {
		return nil, refusal
	}
	if len(v.clients) > 0 && !slices.Contains(v.clients, p.ClientID) {
		return nil, forbidden(p, RuleClientNotAllowed,
			"The client application %s is not among those that may call this server.", p.ClientID)
	}
	check := v.permitUser
	if p.AppOnly {
		check = v.permitApp
	}
	if refusal := check(p); refusal != nil {
		return nil, refusal
	}
	return p, nil
}

// setKind decides between a user's token and an application's own.
func (p *Principal) setKind(idtyp string) *Refusal {
	switch idtyp {
	case "app":
		if len(p.Scopes) > 0 {
			return invalid(RuleTokenSubject,
				"The token contradicts itself: it is an application's own (idtyp app) and has a user's scopes (scp).")
		}
		p.AppOnly = true
	case "", "user":
		if len(p.Scopes) > 0 {
			return nil
		}
		if len(p.Roles) > 0 {
			return invalid(RuleTokenSubject,
				"The token has roles but no scope, and does not say that it is an application's own (idtyp app).")
		}
		return invalid(RuleNoPermission,
			"The token has neither scopes (scp) nor roles; it may be an ID token.")
	default:
		return invalid(RuleTokenSubject, "The token's subject is of the kind %s, which this server does not admit.", show(idtyp))
	}
	return nil
}

func (v *Verifier) permitUser(p *Principal) *Refusal {
	if len(v.scopes) == 0 {
		return forbidden(p, RuleDelegated,
			"This server admits applications only, not users.")
	}
	if slices.ContainsFunc(v.scopes, p.HasScope) {
		return nil
	}
	r := forbidden(p, RuleScope,
		"The token lacks the scope this server needs: %s.", strings.Join(v.scopes, " or "))
	r.OfferScopes = true
	return r
}

func (v *Verifier) permitApp(p *Principal) *Refusal {
	if len(v.roles) == 0 {
		return forbidden(p, RuleAppOnly,
			"This server admits users only, not an application on its own.")
	}
	if slices.ContainsFunc(v.roles, p.HasRole) {
		return nil
	}
	return forbidden(p, RuleRole,
		"The application lacks the app role this server needs: %s.", strings.Join(v.roles, " or "))
}
