package cmd

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/mcpctl/mcpctl/internal/entra"
	"github.com/mcpctl/mcpctl/internal/profile"
	"github.com/mcpctl/mcpctl/internal/redact"
)

// challengeChanges returns how a challenge departs from the profile as to who
// signs people in. None of that is ever followed.
func challengeChanges(p profile.Profile, c entra.Challenge) []profile.Change {
	var changes []profile.Change
	if raw := c.Params["resource_metadata"]; raw != "" {
		if origin, err := profile.Origin(raw); err != nil || origin != p.Origin {
			changes = append(changes, profile.Change{Field: "metadata", Old: "at " + p.Origin, New: clipText(raw)})
		}
	}
	// Azure's own servers name the authority here.
	for _, param := range []string{"authorization_uri", "authorization"} {
		authority := authorityOf(c.Params[param])
		if authority == "" || strings.EqualFold(authority, p.Authority) {
			continue
		}
		tenant := authority[strings.LastIndexByte(authority, '/')+1:]
		if sameHost(authority, p.Authority) && (strings.EqualFold(tenant, p.TenantID) || tenant == "common" || tenant == "organizations") {
			continue
		}
		changes = append(changes, profile.Change{Field: "authority", Old: p.Authority, New: authority})
	}
	return changes
}

// authorityOf reduces an endpoint of an authority to "https://HOST/TENANT"; ""
// where it is none.
func authorityOf(endpoint string) string {
	u, err := url.Parse(endpoint)
	if err != nil || u.Scheme != "https" || u.Host == "" {
		return ""
	}
	tenant, _, _ := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
	if tenant == "" {
		return ""
	}
	if cloud, ok := entra.CloudOfHost(u.Host); ok {
		return cloud.Authority(strings.ToLower(tenant))
	}
	return "https://" + strings.ToLower(u.Host) + "/" + strings.ToLower(tenant)
}

func sameHost(a, b string) bool {
	ua, errA := url.Parse(a)
	ub, errB := url.Parse(b)
	return errA == nil && errB == nil && strings.EqualFold(ua.Host, ub.Host)
}

// pinned returns the full name under which the profile has the scope. Servers
// name scopes in full or by their last part.
func pinned(p profile.Profile, scope string) (string, bool) {
	for _, full := range p.Scopes {
		if strings.EqualFold(full, scope) || strings.EqualFold(full[strings.LastIndexByte(full, '/')+1:], scope) {
			return full, true
		}
	}
	return "", false
}

// changed is the refusal of a server that asks for another sign-in than the one
// that the person agreed to.
func (s *profileSource) changed(changes []profile.Change) error {
	var texts []string
	for _, c := range changes {
		texts = append(texts, c.String())
	}
	return fmt.Errorf("the MCP server at %s now asks for another sign-in than the one you agreed to (%s), and mcpctl does not follow. If you expect that change, run: mcpctl login %s", redact.URL(s.url), strings.Join(texts, "; "), redact.URL(s.url))
}

// discovered is what the server's metadata said last about signing in.
type discovered struct {
	at  time.Time
	pin profile.Pin
	err error
}

const (
	discoverLimit  = 5 * time.Second
	discoverMemory = time.Minute
)

// metadataChanges asks the server who signs people in now, and returns how that
// departs from the profile. It is asked only after the server has refused a
// good token.
func (s *profileSource) metadataChanges(p profile.Profile) []profile.Change {
	s.mu.Lock()
	last := s.found
	s.mu.Unlock()
	if last.at.IsZero() || time.Since(last.at) > discoverMemory {
		last = s.discover(p)
		s.mu.Lock()
		s.found = last
		s.mu.Unlock()
	}
	if last.err != nil {
		s.log.Debug("the server does not say who signs people in", "reason", last.err)
		return nil
	}
	now := last.pin
	for _, scope := range now.Scopes {
		if _, ok := pinned(p, scope); !ok && !openID[strings.ToLower(scope)] {
			return profile.Diff(p, now)
		}
	}
	now.Scopes = nil // all of them are pinned: fewer are no change
	return profile.Diff(p, now)
}

func (s *profileSource) discover(p profile.Profile) discovered {
	found := discovered{at: time.Now()}
	ctx, cancel := context.WithTimeout(context.Background(), discoverLimit)
	defer cancel()
	client, err := resourceClient(ctx, s.deps, p, s.log)
	if err != nil {
		found.err = err
		return found
	}
	defer client.CloseIdleConnections()
	d, err := entra.Discover(ctx, client, s.url)
	if err != nil {
		found.err = err
		return found
	}
	found.pin = profile.Pin{TenantID: d.Tenant, ClientID: d.ClientID, Scopes: d.Scopes}
	if a, err := d.Authority("", p.DevCA); err == nil && !strings.EqualFold(a.Tenant(), p.TenantID) {
		found.pin.Authority = a.String()
	}
	return found
}

// Refused implements bridge.TokenSource.
func (s *profileSource) Refused(status int, challenge []string) error {
	c, ok := bearer(challenge)
	if p, err := s.load(); err == nil {
		changes := challengeChanges(p, c)
		if len(changes) == 0 && status == 401 {
			changes = s.metadataChanges(p)
		}
		if len(changes) > 0 {
			return s.changed(changes)
		}
	}
	reason := fmt.Sprintf("it answered HTTP %d and gave no reason", status)
	if ok && c.Params["error_description"] != "" {
		reason = fmt.Sprintf("%.400s (%.60s)", c.Params["error_description"], c.Params["error"])
	}
	return fmt.Errorf("the MCP server at %s does not accept your sign-in: %s. If you signed in with the wrong account or the server's settings have changed, run: mcpctl login %s", redact.URL(s.url), reason, redact.URL(s.url))
}

func clipText(s string) string {
	const most = 200
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
