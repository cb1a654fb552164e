package gateway

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"sync"
)

// maxName bounds the names that clients see. MCP allows 128 characters (2025-11-25
// server/tools, Tool Names); what clients pass tools on to often takes 64 (as
// SEP-986 first had it).
const maxName = 64

// Aliases remembers what shortened names stand for, those of aggregates that show
// the same upstreams. It is safe for concurrent use. A name has the same alias
// whoever lists it.
type Aliases struct {
	mu    sync.Mutex
	names map[string]string
}

// outward is the name that clients see.
func (a *Aliases) outward(upstream, name string) string {
	seen := shortened(upstream, name)
	if len(seen) == len(upstream)+len(aggregateSeparator)+len(name) {
		return seen
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.names == nil || len(a.names) >= maxAliases {
		a.names = map[string]string{} // the next list brings back those in use
	}
	a.names[seen] = name
	return seen
}

// shortened is the name that clients see. Too long a name is cut and ends with a
// part of its hash.
func shortened(upstream, name string) string {
	full := upstream + aggregateSeparator + name
	if len(full) <= maxName {
		return full
	}
	sum := sha256.Sum256([]byte(name))
	tail := "_" + hex.EncodeToString(sum[:4])
	return strings.ToValidUTF8(full[:maxName-len(tail)], "") + tail
}

// inward takes apart a name that clients see.
func (a *Aliases) inward(outward string) (upstream, name string) {
	upstream, name, prefixed := strings.Cut(outward, aggregateSeparator)
	if !prefixed {
		return upstream, ""
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if original, short := a.names[outward]; short {
		name = original
	}
	return upstream, name
}

// calleeKey is the key under which the context of an exchange has what was
// decided about: the aggregate calls that and nothing else, even where it has
// learnt meanwhile what an alias stands for.
type calleeKey struct{}

type callee struct{ upstream, name string }

func withCallee(ctx context.Context, upstream, name string) context.Context {
	return context.WithValue(ctx, calleeKey{}, callee{upstream, name})
}

// inward finds the upstream that a name belongs to and what it is called there.
func (a *Aggregate) inward(ctx context.Context, outward string) (*member, string, error) {
	upstream, name := a.opts.Aliases.inward(outward)
	if c, decided := ctx.Value(calleeKey{}).(callee); decided && c.upstream == upstream {
		name = c.name
	}
	m := a.byName[upstream]
	if m == nil || !strings.Contains(outward, aggregateSeparator) {
		return nil, "", unknownName(outward, a.names())
	}
	return m, name, nil
}

func unknownName(outward, upstreams string) error {
	return fmt.Errorf("unknown name %.100q: names here are UPSTREAM%sNAME, where UPSTREAM is one of %s", outward, aggregateSeparator, upstreams)
}
