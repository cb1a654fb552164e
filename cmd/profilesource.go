package cmd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mcpctl/mcpctl/bridge"
	"github.com/mcpctl/mcpctl/internal/entra"
	"github.com/mcpctl/mcpctl/internal/profile"
	"github.com/mcpctl/mcpctl/internal/redact"
	"github.com/mcpctl/mcpctl/tokencache"
)

// profileSource brings a server's tokens to the bridge: those of its profile as
// it is now, so that a sign-in elsewhere counts at once.
type profileSource struct {
	deps     Deps
	profiles *profile.Store
	url      string
	log      *slog.Logger

	mu      sync.Mutex
	stamp   string // of the profile's file when it was read
	profile profile.Profile
	client  *entra.Client // nil where err is not
	err     error

	wanted bool         // a server without a profile has asked for a sign-in
	dead   entra.Secret // the token that could not be replaced, and why
	deadBy error
	scopes []string     // for the next sign-in; nil is those of the profile
	claims string       // what the next sign-in has to prove
	noCode *entra.Error // why it can't be with a code
	found  discovered
}

var (
	_ bridge.TokenSource = (*profileSource)(nil)
	_ bridge.Elevator    = (*profileSource)(nil)
	_ bridge.SignIner    = (*profileSource)(nil)
)

func newProfileSource(deps Deps, profiles *profile.Store, url string, log *slog.Logger) *profileSource {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &profileSource{deps: deps, profiles: profiles, url: url, log: log}
}

// load returns the profile.
func (s *profileSource) load() (profile.Profile, error) {
	_, p, err := s.current()
	return p, err
}

// current returns the profile and its client, read anew where the file is
// another one than before.
func (s *profileSource) current() (*entra.Client, profile.Profile, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	stamp := s.profileStamp()
	if stamp == s.stamp && (s.client != nil || s.err != nil) {
		return s.client, s.profile, s.err
	}
	if s.client != nil {
		s.client.CloseIdleConnections()
	}
	s.stamp, s.client = stamp, nil
	if s.profile, s.err = s.profiles.Load(s.url); s.err == nil {
		s.client, s.err = openSignIn(s.deps, s.profile, s.log)
	}
	return s.client, s.profile, s.err
}

func (s *profileSource) profileStamp() string {
	path, err := s.profiles.Path(s.url)
	if err != nil {
		return "none"
	}
	return fileStamp(path)
}

// fileStamp tells one state of a file from the next: it is only ever replaced
// whole.
func fileStamp(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return "none"
	}
	return fmt.Sprintf("%d+%d", info.ModTime().UnixNano(), info.Size())
}

// Stamp implements bridge.SignIner. All that decides about tokens is in the
// profile and the token store.
func (s *profileSource) Stamp() string {
	stamp := s.profileStamp()
	for _, dev := range []bool{false, true} {
		if at, err := storeOptions(dev, s.log); err == nil {
			stamp += " " + fileStamp(filepath.Join(at.Dir, "tokens.bin"))
		}
	}
	return stamp
}

// neededError is a failure that a sign-in resolves.
type neededError struct {
	err  error
	kind error // bridge.ErrSignInNeeded or bridge.ErrConsentNeeded
}

func (e *neededError) Error() string   { return e.err.Error() }
func (e *neededError) Unwrap() []error { return []error{e.err, e.kind} }

// needed marks err as one that a sign-in resolves, and says how.
func (s *profileSource) needed(err, kind error) error {
	return &neededError{tokenSource{s.url}.hint(err), kind}
}

// explain marks the failures of getting a token that a sign-in resolves, and
// remembers what the next one has to prove.
func (s *profileSource) explain(err error) error {
	if !errors.Is(err, entra.ErrSignInRequired) && !errors.Is(err, tokencache.ErrUnreadable) {
		return err
	}
	var failed *entra.Error
	if errors.As(err, &failed) {
		s.mu.Lock()
		if failed.Claims != "" {
			s.claims = failed.Claims
		}
		if failed.Kind == entra.KindDeviceCodeBlocked {
			s.noCode = failed
		}
		s.mu.Unlock()
	}
	return s.needed(err, bridge.ErrSignInNeeded)
}

// missing handles the lack of a usable profile.
func (s *profileSource) missing(err error) error {
	return &neededError{err, bridge.ErrSignInNeeded}
}

