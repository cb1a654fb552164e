package state

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// Memory is a Store in this process. What has expired is removed as it is met,
// and by a sweep once a minute. Each part has a lock of its own.
type Memory struct {
	now    func() time.Time
	closed atomic.Bool

	sessions memorySessions
	events   memoryEvents
	mail     memoryMail
	cache    memoryCache
	limits   memoryLimits

	sweeping sync.WaitGroup
	stop     chan struct{} // closed by Close
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
	m := &Memory{now: opts.Now, stop: make(chan struct{})}
	m.sessions.init(opts.MaxSessions)
	m.events.logs = map[string]*memoryLog{}
	m.mail.topics = map[string]map[*listener]struct{}{}
	m.cache.init(opts.MaxCacheBytes)
	m.limits.init()
	m.sweeping.Go(m.sweep)
	return m
}

// Close implements Store.
func (m *Memory) Close() error {
	if !m.closed.Swap(true) {
		close(m.stop)
	}
	m.sweeping.Wait()
	return nil
}

// check refuses a call before it does anything.
func (m *Memory) check(ctx context.Context, keys ...string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if m.closed.Load() {
		return ErrClosed
	}
	return checkKeys(keys...)
}

func (m *Memory) sweep() {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			now := m.now()
			for _, id := range m.sessions.expire(now) {
				m.events.forget(id)
			}
			m.events.expire(now)
			m.cache.expire(now)
			m.limits.expire(now)
		case <-m.stop:
			return
		}
	}
}

var _ Store = (*Memory)(nil)
