package state

import (
	"context"
	"math"
	"sync"
	"time"
)

type memoryLimits struct {
	mu      sync.Mutex
	buckets map[string]*bucket
	places  map[string]map[*place]struct{}
}

func (ml *memoryLimits) init() {
	ml.buckets, ml.places = map[string]*bucket{}, map[string]map[*place]struct{}{}
}

// expire removes full buckets, which are as good as new ones, and places that
// were not left.
func (ml *memoryLimits) expire(now time.Time) {
	ml.mu.Lock()
	defer ml.mu.Unlock()
	for key, b := range ml.buckets {
		if b.refill(now); b.uses >= b.burst {
			delete(ml.buckets, key)
		}
	}
	for key := range ml.places {
		ml.held(key, now)
	}
}

// held returns the places taken under a key, without those that have expired.
func (ml *memoryLimits) held(key string, now time.Time) map[*place]struct{} {
	held := ml.places[key]
	for p := range held {
		if now.After(p.expires) {
			delete(held, p)
		}
	}
	if len(held) == 0 {
		delete(ml.places, key)
		return nil
	}
	return held
}

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

// Take implements Limits.
func (m *Memory) Take(ctx context.Context, key string, rate float64, burst int) (bool, time.Duration, error) {
	if err := m.check(ctx, key); err != nil {
		return false, 0, err
	}
	ml, now := &m.limits, m.now()
	ml.mu.Lock()
	defer ml.mu.Unlock()
	b := ml.buckets[key]
	if b == nil {
		b = &bucket{uses: float64(burst), at: now}
		ml.buckets[key] = b
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
	if err := m.check(ctx, key); err != nil {
		return nil, false, err
	}
	ml, now := &m.limits, m.now()
	ml.mu.Lock()
	defer ml.mu.Unlock()
	held := ml.held(key, now)
	if len(held) >= maxPlaces {
		return nil, false, nil
	}
	if held == nil {
		held = map[*place]struct{}{}
		ml.places[key] = held
	}
	p := &place{now.Add(ttl)}
	held[p] = struct{}{}
	return func() { ml.leave(key, p) }, true, nil
}

// leave frees a place; a second time it finds nothing to free.
func (ml *memoryLimits) leave(key string, p *place) {
	ml.mu.Lock()
	defer ml.mu.Unlock()
	delete(ml.places[key], p)
	if len(ml.places[key]) == 0 {
		delete(ml.places, key)
	}
}
