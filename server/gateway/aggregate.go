package gateway

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mcpctl/mcpctl/internal/wire"
)

// Named is one of several upstreams.
type Named struct {
	// Name stands before the names of its tools and prompts: 1 to 32 of
	// a-z, 0-9 and -.
	Name string
	// Dial makes a connection that delivers to the function it gets. It is
	// called again when that has been lost. It must not wait for the upstream.
	Dial func(wire.Deliver) (wire.Remote, error)
}

// AggregateOptions configure an Aggregate.
type AggregateOptions struct {
	// Upstreams in the order in which lists show what they have. Required.
	Upstreams []Named
	// ServerName and ServerVersion are told to clients. Default: mcpctl, 0.
	ServerName, ServerVersion string
	// HelloTimeout bounds what an upstream may take to open a session, and
	// ListTimeout what its part of a list may take. Both default to 10 s. An
	// upstream that takes longer is left out.
	HelloTimeout, ListTimeout time.Duration
	// CursorKey authenticates the cursors of merged lists; random when nil.
	// Gateways that serve the same clients share it.
	CursorKey []byte
	// Aliases remembers what shortened names stand for; of this aggregate's own
	// when nil. Whoever decides about names has to share it.
	Aliases *Aliases
	Logger  *slog.Logger
}

// Aggregate is a [wire.Remote] that shows one client several upstreams as one
// server. Tools and prompts are called UPSTREAM__NAME; resources keep their
// addresses, and the aggregate remembers whose they are. Each message goes to
// the upstream it concerns and, but for such names, ids that could clash and the
// prefix of loggers, as the bytes it came in. An upstream that fails or hangs is
// left out of what all of them answer together, and tried again later.
//
// Its methods may be called concurrently. End waits for everything it started.
type Aggregate struct {
	opts    AggregateOptions
	deliver wire.Deliver
	log     *slog.Logger
	members []*member
	byName  map[string]*member
	cursors cursorSeal
	prefix  string // of ids of our own
	lastID  atomic.Uint64

	life   context.Context
	stop   context.CancelFunc
	taskMu sync.Mutex
	ended  bool
	tasks  sync.WaitGroup

	mu          sync.Mutex
	hello       *wire.Frame // the client's initialize; nil in 2026-07-28
	greeted     bool        // it has been answered
	initialized *wire.Frame // the client's notifications/initialized
	level       *wire.Frame // its last logging/setLevel
	open        map[string]*routed
	waiting     map[string]*awaited   // answers to requests of our own, by id key
	asked       map[string]*memberAsk // requests of upstreams, by the id that the client knows
	listening   map[string]*ear       // by the ids of our own subscriptions/listen requests
	resources   resourceMap
	taskOwners  map[string]*member // by task id
}

// routed is a request of the client in flight.
type routed struct {
	member    *member         // nil while several work on it
	ctx       context.Context //nolint:containedctx // of its Exchange
	cancel    context.CancelFunc
	progress  string // key of its progress token, "" for none
	delivered bool
	method    string
	uri       string
}

// memberAsk is a request of an upstream that the client has not answered.
type memberAsk struct {
	member *member
	id     wire.ID // the upstream's
	token  wire.ID // its progress token, nil for none
}

// Bounds of what an Aggregate remembers.
const (
	maxUpstreams     = 64
	maxAsked         = 1000
	maxResources     = 100_000
	maxAliases       = 10_000
	maxTaskOwners    = 10_000
	maxCursor        = 4 << 10 // bytes of one upstream's cursor
	maxHeld          = 1000    // notifications before a subscription was acknowledged
	endPatience      = 5 * time.Second
	firstRetry       = time.Second
	longestRetry     = time.Minute
	listRest         = 30 * time.Second // for an upstream that let a list wait in vain
	defaultHelloTime = 10 * time.Second
)

var memberName = regexp.MustCompile(`^[a-z0-9-]{1,32}$`)

