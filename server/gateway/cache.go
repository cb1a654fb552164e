package gateway

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/mcpctl/mcpctl/internal/wire"
	"github.com/mcpctl/mcpctl/server/state"
)

// CacheRule makes results of a tool or resource be kept. Nothing is kept
// without a rule.
type CacheRule struct {
	Tool     string // the name clients see; or
	Resource string // the URI, with a trailing * for all that begin so
	TTL      time.Duration
	// Public results are the same for everybody. Otherwise each principal has
	// its own.
	Public bool
}

func (r CacheRule) matches(method, name string) bool {
	switch method {
	case "tools/call":
		return r.Tool != "" && r.Tool == name
	case "resources/read":
		if prefix, all := cutStar(r.Resource); all {
			return len(name) >= len(prefix) && name[:len(prefix)] == prefix
		}
		return r.Resource != "" && r.Resource == name
	}
	return false
}

func cutStar(pattern string) (string, bool) {
	if n := len(pattern); n > 0 && pattern[n-1] == '*' {
		return pattern[:n-1], true
	}
	return pattern, false
}

// cacheConfig are the rules in force and how to apply them.
type cacheConfig struct {
	Rules func() []CacheRule
	Store state.Cache
	// Owner is the principal that ctx came from.
	Owner func(ctx context.Context) string
	// Listed is the name under which rules have a tool.
	Listed func(name string) string
	// Scope separates servers that share a store.
	Scope  string
	Logger *slog.Logger
}

// cacher answers from kept results where a rule allows it. Update notifications
// of the upstream drop what they concern. It implements wire.Remote.
type cacher struct {
	opts    cacheConfig
	deliver wire.Deliver
	next    wire.Remote

	mu      sync.Mutex
	pending map[string]cacheable // requests whose answer may be kept, by id key
}

// cacheable is a request whose result may be kept.
type cacheable struct {
	rule CacheRule
	key  string
	tags []string
}

func newCacher(opts cacheConfig, deliver wire.Deliver, dial func(wire.Deliver) (wire.Remote, error)) (*cacher, error) {
	c := &cacher{opts: opts, deliver: deliver, pending: map[string]cacheable{}}
	var err error
	c.next, err = dial(c.fromNext)
	return c, err
}

// Listen implements wire.Remote.
func (c *cacher) Listen(ctx context.Context) error { return c.next.Listen(ctx) }

// End implements wire.Remote.
func (c *cacher) End(ctx context.Context) error { return c.next.End(ctx) }

// Exchange implements wire.Remote.
func (c *cacher) Exchange(ctx context.Context, f wire.Frame) error {
	entry, ok := c.cacheable(ctx, f)
	if !ok {
		return c.next.Exchange(ctx, f)
	}
	if kept, err := c.opts.Store.Cached(ctx, entry.key); err == nil {
		evidenceOf(ctx).fromCache()
		return c.deliver(ctx, wire.MustParse(`{"jsonrpc":"2.0","id":`+string(f.ID)+`,"result":`+string(kept)+`}`))
	} else if !errors.Is(err, state.ErrNotFound) {
		c.opts.Logger.Warn("the result cache can't be asked", "reason", err)
	}
	key := f.ID.Key()
	c.mu.Lock()
	c.pending[key] = entry
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		delete(c.pending, key)
		c.mu.Unlock()
	}()
	return c.next.Exchange(ctx, f)
}

