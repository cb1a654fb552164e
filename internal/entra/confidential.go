package entra

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/AzureAD/microsoft-authentication-library-for-go/apps/confidential"
)

const (
	opOnBehalfOf = "getting a token on the caller's behalf"
	opForClient  = "getting a token for this server"

	// generationLife and generationUses bound what one MSAL client gathers: it
	// remembers every exchange it made, some 6.5 KB each, and forgets none.
	generationLife = time.Hour
	generationUses = 1000
)

// ConfidentialOptions configure a [Confidential]. Authority, ClientID and a
// Credential are required.
type ConfidentialOptions struct {
	Authority  Authority
	ClientID   string // the API's application id, a GUID
	Credential Credential
	// Transport replaces the connection to the authority; the rules of
	// [HTTPClient] stay. Nil is the normal connection.
	Transport http.RoundTripper
	Now       func() time.Time // nil is time.Now
	Logger    *slog.Logger     // nil discards
}

// A Confidential is an application with a credential of its own: it obtains
// tokens for itself, and on behalf of people whose token it received. Errors
// are [*ConfidentialError] or the context's. Safe for concurrent use.
//
// It is no cache: whoever calls it keeps what it returns. MSAL's client does
// cache, without bounds, so it is made anew after an hour or 1,000 exchanges;
// calls that are under way finish with the one they began with.
type Confidential struct {
	authority  Authority
	clientID   string
	credential Credential
	http       *HTTPClient
	now        func() time.Time
	log        *slog.Logger

	mu      sync.Mutex
	current *generation
}

// generation is one MSAL client.
type generation struct {
	client confidential.Client
	born   time.Time
	uses   int
	stamp  string // of the credential's files
}

