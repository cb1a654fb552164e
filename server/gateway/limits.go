package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/mcpctl/mcpctl/internal/wire"
	"github.com/mcpctl/mcpctl/server/state"
)

// Rate is how many uses are allowed in a minute, and at most at once.
type Rate struct {
	PerMinute int // 0: no bound
	Burst     int // as many as PerMinute/6, at least 1, when 0
}

func (r Rate) burst() int {
	if r.Burst > 0 {
		return r.Burst
	}
	return max(r.PerMinute/6, 1)
}

// LimitOptions bound what callers may use; zero fields bound nothing.
type LimitOptions struct {
	User       Rate            // requests of one principal
	Tool       map[string]Rate // calls of a tool by one principal, by the name clients see
	Upstream   map[string]Rate // requests of all to an upstream
	Concurrent struct {
		User     int            // requests of one principal at a time
		Tool     map[string]int // calls of a tool at a time, by all
		Upstream map[string]int
	}
}

// none reports that nothing is bounded.
func (o LimitOptions) none() bool {
	for _, rates := range []map[string]Rate{o.Tool, o.Upstream} {
		for _, r := range rates {
			if r.PerMinute > 0 {
				return false
			}
		}
	}
	for _, bounds := range []map[string]int{o.Concurrent.Tool, o.Concurrent.Upstream} {
		for _, n := range bounds {
			if n > 0 {
				return false
			}
		}
	}
	return o.User.PerMinute <= 0 && o.Concurrent.User <= 0
}

// limitsConfig are the limits in force and how to apply them.
type limitsConfig struct {
	Limits func() LimitOptions
	Store  state.Limits
	// Owner is the principal that ctx came from.
	Owner func(ctx context.Context) string
	// Upstream names the upstream of a tool, prompt or resource by its name.
	Upstream func(name string) string
	// Listed is the name under which limits have a tool.
	Listed func(name string) string
	Logger *slog.Logger
}

// placeTTL frees the place of a call whose replica died.
const placeTTL = 24 * time.Hour

// limiter turns away requests above the limits, with 429 and Retry-After. It
// implements wire.Remote.
type limiter struct {
	opts limitsConfig
	next wire.Remote
}

func newLimiter(opts limitsConfig, deliver wire.Deliver, dial func(wire.Deliver) (wire.Remote, error)) (*limiter, error) {
	next, err := dial(deliver)
	return &limiter{opts: opts, next: next}, err
}

// Listen implements wire.Remote.
func (l *limiter) Listen(ctx context.Context) error { return l.next.Listen(ctx) }

// End implements wire.Remote.
func (l *limiter) End(ctx context.Context) error { return l.next.End(ctx) }

// limit is one that a request meets.
type limit struct {
	what       string // for the caller
	key        string
	rate       Rate
	concurrent int
}

// Exchange implements wire.Remote.
func (l *limiter) Exchange(ctx context.Context, f wire.Frame) error {
	if f.Kind != wire.Request || f.Method == "ping" || f.Method == "initialize" {
		return l.next.Exchange(ctx, f)
	}
	limits := l.limits(ctx, f)
	if len(limits) == 0 {
		return l.next.Exchange(ctx, f)
	}
	// All rates first: a place that is held while a rate refuses helps nobody.
	for _, m := range limits {
		if m.rate.PerMinute <= 0 {
			continue
		}
		ok, wait, err := l.opts.Store.Take(ctx, "rate:"+m.key, float64(m.rate.PerMinute)/60, m.rate.burst())
		if err != nil {
			return l.unavailable(f, err)
		}
		if !ok {
			evidenceOf(ctx).decided(false, "rate-limit")
			return tooMany(f, fmt.Sprintf("Too many requests: %s is limited to %d a minute.", m.what, m.rate.PerMinute), wait)
		}
	}
	for _, m := range limits {
		if m.concurrent <= 0 {
			continue
		}
		leave, ok, err := l.opts.Store.Enter(ctx, "place:"+m.key, m.concurrent, placeTTL)
		if err != nil {
			return l.unavailable(f, err)
		}
		if !ok {
			evidenceOf(ctx).decided(false, "concurrency-limit")
			return tooMany(f, fmt.Sprintf("Too many requests at a time: %s is limited to %d.", m.what, m.concurrent), time.Second)
		}
		defer leave()
	}
	return l.next.Exchange(ctx, f)
}

func (l *limiter) limits(ctx context.Context, f wire.Frame) []limit {
	o := l.opts.Limits()
	if o.none() {
		return nil
	}
	owner := l.opts.Owner(ctx)
	all := []limit{{"your use of this server", "user:" + owner, o.User, o.Concurrent.User}}
	name := target(wire.Lookup(f.Raw, "params"))
	if f.Method == "tools/call" {
		listed := l.opts.Listed(name)
		rate, concurrent := o.Tool[listed], o.Concurrent.Tool[listed]
		if rate.PerMinute > 0 {
			all = append(all, limit{what: fmt.Sprintf("your use of the tool %q", name), key: "tool:" + listed + ":" + owner, rate: rate})
		}
		if concurrent > 0 {
			all = append(all, limit{what: fmt.Sprintf("the tool %q", name), key: "tool:" + listed, concurrent: concurrent})
		}
	}
	if up := l.opts.Upstream(name); up != "" {
		all = append(all, limit{fmt.Sprintf("the upstream %q", up), "upstream:" + up, o.Upstream[up], o.Concurrent.Upstream[up]})
	}
	return all
}

// tooMany is a refusal that says when to come back (RFC 6585 §4).
func tooMany(f wire.Frame, text string, wait time.Duration) error {
	seconds := int64(math.Ceil(wait.Seconds()))
	seconds = min(max(seconds, 1), 3600)
	return &wire.Refusal{
		Status: http.StatusTooManyRequests,
		Header: http.Header{"Retry-After": {strconv.FormatInt(seconds, 10)}},
		Answer: wire.NewError(f.ID, CodeLimited, fmt.Sprintf("%s Try again in %d s.", text, seconds), map[string]any{"retryAfter": seconds}),
	}
}

// unavailable refuses where the limits can't be asked: it fails closed.
func (l *limiter) unavailable(f wire.Frame, err error) error {
	l.opts.Logger.Error("limits can't be checked", "reason", err)
	return &wire.Refusal{
		Status: http.StatusServiceUnavailable,
		Header: http.Header{"Retry-After": {"5"}},
		Answer: wire.NewError(f.ID, CodeLimited, "This server can't check its limits at the moment. Try again in a few seconds.", nil),
	}
}

// CodeLimited is the error code for requests above a limit. It lies outside the
// ranges that JSON-RPC 2.0 §5.1 and MCP reserve.
const CodeLimited = -31012
