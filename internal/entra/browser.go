package entra

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/url"
	"strings"
	"time"

	"github.com/AzureAD/microsoft-authentication-library-for-go/apps/public"
)

// SignInBrowser signs a person in with a browser on this machine:
// authorization code with PKCE, returned to a listener on loopback (RFC 8252
// section 7.3). open is called once, in a goroutine of its own, with the
// address to visit; it may return at once or when the browser is closed. Its
// error ends the sign-in. The wait is bounded to five minutes.
//
// The listener is our own. MSAL's gives up at the first request that is not
// the answer, such as a port scanner's or a browser's for a favicon.
func (c *Client) SignInBrowser(ctx context.Context, open func(url string) error, opts ...SignInOption) (SignIn, error) {
	result, err := c.signInBrowser(ctx, open, opts)
	return result, c.addressed(err)
}

func (c *Client) signInBrowser(ctx context.Context, open func(url string) error, opts []SignInOption) (SignIn, error) {
	o, msal, done, err := c.startSignIn(opts)
	if err != nil {
		return SignIn{}, err
	}
	defer done()
	callback, err := listenCallback(rand.Text(), c.authority.host)
	if err != nil {
		return SignIn{}, &Error{Op: opSignIn, Kind: KindFailed, cause: err,
			Hint: "Sign in with a device code instead: mcpctl login URL --device-code"}
	}
	opened, returned := make(chan error, 1), make(chan struct{})
	defer func() { callback.close(); awaitOpener(returned) }()

	verifier := rand.Text() + rand.Text() // RFC 7636 section 4.1: 43 to 128 characters
	opCtx, ex := withExchange(ctx)
	address, err := c.authorizeURL(opCtx, ex, msal, callback, verifier, o)
	if err != nil {
		close(returned)
		return SignIn{}, err
	}
	go func() { defer close(returned); opened <- open(address) }()
	reply, err := callback.wait(ctx, opened, browserLimit)
	if err != nil {
		return SignIn{}, err
	}
	result, err := c.redeem(ctx, msal, callback, verifier, o, reply)
	reply.finish(c.addressed(err))
	return result, err
}

// awaitOpener gives open a moment to return. A browser in the foreground can
// take as long as its person likes, and is nothing to wait for.
func awaitOpener(returned <-chan struct{}) {
	timer := time.NewTimer(callbackGrace)
	defer timer.Stop()
	select {
	case <-returned:
	case <-timer.C:
	}
}

// authorizeURL returns the address at which the person signs in. MSAL's public
// method leaves out state and PKCE, which are added here.
func (c *Client) authorizeURL(ctx context.Context, ex *exchange, msal public.Client, callback *callback, verifier string, o signInOptions) (string, error) {
	var codeOpts []public.AuthCodeURLOption
	if o.claims != "" {
		codeOpts = append(codeOpts, public.WithClaims(o.claims))
	}
	raw, err := msal.AuthCodeURL(ctx, c.clientID, callback.redirectURI, append([]string{"openid", "offline_access", "profile"}, c.scopes...), codeOpts...)
	if err != nil {
		return "", ex.explain(ctx, opSignIn, flowBrowser, c.scopes, err)
	}
	u, err := url.Parse(raw)
	if err != nil {
		return "", &Error{Op: opSignIn, Kind: KindUntrusted, Description: "the authority's sign-in address is malformed"}
	}
	if err := allowAuthority(c.authority, u); err != nil {
		return "", &Error{Op: opSignIn, Kind: KindUntrusted, cause: err}
	}
	challenge := sha256.Sum256([]byte(verifier))
	q := u.Query()
	q.Set("state", callback.state)
	q.Set("code_challenge", base64.RawURLEncoding.EncodeToString(challenge[:]))
	q.Set("code_challenge_method", "S256")
	// form_post keeps the code out of the browser's history.
	q.Set("response_mode", "form_post")
	if o.loginHint != "" {
		q.Set("login_hint", o.loginHint)
	} else {
		q.Set("prompt", "select_account")
	}
	u.RawQuery = q.Encode()
	return u.String(), nil
}

// redeem exchanges the code, or explains why there is none.
func (c *Client) redeem(ctx context.Context, msal public.Client, callback *callback, verifier string, o signInOptions, reply *reply) (SignIn, error) {
	if reply.failure.Error != "" {
		e := &Error{Op: opSignIn}
		e.fill(flowBrowser, 0, reply.failure)
		return SignIn{}, e
	}
	opts := []public.AcquireByAuthCodeOption{public.WithChallenge(verifier)}
	if o.claims != "" {
		opts = append(opts, public.WithClaims(o.claims))
	}
	opCtx, ex := withExchange(ctx)
	result, err := msal.AcquireTokenByAuthCode(opCtx, reply.code.Reveal(), callback.redirectURI, c.scopes, opts...)
	if err != nil {
		return SignIn{}, ex.explain(ctx, opSignIn, flowBrowser, c.scopes, err)
	}
	return c.finishSignIn(result), nil
}

// sameHost compares the host of an issuer with that of the authority.
func sameHost(issuer, host string) bool {
	u, err := url.Parse(issuer)
	if err != nil || u.Scheme != "https" {
		return false
	}
	if strings.EqualFold(u.Host, host) {
		return true
	}
	cloud, ok := CloudOfHost(u.Host)
	return ok && cloud.Host == host
}
