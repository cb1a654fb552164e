package doctor

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/mcpctl/mcpctl/internal/entra"
	"github.com/mcpctl/mcpctl/internal/profile"
)

// A Client sends requests and lets go of its connections.
type Client interface {
	Do(*http.Request) (*http.Response, error)
	CloseIdleConnections()
}

// Store is a token store as it was found.
type Store struct {
	Path    string
	State   string // empty, readable, unreadable, unavailable or failed
	Backend string // where the key is kept, in words
	Err     string // why it is not readable
}

// The states of a Store.
const (
	StoreEmpty       = "empty"
	StoreReadable    = "readable"
	StoreUnreadable  = "unreadable"
	StoreUnavailable = "unavailable"
)

// Session is a connection that was established.
type Session struct {
	Protocol  string // the revision of MCP, "2025-11-25"
	Transport string // in words
	Name      string // the server's
}

// Server is a server to look at, and the means to do so. Functions are called
// one at a time, with a context that bounds them.
type Server struct {
	URL string // as it was typed
	// Address says what is wrong with URL.
	Address func(string) error
	// Profile loads the profile; its errors are those of the profile package.
	Profile func() (profile.Profile, error)
	// DevCA is the CA file of an authority for development, where no profile
	// names one.
	DevCA string
	// Network opens the settings for reaching the server: its errors say which
	// one is wrong.
	Network func() error
	// Proxy returns the proxy for requests to an address, nil for none, and
	// where that comes from.
	Proxy func(context.Context, *url.URL) (*url.URL, string, error)
	// Script returns the proxy script that is set up on this machine and not run,
	// "" for none, once Proxy was asked.
	Script func() string
	// LookupHost resolves a name.
	LookupHost func(context.Context, string) ([]string, error)
	// Resource and SignIn make the clients for the server and for an authority.
	Resource func(context.Context) (Client, error)
	SignIn   func(entra.Authority) (Client, error)
	// Store looks at the token store; BareStore has a process do so that starts
	// with as little environment as MCP clients give to theirs.
	Store     func(context.Context, profile.Profile) (Store, error)
	BareStore func(context.Context, profile.Profile) (Store, error)
	// Token returns a token without asking anyone.
	Token func(context.Context, profile.Profile) (entra.AccessToken, error)
	// Connect establishes a session as the bridge would, and ends it.
	Connect func(context.Context) (Session, error)
	Now     func() time.Time
}

// Examine makes every check that can be made, in at most 26 s.
func (s Server) Examine(ctx context.Context) []Check {
	x := &examination{Server: s}
	x.profile, x.profileErr = s.Profile()
	defer x.close()
	reach := []string{"address", "network", "name", "connect", "tls"}
	served := append(reach[:len(reach):len(reach)], "endpoint", "metadata", "resource", "settings")
	return runSteps(ctx, []step{
		{id: "address", name: "address", run: x.address},
		{id: "network", name: "proxy", needs: []string{"address"}, run: x.network},
		{id: "name", name: "name", needs: []string{"network"}, run: x.name},
		{id: "connect", name: "connection", needs: []string{"name"}, run: x.connect},
		{id: "tls", name: "TLS", needs: []string{"connect"}, run: x.tls},
		{id: "endpoint", name: "MCP endpoint", needs: []string{"tls"}, run: x.endpoint},
		{id: "metadata", name: "metadata", needs: []string{"endpoint"}, run: x.metadata},
		{id: "resource", name: "resource", needs: []string{"metadata"}, run: x.resource},
		{id: "variants", name: "well-known paths", needs: []string{"metadata"}, after: []string{"resource"}, run: x.variants},
		{id: "settings", name: "sign-in settings", needs: []string{"metadata"}, after: []string{"resource"}, run: x.settings},
		{id: "app-id-uri", name: "App ID URI", needs: []string{"metadata"}, after: []string{"resource", "settings"}, run: x.appIDURI},
		{id: "authority", name: "authority", after: served, run: x.authority},
		{id: "keys", name: "signing keys", needs: []string{"authority"}, run: x.keys},
		{id: "clock", name: "clock", needs: []string{"address"}, run: x.clock},
		{id: "profile", name: "profile", needs: []string{"address"}, after: served, run: x.signedIn},
		{id: "pin", name: "pinned sign-in", needs: []string{"profile", "settings"}, after: []string{"resource"}, run: x.pin},
		{id: "store", name: "token store", needs: []string{"profile"}, run: x.store},
		{id: "keyring", name: "desktop start", needs: []string{"store"}, run: x.bareStore},
		{id: "account", name: "account", needs: []string{"store"}, run: x.account},
		{id: "token", name: "token", needs: []string{"account"}, after: []string{"authority", "keys", "clock"}, run: x.silentToken},
		{id: "claims", name: "claims", needs: []string{"token"}, after: []string{"pin", "settings", "clock"}, run: x.claims},
		{id: "headers", name: "token size", needs: []string{"token"}, run: x.headers},
		{id: "on-behalf-of", name: "On-Behalf-Of", needs: []string{"token"}, after: []string{"claims", "headers", "pin", "settings", "clock"}, run: x.onBehalf},
		{
			id: "session", name: "MCP session", needs: []string{"endpoint", "token"},
			after: []string{"claims", "headers", "on-behalf-of", "pin", "settings", "resource", "metadata", "clock", "keys", "authority"}, run: x.session,
		},
	})
}

// examination is what the checks of one server found so far.
type examination struct {
	Server
	profile    profile.Profile
	profileErr error

	u          *url.URL
	proxied    bool
	scripted   bool // a proxy script was not run
	client     Client
	probeErr   error          // of the first request
	probed     *http.Response // its answer, without a body
	found      entra.Discovery
	foundErr   error
	seen       []exchange // while discovering
	openIDKeys string
	authClient Client
	dates      []clockReading
	token      entra.AccessToken
}

func (x *examination) close() {
	for _, c := range []Client{x.client, x.authClient} {
		if c != nil {
			c.CloseIdleConnections()
		}
	}
}

// open reports a server that lets in everybody.
func (x *examination) open() bool {
	return x.found.URL != "" && x.foundErr == nil && !x.found.AuthRequired
}

var noSignIn = needless("the server asks for no sign-in")

// devCA is the CA file for a development authority.
func (x *examination) devCA() string {
	if x.profileErr == nil && x.profile.DevCA != "" {
		return x.profile.DevCA
	}
	return x.DevCA
}
