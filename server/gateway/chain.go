package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/mcpctl/mcpctl/internal/era"
	"github.com/mcpctl/mcpctl/internal/wire"
	"github.com/mcpctl/mcpctl/server/policy"
	"github.com/mcpctl/mcpctl/server/state"
)

// Dialer makes a remote that hands what comes in to deliver.
type Dialer func(deliver wire.Deliver) (wire.Remote, error)

// Steps are what a request passes on its way to the upstream. Their functions
// are asked for each request, so that settings can change under way.
type Steps struct {
	// Policy decides who may use what; nil allows everything.
	Policy func() *policy.Policy
	// Caller describes to policies who sent the message that ctx came with.
	Caller func(ctx context.Context) (policy.User, policy.Client)
	// Challenge builds the WWW-Authenticate field that asks for scopes.
	Challenge func(ctx context.Context, scopes []string) string
	// Limits bound what callers may use; nil bounds nothing.
	Limits func() LimitOptions
	// CacheRules say which results are kept; nil keeps none.
	CacheRules func() []CacheRule
	// Around is put before all steps, for observing; nil: nothing is.
	Around func(Dialer) Dialer
	// Lacking says what to tell callers of upstreams that want a credential that
	// can't be had; nil if none does. See CredentialOptions.
	Lacking func(ctx context.Context, err error) *NoCredential
	// Owner is the principal that ctx came from, as an opaque key. Required.
	Owner func(ctx context.Context) string
	// Store holds limits and results. Required with Limits or CacheRules.
	Store state.Store
	// Name names the only upstream; "" where several are served as one.
	Name string
	// Upstreams are the names of all that the server has.
	Upstreams []string
	// Aliases are those of the aggregate that serves several; nil: there are none.
	Aliases *Aliases
	// Scope separates this endpoint's results from those of others in Store.
	Scope string
}

// chain puts the steps before next: policy, limits, cache, credentials.
func (s Steps) chain(next Dialer, record func(context.Context, Record) error, log *slog.Logger) Dialer {
	if s.Lacking != nil {
		inner := next
		next = func(deliver wire.Deliver) (wire.Remote, error) {
			return newCredentials(CredentialOptions{Lacking: s.Lacking}, deliver, inner)
		}
	}
	if s.CacheRules != nil {
		inner := next
		next = func(deliver wire.Deliver) (wire.Remote, error) {
			return newCacher(cacheConfig{Rules: s.CacheRules, Store: s.Store, Owner: s.Owner, Listed: s.listed, Scope: s.Scope, Logger: log}, deliver, inner)
		}
	}
	if s.Limits != nil {
		inner := next
		next = func(deliver wire.Deliver) (wire.Remote, error) {
			return newLimiter(limitsConfig{Limits: s.Limits, Store: s.Store, Owner: s.Owner, Upstream: s.upstreamOf, Listed: s.listed, Logger: log}, deliver, inner)
		}
	}
	if s.Policy != nil {
		inner := next
		next = func(deliver wire.Deliver) (wire.Remote, error) {
			return newDecider(PolicyOptions{Policy: s.Policy, Caller: s.Caller, Challenge: s.Challenge, Upstream: s.Name, Upstreams: s.Upstreams, Aliases: s.Aliases, Record: record, Logger: log}, deliver, inner)
		}
	}
	if s.Around != nil {
		next = s.Around(next)
	}
	return next
}

// listed is the name under which limits and cache rules have a tool: the one that
// clients see where several upstreams are one, also where they call the tool at the
// address of its own upstream, or by the whole name that a short one stands for.
func (s Steps) listed(name string) string {
	if len(s.Upstreams) < 2 {
		return name
	}
	upstream, inner := s.Name, name
	if upstream == "" {
		if upstream, inner = s.Aliases.inward(name); inner == "" {
			return name
		}
	}
	return shortened(upstream, inner)
}

// upstreamOf names the upstream that offers something under a name.
func (s Steps) upstreamOf(name string) string {
	if s.Name != "" {
		return s.Name
	}
	up, _, prefixed := strings.Cut(name, aggregateSeparator)
	if !prefixed {
		return ""
	}
	return up
}

