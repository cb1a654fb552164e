package state

import (
	"context"
	"sync"
	"time"
)

// Memory is a Store in this process. What has expired is removed as it is met,
// and by a sweep once a minute.
type Memory struct {
	opts MemoryOptions

	mu       sync.Mutex
	closed   bool
	sessions map[string]*memorySession
	owners   map[string]map[string]struct{} // session ids
	logs     map[string]*memoryLog          // by session
	topics   map[string]map[*listener]struct{}
	cache    memoryCache
	buckets  map[string]*bucket
	places   map[string]map[*place]struct{}

	sweeping sync.WaitGroup
	stop     chan struct{}
}

// MemoryOptions bound a Memory; zero fields take the default.
type MemoryOptions struct {
	MaxSessions   int              // 100,000
	MaxCacheBytes int              // 256 MiB
	Now           func() time.Time // time.Now
}

// sweepEvery is how often expired entries are looked for.
const sweepEvery = time.Minute

// NewMemory returns an empty store. Close ends its sweeper.
func NewMemory(opts MemoryOptions) *Memory {
	if opts.MaxSessions <= 0 {
		opts.MaxSessions = 100_000
	}
	if opts.MaxCacheBytes <= 0 {
		opts.MaxCacheBytes = 256 << 20
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	m := &Memory{
		opts: opts, sessions: map[string]*memorySession{}, owners: map[string]map[string]struct{}{}, logs: map[string]*memoryLog{},
		topics: map[string]map[*listener]struct{}{}, buckets: map[string]*bucket{}, places: map[string]map[*place]struct{}{},
		stop: make(chan struct{}),
	}
	m.cache.init(opts.MaxCacheBytes)
	m.sweeping.Go(m.sweep)
	return m
}

// Close implements Store.
func (m *Memory) Close() error {
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return nil
	}
	m.closed = true
	close(m.stop)
	m.mu.Unlock()
	m.sweeping.Wait()
	return nil
}

// enter checks a call's arguments and locks the store; the caller unlocks it.
func (m *Memory) enter(ctx context.Context, keys ...string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := checkKeys(keys...); err != nil {
		return err
	}
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return ErrClosed
	}
	return nil
}

func (m *Memory) sweep() {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			m.mu.Lock()
			m.sweepLocked(m.opts.Now())
			m.mu.Unlock()
		case <-m.stop:
			return
		}
	}
}

func (m *Memory) sweepLocked(now time.Time) {
	for id, s := range m.sessions {
		if now.After(s.expires) {
			m.removeSession(id)
		}
	}
	for session, log := range m.logs {
		if log.expire(now); log.count == 0 && now.After(log.expires) {
			delete(m.logs, session)
		}
	}
	m.cache.expire(now)
	for key, b := range m.buckets {
		if b.full(now) {
			delete(m.buckets, key)
		}
	}
	for key, held := range m.places {
		for p := range held {
			if now.After(p.expires) {
				delete(held, p)
			}
		}
		if len(held) == 0 {
			delete(m.places, key)
		}
	}
}

var _ Store = (*Memory)(nil)