// NewConfidential checks o and reads the credential once, so that a mistake
// shows at start. It sends nothing.
func NewConfidential(o ConfidentialOptions) (*Confidential, error) {
	switch {
	case o.Authority.IsZero():
		return nil, errors.New("creating a confidential client: an authority is required")
	case !IsGUID(o.ClientID):
		return nil, fmt.Errorf("creating a confidential client: client id %q is not a GUID", clip(o.ClientID))
	}
	c := &Confidential{
		authority: o.Authority, clientID: o.ClientID, credential: o.Credential,
		http: NewHTTPClient(o.Authority, o.Transport), now: o.Now, log: o.Logger,
	}
	if c.now == nil {
		c.now = time.Now
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	if _, err := c.client(); err != nil {
		return nil, err
	}
	return c, nil
}

// CloseIdleConnections closes idle connections to the authority. The client
// stays usable.
func (c *Confidential) CloseIdleConnections() { c.http.CloseIdleConnections() }

// OnBehalfOf exchanges assertion, an access token for this application that a
// person of tenant came with, for one with the scopes of another API (Microsoft
// identity platform, "OAuth 2.0 On-Behalf-Of flow"). An empty tenant is that of
// the authority. claims is what a claims challenge of the other API asked for,
// base64 or JSON, or "".
func (c *Confidential) OnBehalfOf(ctx context.Context, tenant, assertion string, scopes []string, claims string) (token string, expires time.Time, err error) {
	return c.acquire(ctx, opOnBehalfOf, scopes, claims, func(ctx context.Context, client confidential.Client, claims string) (confidential.AuthResult, error) {
		var options []confidential.AcquireOnBehalfOfOption
		if tenant != "" {
			options = append(options, confidential.WithTenantID(tenant))
		}
		if claims != "" {
			options = append(options, confidential.WithClaims(claims))
		}
		return client.AcquireTokenOnBehalfOf(ctx, assertion, scopes, options...)
	})
}

// ForClient obtains a token for the application itself in tenant. scope is the
// App ID URI of an API and "/.default". claims is as for OnBehalfOf; "{}" asks
// for a new token in place of one that was rejected.
func (c *Confidential) ForClient(ctx context.Context, tenant, scope, claims string) (token string, expires time.Time, err error) {
	return c.acquire(ctx, opForClient, []string{scope}, claims, func(ctx context.Context, client confidential.Client, claims string) (confidential.AuthResult, error) {
		var options []confidential.AcquireByCredentialOption
		if tenant != "" {
			options = append(options, confidential.WithTenantID(tenant))
		}
		if claims != "" {
			options = append(options, confidential.WithClaims(claims))
		}
		return client.AcquireTokenByCredential(ctx, []string{scope}, options...)
	})
}

type acquisition func(ctx context.Context, client confidential.Client, claims string) (confidential.AuthResult, error)

func (c *Confidential) acquire(ctx context.Context, op string, scopes []string, claims string, do acquisition) (string, time.Time, error) {
	fail := func(e *Error) (string, time.Time, error) {
		e.Op = op
		return "", time.Time{}, &ConfidentialError{e}
	}
	if len(scopes) == 0 || slices.ContainsFunc(scopes, func(s string) bool { return s == "" || slices.Contains(oidcScopes, strings.ToLower(s)) }) {
		return fail(&Error{Kind: KindMisconfigured, Description: "the scopes must be those of one API, such as api://crm/.default"})
	}
	asked, err := decodeClaims(claims)
	if err != nil {
		return fail(&Error{Kind: KindFailed, Description: err.Error()})
	}
	client, err := c.client()
	if err != nil {
		return fail(&Error{Kind: KindMisconfigured, cause: err})
	}
	opCtx, ex := withExchange(ctx)
	result, err := do(opCtx, client, asked)
	if err == nil || result.AccessToken != "" && c.now().Before(result.ExpiresOn) {
		return result.AccessToken, result.ExpiresOn, nil
	}
	if ctx.Err() != nil {
		return "", time.Time{}, ctx.Err()
	}
	var unreadable *credentialError // MSAL passes it on from our callback
	if errors.As(err, &unreadable) {
		return fail(&Error{Kind: unreadable.kind, Description: unreadable.Error(), RetryAfter: unreadable.wait})
	}
	e := ex.explain(ctx, op, flowRefresh, scopes, errNoRequest)
	e.Hint = "" // those are for people who sign in
	return fail(e)
}

// client returns the MSAL client to use, a new one where the present one is
// old, well used, or made with a credential that has changed since.
func (c *Confidential) client() (confidential.Client, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now, stamp := c.now(), c.credential.stamp()
	if g := c.current; g != nil && g.stamp == stamp && g.uses < generationUses && now.Sub(g.born) < generationLife {
		g.uses++
		return g.client, nil
	}
	client, err := c.newMSAL()
	if err != nil {
		if c.current != nil && c.current.stamp != stamp {
			// A file that is being replaced; the old credential may still do.
			c.log.Warn("the credential has changed and can't be read; the one before is used on", "error", err)
			return c.current.client, nil
		}
		return client, err
	}
	c.current = &generation{client: client, born: now, uses: 1, stamp: stamp}
	return client, nil
}

func (c *Confidential) newMSAL() (confidential.Client, error) {
	cred, err := c.credential.msal(c.authority)
	if err != nil {
		return confidential.Client{}, fmt.Errorf("reading this server's credential: %w", err)
	}
	client, err := confidential.New(c.authority.String(), c.clientID, cred,
		confidential.WithHTTPClient(c.http),
		// The allow-list has answered already who the host is.
		confidential.WithInstanceDiscovery(false),
		// CP1: this server acts on claims challenges of the APIs it calls.
		confidential.WithClientCapabilities([]string{"CP1"}),
		// Not even by MSAL_FORCE_REGION: regional hosts are not the allowed one.
		confidential.WithAzureRegion("DisableMsalForceRegion"),
		confidential.WithX5C(),
	)
	if err != nil {
		return client, fmt.Errorf("creating a confidential client for %s: %w", c.authority, err)
	}
	return client, nil
}
