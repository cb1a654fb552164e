package auth

import (
	"context"
	"crypto/rsa"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// How signing keys are kept, after Microsoft's "Signing key rollover" page.
const (
	keyRefresh     = time.Hour       // older keys are refreshed in the background
	keyLifetime    = 24 * time.Hour  // older keys are not used: the last known good is bounded
	unknownKeyWait = 5 * time.Minute // between fetches caused by unknown key ids
	retryFirst     = time.Second     // after a failed fetch, doubling
	retryMost      = time.Minute
	fetchTimeout   = 10 * time.Second
)

// errUnknownKey says that the authority does not publish a key, as far as it
// could be asked.
var errUnknownKey = errors.New("unknown signing key")

// signingKey is a key that the authority publishes.
type signingKey struct {
	id     string
	public *rsa.PublicKey
	issuer string // issuer property, may contain {tenantid}; empty in v1 documents
}

func (k *signingKey) equal(o *signingKey) bool {
	return o != nil && k.id == o.id && k.issuer == o.issuer && k.public.Equal(o.public)
}

// keyRef is a key and where it came from, so that its withdrawal is noticed.
type keyRef struct {
	*signingKey
	source *keySource
}

// keyring holds the keys of every admitted tenant, apart for v1 and v2 since
// each has its own documents. What it holds is bounded by the configuration;
// nothing in a token can make it ask anybody else.
type keyring struct {
	sources map[keySetID]*keySource
	cancel  context.CancelFunc
	http    *http.Client
	owned   bool // http is ours to clean up

	mu     sync.Mutex // guards closed against fetch.Go
	closed bool
	fetch  sync.WaitGroup
}

type keySetID struct {
	tenant  string
	version tokenVersion
}

func newKeyring(a authority, tenants []string, client *http.Client, now func() time.Time, observer Observer, log *slog.Logger) *keyring {
	ctx, cancel := context.WithCancel(context.Background())
	k := &keyring{sources: make(map[keySetID]*keySource), cancel: cancel, owned: client == nil}
	k.http = guardedClient(client)
	for _, tenant := range tenants {
		for _, version := range []tokenVersion{v1, v2} {
			d := discovery{http: k.http, authority: a, tenant: tenant, version: version}
			k.sources[keySetID{tenant, version}] = &keySource{
				load: func() (map[string]*signingKey, error) {
					ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
					defer cancel()
					keys, err := d.keys(ctx)
					if observer.Fetched != nil {
						observer.Fetched(err)
					}
					return keys, err
				},
				start: k.start,
				now:   now,
				log:   log.With("tenant", tenant, "version", version.String()),
			}
		}
	}
	return k
}

// start runs f in the background, unless the keyring is closed.
func (k *keyring) start(f func()) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return false
	}
	k.fetch.Go(f)
	return true
}

func (k *keyring) close() {
	k.mu.Lock()
	k.closed = true
	k.mu.Unlock()
	k.cancel()
	k.fetch.Wait()
	if k.owned {
		k.http.CloseIdleConnections()
	}
}

// find returns a key of an admitted tenant. It waits for the authority if the
// key is not here.
func (k *keyring) find(ctx context.Context, tenant string, version tokenVersion, kid string) (keyRef, error) {
	source := k.sources[keySetID{tenant, version}]
	if source == nil {
		return keyRef{}, errUnknownKey
	}
	key, err := source.find(ctx, kid)
	return keyRef{key, source}, err
}

// keySet is one fetched document; it does not change.
type keySet struct {
	keys    map[string]*signingKey
	fetched time.Time
}

// usable reports whether the set may still prove tokens.
func (s *keySet) usable(now time.Time) bool {
	return s != nil && now.Sub(s.fetched) < keyLifetime
}

// keySource keeps the keys of one tenant and token version.
type keySource struct {
	load  func() (map[string]*signingKey, error)
	start func(func()) bool
	now   func() time.Time
	log   *slog.Logger

	current atomic.Pointer[keySet]

	mu          sync.Mutex
	running     *keyFetch // the fetch under way, shared by all who wait
	failures    int       // failed fetches in a row
	lastErr     error     // of the last fetch
	nextTry     time.Time // no fetch before, after a failed one
	nextUnknown time.Time // no fetch for an unknown key before
}

// keyFetch is a fetch that any number of callers can wait for.
type keyFetch struct {
	done chan struct{}
	set  *keySet // set, unless err is, before done is closed
	err  error
}

