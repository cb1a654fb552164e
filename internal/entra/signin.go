package entra

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/AzureAD/microsoft-authentication-library-for-go/apps/cache"
	"github.com/AzureAD/microsoft-authentication-library-for-go/apps/public"
)

const opSignIn = "signing in"

// A SignIn is the result of a completed sign-in. The tokens themselves are in
// the cache.
type SignIn struct {
	Account   Account
	ExpiresOn time.Time // of the first access token
	Scopes    []string  // as granted
}

// A SignInOption adjusts one sign-in.
type SignInOption func(*signInOptions)

type signInOptions struct {
	claims    string
	loginHint string
}

// WithClaims asks for what a claims challenge demands, given as base64 or
// JSON.
func WithClaims(claims string) SignInOption { return func(o *signInOptions) { o.claims = claims } }

// WithLoginHint prefills the account in a browser sign-in.
func WithLoginHint(username string) SignInOption {
	return func(o *signInOptions) { o.loginHint = username }
}

// startSignIn prepares the options and an MSAL client that stores what it gets
// under the lock. done must be called when the sign-in is over.
func (c *Client) startSignIn(opts []SignInOption) (o signInOptions, msal public.Client, done func(), err error) {
	for _, opt := range opts {
		opt(&o)
	}
	if o.claims, err = decodeClaims(o.claims); err != nil {
		return o, msal, nil, &Error{Op: opSignIn, Kind: KindFailed, Description: err.Error()}
	}
	store := &lockingCache{client: c}
	msal, err = c.newMSAL(store, public.WithHTTPClient(c.http))
	return o, msal, store.release, err
}

// finishSignIn adopts the account for later calls of [Client.Token].
func (c *Client) finishSignIn(result public.AuthResult) SignIn {
	s := SignIn{
		Account: Account{
			HomeAccountID: result.Account.HomeAccountID,
			Username:      firstOf(result.IDToken.PreferredUsername, result.IDToken.UPN, result.IDToken.Email, result.Account.PreferredUsername),
			Name:          result.IDToken.Name,
			TenantID:      result.IDToken.TenantID,
			ObjectID:      result.IDToken.Oid,
		},
		ExpiresOn: result.ExpiresOn,
		Scopes:    result.GrantedScopes,
	}
	if s.Account.TenantID == "" && IsGUID(c.authority.tenant) {
		s.Account.TenantID = c.authority.tenant
	}
	c.setAccount(s.Account.HomeAccountID)
	return s
}

func firstOf(values ...string) string {
	for _, v := range values {
		if strings.TrimSpace(v) != "" {
			return v
		}
	}
	return ""
}

// SignOut removes the account's tokens for this client id from the cache, for
// all MCP servers that share both: they share one refresh token. Entra has no
// endpoint to revoke tokens; they end with their lifetime.
func (c *Client) SignOut(ctx context.Context) error {
	const op = "signing out"
	limited, cancel := context.WithTimeout(ctx, silentLimit)
	defer cancel()
	unlock, err := c.lock(limited)
	if err != nil {
		return c.explainLock(ctx, op, err)
	}
	defer unlock()
	defer c.forget()
	c.mu.Lock()
	id := c.account
	c.mu.Unlock()
	opCtx, ex := withExchange(limited)
	accounts, err := c.writer.Accounts(opCtx)
	if err != nil {
		return ex.explain(ctx, op, flowRefresh, nil, err)
	}
	for _, account := range accounts {
		if id != "" && account.HomeAccountID != id {
			continue
		}
		if err := c.writer.RemoveAccount(opCtx, account); err != nil {
			return ex.explain(ctx, op, flowRefresh, nil, err)
		}
	}
	return nil
}

// lockingCache is the token cache of one sign-in. A person may take minutes,
// during which other processes must be able to refresh; so the lock is taken
// only when MSAL reads the cache to add the new tokens, and held until the
// sign-in is over.
type lockingCache struct {
	client *Client
	mu     sync.Mutex
	unlock func()
}

func (l *lockingCache) Replace(ctx context.Context, into cache.Unmarshaler, hints cache.ReplaceHints) error {
	if err := l.acquire(ctx); err != nil {
		exchangeFrom(ctx).recordCache(err)
		return err
	}
	return accessor{l.client.cache}.Replace(ctx, into, hints)
}

func (l *lockingCache) Export(ctx context.Context, from cache.Marshaler, hints cache.ExportHints) error {
	return accessor{l.client.cache}.Export(ctx, from, hints)
}

func (l *lockingCache) acquire(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.unlock != nil {
		return nil
	}
	// The tokens have been issued by now: a cancellation must not lose them.
	ctx = context.WithoutCancel(ctx)
	limited, cancel := context.WithTimeout(ctx, silentLimit)
	defer cancel()
	unlock, err := l.client.lock(limited)
	if err != nil {
		return l.client.explainLock(ctx, "storing the sign-in", err)
	}
	l.unlock = unlock
	return nil
}

func (l *lockingCache) release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.unlock != nil {
		l.unlock()
		l.unlock = nil
	}
}