// Token implements bridge.TokenSource.
func (s *profileSource) Token(ctx context.Context) (bridge.Token, time.Time, error) {
	client, _, err := s.current()
	if err != nil {
		s.mu.Lock()
		wanted := s.wanted
		s.mu.Unlock()
		if errors.Is(err, profile.ErrNotFound) && !wanted {
			return "", time.Time{}, nil
		}
		return "", time.Time{}, s.missing(err)
	}
	t, err := client.Token(ctx)
	if err != nil {
		return "", time.Time{}, s.explain(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.deadBy != nil && t.Value.Equal(s.dead) {
		return "", time.Time{}, s.deadBy
	}
	return bridge.Token(t.Value.Reveal()), t.ExpiresOn, nil
}

// Refresh implements bridge.TokenSource.
func (s *profileSource) Refresh(ctx context.Context, rejected bridge.Token, challenge []string) (bridge.Token, time.Time, error) {
	client, p, err := s.current()
	if err != nil {
		s.mu.Lock()
		s.wanted = true
		s.mu.Unlock()
		return "", time.Time{}, s.missing(err)
	}
	c, ok := bearer(challenge)
	if changes := challengeChanges(p, c); len(changes) > 0 {
		return "", time.Time{}, s.changed(changes)
	}
	claims := ""
	if ok && c.Params["error"] == "insufficient_claims" {
		claims = c.Params["claims"]
	}
	t, err := client.Refresh(ctx, entra.NewSecret(string(rejected)), claims)
	if err != nil {
		err = s.explain(err)
		if errors.Is(err, bridge.ErrSignInNeeded) {
			s.mu.Lock()
			s.dead, s.deadBy = entra.NewSecret(string(rejected)), err
			if s.claims == "" {
				s.claims = claims
			}
			s.mu.Unlock()
		}
		return "", time.Time{}, err
	}
	return bridge.Token(t.Value.Reveal()), t.ExpiresOn, nil
}

// Elevate implements bridge.Elevator: it asks for the scopes of the profile and
// those that the challenge names, and pins them when they have been granted.
func (s *profileSource) Elevate(ctx context.Context, used bridge.Token, challenge []string) (bridge.Token, time.Time, error) {
	client, p, err := s.current()
	if err != nil {
		return "", time.Time{}, s.missing(err)
	}
	c, _ := bearer(challenge)
	if changes := challengeChanges(p, c); len(changes) > 0 {
		return "", time.Time{}, s.changed(changes)
	}
	union, err := s.union(p, c.Params["scope"])
	if err != nil {
		return "", time.Time{}, err
	}
	if len(union) == len(p.Scopes) { // somebody has asked for them before
		t, err := client.Token(ctx)
		if err != nil {
			return "", time.Time{}, s.explain(err)
		}
		if string(used) == t.Value.Reveal() {
			return "", time.Time{}, fmt.Errorf("the MCP server at %s wants the permission %s, which your sign-in has: asking again gains nothing. Ask the server's operator whether your account may do this", redact.URL(s.url), c.Params["scope"])
		}
		return bridge.Token(t.Value.Reveal()), t.ExpiresOn, nil
	}
	wider := p
	wider.Scopes = union
	more, err := openSignIn(s.deps, wider, s.log)
	if err != nil {
		return "", time.Time{}, err
	}
	defer more.CloseIdleConnections()
	t, err := more.Token(ctx)
	if err != nil {
		if !errors.Is(err, entra.ErrSignInRequired) {
			return "", time.Time{}, err
		}
		s.mu.Lock()
		s.scopes = union
		s.mu.Unlock()
		return "", time.Time{}, s.needed(fmt.Errorf("the MCP server at %s wants a further permission, %s: %w", redact.URL(s.url), c.Params["scope"], err), bridge.ErrConsentNeeded)
	}
	if string(used) == t.Value.Reveal() || len(ungranted(union, t.Scopes)) > 0 {
		return "", time.Time{}, fmt.Errorf("the MCP server at %s wants the permission %s, and asking for it gained nothing: the token is as before. Ask the server's operator whether your account may do this", redact.URL(s.url), c.Params["scope"])
	}
	if err := s.pin(wider); err != nil {
		s.log.Warn("the further permission could not be pinned", "reason", err)
	}
	return bridge.Token(t.Value.Reveal()), t.ExpiresOn, nil
}

// pin saves the profile and says what it adds.
func (s *profileSource) pin(p profile.Profile) error {
	if old, err := s.profiles.Load(s.url); err == nil {
		for _, c := range profile.Diff(old, profile.Pin{Scopes: p.Scopes}) {
			s.log.Info("the profile has changed", "change", c.String())
		}
	}
	_, err := s.profiles.Save(p)
	return err
}

// openID are scopes without a resource, which MSAL adds itself.
var openID = map[string]bool{"openid": true, "profile": true, "email": true, "offline_access": true}

// union returns the scopes of the profile and those that a challenge names, in
// full.
func (s *profileSource) union(p profile.Profile, asked string) ([]string, error) {
	if strings.TrimSpace(asked) == "" {
		return nil, fmt.Errorf("the MCP server at %s says that your sign-in lacks a permission, but not which one. Ask its operator, then run: mcpctl login %s --scope SCOPE", redact.URL(s.url), redact.URL(s.url))
	}
	remote, err := checkEndpoint(s.url)
	if err != nil {
		return nil, err
	}
	scopes := slices.Clone(p.Scopes)
	for _, scope := range strings.Fields(asked) {
		if full, ok := pinned(p, scope); ok {
			scope = full
		} else if !strings.Contains(scope, "/") && !openID[strings.ToLower(scope)] && len(p.Scopes) > 0 {
			scope = p.Scopes[0][:strings.LastIndexByte(p.Scopes[0], '/')+1] + scope
		}
		if !slices.Contains(scopes, scope) {
			scopes = append(scopes, scope)
		}
	}
	scopes, err = entra.CheckScopes(scopes, remote)
	if err != nil {
		return nil, fmt.Errorf("the MCP server at %s wants further permissions that mcpctl does not ask for: %w", redact.URL(s.url), err)
	}
	return scopes, nil
}

// ungranted returns the scopes that are missing in what was granted. An
// authority that names none has granted all.
func ungranted(asked, granted []string) []string {
	if len(granted) == 0 {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(asked), func(scope string) bool {
		return slices.ContainsFunc(granted, func(g string) bool { return strings.EqualFold(g, scope) })
	})
}