// held returns a key that is here and usable, and has the set refreshed in the
// background when it is due.
func (s *keySource) held(kid string, now time.Time) *signingKey {
	set := s.current.Load()
	if !set.usable(now) {
		return nil
	}
	if now.Sub(set.fetched) >= keyRefresh {
		_, _ = s.refresh(now, false) // too early is fine: the set is still usable
	}
	return set.keys[kid]
}

// find returns a key, fetching the set if it is missing, too old, or does not
// have the key. All callers share one fetch. Fetches for unknown keys are at
// least [unknownKeyWait] apart, so that a flood of made-up key ids reaches the
// authority no oftener, and wait like all others after a failed one.
func (s *keySource) find(ctx context.Context, kid string) (*signingKey, error) {
	now := s.now()
	if key := s.held(kid, now); key != nil {
		return key, nil
	}
	unknown := s.current.Load().usable(now)
	fetch, err := s.refresh(now, unknown)
	if errors.Is(err, errUnknownKey) {
		// Somebody else's fetch may have brought the key since we looked.
		if key := s.held(kid, now); key != nil {
			return key, nil
		}
	}
	if err != nil {
		return nil, err
	}
	select {
	case <-fetch.done:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if fetch.err != nil {
		return nil, s.unavailable(fetch.err)
	}
	if key := fetch.set.keys[kid]; key != nil {
		return key, nil
	}
	return nil, errUnknownKey
}

// refresh joins the fetch under way or starts one. The error says why there is
// none: it is too early after a failure, or after a fetch for an unknown key.
func (s *keySource) refresh(now time.Time, unknown bool) (*keyFetch, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running != nil {
		return s.running, nil
	}
	if now.Before(s.nextTry) {
		return nil, &UnavailableError{RetryAfter: retryAfter(s.nextTry.Sub(now)), Err: s.lastErr}
	}
	if set := s.current.Load(); set.usable(now) && now.Sub(set.fetched) < keyRefresh {
		unknown = true // a fetch that ended since the caller looked has made it so
	}
	if unknown && now.Before(s.nextUnknown) {
		return nil, errUnknownKey
	}
	fetch := &keyFetch{done: make(chan struct{})}
	if !s.start(func() { s.run(fetch, unknown) }) {
		return nil, &UnavailableError{RetryAfter: retryFirst, Err: errors.New("the server is stopping")}
	}
	s.running = fetch
	return fetch, nil
}

// run is the body of a fetch. It logs after letting go of the lock, so that a
// slow log holds up nobody's request.
func (s *keySource) run(fetch *keyFetch, unknown bool) {
	keys, err := s.load()
	changed, failures := s.finish(fetch, unknown, keys, err)
	switch {
	case err != nil:
		s.log.Warn("signing keys not fetched", "error", err, "failures", failures,
			"using_last_known_good", s.current.Load().usable(s.now()))
	case changed:
		s.log.Info("signing keys changed", "keys", slices.Sorted(maps.Keys(keys)))
	}
}

// finish records the outcome of a fetch and wakes those who wait for it.
func (s *keySource) finish(fetch *keyFetch, unknown bool, keys map[string]*signingKey, err error) (changed bool, failures int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer close(fetch.done)
	now := s.now()
	s.running = nil
	s.lastErr, fetch.err = err, err
	if err != nil {
		s.nextTry = now.Add(min(retryFirst<<min(s.failures, 10), retryMost))
		s.failures++
		return false, s.failures
	}
	s.failures = 0
	s.nextTry = time.Time{}
	if unknown {
		s.nextUnknown = now.Add(unknownKeyWait)
	}
	fetch.set, changed = s.install(keys, now)
	return changed, 0
}

// install makes fetched keys current and reports whether they differ. Keys that
// stay the same keep their identity, by which cached verdicts recognise that
// their key still stands.
func (s *keySource) install(keys map[string]*signingKey, now time.Time) (set *keySet, changed bool) {
	var before map[string]*signingKey
	if old := s.current.Load(); old != nil {
		before = old.keys
	}
	changed = len(before) != len(keys)
	for id, key := range keys {
		if key.equal(before[id]) {
			keys[id] = before[id]
		} else {
			changed = true
		}
	}
	set = &keySet{keys: keys, fetched: now}
	s.current.Store(set)
	return set, changed
}

func (s *keySource) unavailable(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &UnavailableError{RetryAfter: retryAfter(s.nextTry.Sub(s.now())), Err: err}
}

func retryAfter(d time.Duration) time.Duration { return max(d, time.Second) }
