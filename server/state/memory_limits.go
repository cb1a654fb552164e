package state

import (
	"context"
	"math"
	"sync"
	"time"
)

// bucket holds uses that come back with time.
type bucket struct {
	uses  float64
	at    time.Time
	rate  float64
	burst float64
}

func (b *bucket) refill(now time.Time) {
	if passed := now.Sub(b.at).Seconds(); passed > 0 {
		b.uses = math.Min(b.burst, b.uses+passed*b.rate)
		b.at = now
	}
}

// full reports a bucket that is as good as a new one.
func (b *bucket) full(now time.Time) bool {
	b.refill(now)
	return b.uses >= b.burst
}

// Take implements Limits.
func (m *Memory) Take(ctx context.Context, key string, rate float64, burst int) (bool, time.Duration, error) {
	if err := m.enter(ctx, key); err != nil {
		return false, 0, err
	}
	defer m.mu.Unlock()
	now := m.opts.Now()
	b := m.buckets[key]
	if b == nil {
		b = &bucket{uses: float64(burst), at: now}
		m.buckets[key] = b
	}
	b.rate, b.burst = rate, float64(burst)
	b.refill(now)
	if b.uses >= 1 {
		b.uses--
		return true, 0, nil
	}
	if rate <= 0 {
		return false, time.Duration(math.MaxInt64), nil
	}
	return false, time.Duration(math.Ceil((1 - b.uses) / rate * float64(time.Second))), nil
}

// place is one that somebody has entered.
type place struct{ expires time.Time }

// Enter implements Limits.
func (m *Memory) Enter(ctx context.Context, key string, maxPlaces int, ttl time.Duration) (func(), bool, error) {
	if err := m.enter(ctx, key); err != nil {
		return nil, false, err
	}
	defer m.mu.Unlock()
	now := m.opts.Now()
	held := m.places[key]
	for p := range held {
		if now.After(p.expires) {
			delete(held, p)
		}
	}
	if len(held) >= maxPlaces {
		return nil, false, nil
	}
	if held == nil {
		held = map[*place]struct{}{}
		m.places[key] = held
	}
	p := &place{now.Add(ttl)}
	held[p] = struct{}{}
	var once sync.Once
	return func() {
		once.Do(func() {
			m.mu.Lock()
			defer m.mu.Unlock()
			delete(m.places[key], p)
			if len(m.places[key]) == 0 {
				delete(m.places, key)
			}
		})
	}, true, nil
}
