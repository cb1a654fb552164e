package entra

import (
	"context"
	"errors"
	"fmt"

	"github.com/AzureAD/microsoft-authentication-library-for-go/apps/public"
)

const opRefresh = "getting a token"

// Token returns a valid access token without asking anyone. A cached one costs
// no lock and no request; an expired one is refreshed once among all
// processes. It waits 20 s at most.
//
// When Entra asks to refresh ahead of time and that fails, the token that is
// still valid is returned. Errors are [*Error], and match [ErrSignInRequired]
// where only a person can help. A failed refresh is not repeated for a few
// seconds; a sign-in in the meantime counts at once.
func (c *Client) Token(ctx context.Context) (AccessToken, error) {
	token, err := c.token(ctx)
	return token, c.addressed(err)
}

func (c *Client) token(ctx context.Context) (AccessToken, error) {
	if token, ok := c.remembered(); ok {
		return token, nil
	}
	token, due, err := c.cached(ctx)
	switch {
	case err == nil:
		c.remember(token)
		return token, nil
	case due && token.Value.IsZero():
		return c.refresh(ctx, func(AccessToken) bool { return true }, "")
	case due:
		token = c.refreshAhead(ctx, token)
		c.remember(token)
		return token, nil
	}
	return AccessToken{}, err
}

// Refresh replaces a token that the server rejected with 401. If another
// caller or process has replaced it already, that newer token is returned and
// nothing is sent. claims is the challenge's claims parameter, base64 or JSON,
// or "". It waits 20 s at most; errors are as for [Client.Token].
func (c *Client) Refresh(ctx context.Context, rejected Secret, claims string) (AccessToken, error) {
	c.forget()
	asked, err := decodeClaims(claims)
	if err != nil {
		return AccessToken{}, &Error{Op: opRefresh, Kind: KindFailed, Description: err.Error()}
	}
	if asked == "" {
		// MSAL has no "force refresh". Any claims make it pass over the cached
		// token; empty ones are merged into our capabilities, which are sent
		// anyway.
		asked = "{}"
	}
	token, err := c.refresh(ctx, func(cached AccessToken) bool { return !cached.Value.Equal(rejected) }, asked)
	return token, c.addressed(err)
}

// cached reads the token from the cache. due reports that it must be
// refreshed (no token with it) or should be (a token with it); err is not nil
// in both cases.
func (c *Client) cached(ctx context.Context) (token AccessToken, due bool, err error) {
	opCtx, ex := withExchange(ctx)
	result, err := c.silent(opCtx, c.reader, "")
	if err == nil {
		return newAccessToken(result), false, nil
	}
	if errors.Is(err, errNoRequest) && ctx.Err() == nil {
		if c.valid(result) {
			token = newAccessToken(result)
		}
		return token, true, err
	}
	return AccessToken{}, false, c.explainSilent(ctx, ex, err)
}

func (c *Client) silent(ctx context.Context, msal public.Client, claims string) (public.AuthResult, error) {
	account, err := c.silentAccount(ctx)
	if err != nil {
		return public.AuthResult{}, err
	}
	options := []public.AcquireSilentOption{public.WithSilentAccount(account)}
	if claims != "" {
		options = append(options, public.WithClaims(claims))
	}
	return msal.AcquireTokenSilent(ctx, c.scopes, options...)
}

// refresh renews the token under the lock. If the cached token turns out to be
// acceptable by then, because someone else was faster, it is returned instead.
func (c *Client) refresh(ctx context.Context, acceptable func(AccessToken) bool, claims string) (AccessToken, error) {
	limited, cancel := context.WithTimeout(ctx, silentLimit)
	defer cancel()
	unlock, err := c.lock(limited)
	if err != nil {
		return AccessToken{}, c.explainLock(ctx, opRefresh, err)
	}
	defer unlock()
	token, due, err := c.cached(limited)
	switch usable := !token.Value.IsZero() && acceptable(token); {
	case usable && err == nil,
		usable && claims != "": // new enough for the challenge, if due by refresh_in
		c.remember(token)
		return token, nil
	}
	if err != nil && !due {
		return AccessToken{}, c.limitReached(ctx, limited, err)
	}
	if err := c.recentFailure(claims); err != nil {
		return AccessToken{}, err
	}
	token, err = c.renew(limited, claims)
	err = c.limitReached(ctx, limited, err)
	c.noteFailure(claims, err)
	if err == nil {
		c.remember(token)
	}
	return token, err
}

// refreshAhead renews a token that is still valid, if nobody else is at it.
// Failing is no harm: the valid one is returned.
func (c *Client) refreshAhead(ctx context.Context, token AccessToken) AccessToken {
	if c.recentFailure(aheadOfTime) != nil {
		return token
	}
	unlock, ok := c.tryLock()
	if !ok {
		return token
	}
	defer unlock()
	limited, cancel := context.WithTimeout(ctx, aheadLimit)
	defer cancel()
	renewed, err := c.renew(limited, "")
	if err != nil || renewed.Value.Equal(token.Value) {
		c.noteFailure(aheadOfTime, &Error{Kind: KindFailed})
		c.log.Debug("refreshing ahead of expiry failed; the present token is still valid", "err", err)
		return token
	}
	return renewed
}

// renew lets MSAL refresh. The lock is held. MSAL reads the cache again first,
// and without claims is content with a token that someone else has stored.
func (c *Client) renew(ctx context.Context, claims string) (AccessToken, error) {
	opCtx, ex := withExchange(ctx)
	result, err := c.silent(opCtx, c.writer, claims)
	if err != nil {
		if c.valid(result) && claims == "" {
			return newAccessToken(result), nil // refresh_in has passed, the token has not expired
		}
		return AccessToken{}, c.explainSilent(ctx, ex, err)
	}
	c.log.Debug("token refreshed", "expires_on", result.ExpiresOn)
	return newAccessToken(result), nil
}

func (c *Client) valid(result public.AuthResult) bool {
	return result.AccessToken != "" && c.now().Before(result.ExpiresOn)
}

func newAccessToken(result public.AuthResult) AccessToken {
	return AccessToken{Value: NewSecret(result.AccessToken), ExpiresOn: result.ExpiresOn, Scopes: result.GrantedScopes}
}

func (c *Client) explainSilent(ctx context.Context, ex *exchange, err error) error {
	if errors.Is(err, errManyAccounts) {
		return &Error{Op: opRefresh, Kind: KindSignInRequired, Description: errManyAccounts.Error(), Hint: kindHints[KindSignInRequired]}
	}
	return ex.explain(ctx, opRefresh, flowRefresh, c.scopes, err)
}

// limitReached rewrites an error that our own time limit caused: the caller's
// context is alive, so "canceled" would be wrong.
func (c *Client) limitReached(ctx, limited context.Context, err error) error {
	if err == nil || ctx.Err() != nil || limited.Err() == nil {
		return err
	}
	return &Error{Op: opRefresh, Kind: KindNetwork, Hint: kindHints[KindNetwork],
		Description: fmt.Sprintf("%s did not answer within %s", c.authority.host, silentLimit)}
}
