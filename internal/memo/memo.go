// Package memo keeps the results of slow calls: one call at a time for each
// key, however many ask, and a bounded number of results for a bounded time.
package memo

import (
	"container/list"
	"context"
	"errors"
	"sync"
	"time"
)

// ErrClosed is what Get returns after Close.
var ErrClosed = errors.New("memo: closed")

// Options configure a Memo.
type Options struct {
	// Max is how many results are kept; the least recently used leave first.
	// Required.
	Max int
	// Timeout bounds one load. Required.
	Timeout time.Duration
	// Now is the clock; nil is [time.Now].
	Now func() time.Time
}

// A Memo keeps results by key. Its methods may be called concurrently.
type Memo[K comparable, V any] struct {
	opts   Options
	root   context.Context // of all loads; ended by Close
	cancel context.CancelFunc
	loads  sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	flights map[K]*flight[V]
	entries map[K]*list.Element
	recent  *list.List // of *entry, most recently used first
}

// flight is a load under way.
type flight[V any] struct {
	done  chan struct{}
	value V
	err   error
}

type entry[K comparable, V any] struct {
	key   K
	value V
	err   error
	until time.Time
}

// Load makes the result of a key. until is when the result, or the error,
// stops being good; the zero time keeps nothing. ctx has no caller's values and
// ends with the time limit or with Close.
type Load[V any] func(ctx context.Context) (value V, until time.Time, err error)

// New returns an empty memo. Close it to end loads that are under way.
func New[K comparable, V any](o Options) *Memo[K, V] {
	if o.Max <= 0 || o.Timeout <= 0 {
		panic("memo: Max and Timeout are required")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	m := &Memo[K, V]{opts: o, flights: map[K]*flight[V]{}, entries: map[K]*list.Element{}, recent: list.New()}
	m.root, m.cancel = context.WithCancel(context.Background())
	return m
}

// Get returns what is kept for key, or what load makes. Whoever asks for the
// same key meanwhile waits for the same load. The end of ctx ends the wait, not
// the load, which others may be waiting for.
func (m *Memo[K, V]) Get(ctx context.Context, key K, load Load[V]) (V, error) {
	m.mu.Lock()
	if e := m.freshLocked(key); e != nil {
		m.mu.Unlock()
		return e.value, e.err
	}
	f, err := m.flyLocked(key, load)
	m.mu.Unlock()
	var none V
	if err != nil {
		return none, err
	}
	select {
	case <-f.done:
		return f.value, f.err
	case <-ctx.Done():
		return none, ctx.Err()
	}
}

func (m *Memo[K, V]) freshLocked(key K) *entry[K, V] {
	element, ok := m.entries[key]
	if !ok {
		return nil
	}
	e := element.Value.(*entry[K, V])
	if !m.opts.Now().Before(e.until) {
		m.removeLocked(element)
		return nil
	}
	m.recent.MoveToFront(element)
	return e
}

// flyLocked returns the load under way for key, or starts one.
func (m *Memo[K, V]) flyLocked(key K, load Load[V]) (*flight[V], error) {
	if m.closed {
		return nil, ErrClosed
	}
	if f := m.flights[key]; f != nil {
		return f, nil
	}
	f := &flight[V]{done: make(chan struct{})}
	m.flights[key] = f
	m.loads.Go(func() {
		ctx, cancel := context.WithTimeout(m.root, m.opts.Timeout)
		defer cancel()
		value, until, err := load(ctx)
		m.land(key, f, value, until, err)
	})
	return f, nil
}

func (m *Memo[K, V]) land(key K, f *flight[V], value V, until time.Time, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	defer close(f.done)
	f.value, f.err = value, err
	delete(m.flights, key)
	if m.closed || !m.opts.Now().Before(until) {
		return
	}
	if old, ok := m.entries[key]; ok {
		m.removeLocked(old)
	}
	for m.recent.Len() >= m.opts.Max {
		m.removeLocked(m.recent.Back())
	}
	m.entries[key] = m.recent.PushFront(&entry[K, V]{key, value, err, until})
}

// Forget drops what is kept for key if bad says so, so that the next Get loads
// anew.
func (m *Memo[K, V]) Forget(key K, bad func(V) bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if element, ok := m.entries[key]; ok && bad(element.Value.(*entry[K, V]).value) {
		m.removeLocked(element)
	}
}

func (m *Memo[K, V]) removeLocked(element *list.Element) {
	m.recent.Remove(element)
	delete(m.entries, element.Value.(*entry[K, V]).key)
}

// Len is how many results are kept, those that are no longer good included.
func (m *Memo[K, V]) Len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.recent.Len()
}

// Close forgets everything, cancels loads and waits for them.
func (m *Memo[K, V]) Close() {
	m.mu.Lock()
	m.closed = true
	clear(m.entries)
	m.recent.Init()
	m.mu.Unlock()
	m.cancel()
	m.loads.Wait()
}
