package entra

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/AzureAD/microsoft-authentication-library-for-go/apps/cache"
	"github.com/AzureAD/microsoft-authentication-library-for-go/apps/public"
)

const (
	// silentLimit bounds a silent acquisition, the wait for other processes
	// included. A relay's client gives up soon after.
	silentLimit = 20 * time.Second
	// browserLimit bounds a browser sign-in that nobody finishes.
	browserLimit = 5 * time.Minute
)

// A TokenCache stores MSAL's tokens and excludes other processes while they
// are renewed. Package tokencache provides it.
//
// A [Client] reads without the lock and holds it around each Replace that is
// followed by an Export; those two must not wait for it then.
type TokenCache interface {
	cache.ExportReplace
	// Lock waits for the lock among all processes of the user until ctx ends.
	// unlock must be called exactly once.
	Lock(ctx context.Context) (unlock func(), err error)
	// TryLock takes the lock if it is free; ok is false if it is not.
	TryLock() (unlock func(), ok bool, err error)
}

// Options configure a [Client]. Authority, ClientID, Scopes and Cache are
// required.
type Options struct {
	Authority Authority
	ClientID  string   // the public client's application id, a GUID
	Scopes    []string // checked with [CheckScopes] again
	// Resource is the MCP server's address: [CheckScopes] compares with it, and
	// hints name it.
	Resource string
	// Account is the HomeAccountID whose tokens to use. If it is empty, the
	// only account in the cache is used.
	Account string
	Cache   TokenCache
	// Transport replaces the connection to the authority; the rules of
	// [HTTPClient] stay. Nil is the normal connection.
	Transport http.RoundTripper
	Logger    *slog.Logger     // nil discards
	Now       func() time.Time // nil is time.Now
}

// A Client obtains tokens for one account and one API. Safe for concurrent
// use, by any number of processes on one cache.
type Client struct {
	authority Authority
	clientID  string
	scopes    []string
	resource  string
	cache     TokenCache
	http      *HTTPClient
	log       *slog.Logger
	now       func() time.Time

	// reader has no network: it answers from the cache or not at all. That is
	// what makes a valid token cost no lock. writer may refresh, and is used
	// under the lock only, one call at a time (turn).
	reader, writer public.Client
	turn           chan struct{}

	mu       sync.Mutex
	account  string
	memory   AccessToken // see memoryLimit
	memoryAt time.Time
	failed   failedRefresh
}

// An AccessToken is a bearer token for the scopes of its [Client].
type AccessToken struct {
	Value     Secret
	ExpiresOn time.Time
	Scopes    []string
}

// An Account is who signed in.
type Account struct {
	HomeAccountID string `json:"home_account_id"` // the key of its tokens
	Username      string `json:"username"`        // for people; it can change
	Name          string `json:"name,omitempty"`
	TenantID      string `json:"tenant_id"`
	ObjectID      string `json:"object_id,omitempty"`
}

// errNoRequest is what the reader's MSAL client gets for each request.
var errNoRequest = errors.New("no request allowed")

// offline is the reader's HTTP client.
type offline struct{}

func (offline) Do(*http.Request) (*http.Response, error) { return nil, errNoRequest }
func (offline) CloseIdleConnections()                    {}

// New checks o and returns a client. It reads and sends nothing.
func New(o Options) (*Client, error) {
	switch {
	case o.Authority.IsZero():
		return nil, errors.New("creating a sign-in client: an authority is required")
	case !IsGUID(o.ClientID):
		return nil, fmt.Errorf("creating a sign-in client: client id %q is not a GUID", clip(o.ClientID))
	case o.Cache == nil:
		return nil, errors.New("creating a sign-in client: a token cache is required")
	}
	scopes, err := checkScopesFor(o.Scopes, o.Resource)
	if err != nil {
		return nil, fmt.Errorf("creating a sign-in client: %w", err)
	}
	c := &Client{
		authority: o.Authority,
		clientID:  o.ClientID,
		scopes:    scopes,
		resource:  o.Resource,
		cache:     o.Cache,
		http:      NewHTTPClient(o.Authority, o.Transport),
		log:       o.Logger,
		now:       o.Now,
		turn:      make(chan struct{}, 1),
		account:   o.Account,
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	if c.now == nil {
		c.now = time.Now
	}
	if c.reader, err = c.newMSAL(accessor{c.cache}, public.WithHTTPClient(offline{})); err != nil {
		return nil, err
	}
	c.writer, err = c.newMSAL(accessor{c.cache}, public.WithHTTPClient(c.http))
	return c, err
}

func (c *Client) newMSAL(store cache.ExportReplace, httpClient public.Option) (public.Client, error) {
	m, err := public.New(c.clientID,
		httpClient,
		public.WithAuthority(c.authority.String()),
		public.WithCache(store),
		// Instance discovery asks login.microsoftonline.com about the host,
		// which the allow-list has answered already.
		public.WithInstanceDiscovery(false),
		// CP1: we handle claims challenges, so Entra may issue long-lived
		// tokens that it can revoke (continuous access evaluation).
		public.WithClientCapabilities([]string{"CP1"}),
	)
	if err != nil {
		return m, fmt.Errorf("creating a sign-in client for %s: %w", c.authority, err)
	}
	return m, nil
}

// CloseIdleConnections closes idle connections to the authority. The client
// stays usable.
func (c *Client) CloseIdleConnections() { c.http.CloseIdleConnections() }

// addressed puts the MCP server's address into the command that an error's
// hint recommends. An address that a shell would take apart stays "URL".
func (c *Client) addressed(err error) error {
	var e *Error
	if errors.As(err, &e) && c.resource != "" && !strings.ContainsAny(c.resource, "&;?*()[]{}'\"!~#$`|<>^%= ") {
		named := *e // the original may be shared
		named.Hint = strings.ReplaceAll(e.Hint, "mcpctl login URL", "mcpctl login "+c.resource)
		return &named
	}
	return err
}

func (c *Client) setAccount(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.account, c.memory, c.failed = id, AccessToken{}, failedRefresh{}
}

// silentAccount returns the account to ask MSAL for. Tokens are found by
// HomeAccountID alone.
func (c *Client) silentAccount(ctx context.Context) (public.Account, error) {
	c.mu.Lock()
	id := c.account
	c.mu.Unlock()
	if id != "" {
		return public.Account{HomeAccountID: id}, nil
	}
	all, err := c.reader.Accounts(ctx)
	if err != nil {
		return public.Account{}, err
	}
	// MSAL lists an account once for each realm it has signed in to.
	ids := map[string]public.Account{}
	for _, a := range all {
		ids[a.HomeAccountID] = a
	}
	switch len(ids) {
	case 0:
		return public.Account{}, errNoAccount
	case 1:
		return all[0], nil
	}
	return public.Account{}, errManyAccounts
}

var (
	errNoAccount    = errors.New("nobody is signed in")
	errManyAccounts = errors.New("several accounts are signed in, and the profile names none")
)

// accessor passes MSAL's cache calls on and records their errors, so that
// they can be told apart from all else that MSAL reports as text.
type accessor struct{ cache.ExportReplace }

func (a accessor) Replace(ctx context.Context, into cache.Unmarshaler, hints cache.ReplaceHints) error {
	err := a.ExportReplace.Replace(ctx, into, hints)
	exchangeFrom(ctx).recordCache(err)
	return err
}

func (a accessor) Export(ctx context.Context, from cache.Marshaler, hints cache.ExportHints) error {
	err := a.ExportReplace.Export(ctx, from, hints)
	exchangeFrom(ctx).recordCache(err)
	return err
}