func (c *cacher) cacheable(ctx context.Context, f wire.Frame) (cacheable, bool) {
	if f.Kind != wire.Request || f.Method != "tools/call" && f.Method != "resources/read" {
		return cacheable{}, false
	}
	rules := c.opts.Rules()
	if len(rules) == 0 {
		return cacheable{}, false
	}
	params := wire.Lookup(f.Raw, "params")
	// A round of a multi-round request is never the same as another (MCP
	// 2026-07-28); nor is a task.
	for _, member := range []string{"requestState", "inputResponses", "task"} {
		if wire.Lookup(params, member) != nil {
			return cacheable{}, false
		}
	}
	name := target(params)
	listed := name
	if f.Method == "tools/call" {
		listed = c.opts.Listed(name)
	}
	for _, rule := range rules {
		if !rule.matches(f.Method, listed) || rule.TTL <= 0 {
			continue
		}
		owner := ""
		if !rule.Public {
			if owner = c.opts.Owner(ctx); owner == "" {
				return cacheable{}, false
			}
		}
		// Arguments as they are written: what differs in order only is a miss,
		// and nothing that some server could tell apart is taken for the same.
		arguments := wire.Lookup(params, "arguments")
		// The revision shapes the result.
		version := wire.Lookup(params, "_meta", wire.MetaProtocol)
		hash := sha256.New()
		for _, part := range [][]byte{[]byte(c.opts.Scope), []byte(owner), []byte(f.Method), []byte(name), arguments, version} {
			hash.Write(strconv.AppendInt(nil, int64(len(part)), 10))
			hash.Write([]byte{':'})
			hash.Write(part)
		}
		return cacheable{rule: rule, key: "result:" + hex.EncodeToString(hash.Sum(nil)), tags: c.tags(f.Method, name)}, true
	}
	return cacheable{}, false
}

func (c *cacher) tags(method, name string) []string {
	if method == "tools/call" {
		return []string{c.opts.Scope + ":tools"}
	}
	return []string{c.opts.Scope + ":resources", c.opts.Scope + ":resource:" + shortName(name)}
}

// shortName keeps tags within the store's bound for keys.
func shortName(name string) string {
	if len(name) <= 256 {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	return hex.EncodeToString(sum[:])
}

// fromNext keeps results on their way, and drops what updates concern.
func (c *cacher) fromNext(ctx context.Context, f wire.Frame) error {
	switch f.Method {
	case "notifications/resources/updated":
		c.drop(ctx, c.opts.Scope+":resource:"+shortName(wire.LookupString(f.Raw, "params", "uri")))
	case "notifications/resources/list_changed":
		c.drop(ctx, c.opts.Scope+":resources")
	case "notifications/tools/list_changed":
		c.drop(ctx, c.opts.Scope+":tools")
	}
	if f.Kind == wire.Response && !f.Failed {
		c.mu.Lock()
		entry, ok := c.pending[f.ID.Key()]
		c.mu.Unlock()
		if ok {
			c.keep(ctx, entry, wire.Lookup(f.Raw, "result"))
		}
	}
	return c.deliver(ctx, f)
}

func (c *cacher) drop(ctx context.Context, tag string) {
	if err := c.opts.Store.DropCached(context.WithoutCancel(ctx), tag); err != nil {
		c.opts.Logger.Warn("outdated results could not be dropped", "reason", err)
	}
}

// keep stores a result unless it says itself that it must not be kept: an error
// of the tool, an unfinished result, ttlMs 0, or cacheScope private where the
// rule would share it (MCP 2026-07-28, caching).
func (c *cacher) keep(ctx context.Context, entry cacheable, result []byte) {
	if string(wire.Lookup(result, "isError")) == "true" {
		return
	}
	if kind := wire.LookupString(result, "resultType"); kind != "" && kind != "complete" {
		return
	}
	if wire.LookupString(result, "cacheScope") == "private" && entry.rule.Public {
		return
	}
	ttl := entry.rule.TTL
	if raw := wire.Lookup(result, "ttlMs"); raw != nil {
		ms, err := strconv.ParseInt(string(raw), 10, 64)
		if err != nil || ms <= 0 {
			return
		}
		ttl = min(ttl, time.Duration(min(ms, 1<<40))*time.Millisecond)
	}
	if err := c.opts.Store.PutCached(context.WithoutCancel(ctx), entry.key, result, ttl, entry.tags...); err != nil {
		c.opts.Logger.Warn("a result could not be kept", "reason", err)
	}
}
