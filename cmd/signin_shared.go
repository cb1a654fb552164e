package cmd

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/mcpctl/mcpctl/bridge"
	"github.com/mcpctl/mcpctl/internal/entra"
	"github.com/mcpctl/mcpctl/internal/profile"
	"github.com/mcpctl/mcpctl/internal/redact"
	"github.com/mcpctl/mcpctl/tokencache"
)

// Unable implements bridge.SignIner. A server is not trusted with a sign-in
// before the person has agreed to what it asks for, which mcpctl login shows.
func (s *profileSource) Unable() error {
	_, _, err := s.current()
	return err
}

// SignIn implements bridge.SignIner.
func (s *profileSource) SignIn(ctx context.Context, consent <-chan struct{}, show func(bridge.Prompt)) error {
	_, p, err := s.current()
	if err != nil {
		return err
	}
	s.mu.Lock()
	claims := s.claims
	if s.scopes != nil {
		p.Scopes = s.scopes
	}
	s.mu.Unlock()
	at, err := storeOptions(p.DevCA != "", s.log)
	if err != nil {
		return err
	}
	shared := entra.NewShared(at.Dir, s.log, append([]string{p.Authority, p.ClientID, p.Account.HomeAccountID}, p.Scopes...)...)
	err = shared.Do(ctx, s.usable(p),
		func(ctx context.Context, show func(entra.SharedPrompt)) error {
			return s.lead(ctx, p, claims, consent, show)
		},
		func(sp entra.SharedPrompt) {
			show(bridge.Prompt{URL: sp.VerificationURL, Code: sp.UserCode, ExpiresOn: sp.ExpiresOn, Note: sp.Note})
		})
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.scopes, s.claims, s.noCode = nil, "", nil
	s.mu.Unlock()
	return nil
}

// usable reports whether a sign-in for p has become needless.
func (s *profileSource) usable(p profile.Profile) func(context.Context) bool {
	return func(ctx context.Context) bool {
		_, now, err := s.current()
		if err != nil || len(ungranted(p.Scopes, now.Scopes)) > 0 {
			return false
		}
		_, _, err = s.Token(ctx)
		return err == nil
	}
}

// lead signs the person in: with a device code, and in the browser where the
// organisation forbids codes.
func (s *profileSource) lead(ctx context.Context, p profile.Profile, claims string, consent <-chan struct{}, show func(entra.SharedPrompt)) error {
	at, err := storeOptions(p.DevCA != "", s.log)
	if err != nil {
		return err
	}
	mode := tokencache.ModeAuto
	if p.TokenStore == string(tokencache.BackendFile) {
		mode = tokencache.ModeFile // the person has agreed to that
	}
	store, err := tokencache.OpenForLogin(ctx, at, mode)
	if err != nil {
		return fmt.Errorf("%w. Run: mcpctl login %s", err, redact.URL(s.url))
	}
	whoever := p
	whoever.Account = profile.Account{}
	client, err := signInClient(s.deps, whoever, store, s.log)
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	signIn, err := s.withCodeOrBrowser(ctx, client, p, claims, consent, show)
	if storeErr := store.Err(); err == nil && storeErr != nil {
		err = fmt.Errorf("keeping the tokens: %w", storeErr)
	}
	if err != nil {
		return err
	}
	if was := p.Account; was.HomeAccountID != "" && was.HomeAccountID != signIn.Account.HomeAccountID {
		s.log.Warn("another account has signed in than before", "was", was.Username, "now", signIn.Account.Username)
	}
	p.Account = profile.Account{HomeAccountID: signIn.Account.HomeAccountID, Username: signIn.Account.Username}
	p.TokenStore = string(store.Backend())
	if err := s.pin(p); err != nil {
		return err
	}
	s.log.Info("signed in", "as", signIn.Account.Username)
	return nil
}

// withCodeOrBrowser shows a code, and goes on in the browser where that is turned
// away. Where it has been turned away before no code is shown that would be of no
// use.
func (s *profileSource) withCodeOrBrowser(ctx context.Context, client *entra.Client, p profile.Profile, claims string, consent <-chan struct{}, show func(entra.SharedPrompt)) (entra.SignIn, error) {
	s.mu.Lock()
	blocked := s.noCode
	s.mu.Unlock()
	if blocked != nil && s.hasBrowser() {
		// Whoever can't be shown a page is told at once what this is about.
		show(inBrowser(blocked, s.deps.Now()))
		return s.browse(ctx, client, p, claims, blocked, consent, show)
	}
	signIn, err := client.SignInDeviceCode(ctx, func(code entra.DeviceCode) error {
		show(entra.SharedPrompt{UserCode: code.UserCode, VerificationURL: code.VerificationURL, ExpiresOn: code.ExpiresOn})
		return nil
	}, entra.WithClaims(claims))
	if errors.As(err, &blocked) && blocked.Kind == entra.KindDeviceCodeBlocked {
		return s.browse(ctx, client, p, claims, blocked, consent, show)
	}
	return signIn, err
}

func (s *profileSource) hasBrowser() bool {
	return newLoginUI(loginOptions{deps: s.deps}).canOpenBrowser()
}

// inBrowser says that the sign-in goes on in a browser, and why.
func inBrowser(blocked *entra.Error, now time.Time) entra.SharedPrompt {
	return entra.SharedPrompt{
		Browser: true, ExpiresOn: now.Add(browserPatience),
		Note: fmt.Sprintf("The organisation %s (%s), so it goes on in a browser on the user's machine.", blocked.NoCode, blocked.Code),
	}
}

// browse goes on in the browser of this machine, if it has one, once somebody
// has asked for the sign-in.
func (s *profileSource) browse(ctx context.Context, client *entra.Client, p profile.Profile, claims string, blocked *entra.Error, consent <-chan struct{}, show func(entra.SharedPrompt)) (entra.SignIn, error) {
	if !s.hasBrowser() {
		err := error(blocked)
		if command := "mcpctl login " + redact.URL(s.url) + " --browser"; !strings.Contains(blocked.Error(), command) {
			err = fmt.Errorf("%w. Run: %s", blocked, command)
		}
		return entra.SignIn{}, err
	}
	select {
	case <-consent:
	case <-ctx.Done():
		return entra.SignIn{}, ctx.Err()
	}
	return client.SignInBrowser(ctx, func(address string) error {
		if err := openPage(address, s.deps.Getenv("BROWSER")); err != nil {
			return fmt.Errorf("opening a browser: %w. Run: mcpctl login %s --browser", err, redact.URL(s.url))
		}
		show(inBrowser(blocked, s.deps.Now()))
		return nil
	}, entra.WithClaims(claims), entra.WithLoginHint(p.Account.Username))
}

// browserPatience is how long a browser sign-in is waited for.
const browserPatience = 5 * time.Minute