// NewAggregate returns an aggregate for one client, whose messages go to
// deliver. Nothing is dialled yet.
func NewAggregate(opts AggregateOptions, deliver wire.Deliver) (*Aggregate, error) {
	if deliver == nil || len(opts.Upstreams) == 0 {
		return nil, errors.New("gateway: an aggregate needs upstreams and a function to deliver to")
	}
	if len(opts.Upstreams) > maxUpstreams {
		return nil, fmt.Errorf("%d upstreams are too many to be shown as one: the most is %d", len(opts.Upstreams), maxUpstreams)
	}
	if opts.ServerName == "" {
		opts.ServerName, opts.ServerVersion = "mcpctl", "0"
	}
	if opts.HelloTimeout <= 0 {
		opts.HelloTimeout = defaultHelloTime
	}
	if opts.ListTimeout <= 0 {
		opts.ListTimeout = defaultHelloTime
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.Aliases == nil {
		opts.Aliases = &Aliases{}
	}
	var random [8]byte
	_, _ = rand.Read(random[:]) // never fails
	a := &Aggregate{
		opts: opts, deliver: deliver, log: opts.Logger, byName: map[string]*member{},
		cursors: newCursorSeal(opts.CursorKey), prefix: "gw-" + hex.EncodeToString(random[:]) + "-",
		open: map[string]*routed{}, waiting: map[string]*awaited{}, asked: map[string]*memberAsk{}, listening: map[string]*ear{},
		resources: newResourceMap(), taskOwners: map[string]*member{},
	}
	for _, u := range opts.Upstreams {
		switch {
		case !memberName.MatchString(u.Name):
			return nil, fmt.Errorf("%q is not a name for an upstream: use 1 to 32 characters of a-z, 0-9 and -", u.Name)
		case a.byName[u.Name] != nil:
			return nil, fmt.Errorf("two upstreams have the name %q", u.Name)
		case u.Dial == nil:
			return nil, fmt.Errorf("gateway: upstream %q has no Dial", u.Name)
		}
		m := newMember(a, u)
		a.members = append(a.members, m)
		a.byName[u.Name] = m
	}
	a.life, a.stop = context.WithCancel(context.Background())
	return a, nil
}

// newID returns an id for a request of our own, towards either side. It starts
// with 64 random bits: no peer meets it by chance.
func (a *Aggregate) newID() wire.ID { return fmt.Appendf(nil, `"%s%d"`, a.prefix, a.lastID.Add(1)) }

// background runs something that End waits for. After End began nothing is
// begun, and it reports false.
func (a *Aggregate) background(do func(ctx context.Context)) bool {
	a.taskMu.Lock()
	defer a.taskMu.Unlock()
	if a.ended {
		return false
	}
	a.tasks.Go(func() { do(a.life) })
	return true
}

// Exchange implements [wire.Remote].
func (a *Aggregate) Exchange(ctx context.Context, f wire.Frame) error {
	switch f.Kind {
	case wire.Request:
		return a.request(ctx, f)
	case wire.Notification:
		return a.notify(ctx, f)
	case wire.Response:
		return a.answered(ctx, f)
	case wire.Batch, wire.Invalid:
	}
	return errors.New("gateway: only single messages can be passed to an aggregate")
}

func (a *Aggregate) request(ctx context.Context, f wire.Frame) error {
	if a.withdrawn(f) {
		return a.deliver(ctx, wire.NewError(f.ID, wire.CodeMethodNotFound, "Method not found: "+f.Method+" is not part of the revision that the request names", nil))
	}
	switch f.Method {
	case "initialize":
		err := a.joint(ctx, f, a.initialize)
		a.mu.Lock()
		a.greeted = a.greeted || err == nil
		a.mu.Unlock()
		return err
	case "server/discover":
		return a.joint(ctx, f, a.discover)
	case "ping":
		return a.deliver(ctx, wire.NewResult(f.ID, struct{}{}))
	case "tools/list", "prompts/list", "resources/list", "resources/templates/list", "tasks/list":
		return a.joint(ctx, f, a.list)
	case "logging/setLevel":
		return a.joint(ctx, f, a.setLevel)
	case "subscriptions/listen":
		return a.joint(ctx, f, a.listen)
	case "tools/call", "prompts/get":
		return a.named(ctx, f, "params", "name")
	case "completion/complete":
		if wire.LookupString(f.Raw, "params", "ref", "type") == "ref/prompt" {
			return a.named(ctx, f, "params", "ref", "name")
		}
		return a.addressed(ctx, f, wire.LookupString(f.Raw, "params", "ref", "uri"))
	case "resources/read", "resources/subscribe", "resources/unsubscribe":
		return a.addressed(ctx, f, wire.LookupString(f.Raw, "params", "uri"))
	}
	return a.unknown(ctx, f)
}

// withdrawn reports a stateless request for a method that MCP 2026-07-28 has no
// more (changelog).
func (a *Aggregate) withdrawn(f wire.Frame) bool {
	switch f.Method {
	case "initialize":
		return !wire.OpensSession(f)
	case "ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe":
	default:
		return false
	}
	a.mu.Lock()
	greeted := a.greeted
	a.mu.Unlock()
	return !greeted && wire.Lookup(f.Raw, "params", "_meta", wire.MetaProtocol) != nil
}

// joint runs a request that several upstreams answer together.
func (a *Aggregate) joint(ctx context.Context, f wire.Frame, do func(context.Context, wire.Frame) (wire.Frame, error)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	key := f.ID.Key()
	r := &routed{ctx: ctx, cancel: cancel, method: f.Method}
	if err := a.admit(key, r); err != nil {
		return err
	}
	answer, err := do(ctx, f)
	a.dismiss(key, r)
	if err != nil {
		return err
	}
	if ctx.Err() != nil {
		return ctx.Err() // cancelled: it gets no answer any more
	}
	return a.deliver(ctx, answer)
}

func (a *Aggregate) admit(key string, r *routed) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.open[key] != nil {
		return wire.ErrDuplicateID
	}
	a.open[key] = r
	return nil
}

// dismiss ends a request, and reports whether it was delivered an answer.
func (a *Aggregate) dismiss(key string, r *routed) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.open[key] == r {
		delete(a.open, key)
	}
	return r.delivered
}

// Listen implements [wire.Remote]: it keeps the streams of all upstreams that
// have one.
func (a *Aggregate) Listen(ctx context.Context) error {
	var streams sync.WaitGroup
	for _, m := range a.members {
		streams.Go(func() { m.keepListening(ctx) })
	}
	streams.Wait()
	return ctx.Err()
}

// End implements [wire.Remote]: it ends the sessions of all upstreams.
func (a *Aggregate) End(ctx context.Context) error {
	a.taskMu.Lock()
	a.ended = true
	a.taskMu.Unlock()
	a.stop()
	faults := make([]error, len(a.members))
	var ends sync.WaitGroup
	for i, m := range a.members {
		if remote := m.retire(); remote != nil {
			ends.Go(func() {
				if err := remote.End(ctx); err != nil {
					faults[i] = fmt.Errorf("ending upstream %s: %w", m.name, err)
				}
			})
		}
	}
	ends.Wait()
	a.tasks.Wait()
	return errors.Join(faults...)
}

// names lists the upstreams for messages.
func (a *Aggregate) names() string {
	all := make([]string, len(a.members))
	for i, m := range a.members {
		all[i] = m.name
	}
	return strings.Join(all, ", ")
}

var _ wire.Remote = (*Aggregate)(nil)