// RemoteUpstream is an Upstream that is reached over HTTP.
type RemoteUpstream interface {
	Upstream
	// Dial returns a connection for one client. annotate adds the headers that
	// a message needs.
	Dial(deliver wire.Deliver, annotate func(wire.Frame, http.Header)) (wire.Remote, error)
}

// DialOptions configure DialUpstream.
type DialOptions struct {
	Name     string
	Upstream Upstream
	Verdicts era.VerdictStore // nil: of this connection only
	Logger   *slog.Logger
	// Gone is told when an upstream that is a process has ended; may be nil.
	Gone func(error)
}

// openTimeout bounds opening an upstream.
const openTimeout = 30 * time.Second

// DialUpstream connects to an upstream in the upstream's own era.
func DialUpstream(ctx context.Context, o DialOptions, deliver wire.Deliver) (wire.Remote, error) {
	over, overHTTP := o.Upstream.(RemoteUpstream)
	var t *era.Translator
	t, err := era.New(era.Options{
		Deliver: deliver, Origin: o.Name, Verdicts: o.Verdicts, Process: !overHTTP, AnswerDiscover: true,
		ClientInfo: era.Implementation{Name: "mcpctl", Version: "1"}, Logger: o.Logger,
	}, func(deliver wire.Deliver) (wire.Remote, error) {
		if overHTTP {
			return over.Dial(deliver, func(f wire.Frame, h http.Header) { t.Annotate(f, h) })
		}
		open, cancel := context.WithTimeout(context.WithoutCancel(ctx), openTimeout)
		defer cancel()
		conn, err := o.Upstream.Open(open)
		if err != nil {
			return nil, err
		}
		return era.FromConn(&watchedConn{Conn: conn, gone: o.Gone}, deliver), nil
	})
	if err != nil {
		return nil, fmt.Errorf("opening the upstream %s: %w", o.Name, err)
	}
	return attributed{greeted{t}, o.Name}, nil
}

// helloTimeout bounds what an upstream may take to open a session: programs that
// are fetched on their first start take long.
const helloTimeout = 2 * time.Minute

// errSilent: an upstream does not open a session.
var errSilent = fmt.Errorf("the upstream did not answer initialize within %s", helloTimeout)

// greeted is a remote that is not waited for for ever when it opens a session.
// How long anything else takes is the client's to decide.
type greeted struct{ wire.Remote }

// Exchange implements wire.Remote.
func (g greeted) Exchange(ctx context.Context, f wire.Frame) error {
	if f.Kind != wire.Request || f.Method != "initialize" {
		return g.Remote.Exchange(ctx, f)
	}
	limited, cancel := context.WithTimeoutCause(ctx, helloTimeout, errSilent)
	defer cancel()
	err := g.Remote.Exchange(limited, f)
	if err != nil && limited.Err() != nil && ctx.Err() == nil {
		return errSilent
	}
	return err
}

// attributed notes in the evidence which upstream got a request.
type attributed struct {
	wire.Remote
	name string
}

// Exchange implements wire.Remote.
func (a attributed) Exchange(ctx context.Context, f wire.Frame) error {
	evidenceOf(ctx).sentTo(a.name)
	return a.Remote.Exchange(ctx, f)
}

// watchedConn tells when a connection has ended from the other side.
type watchedConn struct {
	wire.Conn
	once sync.Once
	gone func(error)
}

// Read implements wire.Conn.
func (c *watchedConn) Read(ctx context.Context) (wire.Frame, error) {
	f, err := c.Conn.Read(ctx)
	var bad *wire.FrameError
	if err != nil && !errors.As(err, &bad) && ctx.Err() == nil && !errors.Is(err, wire.ErrClosed) && c.gone != nil {
		c.once.Do(func() { c.gone(err) })
	}
	return f, err
}

// demise tells relays apart from requests that came too late: when the upstream
// went away.
type demise struct {
	mu  sync.Mutex
	at  time.Time
	why error
}

func (l *demise) set(why error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.at.IsZero() {
		l.at, l.why = time.Now(), why
	}
}

func (l *demise) reason() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.why
}

// before reports whether the upstream had gone when something began at t.
func (l *demise) before(t time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.at.IsZero() && l.at.Before(t)
}
