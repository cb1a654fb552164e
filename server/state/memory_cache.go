package state

import (
	"bytes"
	"container/list"
	"context"
	"sync"
	"time"
)

// memoryCache drops what was used longest ago when it is full.
type memoryCache struct {
	mu          sync.Mutex
	limit, size int
	entries     map[string]*list.Element
	order       *list.List // of *cacheEntry, most recently used first
	tags        map[string]map[string]struct{}
}

type cacheEntry struct {
	key     string
	value   []byte
	tags    []string
	expires time.Time
}

// entryOverhead stands for what an entry takes beside its key and value.
const entryOverhead = 256

func (e *cacheEntry) size() int { return len(e.key) + len(e.value) + entryOverhead }

func (c *memoryCache) init(limit int) {
	c.limit, c.entries, c.order, c.tags = limit, map[string]*list.Element{}, list.New(), map[string]map[string]struct{}{}
}

func (c *memoryCache) remove(el *list.Element) {
	e, _ := c.order.Remove(el).(*cacheEntry)
	delete(c.entries, e.key)
	c.size -= e.size()
	for _, tag := range e.tags {
		delete(c.tags[tag], e.key)
		if len(c.tags[tag]) == 0 {
			delete(c.tags, tag)
		}
	}
}

func (c *memoryCache) expire(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, el := range c.entries {
		if e, _ := el.Value.(*cacheEntry); now.After(e.expires) {
			c.remove(el)
		}
	}
}

// Cached implements Cache.
func (m *Memory) Cached(ctx context.Context, key string) ([]byte, error) {
	if err := m.check(ctx, key); err != nil {
		return nil, err
	}
	c := &m.cache
	c.mu.Lock()
	defer c.mu.Unlock()
	el := c.entries[key]
	if el == nil {
		return nil, ErrNotFound
	}
	e, _ := el.Value.(*cacheEntry)
	if m.now().After(e.expires) {
		c.remove(el)
		return nil, ErrNotFound
	}
	c.order.MoveToFront(el)
	return bytes.Clone(e.value), nil
}

// PutCached implements Cache.
func (m *Memory) PutCached(ctx context.Context, key string, value []byte, ttl time.Duration, tags ...string) error {
	if err := m.check(ctx, append([]string{key}, tags...)...); err != nil {
		return err
	}
	if len(value) > MaxValue {
		return ErrTooLarge
	}
	c := &m.cache
	c.mu.Lock()
	defer c.mu.Unlock()
	if old := c.entries[key]; old != nil {
		c.remove(old)
	}
	e := &cacheEntry{key, bytes.Clone(value), append([]string(nil), tags...), m.now().Add(ttl)}
	if e.size() > c.limit {
		return nil // it would not stay
	}
	for c.size+e.size() > c.limit {
		c.remove(c.order.Back())
	}
	c.entries[key] = c.order.PushFront(e)
	c.size += e.size()
	for _, tag := range e.tags {
		if c.tags[tag] == nil {
			c.tags[tag] = map[string]struct{}{}
		}
		c.tags[tag][key] = struct{}{}
	}
	return nil
}

// DropCached implements Cache.
func (m *Memory) DropCached(ctx context.Context, tag string) error {
	if err := m.check(ctx, tag); err != nil {
		return err
	}
	c := &m.cache
	c.mu.Lock()
	defer c.mu.Unlock()
	for key := range c.tags[tag] {
		c.remove(c.entries[key])
	}
	return nil
}
