package doctor

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/mcpctl/mcpctl/internal/entra"
	"github.com/mcpctl/mcpctl/internal/profile"
	"github.com/mcpctl/mcpctl/internal/redact"
)

// login is the command that signs in.
func (x *examination) login() string {
	command := "mcpctl login " + redact.URL(x.URL)
	if ca := x.devCA(); ca != "" {
		command += " --dev-ca " + ca
	}
	return command
}

// without reports a server for which nobody needs to sign in, and nobody has.
func (x *examination) without() bool {
	return x.open() && errors.Is(x.profileErr, profile.ErrNotFound)
}

// filled puts the server's address into a text of the catalogue.
func (x *examination) filled(text string) string {
	return strings.ReplaceAll(strings.ReplaceAll(text, "mcpctl login URL", x.login()), "URL", redact.URL(x.URL))
}

func (x *examination) signedIn(context.Context) finding {
	missing := (*profile.NotFoundError)(nil)
	switch {
	case x.profileErr == nil:
		return ok("signed in as %s since %s", x.profile.Account.Username, x.profile.Updated.Local().Format("2006-01-02"))
	case x.without():
		return noSignIn
	case errors.As(x.profileErr, &missing):
		f := fail(x.login(), "nobody has signed in to this address")
		if missing.Suggestion != "" {
			f = fail("Use that address, or: "+x.login(), "nobody has signed in to this address, but to %s", redact.URL(missing.Suggestion))
		}
		f.signIn = true
		return f
	}
	f := fail("Delete the file, then: "+x.login(), "%s", damage(x.profileErr))
	if errors.Is(x.profileErr, profile.ErrNewerVersion) {
		f.fix = "Upgrade mcpctl"
	}
	f.own = true
	return f
}

// damage says what is wrong with a profile's file, without the advice.
func damage(err error) string {
	corrupt := (*profile.CorruptError)(nil)
	if errors.As(err, &corrupt) {
		return fmt.Sprintf("%s is damaged: %v", corrupt.Path, corrupt.Err)
	}
	return reason(err)
}

// pin compares what the person agreed to with what the server says now.
func (x *examination) pin(context.Context) finding {
	if x.open() {
		return noSignIn
	}
	now := profile.Pin{TenantID: x.found.Tenant, ClientID: x.found.ClientID}
	if a, err := x.found.Authority("", x.profile.DevCA); err == nil && !strings.EqualFold(a.Tenant(), x.profile.TenantID) {
		now.Authority = a.String()
	}
	for _, scope := range x.found.Scopes {
		if !granted(x.profile.Scopes, scope) {
			now.Scopes = x.found.Scopes
		}
	}
	changes := profile.Diff(x.profile, now)
	if len(changes) == 0 {
		return ok("what the server asks for now is what was agreed to")
	}
	texts := make([]string, len(changes))
	for i, c := range changes {
		texts[i] = c.String()
	}
	return fail("If you expect that change: "+x.login(), "the server now asks for another sign-in than the one that was agreed to (%s)", strings.Join(texts, "; "))
}

// granted reports whether a scope, in full or by its last part, is among those
// given. The scopes of OpenID Connect belong to no server.
func granted(scopes []string, wanted string) bool {
	switch strings.ToLower(wanted) {
	case "openid", "profile", "email", "offline_access":
		return true
	}
	for _, s := range scopes {
		if strings.EqualFold(s, wanted) || strings.EqualFold(lastPart(s), lastPart(wanted)) && !(strings.Contains(s, "/") && strings.Contains(wanted, "/")) {
			return true
		}
	}
	return false
}

func lastPart(scope string) string { return scope[strings.LastIndexByte(scope, '/')+1:] }

func (x *examination) store(ctx context.Context) finding {
	if x.without() {
		return noSignIn
	}
	s, err := x.Store(ctx, x.profile)
	if err != nil {
		return fail("Make mcpctl's folder readable for you", "%s", reason(err))
	}
	switch s.State {
	case StoreReadable:
		return ok("%s; the key is in the %s", s.Path, s.Backend)
	case StoreEmpty:
		f := fail(x.login(), "it is empty: no sign-in is kept in %s", s.Path)
		f.signIn = true
		return f
	case StoreUnreadable:
		f := fail(x.login(), "%s", s.Err)
		f.signIn = true
		return f
	case StoreUnavailable:
		return fail("Unlock the keyring, or start the desktop's keyring service. To do without: mcpctl logout --all, then: "+x.login()+" --token-store file", "%s", s.Err)
	}
	return fail("Make the file readable and writable for you", "%s", s.Err)
}

// bareStore looks at the store from a process that a desktop client could have
// started.
func (x *examination) bareStore(ctx context.Context) finding {
	if x.without() {
		return noSignIn
	}
	s, err := x.BareStore(ctx, x.profile)
	fix := "Keep the key in a file: " + x.login() + " --token-store file. Or give the variables that the keyring needs (on Linux DBUS_SESSION_BUS_ADDRESS) to the entry in the client's configuration, under env"
	switch {
	case err != nil:
		return fail("Check that the program can be started: mcpctl version", "a bridge can't be started as clients do: %s", reason(err))
	case s.State == StoreReadable:
		return ok("a bridge that a client starts can read the tokens")
	case s.State == StoreEmpty:
		return fail("Give MCPCTL_CONFIG_DIR to the entry in the client's configuration, under env", "a bridge that a client starts finds no tokens where they are kept")
	}
	return fail(fix, "a bridge that a client starts can't read the tokens, and this process can: %s", s.Err)
}

func (x *examination) account(context.Context) finding {
	switch {
	case x.without():
		return noSignIn
	case x.profile.Account.HomeAccountID == "":
		f := fail(x.login(), "the profile names no account")
		f.signIn = true
		return f
	}
	return ok("%s", x.profile.Account.Username)
}

func (x *examination) silentToken(ctx context.Context) finding {
	if x.without() {
		return noSignIn
	}
	t, err := x.Token(ctx, x.profile)
	if err != nil {
		f := x.tokenFault(err)
		f.signIn = errors.Is(err, entra.ErrSignInRequired)
		f.own = f.signIn
		return f
	}
	x.token = t
	return ok("valid for another %s", t.ExpiresOn.Sub(x.Now()).Round(minute))
}

// tokenFault words a failure to get a token: what happened, and apart from it
// what to do.
func (x *examination) tokenFault(err error) finding {
	failed := (*entra.Error)(nil)
	if !errors.As(err, &failed) || failed.Hint == "" {
		return fail(x.login(), "%s", reason(err))
	}
	alone := *failed
	alone.Hint = ""
	return fail(x.filled(failed.Hint), "%s", reason(&alone))
}
