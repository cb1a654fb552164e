package auth

import (
	"container/list"
	"crypto/sha256"
	"sync"
	"time"
	"unsafe"
)

// verdictCache remembers verified tokens by SHA-256, the least recently used
// leaving first. Refusals are not remembered: whoever sends bad tokens must not
// be able to push out good ones.
type verdictCache struct {
	max int

	mu      sync.Mutex
	entries map[[sha256.Size]byte]*list.Element
	recent  *list.List // of *verdict, most recently used first
}

// sumOf is the key of a token in the cache.
//
// Hashing costs a nanosecond a byte and is most of what a cached token costs; a
// copy of the token would double that. The bytes are only read.
func sumOf(raw string) [sha256.Size]byte {
	return sha256.Sum256(unsafe.Slice(unsafe.StringData(raw), len(raw)))
}

// verdict is a token found good, and what that rests on.
type verdict struct {
	sum       [sha256.Size]byte
	principal *Principal
	key       keyRef
}

// stands reports whether the verdict still holds: the token has not expired and
// the key that proved it is still published and not too old.
func (v *verdict) stands(now time.Time) bool {
	return now.Before(v.principal.ExpiresAt) && v.key.source.held(v.key.id, now) == v.key.signingKey
}

func newVerdictCache(size int) *verdictCache {
	return &verdictCache{max: size, entries: make(map[[sha256.Size]byte]*list.Element), recent: list.New()}
}

// get returns the caller of a token verified before, or nil.
func (c *verdictCache) get(sum [sha256.Size]byte, now time.Time) *Principal {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.entries[sum]
	if !ok {
		return nil
	}
	v := e.Value.(*verdict)
	if !v.stands(now) {
		c.remove(e)
		return nil
	}
	c.recent.MoveToFront(e)
	return v.principal
}

// add remembers a verified token. A token within the skew after its expiry is
// good but not worth remembering.
func (c *verdictCache) add(sum [sha256.Size]byte, p *Principal, key keyRef) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.entries[sum]; ok {
		c.remove(e)
	}
	for c.recent.Len() >= c.max {
		c.remove(c.recent.Back())
	}
	c.entries[sum] = c.recent.PushFront(&verdict{sum: sum, principal: p, key: key})
}

func (c *verdictCache) remove(e *list.Element) {
	c.recent.Remove(e)
	delete(c.entries, e.Value.(*verdict).sum)
}
